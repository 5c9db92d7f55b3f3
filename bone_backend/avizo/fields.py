"""What is connected, and whether it can be worked with: told before any work.

In:  the connections of a module and their fields.
Out: name, lattice, type and box of each field; faults in words.
`get_array` may copy the whole field, so each field is looked at once, when it is connected or changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dataset import checks
from ..errors import Fault, called
from ..volumes.array import ArrayVolume
from ..volumes.lattice import Box, volume_of
from .host import Field, array_of, box_of, is_label_field


@dataclass(frozen=True)
class Facts:
    """A field, without its voxels. shape: (x, y, z). box: of voxel centres."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    box: Box
    is_label: bool

    @property
    def nbytes(self) -> int:
        """Bytes of its voxels."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def as_volume(self) -> ArrayVolume:
        """A volume of this lattice and type that takes no memory; its voxel size has no unit."""
        return volume_of(np.broadcast_to(np.zeros((), self.dtype), self.shape), self.box, name=self.name)


class Watch:
    """The facts of the connected fields, read anew where a connection is new or its field has changed."""

    def __init__(self) -> None:
        self._known: dict[str, Facts] = {}

    def look(self, connections: Mapping[str, Any]) -> dict[str, Facts | None]:
        """Facts by name of the connection; None where nothing is connected or the field is empty."""
        found: dict[str, Facts | None] = {}
        for name, port in connections.items():
            field = port.source()
            known = self._known.get(name)
            if field is None:
                known = None
            elif known is None or port.is_new or known.name != field.name or known.box != box_of(field):
                known = facts_of(field)
            self._known.pop(name, None)
            if known is not None:
                self._known[name] = known
            found[name] = known
        return found


def facts_of(field: Field) -> Facts | None:
    """What a field is; None while it is empty."""
    try:
        array = array_of(field)
    except ValueError:  # a field that nothing was put into yet
        return None
    if array.ndim != 3 or 0 in array.shape:
        return None
    return Facts(field.name, array.shape, array.dtype, box_of(field), is_label_field(field))


def pair_numbers(facts: Mapping[str, Facts | None]) -> list[int]:
    """Numbers of the pairs of which at least one half is connected."""
    return [
        number
        for number in range(1, len(facts) // 2 + 1)
        if facts[f"scan{number}"] is not None or facts[f"mask{number}"] is not None
    ]


def pair_faults(facts: Mapping[str, Facts | None]) -> list[str]:
    """Faults of all pairs: halves, gaps, fields in the wrong place or there twice, what does not fit."""
    numbers = pair_numbers(facts)
    faults = [
        f"Pair {number} is empty, but pair {numbers[-1]} is connected. Connect a scan and a mask to pair "
        f"{number}, or move the last pair there."
        for number in range(1, numbers[-1] if numbers else 0)
        if number not in numbers
    ]
    seen: dict[str, int] = {}
    for number in numbers:
        scan, mask = facts[f"scan{number}"], facts[f"mask{number}"]
        if scan is None or mask is None:
            here, lacking = (scan, "mask") if mask is None else (mask, "scan")
            assert here is not None
            faults.append(
                f"Pair {number} has no {lacking}: connect the {lacking} that belongs to {here.name}."
            )
            continue
        faults += _fitting_faults(scan, mask, number=number)
        if scan.name in seen:
            first = seen[scan.name]
            faults.append(f"{scan.name} is the scan of pairs {first} and {number}. Connect every scan once.")
        seen.setdefault(scan.name, number)
    return faults


def _fitting_faults(scan: Facts, mask: Facts, *, number: int) -> list[str]:
    if scan.name == mask.name:
        return [
            f"Pair {number} has the same field as scan and mask: {scan.name}. Connect one to Mask {number}."
        ]
    if scan.is_label and not mask.is_label:
        return [
            f"Pair {number}: {scan.name} is a label field and {mask.name} is an image; "
            "scan and mask are swapped."
        ]
    if scan.is_label:
        return [f"Pair {number}: {scan.name} is a label field. Connect the grey values to Scan {number}."]
    faults = checks.pair_faults(scan.as_volume(), mask.as_volume(), number=number)
    faults += [f"pair {number}: {told}" for told in size_faults(scan, mask)]
    return [fault[0].upper() + fault[1:] for fault in faults]


def size_faults(one: Facts, other: Facts) -> list[str]:
    """Whether the voxels of two fields have one size, in the project's own unit, whatever that is."""
    one_size, other_size = (facts.as_volume().header.voxel_size for facts in (one, other))
    if one_size is None or other_size is None or np.allclose(one_size, other_size, rtol=1e-3, atol=0):
        return []
    here, there = (" x ".join(f"{value:.4g}" for value in reversed(size)) for size in (one_size, other_size))
    return [
        f"the voxels of {other.name} are {there} but those of {one.name} are {here} (x, y, z). "
        "Correct the bounding box of one, or resample it."
    ]


def pair_notes(facts: Mapping[str, Facts | None]) -> list[str]:
    """What is allowed but looks like a slip."""
    seen: dict[str, int] = {}
    notes = []
    for number in pair_numbers(facts):
        mask = facts[f"mask{number}"]
        if mask is not None and mask.name in seen:
            notes.append(f"{mask.name} is the mask of pair {seen[mask.name]} and of pair {number}.")
        if mask is not None:
            seen.setdefault(mask.name, number)
    return notes


def subjects_of(text: str, count: int) -> tuple[list[str | None], list[str]]:
    """The subject of each pair from the user's text, and faults.

    >>> subjects_of("anna, anna, ben", 3)
    (['anna', 'anna', 'ben'], [])
    """
    if not text.strip():
        return [None] * count, []
    names = [name.strip() or None for name in text.split(",")]
    if len(names) != count:
        return [None] * count, [
            Fault(
                f"{called('subjects')} names {len(names)}, but there are {count} pairs. Give one for each, "
                "in order."
            )
        ]
    return list(names), []


def shapes_zyx(facts: Sequence[Facts]) -> list[tuple[int, int, int]]:
    """Lattices as (z, y, x)."""
    return [(facts_.shape[2], facts_.shape[1], facts_.shape[0]) for facts_ in facts]
