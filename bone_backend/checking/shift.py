"""Whether a mask lies beside its scan: its edges, moved by a few voxels, meet the scan's edges better.

In:  some blocks of slices of a scan and its mask, at the same place.
Out: the shift (z, y, x) in voxels that fits best, and how much better; None where nothing stands out.
The agreement is the mean step of the grey values across the edges of the mask; a mask that fits has the
steepest steps where it ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

REACH = 3
# So many times as steep must the steps be. On seven real masks in place no shift was steeper (factor 1.00);
# moved by 2 or 3 voxels along any axis they gave 1.26 to 8.
CLEAR = 1.15
FEWEST_EDGES = 500


class Shift(NamedTuple):
    """voxels: by which the mask has to be moved along `axis` to lie on its scan. factor: how much steeper."""

    axis: str
    voxels: int
    factor: float


class Agreement:
    """Adds up the steps of the scan across the edges of the mask, for every axis and shift."""

    def __init__(self) -> None:
        self._sums = np.zeros((3, 2 * REACH + 1))
        self._edges = np.zeros((3, 2 * REACH + 1), np.int64)

    def add(self, scan: np.ndarray, mask: np.ndarray) -> None:
        """A block of at least 2 * REACH + 2 slices of both (z, y, x)."""
        for axis in range(3):
            if scan.shape[axis] < 2 * REACH + 2:
                continue
            steps = np.abs(np.diff(scan.astype(np.float32), axis=axis))
            length = steps.shape[axis]
            edges = _part(mask, axis, 1, length + 1) != _part(mask, axis, 0, length)
            inner = _part(edges, axis, REACH, length - REACH)
            for number in range(2 * REACH + 1):
                moved = _part(steps, axis, number, length - 2 * REACH + number)
                self._sums[axis, number] += float(moved[inner].sum(dtype=np.float64))
                self._edges[axis, number] += int(np.count_nonzero(inner))

    def shift(self) -> Shift | None:
        """The clearest shift along one axis."""
        best = None
        for axis, name in enumerate("zyx"):
            if self._edges[axis].min() < FEWEST_EDGES:
                continue
            means = self._sums[axis] / self._edges[axis]
            number = int(means.argmax())
            factor = float(means[number] / max(means[REACH], 1e-12))
            if number != REACH and factor >= CLEAR and (best is None or factor > best.factor):
                best = Shift(name, number - REACH, factor)
        return best


def _part(array: np.ndarray, axis: int, start: int, stop: int) -> np.ndarray:
    where = [slice(None)] * 3
    where[axis] = slice(start, stop)
    return array[tuple(where)]
