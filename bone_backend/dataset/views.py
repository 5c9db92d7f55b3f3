"""See a scan along other axes: a 2D network learns from slices along z, y and x.

In:  the open pairs of a fit, along which axes slices are taken, and which slices train and which validate.
Out: views; a plan treats every one as a scan of its own. Validation is along z only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..volumes.header import Header
from ..volumes.patch_source import PatchSource
from .contents import Contents
from .slabs import Slab

TOLERANCE = 1.25  # voxels whose edges differ by less count as cubes


@dataclass(frozen=True)
class View:
    """A pair seen along an axis (0: z, 1: y, 2: x), or a part of it.

    part: the slices of the pair along z, first to last (half open); None: all. validates: not to train on.
    """

    pair: int
    axis: int
    part: tuple[int, int] | None = None
    validates: bool = False

    def depth(self, slices: int) -> int:
        """Slices along z of a pair that has so many."""
        return slices if self.part is None else self.part[1] - self.part[0]


def along_z(pairs: int, validation: Sequence[int] = ()) -> list[View]:
    """A view along z of every pair. validation: the pairs that validate."""
    return [View(pair, 0, validates=pair in validation) for pair in range(pairs)]


def in_slabs(slabs: Sequence[Slab | None]) -> list[View]:
    """Views along z of pairs of which a slab validates, or nothing (None) and all trains."""
    views = []
    for pair, slab in enumerate(slabs):
        if slab is None:
            views.append(View(pair, 0))
            continue
        views += [View(pair, 0, part) for part in slab.parts]
        views.append(View(pair, 0, (slab.first, slab.last), validates=True))
    return views


def with_all_axes(
    views: Sequence[View], names: Sequence[str], headers: Sequence[Header], *, patch: int
) -> tuple[list[View], list[str]]:
    """The views, and what trains seen along y and x too; where that is left out, in words.

    names, headers: of the pairs. patch: edge of the patches.
    """
    found, notes = list(views), dict[str, list[str]]()
    for view in views:
        name, header = names[view.pair], headers[view.pair]
        fault = misfit(header, patch, depth=view.depth(header.shape[0]))
        if fault and not view.validates:
            notes.setdefault(fault, []).append(name)
        elif not view.validates:
            found += [replace(view, axis=axis) for axis in (1, 2)]
    left = {view.pair for view in views} - {view.pair for view in found if view.axis}
    told = {
        fault: [n for n in dict.fromkeys(scans) if names.index(n) in left] for fault, scans in notes.items()
    }
    return found, [f"{', '.join(who)}: slices along z only; {fault}." for fault, who in told.items() if who]


def contents_of(contents: Sequence[Contents], views: Sequence[View]) -> tuple[Contents, ...]:
    """What the slices of each view hold; those along y and x must have been looked at."""
    return tuple(_contents_of(contents[view.pair], view) for view in views)


def _contents_of(whole: Contents, view: View) -> Contents:
    found = whole.others[view.axis - 1] if view.axis else whole
    if view.part is None:
        return found
    return found.between(*view.part) if view.axis else found.slices(*view.part)


def misfit(header: Header, patch: int, *, depth: int | None = None) -> str:
    """Why slices along y and x are no use, in words; "" where they are. depth: slices, where not all."""
    if (header.shape[0] if depth is None else depth) < patch:
        return f"those along y and x are narrower than a patch ({patch} px)"
    return "" if are_cubes(header) else "the voxels are no cubes"


def are_cubes(header: Header) -> bool:
    """Whether voxels are about as long as wide, as far as is known."""
    size = header.voxel_size_um
    return size is None or max(size) <= TOLERANCE * min(size)


def turned(shape: tuple[int, int, int], axis: int) -> tuple[int, int, int]:
    """The shape of a scan whose slices are taken along an axis (0: z, 1: y, 2: x).

    >>> turned((4, 5, 6), 1)
    (5, 4, 6)
    """
    others = [n for i, n in enumerate(shape) if i != axis]
    return (shape[axis], others[0], others[1])


class TurnedSource(PatchSource):
    """Patches of another source, whose slices are taken along y or x; it closes nothing."""

    def __init__(self, source: PatchSource, axis: int):
        self.header = replace(source.header, shape=turned(source.header.shape, axis))
        self._source, self._axis = source, axis

    def _copy(self, z: int, y: int, x: int, out: np.ndarray) -> None:
        if self._axis == 1:
            self._source.read_patch(y, z, x, out=out[:, None, :])
        else:
            self._source.read_patch(y, x, z, out=out[:, :, None])


class PartSource(PatchSource):
    """Patches of some slices of another source; it closes nothing."""

    def __init__(self, source: PatchSource, part: tuple[int, int]):
        first, last = part
        self.header = replace(source.header, shape=(last - first, *source.header.shape[1:]))
        self._source, self._first = source, first

    def _copy(self, z: int, y: int, x: int, out: np.ndarray) -> None:
        self._source.read_patch(z + self._first, y, x, out=out)


class ReflectedSource(PatchSource):
    """Patches of a source with less room than a patch: reflected at its far ends without repeating the last
    voxel, as in prediction. It closes nothing.

    room: (z, y, x), no less than the source's shape.
    """

    def __init__(self, source: PatchSource, room: tuple[int, int, int]):
        self.header = replace(source.header, shape=room)
        self._source = source
        self._places = [
            np.pad(np.arange(size), (0, wanted - size), mode="reflect")
            for size, wanted in zip(source.header.shape, room, strict=True)
        ]

    def _copy(self, z: int, y: int, x: int, out: np.ndarray) -> None:
        height, width = out.shape
        rows, columns = self._places[1][y : y + height], self._places[2][x : x + width]
        top, left = int(rows.min()), int(columns.min())
        there = np.empty((int(rows.max()) + 1 - top, int(columns.max()) + 1 - left), self.header.dtype)
        self._source.read_patch(int(self._places[0][z]), top, left, out=there)
        out[:] = there[np.ix_(rows - top, columns - left)]


def seen(source: PatchSource, view: View, patch: tuple[int, int, int] = (1, 1, 1)) -> PatchSource:
    """A source as a view shows it, with room for a patch (z, y, x); all of it along z is the source itself
    where that has it.
    """
    some = PartSource(source, view.part) if view.part else source
    some = TurnedSource(some, view.axis) if view.axis else some
    z, y, x = (max(size, least) for size, least in zip(some.header.shape, patch, strict=True))
    return some if (z, y, x) == some.header.shape else ReflectedSource(some, (z, y, x))


def shape_of(view: View, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape of a view of a pair with this shape."""
    return turned((view.depth(shape[0]), *shape[1:]), view.axis)
