"""Whether a mask belongs to its scan at all, or belongs to it only after being turned over.

In:  slabs of a scan and its mask, from which every n-th voxel is kept.
Out: which share of the grey values' variance the labels explain, as they lie and turned over.
On the nine real pairs that BONe was tried on the labels explain 34 to 88 % as they lie; with the mask of
another scan, also of another animal of the same breed, 0 to 3 % (12 % for a tooth with a vertebra's mask).
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

EDGE = 64  # voxels that are kept along an axis
FOREIGN = 0.06  # the labels of one's own mask explain more
TURNED_BY = 0.15  # so much more must a mask explain that was turned over
FEWEST = 200  # labelled voxels among those that are kept


class Turn(NamedTuple):
    """How a mask would have to be turned. axes: of the mask, for each of the scan. flips: along which."""

    axes: tuple[int, int, int]
    flips: tuple[int, ...]

    def __str__(self) -> str:
        told = [f"turned over along {' and '.join('zyx'[axis] for axis in self.flips)}"] * bool(self.flips)
        changed = [name for name, axis in zip("zyx", self.axes, strict=True) if "zyx"[axis] != name]
        return " and ".join([f"with the axes {', '.join(changed)} exchanged"] * bool(changed) + told)


class Sample:
    """Keeps voxels of both, as evenly as an axis has room, and the same from either end."""

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype, mask_dtype: np.dtype):
        self._places = [np.unique(np.linspace(0, n - 1, min(n, EDGE)).round().astype(int)) for n in shape]
        self._places = [np.union1d(at, n - 1 - at) for at, n in zip(self._places, shape, strict=True)]
        size = [len(at) for at in self._places]
        self._grey, self._labels = np.empty(size, dtype), np.empty(size, mask_dtype)

    def add(self, z0: int, scan: np.ndarray, mask: np.ndarray) -> None:
        """Slices z0 and on of both."""
        first, last = np.searchsorted(self._places[0], [z0, z0 + len(scan)])
        rows = self._places[0][first:last] - z0
        if len(rows):
            where = np.ix_(rows, *self._places[1:])
            self._grey[first:last], self._labels[first:last] = scan[where], mask[where]

    def verdict(self) -> tuple[float, Turn | None, float] | None:
        """Share that the labels explain; the turn after which they explain clearly more, and how much then.

        None where nothing can be told: hardly any label, or one grey value.
        """
        grey = self._grey.astype(np.float64)
        labels = np.unique(self._labels, return_inverse=True)[1].reshape(grey.shape)
        often = np.bincount(labels.ravel())
        if len(often) < 2 or labels.size - often.max() < FEWEST:
            return None
        grey = np.clip(grey, *np.percentile(grey, [0.5, 99.5]))
        if not grey.var() > 0:
            return None
        own = _explained(grey, labels)
        best: tuple[float, Turn | None] = (0.0, None)
        for turn in _turns(grey.shape):
            turned = np.flip(labels.transpose(turn.axes), turn.flips)
            best = max(best, (_explained(grey, turned), turn), key=lambda found: found[0])
        return (own, best[1], best[0]) if best[0] > own + TURNED_BY else (own, None, own)


def _turns(shape: tuple[int, ...]) -> list[Turn]:
    """All that leave a mask as large as it is, but for none at all."""
    axes = [
        order
        for order in itertools.permutations(range(3))
        if all(shape[a] == n for a, n in zip(order, shape, strict=True))
    ]
    flips = [chosen for count in range(4) for chosen in itertools.combinations(range(3), count)]
    return [Turn(order, over) for order in axes for over in flips if over or order != (0, 1, 2)]  # type: ignore[arg-type]


def _explained(grey: np.ndarray, labels: np.ndarray) -> float:
    """Variance between the labels over all variance (eta squared), 0 to 1."""
    flat = labels.ravel()
    count = np.bincount(flat)
    means = np.bincount(flat, grey.ravel()) / np.maximum(count, 1)
    return float((count * (means - grey.mean()) ** 2).sum() / grey.size / grey.var())
