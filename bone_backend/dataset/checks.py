"""Look at every pair before any work: do scan and mask belong together, and are the labels usable?

In:  the pairs of the options, opened as volumes.
Out: the label values that occur and how often, the classes; or one ScanError that names every fault of every
pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import Fault, ScanError, called
from ..options.catalogue import ARCHITECTURES, OWN_ARCHITECTURES
from ..options.fit_data import FitData
from ..progress import Progress, silent
from ..volumes.classes import Table, one_table
from ..volumes.volume import Volume
from .contents import Contents, ContentsMaker
from .label_advice import advice, grey_edges, listing

SCAN_DTYPES = ("uint8", "uint16", "int16", "float32")
# A mask with more values than this is taken for a scan that stands in the mask's place.
MOST_CLASSES = 64
MOST_VALUES = 65_536  # of which a mask is counted
MOST_REFLECTED = 2  # times the size of a scan that a patch may have; the scan is reflected
# Networks whose smallest patch is smaller than that of most.
SMALL = [item for item in (ARCHITECTURES | OWN_ARCHITECTURES).values() if item.output_stride < 32]


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
    if fault := scan_type_fault(scan.header.dtype, name=f"scan {scan_name}"):
        faults.append(f"pair {number}: {fault}")
    if mask.header.dtype.kind not in "iu":
        swapped = " Or are scan and mask swapped?" if scan.header.dtype.kind in "iu" else ""
        faults.append(
            f"pair {number}: mask {mask_name} has voxels of type {mask.header.dtype}; label values are whole "
            f"numbers. Export it as 8-bit or 16-bit labels.{swapped}"
        )
    if scan.header.shape != mask.header.shape:
        faults.append(
            f"pair {number}: mask {mask_name} is {mask.header.sides} but its scan {scan_name} is "
            f"{scan.header.sides} (z, y, x). {shape_advice(scan.header.shape, mask.header.shape)}"
        )
    faults += _voxel_size_faults(scan, mask, number)
    return faults


def shape_advice(scan: tuple[int, ...], mask: tuple[int, ...]) -> str:
    """Why a mask may have another shape than its scan, and what to do.

    >>> shape_advice((24, 40, 44), (24, 44, 40))
    'Their axes seem to be exchanged. Export both from the same lattice.'
    >>> shape_advice((24, 40, 44), (12, 20, 22))
    'The mask is 2 times coarser: resample it to the scan with nearest neighbour.'
    """
    both = "Export both from the same lattice."
    if sorted(scan) == sorted(mask):
        return f"Their axes seem to be exchanged. {both}"
    if scan[1:] == mask[1:]:
        apart = abs(scan[0] - mask[0])
        what = "The mask lacks" if mask[0] < scan[0] else "The scan lacks"
        return f"{what} {apart} slice{'s' * (apart > 1)}: was it cut off, or is a slice lost? {both}"
    for one, other, word in ((scan, mask, "coarser"), (mask, scan, "finer")):
        times = {round(a / b) for a, b in zip(one, other, strict=True)}
        factor = times.pop()
        if (
            not times
            and factor > 1
            and all(abs(a - factor * b) < factor for a, b in zip(one, other, strict=True))
        ):
            return f"The mask is {factor} times {word}: resample it to the scan with nearest neighbour."
    return both


def scan_type_fault(dtype: np.dtype, *, name: str) -> str | None:
    """Why no network takes voxels of this type, and what to do; None where it does."""
    if dtype.name in SCAN_DTYPES:
        return None
    told = f"{name} has voxels of type {dtype}; a scan is {', '.join(SCAN_DTYPES[:-1])} or {SCAN_DTYPES[-1]}."
    if dtype.name == "int8":
        return f"{told} Save it as int16 with the same values, or as uint8 with 128 added to each."
    if dtype.kind == "f":
        return f"{told} Save it as float32."
    return (
        f"{told} Save it as uint16 (or int16) where its values lie within 0 to 65535 (-32768 to 32767), "
        "without scaling them (Fiji: Edit > Options > Conversions); else as float32."
    )


def _voxel_size_faults(scan: Volume, mask: Volume, number: int) -> list[str]:
    if not scan.header.has_other_voxels(mask.header):
        return []
    ours, theirs = scan.header.voxel_size_um, mask.header.voxel_size_um
    assert ours is not None
    assert theirs is not None
    factors = [max(a, b) / min(a, b) for a, b in zip(ours, theirs, strict=True)]
    unit = next(
        (
            f" They are {n} times apart: is the unit of one wrong?"
            for n in (1000, 10_000)
            if all(abs(f / n - 1) < 0.01 for f in factors)
        ),
        "",
    )
    return [
        f"pair {number}: the mask's voxels are {theirs} um but the scan's are {ours} um (z, y, x).{unit} "
        "Export both from the same lattice."
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
    counted = LabelCount(contents)
    depth = mask.header.shape[0]
    for z0, z1 in mask.slabs(8 << 20):
        progress(z0, depth, message)
        counted.add(z0, mask.read(z0, z1))
        if counted.are_too_many:
            break
    return counted.found()


class LabelCount:
    """Voxels of every label value, from slabs in order. contents: is told what every slice holds."""

    def __init__(self, contents: ContentsMaker | None = None):
        self._counts: dict[int, int] = {}
        self._contents = contents

    def add(self, z0: int, slab: np.ndarray) -> None:
        """Slices z0 and on of a mask of whole numbers."""
        for z, plane in enumerate(slab, start=z0):
            values, amounts = _count_plane(plane)
            for value, amount in zip(values.tolist(), amounts.tolist(), strict=True):
                self._counts[int(value)] = self._counts.get(int(value), 0) + int(amount)
            if self._contents is not None:
                self._contents.add(z, plane, values, amounts)

    @property
    def are_too_many(self) -> bool:
        """Whether these are no labels, so that counting on tells nothing new."""
        return len(self._counts) > MOST_VALUES

    def found(self) -> dict[int, int]:
        """Label value -> voxels, rising."""
        return dict(sorted(self._counts.items()))


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
        if edges := grey_edges(name, values, named={*mapping, ignore_label}):
            faults.append(edges)
        elif len(values) > MOST_CLASSES:
            faults.append(
                f"{name} holds {len(values)} different values ({listing(values)}), which looks like a scan "
                "and not like a mask. Are scan and mask swapped?"
            )
        elif any(not 0 <= value <= 65535 for value in values):
            faults.append(
                f"mask {name} holds labels {'below 0' if min(values) < 0 else 'above 65535'} "
                f"({listing(values)}); labels are 0 to 65535. Save it with other values, e.g. 255 where "
                "nobody annotated, and name that with --ignore-label."
            )
    if faults:
        raise ScanError("\n".join(faults))
    everywhere = sorted({value for values in found for value in values})
    unknown = [old for old in mapping if old not in everywhere]
    if unknown:
        raise ScanError(
            f"map_labels names {listing(unknown)}, which no mask holds; the masks hold {listing(everywhere)}."
        )
    mapped = sorted({mapping.get(value, value) for value in everywhere if value != ignore_label})
    classes = [value for value in mapped if value != ignore_label]
    wanted = list(range(max(classes, default=0) + 1))
    if [value for value in wanted if value] != [value for value in classes if value]:
        holders = [f"  {name}: {listing(values)}" for name, values in zip(names, found, strict=True)]
        told = f"{listing(mapped)} after --map-labels" if mapping else listing(everywhere)
        raise ScanError(
            f"mask labels are {told}; they must run 0, 1, 2 ... without gaps. "
            f"{advice(found, mapping, ignore_label)}\n" + "\n".join(holders)
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


def name_fault(options: FitData, labels: Labels) -> Fault | None:
    """What to say where a class is named that no mask holds."""
    unknown = [item.value for item in options.class_names if item.value not in labels.values]
    if not unknown:
        return None
    told = ", ".join(map(str, unknown)), ", ".join(map(str, labels.values))
    return Fault(f"{called('class_names')} names {told[0]}, but the masks hold the classes {told[1]}.")


def table_of_names(options: FitData, masks: Sequence[tuple[str, Iterable[Any]]]) -> Table:
    """The one name and colour of every class, by its value after mapping; those given win.

    masks: of each its path and the classes that its file names.
    """
    advice = "; the first counts. Say its name with --class-names, or give one of them another value"
    return one_table(masks, given=options.class_names, map_labels=options.map_labels, advice=advice)


def size_faults(
    shape: tuple[int, int, int],
    patch: tuple[int, int, int],
    *,
    name: str,
    multiple: tuple[int, int, int],
    least: int,
) -> list[str]:
    """Whether a scan is too small for a patch (z, y, x) even when it is reflected, to twice its size at most;
    says the largest patch that fits, in steps of `multiple`.

    least: edge of the smallest patch of the network, px.
    """
    step = max(multiple[1:])
    edge = min(shape[1], shape[2]) // step * step
    depth = shape[0] // multiple[0] * multiple[0]
    told = []
    if patch[1] > MOST_REFLECTED * min(shape[1:]) and edge < least:
        told.append(
            f"scan {name} is {shape[1]} x {shape[2]} px, less than half of the smallest patch of this "
            f"network ({least} px). {_way_out(_smaller(min(shape[1:]), 16, 'px'))}"
        )
    elif patch[1] > MOST_REFLECTED * min(shape[1:]):
        told.append(
            Fault(
                f"{called('patch_size')} is {patch[1]} but scan {name} is {shape[1]} x {shape[2]} px; the "
                f"largest that fits is {edge}."
            )
        )
    if patch[0] > MOST_REFLECTED * shape[0] and depth == 0:
        told.append(
            f"scan {name} has {shape[0]} slices, less than half of the smallest patch of this network "
            f"({multiple[0]} slices). {_way_out(['the mode 2.5D', *_smaller(shape[0], 8, 'slices')])}"
        )
    elif patch[0] > MOST_REFLECTED * shape[0]:
        told.append(
            Fault(
                f"{called('patch_depth')} is {patch[0]} but scan {name} has {shape[0]} slices; the largest "
                f"that fits is {depth}."
            )
        )
    return told


def _smaller(room: int, limit: int, unit: str) -> list[str]:
    """Networks with a patch of `limit` or more that fits into so many voxels, as advice; or none."""
    least = {item.title: -(-limit // item.output_stride) * item.output_stride for item in SMALL}
    named = [f"{title}: {size} {unit}" for title, size in least.items() if size <= room]
    return [f"an architecture with smaller patches ({', '.join(named)})"] * bool(named)


def _way_out(instead: list[str]) -> str:
    return f"Use {' or '.join(instead)}, or leave its pair out." if instead else "Leave its pair out."
