"""The few Tcl commands that were seen in Python scripts.

In:  a command for `_hx_core._tcl_interp`.
Out: its text. Every other command raises NotImplementedError, since nobody has seen it work from Python.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np

from .things import amiramesh
from .things.fields import SCALAR, HxRegScalarField3

RAW_TYPES = {"byte": "u1", "ushort": "u2", "short": "i2", "int32": "i4", "float": "f4", "double": "f8"}
METRES = {"nm": 1e-9, "um": 1e-6, "µm": 1e-6, "mm": 1e-3, "cm": 1e-2, "m": 1.0}


def interpret(session, command):
    """Run one command of sections 2, 7 and 10. NotImplementedError for others, KeyError for names."""
    if not isinstance(command, str):
        raise TypeError(f"_tcl_interp takes str, not {type(command).__name__}.")
    words = shlex.split(command.replace("\\", "\\\\"))
    if words in (["startLogInhibitor"], ["stopLogInhibitor"]):
        return ""
    if words[:1] == ["_units"]:
        return _units(session, words[1:], command)
    if words[:2] == ["load", "-raw"]:
        return _load_raw(session, words[2:])
    if words[:1] == ["load"] and len(words) == 2:
        return session.services["hx_project"].load(words[1]).name
    if words[1:2] == ["save"] and words[2:3] == ["Amira binary"] and len(words) == 4:
        amiramesh.write(Path(words[3]), session.services["hx_project"].get(words[0]))
        return ""
    if words[1:2] == ["composeLabel"] and len(words) == 4:
        source = session.services["hx_project"].get(words[2])
        thing = session.services["hx_project"].get(words[0])
        thing.name = f"{source.name.partition('.')[0]}.{words[3]}"
        return thing.name
    raise NotImplementedError(f"nobody has seen this Tcl command work from Python: {command!r}")


def _units(session, words, command):
    unit = session.behaviour.unit
    if words == ["isUnitsManagementActivated"]:
        return "1" if unit else "0"
    if words == ["getDisplayCoordinatesUnit"]:
        return unit
    if words[:1] == ["convertFromWorkingCoordinatesUnit"] and len(words) == 3 and unit:
        return f"{float(words[1]) * METRES[unit] / METRES[words[2]]:.9g}"
    raise NotImplementedError(f"nobody has seen this Tcl command work from Python: {command!r}")


def _load_raw(session, words):
    """load -raw file little xfastest ushort 1 nx ny nz xmin xmax ymin ymax zmin zmax"""
    path, order, fastest, kind, components, *numbers = words
    if fastest != "xfastest" or components != "1" or len(numbers) < 9:
        raise NotImplementedError(f"this form of load -raw was not seen: {words}")
    shape = tuple(int(n) for n in numbers[:3])
    low_high = [float(n) for n in numbers[3:9]]
    dtype = np.dtype(RAW_TYPES[kind]).newbyteorder("<" if order == "little" else ">")
    voxels = np.fromfile(path, dtype=dtype, count=int(np.prod(shape))).astype(dtype.newbyteorder("="))
    field = HxRegScalarField3(SCALAR, Path(path).name.replace(" ", "-"))
    field.set_array(voxels.reshape(shape, order="F"))
    field.bounding_box = (low_high[0::2], low_high[1::2])
    session.project.add(field)
    return field.name
