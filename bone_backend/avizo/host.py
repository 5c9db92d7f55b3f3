"""Avizo as the modules see it: the names that it gives to a script object, used here and nowhere else.

In:  a script object and the global names of its .pyscro.
Out: ports, messages, fields, the unit of coordinates.
All that is known of these names is in the stand-in, mocks/avizo; nothing else is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

SCALAR = "HxUniformScalarField3"
LABEL = "HxUniformLabelField3"
GREATEST_INT = 2**31 - 1  # ports hold C ints

Field = Any  # a scalar or label field of Avizo


class Host:
    """The running Avizo, seen from one script object.

    module: the script object. names: the globals of its .pyscro, where Avizo puts its classes.
    """

    def __init__(self, module: Any, names: Mapping[str, Any]):
        self.module = module
        self._names = names

    def port(self, kind: str, name: str, label: str) -> Any:
        """A new port of the module: kind is the class's name, e.g. "HxPortInfo"."""
        return self._names[kind](self.module, name, label)

    def item(self, kind: str, item: str, **given: Any) -> Any:
        """An item of a port, by the nested class: item("HxPortRadioBox", "RadioBox", label="2D")."""
        return getattr(self._names[kind], item)(**given)

    def constant(self, kind: str, name: str) -> Any:
        """A constant of a port's class, e.g. the mode LOAD_DIRECTORY of HxPortFilename."""
        return getattr(self._names[kind], name)

    def info(self, name: str, label: str) -> Any:
        """A line that the user reads; hidden until it says something."""
        port = self.port("HxPortInfo", name, label)
        port.visible = False
        return port

    def error(self, text: str) -> None:
        """One message box."""
        self._names["hx_message"].error(text)

    def bar(self, steps: int, text: str) -> Any:
        """A progress bar with a Stop button, for a `with` block."""
        return self._names["hx_progress"].progress(steps, text)

    def bar_text(self, text: str) -> None:
        """The text of the open progress bar."""
        self._names["hx_progress"].set_text(text)

    def new_label_field(self) -> Field:
        """An empty label field that is not in the project yet."""
        return self._names["hx_object_factory"].create(LABEL)

    def new_scalar_field(self) -> Field:
        """The same for grey values."""
        return self._names["hx_object_factory"].create(SCALAR)

    def load(self, path: str) -> Field:
        """The object in a file, put into the project."""
        found = self._names["hx_project"].load(path)
        return found[0] if isinstance(found, (list, tuple)) else found

    def unit(self, chosen: str) -> tuple[str, float]:
        """The unit of coordinates and the factor that turns a coordinate into it; ("", 1.0) when unknown.

        chosen: a unit, "unknown", or "from Avizo", which asks the units management.
        """
        if chosen == "unknown":
            return "", 1.0
        if chosen != "from Avizo":
            return chosen, 1.0
        try:
            tcl = importlib.import_module("_hx_core")._tcl_interp
            if tcl("_units isUnitsManagementActivated").strip() == "1":
                return "um", float(tcl("_units convertFromWorkingCoordinatesUnit 1 um"))
        except Exception:  # these commands were seen once; an Avizo without them has no unit to tell
            pass
        return "", 1.0


def is_label_field(field: Field) -> bool:
    """Whether a field holds labels and not grey values; Python's class is the same for both."""
    return getattr(field, "_cpp_classname", "") == LABEL


def box_of(field: Field) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A field's bounding box, ((xmin, ymin, zmin), (xmax, ymax, zmax)) of voxel centres, in plain numbers."""
    low, high = field.bounding_box
    return tuple(float(value) for value in low), tuple(float(value) for value in high)


def array_of(field: Field) -> np.ndarray:
    """A field's voxels (x, y, z), to be read only: Avizo may hand out its own memory."""
    array = np.asarray(field.get_array())
    if array.ndim == 2:
        array = array[:, :, None]
    view = array.view()
    view.flags.writeable = False
    return view
