"""Look at every pair before any work: do scan and mask belong together, and are the labels usable?

In:  the pairs of the options, opened as volumes.
Out: the label values that occur and how often, the classes; or one ScanError that names every fault of every
pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ScanError
from ..progress import Progress, silent
from ..volumes.volume import Volume
from .contents import Contents, ContentsMaker

SCAN_DTYPES = ("uint8", "uint16", "int16", "float32")
# A mask with more values than this is taken for a scan that stands in the mask's place.
MOST_CLASSES = 64


@dataclass(frozen=True)
class Labels:
    """What the masks hold.

    values: label value of each class, ascending; its index is the class index. table: int64, label value of a
    mask as stored -> class index, `IGNORED` for voxels that do not count. counts: voxels of each class, one
    row a mask. contents: what the slices of each mask hold, None where nobody asked.
    """

    values: tuple[int, ...]
    table: np.ndarray
    counts: np.ndarray
    contents: tuple[Contents, ...] | None = None

    @property
    def num_classes(self) -> int:
        """Classes of the network, background included."""
        return len(self.values)


# Class index of voxels that count neither in the loss nor in the scores.
IGNORED = -100


def pair_faults(scan: Volume, mask: Volume, *, number: int) -> list[str]:
    """Faults of one pair that the headers show; number counts from 1."""
    scan_name, mask_name = _name(scan), _name(mask)
    faults = []
    if scan.header.dtype.name not in SCAN_DTYPES:
        if mask.header.dtype.name in SCAN_DTYPES and scan.header.dtype.kind in "iub":
            faults.append(
                f"pair {number}: {scan_name} looks like a mask ({scan.header.dtype}); are scan and mask "
                f"swapped?"
            )
        else:
            faults.append(
                f"pair {number}: scan {scan_name} has voxels of type {scan.header.dtype}; BONe takes "
                f"{', '.join(SCAN_DTYPES)}. Convert it."
            )
    if mask.header.dtype.kind not in "iu":
        faults.append(
            f"pair {number}: mask {mask_name} has voxels of type {mask.header.dtype}; label values are whole "
            f"numbers. "
            "Export it as 8-bit or 16-bit labels."
        )
    if scan.header.shape != mask.header.shape:
        faults.append(
            f"pair {number}: mask {mask_name} is {mask.header.shape} but its scan {scan_name} is "
            f"{scan.header.shape} (z, y, x). "
            "Export both from the same lattice."
        )
    faults += _voxel_size_faults(scan, mask, number)
    return faults


def _voxel_size_faults(scan: Volume, mask: Volume, number: int) -> list[str]:
    one, other = scan.header.voxel_size_um, mask.header.voxel_size_um
    if one is None or other is None or np.allclose(one, other, rtol=1e-3):
        return []
    return [
        f"pair {number}: the mask's voxels are {other} um but the scan's are {one} um (z, y, x). Export both "
        f"from the same lattice."
    ]


def _name(volume: Volume) -> str:
    return str(volume.header.path) if volume.header.path else volume.header.name


def count_labels(
    mask: Volume,
    *,
    progress: Progress = silent,
    message: str = "Counting labels",
    contents: ContentsMaker | None = None,
) -> dict[int, int]:
    """Voxels of every label value that occurs, read slab by slab.

    contents: is told what every slice holds. Stops early with more than 65,536 values.
    """
    found: dict[int, int] = {}
    depth = mask.header.shape[0]
    for z0, z1 in mask.slabs(8 << 20):
        progress(z0, depth, message)
        for z, plane in enumerate(mask.read(z0, z1), start=z0):
            values, amounts = _count_plane(plane)
            for value, amount in zip(values.tolist(), amounts.tolist(), strict=True):
                found[int(value)] = found.get(int(value), 0) + int(amount)
            if contents is not None:
                contents.add(z, plane, values, amounts)
        if len(found) > 65_536:
            break
    return dict(sorted(found.items()))


def _count_plane(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of a slice and how often each occurs."""
    if plane.dtype.itemsize <= 2 and plane.dtype.kind == "u":
        seen = np.bincount(plane.ravel())  # makes an int64 copy; a plane keeps it small
        values = np.flatnonzero(seen)
        return values, seen[values]
    return np.unique(plane, return_counts=True)


def read_labels(
    found: Sequence[Mapping[int, int]],
    names: Sequence[str],
    *,
    map_labels: Sequence[tuple[int, int]] = (),
    ignore_label: int | None = None,
) -> Labels:
    """The classes of all masks together.

    found: voxels per label value of each mask (`count_labels`). names: of the masks, for messages.
    map_labels: (old, new) value. ignore_label: value that does not count. After mapping the values must be 0,
    1, 2 ... without gaps; 0 itself may be absent. Raises ScanError with every fault.
    """
    mapping = dict(map_labels)
    faults: list[str] = []
    for name, values in zip(names, found, strict=True):
        if len(values) > MOST_CLASSES:
            faults.append(
                f"{name} holds {len(values)} different values ({_listing(values)}), which looks like a scan "
                f"and not like a mask. "
                "Are scan and mask swapped?"
            )
        elif any(value < 0 for value in values):
            faults.append(f"mask {name} holds negative labels ({_listing(values)}). {_suggest(values)}")
        elif max(values) > 65535:
            faults.append(f"mask {name} holds labels above 65535 ({_listing(values)}). {_suggest(values)}")
    if faults:
        raise ScanError("\n".join(faults))
    everywhere = sorted({value for values in found for value in values})
    unknown = [old for old in mapping if old not in everywhere]
    if unknown:
        raise ScanError(
            f"map_labels names {_listing(unknown)}, which no mask holds; the masks hold "
            f"{_listing(everywhere)}."
        )
    mapped = sorted({mapping.get(value, value) for value in everywhere if value != ignore_label})
    classes = [value for value in mapped if value != ignore_label]
    wanted = list(range(max(classes, default=0) + 1))
    if [value for value in wanted if value] != [value for value in classes if value]:
        holders = [f"  {name}: {_listing(values)}" for name, values in zip(names, found, strict=True)]
        told = f"{_listing(mapped)} after --map-labels" if mapping else _listing(everywhere)
        advice = _suggest(everywhere, ignore_label, mapping=mapping)
        single = [{mapping.get(value, value) for value in values} - {0, ignore_label} for values in found]
        if all(len(values) <= 1 for values in single):  # 0/1 and 0/255, perhaps the same bone
            same = " ".join(f"{value}:1" for value in everywhere if value not in (0, 1, ignore_label))
            advice = f"If all masks mark the same, use --map-labels {same}; if not: {advice}"
        raise ScanError(
            f"mask labels are {told}; they must run 0, 1, 2 ... without gaps. {advice}\n" + "\n".join(holders)
        )
    if len(wanted) < 2:
        raise ScanError("the masks hold background only (label 0); at least one voxel must be labelled 1.")
    table = np.full(max(everywhere) + 1, IGNORED, dtype=np.int64)
    for value in everywhere:
        table[value] = class_of(value, mapping, ignore_label)
    counts = np.zeros((len(found), len(wanted)), dtype=np.int64)
    for row, values in zip(counts, found, strict=True):
        for value, amount in values.items():
            if table[value] != IGNORED:
                row[table[value]] += amount
    return Labels(tuple(wanted), table, counts)


def class_of(value: int, mapping: Mapping[int, int], ignore_label: int | None) -> int:
    """What a mask's value is after mapping: a class, or `IGNORED`.

    >>> [class_of(value, {255: 1}, 254) for value in (0, 255, 254)]
    [0, 1, -100]
    """
    new = mapping.get(value, value)
    return IGNORED if ignore_label in (value, new) else new


def _listing(values: Sequence[int] | Mapping[int, int]) -> str:
    shown = sorted(values)
    return (
        ", ".join(map(str, shown))
        if len(shown) <= 8
        else ", ".join(map(str, shown[:6])) + f" ... {shown[-1]}"
    )


def _suggest(
    values: Sequence[int] | Mapping[int, int],
    ignore_label: int | None = None,
    *,
    mapping: Mapping[int, int] | None = None,
) -> str:
    """The --map-labels that would make the values 0, 1, 2 ...; mapping: the one that did not."""
    now = {value: (mapping or {}).get(value, value) for value in values}
    kept = sorted({new for new in now.values() if new not in (0, ignore_label)})
    pairs = [
        f"{value}:{kept.index(new) + 1 if new in kept else new}"
        for value, new in sorted(now.items())
        if value != (kept.index(new) + 1 if new in kept else new)
    ]
    return f"Use --map-labels {' '.join(pairs)}"


def size_faults(
    shape: tuple[int, int, int], patch: tuple[int, int, int], *, name: str, multiple: tuple[int, int, int]
) -> list[str]:
    """Whether a patch (z, y, x) fits into the scan; says the largest that does, in steps of `multiple`."""
    if all(p <= s for p, s in zip(patch, shape, strict=True)):
        return []
    edge = min(shape[1], shape[2]) // multiple[1] * multiple[1]
    depth = shape[0] // multiple[0] * multiple[0]
    if edge == 0 or depth == 0:
        return [
            f"scan {name} is {shape} (z, y, x), smaller than the smallest patch of this network ({multiple})."
        ]
    told = []
    if patch[1] > min(shape[1:]):
        told.append(
            f"patch_size is {patch[1]} but scan {name} is {shape[1]} x {shape[2]} px; the largest that fits "
            f"is {edge}."
        )
    if patch[0] > shape[0]:
        told.append(
            f"patch_depth is {patch[0]} but scan {name} has {shape[0]} slices; the largest that fits is "
            f"{depth}."
        )
    return told
