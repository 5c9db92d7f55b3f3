"""Materials: the names and colours of the labels of a label field.

In:  the label values that occur, and names read from a file.
Out: material name -> {'Id': label value + 1, 'Color': [r, g, b]} (section 7).
How materials may be made from Python is not established: writing does what Behaviour.materials says.
"""

from __future__ import annotations

import colorsys

import numpy as np

from . import current


def label_values(array):
    """The values that occur in an integer array (x, y, z), sorted, as ints; slice by slice, so without a copy."""
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


class Bundle(dict):
    """A dict that lets itself be changed as Behaviour.materials says."""

    def __setitem__(self, key, value):
        choice = current.session().behaviour.materials
        if choice == "refused":
            raise TypeError(
                "this Avizo does not take materials by assignment (section 7, road 1 is unproven)"
            )
        if choice == "assignable":
            super().__setitem__(key, value)
