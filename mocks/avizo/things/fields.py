"""Scalar and label fields.

In:  arrays (x, y, z) of the six dtypes that Avizo knows; boxes of voxel centres.
Out: HxRegScalarField3, the Python class of uniform scalar and label fields alike (section 6).
The memory of a field is Fortran-ordered: x runs fastest. What would break in Avizo is refused by raising.
"""

from __future__ import annotations

import numpy as np

from .. import current
from ..ports.plain import HxConnection, HxPortInfo
from .data_object import DataObject
from .materials import Bundle, label_values, make_materials, writing_works

DTYPES = tuple(np.dtype(name) for name in ("uint8", "int16", "uint16", "int32", "float32", "float64"))
LABEL = "HxUniformLabelField3"
SCALAR = "HxUniformScalarField3"
INFO_PORTS = ("LatticeInfo", "DataInfo", "VoxelSize", "PhysicalSize", "MemorySize")


def checked_array(array, cpp_classname):
    """`array` when Avizo takes it. TypeError or ValueError for other dtypes, shapes and empty arrays."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"set_array takes a numpy.ndarray, not {type(array).__name__}.")
    if array.ndim != 3:
        raise ValueError(f"set_array takes three axes (x, y, z); this array has the shape {array.shape}.")
    if 0 in array.shape:
        raise ValueError(f"the array is empty: {array.shape}. Avizo crashed on such an array.")
    if array.dtype not in DTYPES:
        raise TypeError(f"Avizo does not take {array.dtype}; it takes {', '.join(map(str, DTYPES))}.")
    if cpp_classname == LABEL and array.dtype.kind == "f":
        raise TypeError(f"labels are {array.dtype}; a label field takes uint8 or uint16.")
    return array


def checked_box(box):
    """`box` as ((x, y, z), (x, y, z)) of floats, lowest corner first. ValueError for anything else."""
    corners = tuple(tuple(float(value) for value in corner) for corner in box)
    if len(corners) != 2 or any(len(corner) != 3 for corner in corners):
        raise ValueError(f"the bounding box is {corners}; it is ((xmin, ymin, zmin), (xmax, ymax, zmax)).")
    if any(high < low for low, high in zip(*corners, strict=True)) or not np.isfinite(corners).all():
        raise ValueError(f"the bounding box {corners} has a maximum below its minimum, or is not finite.")
    return corners


class HxRegScalarField3(DataObject):
    """A uniform scalar field, or a label field; which one is in `_cpp_classname`."""

    __slots__ = ("_mock_array", "_mock_box", "_mock_materials", "_mock_stale")

    def __init__(self, cpp_classname=SCALAR, name=None):
        super().__init__(cpp_classname, name)
        self._mock_array = None
        self._mock_box = None
        self._mock_materials = {}
        self._mock_stale = False
        HxConnection(self, "master", "Master")
        for port in INFO_PORTS:
            HxPortInfo(self, port, port)

    def get_array(self):
        """The voxels (x, y, z), Fortran-ordered; copy or view as Behaviour says. ValueError while empty."""
        current.check_thread("get_array")
        if self._mock_array is None:
            raise ValueError(f"{self._mock_name} is empty: nothing was set yet.")
        choice = self._mock_session.behaviour.get_array
        if choice == "copy":
            return self._mock_array.copy(order="F")
        view = self._mock_array.view()
        view.flags.writeable = choice == "view"
        return view

    def set_array(self, array):
        """Take the voxels (x, y, z), of any memory order; size and type of the field follow."""
        current.check_thread("set_array")
        behaviour = self._mock_session.behaviour
        array = checked_array(array, self._cpp_classname)
        keep = behaviour.set_array == "keeps" and array.flags.f_contiguous and array.flags.writeable
        array = array if keep else np.array(array, order="F")
        if self._cpp_classname == LABEL:
            if behaviour.label_values == "renumbered":
                array = np.asfortranarray(np.searchsorted(label_values(array), array).astype(array.dtype))
            self._mock_stale = True
        self._mock_array = array

    @property
    def bounding_box(self):
        """The centres of the first and of the last voxel; voxels of size 1 when it was never set."""
        if self._mock_box is None:
            shape = (1, 1, 1) if self._mock_array is None else self._mock_array.shape
            return ((0.0, 0.0, 0.0), tuple(float(max(n - 1, 1)) for n in shape))
        return self._mock_box

    @bounding_box.setter
    def bounding_box(self, box):
        self._mock_box = checked_box(box)

    @property
    def range(self):
        """(lowest, highest) value as floats."""
        return (float(self._mock_array.min()), float(self._mock_array.max()))

    def duplicate(self):
        """A copy that is not in the project."""
        twin = HxRegScalarField3(self._cpp_classname, self._mock_name)
        if self._mock_array is not None:
            twin.set_array(self._mock_array.copy(order="F"))
        twin._mock_box = self._mock_box
        twin._mock_materials = dict(self._mock_materials)
        twin._parameters._values.update(self._parameters._values)
        return twin

    def _mock_voxel_size(self):
        """(x, y, z): (max - min) / (n - 1); an axis with one voxel takes the extent of the box."""
        low, high = self.bounding_box
        shape = (1, 1, 1) if self._mock_array is None else self._mock_array.shape
        return tuple((b - a) / max(n - 1, 1) for a, b, n in zip(low, high, shape, strict=True))

    def _mock_visible_ports(self):
        for port in self._mock_ports[1:]:
            port._text = self._mock_info(port._name)
        return self._mock_ports

    def _mock_info(self, name):
        """The text of an information port (sections 6 and 7)."""
        if self._mock_array is None:
            return ""
        shape, dtype = self._mock_array.shape, self._mock_array.dtype
        unit = self._mock_session.behaviour.unit
        if name == "VoxelSize":
            return " x ".join(f"{size:g}" for size in self._mock_voxel_size()) + (
                f" [{unit}]" if unit else ""
            )
        if name == "PhysicalSize":
            extent = (n * size for n, size in zip(shape, self._mock_voxel_size(), strict=True))
            origin = ", ".join(f"{value:g}" for value in self.bounding_box[0])
            return " x ".join(f"{size:g}" for size in extent) + f" from {origin}"
        if name == "LatticeInfo":
            return " x ".join(map(str, shape)) + ", uniform coordinates"
        if name == "MemorySize":
            return f"{self._mock_array.nbytes / 2**20:.3g} MB"
        kind = {"u": "unsigned", "i": "signed", "f": "float"}[dtype.kind]
        label = "label, " if self._cpp_classname == LABEL else ""
        return f"{label}{8 * dtype.itemsize}-bit {kind}"

    def _mock_material_dict(self):
        """{name: {'Id': int, 'Color': [r, g, b]}} of a label field, up to date with its voxels."""
        if self._mock_stale:
            known = {material["Id"]: (name, material) for name, material in self._mock_materials.items()}
            self._mock_materials = make_materials(label_values(self._mock_array), known)
            self._mock_stale = False
        return self._mock_materials

    def _mock_parameters(self):
        if self._cpp_classname != LABEL:
            return self._parameters._values
        return {**self._parameters._values, "Materials": Bundle(self._mock_material_dict())}

    def _mock_set_materials(self, value):
        """`parameters['Materials'] = value`, as Behaviour.materials says."""
        if self._cpp_classname != LABEL:
            super()._mock_set_materials(value)
        elif writing_works():
            self._mock_materials = dict(value)
            self._mock_stale = False
