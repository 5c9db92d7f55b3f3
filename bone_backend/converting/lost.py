"""What a file does not hold of what it was given, by name.

In:  the header of what was written, and the header that the file itself tells when it is opened.
Out: a sentence for each thing that is lost, and for each that the file now says and nobody told it.
"""

from __future__ import annotations

import numpy as np

from ..volumes.classes import class_name
from ..volumes.header import UM_PER_UNIT, Header, LabelClass

NEAR = 1e-4  # of a voxel size, by which lengths are the same: files round


def lost(given: Header, held: Header) -> list[str]:
    """What is not in the file."""
    return [*_lengths(given, held), *_direction(given, held), *_classes(given.classes, held.classes)]


def made_up(given: Header, held: Header) -> list[str]:
    """What the file says and nobody told it, since its format has no way to leave it out."""
    told = []
    if given.voxel_size is None and held.voxel_size is not None:
        told.append("a voxel size of 1, since it was unknown")
    if given.voxel_size is not None and not given.is_z_told and held.is_z_told:
        told.append("a voxel size along z, which is taken to be as that along x and y")
    if given.direction is None and held.direction is not None:
        told.append("that the axes lie straight in the patient, since their direction was unknown")
    return told


def _lengths(given: Header, held: Header) -> list[str]:
    if given.voxel_size is None:
        return []
    size = " x ".join(f"{length:.6g}" for length in given.voxel_size) + f" {given.unit}".rstrip()
    if held.voxel_size is None:
        return [f"the voxel size ({size}, z, y, x)"]
    if given.unit and not held.unit:
        return ["the unit of the voxel size"]
    found = []
    is_known = bool(given.unit and held.unit)
    factor, other = (UM_PER_UNIT[header.unit] if is_known else 1.0 for header in (given, held))
    ours, theirs = np.array(given.voxel_size) * factor, np.array(held.voxel_size) * other
    if (abs(ours - theirs) > NEAR * ours).any():
        found.append(f"the exact voxel size ({size}, z, y, x)")
    off = abs(np.array(given.origin) * factor - np.array(held.origin) * other)
    if (off > NEAR * ours + 1e-6 * abs(np.array(given.origin) * factor)).any():
        told = ", ".join(f"{value:.6g}" for value in given.origin)
        found.append(f"the origin ({told} {given.unit}; z, y, x)")
    return found


def _direction(given: Header, held: Header) -> list[str]:
    if given.direction is None:
        return []
    is_held = held.direction is not None and np.allclose(given.direction, held.direction, atol=1e-4)
    return [] if is_held else ["the direction of the axes in the patient"]


def _classes(given: tuple[LabelClass, ...], held: tuple[LabelClass, ...]) -> list[str]:
    if not given:
        return []
    told = {item.value: item for item in held}
    plain = {0: LabelClass(0, class_name(0))}  # which formats for segments leave out
    missing = [item for item in given if item.value not in told and item.value not in plain]
    if len(missing) == len([item for item in given if item.value]) and missing:
        return ["names and colours of classes"]
    found = [f"the name of label {item.value} ({item.name})" for item in missing]
    for item in given:
        other = told.get(item.value)
        if other is not None and other.name != item.name and item.name != class_name(item.value):
            found.append(f'the name "{item.name}" of label {item.value}, which became "{other.name}"')
        if item.value and other is not None and item.colour and not _is_near(item.colour, other.colour):
            found.append(f"the colour of label {item.value} ({item.colour})")
    return found


def _is_near(one: str, other: str | None) -> bool:
    """Whether two colours are the same but for the rounding of a file."""
    if other is None:
        return False
    parts = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return all(abs(a - b) <= 1 for a, b in parts)
