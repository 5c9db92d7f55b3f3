"""A mask on the grid of its scan, where both say how they lie in the patient.

In:  a mask, and the header of its scan.
Out: the mask itself where nothing has to be done or nothing is known; a view of it, turned over, with axes
exchanged or cut to the scan, where that is exact; ScanError with both geometries where it is not.
No value is ever interpolated, and none is made up: a scan that reaches beyond its mask is refused.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...errors import ScanError
from ..abstract import SLAB_BYTES, Volume
from ..header import Header
from .space import matrix_of, mm_per_unit

NEAR = 0.1  # voxels, by which grids may differ and be the same: files round their numbers


class MatchedVolume(Volume):
    """A mask seen on another grid.

    axes: for each axis (z, y, x) of the grid the mask's axis. signs: 1, or -1 where it runs the other way.
    offsets: of the mask's axes, where the grid's voxel (0, 0, 0) lies.
    """

    def __init__(self, mask: Volume, header: Header, axes: list[int], signs: list[int], offsets: list[int]):
        self.header, self.files = header, mask.files
        self._mask, self._axes, self._signs, self._offsets = mask, axes, signs, offsets
        self.variant = f"matched {axes} {signs} {offsets}"

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        ranges = [(z0, z1), (0, self.header.shape[1]), (0, self.header.shape[2])]
        spans: list[tuple[int, int]] = [(0, 0)] * 3  # of the mask's axes
        for (start, stop), axis, sign in zip(ranges, self._axes, self._signs, strict=True):
            ends = [self._offsets[axis] + sign * start, self._offsets[axis] + sign * (stop - 1)]
            spans[axis] = (min(ends), max(ends) + 1)
        deep = self._axes.index(0)  # the grid's axis that runs along the mask's slices
        (low, high), (y0, y1), (x0, x1) = spans
        step = max(1, SLAB_BYTES // self._mask.header.slice_bytes)
        for m0 in range(low, high, step):
            m1 = min(m0 + step, high)
            block = self._mask.read(m0, m1)[:, y0:y1, x0:x1].transpose(self._axes)
            block = block[tuple(slice(None, None, sign) for sign in self._signs)]
            place = [slice(None)] * 3
            place[deep] = slice(m0 - low, m1 - low) if self._signs[deep] > 0 else slice(high - m1, high - m0)
            out[tuple(place)] = block

    def in_words(self) -> str:
        """How the mask was brought onto the grid."""
        told = [f"{name} turned over" for name, sign in zip("zyx", self._signs, strict=True) if sign < 0]
        told += ["axes exchanged"] * (self._axes != [0, 1, 2])
        told += ["cut to the scan"] * (sorted(self.header.shape) != sorted(self._mask.header.shape))
        return ", ".join(told) or "moved"

    def close(self) -> None:
        self._mask.close()


def on_grid_of(mask: Volume, scan: Header) -> Volume:
    """The mask on the scan's grid. Raises ScanError where they lie in space so that no voxel fits another."""
    own = mask.header
    ours, theirs = mm_per_unit(scan), mm_per_unit(own)
    if scan.direction is None or own.direction is None or ours is None or theirs is None:
        return mask
    steps, origin = matrix_of(scan, scale=ours)
    other_steps, other_origin = matrix_of(own, scale=theirs)
    turn = np.linalg.solve(other_steps, steps)[::-1, ::-1]  # rows: the mask's z, y, x; columns: the scan's
    start = np.linalg.solve(other_steps, origin - other_origin)[::-1]
    whole, offsets = np.rint(turn), np.rint(start)
    off = np.abs(turn - whole) @ (np.array(scan.shape) - 1) + np.abs(start - offsets)
    is_turn = (np.abs(whole).sum(axis=0) == 1).all() and (np.abs(whole).sum(axis=1) == 1).all()
    if not is_turn or off.max() > NEAR:
        raise ScanError(_told(own, scan, "no voxel of one lies on a voxel of the other"))
    axes = [int(np.abs(whole[:, axis]).argmax()) for axis in range(3)]
    signs = [int(whole[axes[axis], axis]) for axis in range(3)]
    begin = [int(value) for value in offsets]
    if axes == [0, 1, 2] and signs == [1, 1, 1] and begin == [0, 0, 0] and own.shape == scan.shape:
        return mask
    for axis, sign, size in zip(axes, signs, scan.shape, strict=True):
        ends = (begin[axis], begin[axis] + sign * (size - 1))
        if min(ends) < 0 or max(ends) >= own.shape[axis]:
            raise ScanError(_told(own, scan, "the scan reaches beyond its mask"))
    header = replace(
        own,
        shape=scan.shape,
        voxel_size=scan.voxel_size,
        unit=scan.unit,
        origin=scan.origin,
        direction=scan.direction,
    )
    return MatchedVolume(mask, header, axes, signs, begin)


def _told(mask: Header, scan: Header, why: str) -> str:
    return (
        f"mask {mask.path or mask.name} lies elsewhere in the patient than its scan "
        f"{scan.path or scan.name}: {why}. Mask: {_geometry(mask)}. Scan: {_geometry(scan)}. Resample "
        "the mask onto the scan (nearest neighbour)."
    )


def _geometry(header: Header) -> str:
    def listed(values: object) -> str:
        return " x ".join(f"{value:.5g}" for value in values)  # type: ignore[attr-defined]

    rows = "; ".join(" ".join(f"{value:.3g}" for value in row) for row in header.direction or ())
    return (
        f"{listed(header.shape)} voxels of {listed(header.voxel_size)} {header.unit}, first at "
        f"{listed(header.origin)}, axes {rows} (z, y, x)"
    )
