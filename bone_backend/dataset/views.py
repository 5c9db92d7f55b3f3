"""See a scan along other axes: a 2D network learns from slices along z, y and x.

In:  the open pairs of a fit, and along which axes slices are taken.
Out: views. Those along z stand first, one for each pair and in their order, so that the number of a pair is
also that of its view along z; a plan treats every view as a scan of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..volumes.header import Header
from ..volumes.patch_source import PatchSource
from .contents import Contents

TOLERANCE = 1.25  # voxels whose edges differ by less count as cubes


@dataclass(frozen=True)
class View:
    """A pair seen along an axis (0: z, 1: y, 2: x)."""

    pair: int
    axis: int


def along_z(pairs: int) -> list[View]:
    """The views of a fit that takes slices along z only."""
    return [View(pair, 0) for pair in range(pairs)]


def choose(
    names: Sequence[str], headers: Sequence[Header], *, all_axes: bool, patch: int
) -> tuple[list[View], list[str]]:
    """The views of all pairs, and where y and x are left out, in words.

    all_axes: along y and x too. patch: edge of the patches.
    """
    views = along_z(len(names))
    notes: dict[str, list[str]] = {}
    if not all_axes:
        return views, []
    for number, (name, header) in enumerate(zip(names, headers, strict=True)):
        fault = misfit(header, patch)
        if fault:
            notes.setdefault(fault, []).append(name)
        else:
            views += [View(number, axis) for axis in (1, 2)]
    return views, [f"{', '.join(scans)}: slices along z only; {fault}." for fault, scans in notes.items()]


def contents_of(contents: Sequence[Contents], views: Sequence[View]) -> tuple[Contents, ...]:
    """What the slices of each view hold; those along y and x must have been looked at."""
    return tuple(
        contents[view.pair].others[view.axis - 1] if view.axis else contents[view.pair] for view in views
    )


def misfit(header: Header, patch: int) -> str:
    """Why slices along y and x are no use, in words; "" where they are."""
    if header.shape[0] < patch:
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


def seen_along(source: PatchSource, axis: int) -> PatchSource:
    """A source seen along an axis; along z it is the source itself."""
    return TurnedSource(source, axis) if axis else source
