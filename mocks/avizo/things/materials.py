"""Materials: the names and colours of the labels of a label field.

In:  the label values that occur, and names read from a file.
Out: material name -> {'Id': label value + 1, 'Color': [r, g, b]} (section 7).
How materials may be made from Python is not established: writing does what Behaviour.materials says.
"""

from __future__ import annotations

import colorsys

import numpy as np

from .. import current
from ..strict import Strict


def label_values(array):
    """The values that occur in an integer array (x, y, z), sorted, as ints; slice by slice."""
    found = set()
    for z in range(array.shape[2]):
        found.update(np.unique(array[:, :, z]).tolist())
    return sorted(found)


def make_materials(values, known=None):
    """One material per label value; `known` {Id: (name, material)} keeps its names and colours.

    Returns {name: {'Id': int, 'Color': [float, float, float]}}.
    """
    made = {}
    for value in values:
        name, material = (known or {}).get(value + 1, (None, None))
        if name is None:
            name = "Exterior" if value == 0 else f"Material{value + 1}"
            material = {
                "Id": value + 1,
                "Color": [round(c, 3) for c in colorsys.hsv_to_rgb(value * 0.381 % 1, 0.7, 0.9)],
            }
        made[name] = material
    for name, material in (known or {}).values():
        made.setdefault(name, material)
    return made


def writing_works():
    """Whether Behaviour.materials lets materials be written; TypeError when it refuses."""
    choice = current.session().behaviour.materials
    if choice == "refused":
        raise TypeError("this Avizo does not take materials by assignment (section 7, road 1 is unproven)")
    return choice == "assignable"


class Bundle(Strict):
    """A bundle of parameters. It is no dict: its *text* evaluates to one, and `bundle['key']` works."""

    __slots__ = ("_values",)

    def __init__(self, values):
        self._values = values

    def __str__(self):
        return str(self._values)

    def __contains__(self, key):
        return key in self._values

    def __getitem__(self, key):
        value = self._values[key]
        return Bundle(value) if isinstance(value, dict) else value

    def __setitem__(self, key, value):
        if writing_works():
            self._values[key] = value
