"""Where the chunks of a scan lie, and how much each weighs where they overlap.

In:  extent of the scan, chunk size and overlap per axis, and the multiple that the network needs.
Out: one `Layout` from which chunks are cut and by which their predictions are merged.
Windows follow empatches 0.2.3: step = size - floor(size * overlap), the last window flush with the end.
A scan smaller than a chunk is reflected at its end up to the network's multiple. The same windows repeat
along every axis, so counts and weights are products of one short vector per axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

Merge = Literal["uniform", "gaussian"]
GAUSSIAN_SIGMA = 1 / 8  # of the chunk, as nnU-Net and MONAI have it
GAUSSIAN_FLOOR = 1e-2  # so that a voxel seen only by borders keeps its float32 digits


@dataclass(frozen=True)
class Axis:
    """The windows along one axis.

    length: voxels of the scan. size: voxels of a window (larger than `length` where the scan is padded).
    offsets: first voxel of each window, ascending.
    """

    length: int
    size: int
    offsets: tuple[int, ...]

    @property
    def extent(self) -> int:
        """Voxels that the windows cover: the length, or the size where the scan is padded."""
        return max(self.length, self.size)

    @property
    def sources(self) -> np.ndarray:
        """int64 (extent,): which voxel of the scan stands at each covered place, reflected beyond the end.

        >>> Axis(length=3, size=8, offsets=(0,)).sources.tolist()
        [0, 1, 2, 1, 0, 1, 2, 1]
        """
        return mirror(np.arange(self.extent), self.length)

    def weights(self, merge: Merge = "uniform") -> np.ndarray:
        """float32 (size,): the weight of each voxel of a window along this axis."""
        if merge == "uniform":
            return np.ones(self.size, np.float32)
        from_centre = (np.arange(self.size) - (self.size - 1) / 2) / (self.size * GAUSSIAN_SIGMA)
        return np.maximum(np.exp(-0.5 * from_centre**2), GAUSSIAN_FLOOR).astype(np.float32)

    def totals(self, merge: Merge = "uniform") -> np.ndarray:
        """float32 (length,): sum of all windows' weights at each voxel of the scan (uniform: their count)."""
        total = np.zeros(self.extent, np.float32)
        for offset in self.offsets:
            total[offset : offset + self.size] += self.weights(merge)
        return total[: self.length]


@dataclass(frozen=True)
class Layout:
    """The chunks of a scan: every combination of the windows along z, y and x.

    A 2D network has windows of one slice along z.
    """

    z: Axis
    y: Axis
    x: Axis

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels of a chunk (z, y, x)."""
        return (self.z.size, self.y.size, self.x.size)

    @property
    def per_tile(self) -> int:
        """Chunks that share one window along z."""
        return len(self.y.offsets) * len(self.x.offsets)

    def corners(self) -> Iterator[tuple[int, int]]:
        """First voxel (y, x) of each chunk of a tile, row by row."""
        return ((y, x) for y in self.y.offsets for x in self.x.offsets)


def mirror(places: np.ndarray, length: int) -> np.ndarray:
    """Fold places beyond either end back into 0..length-1, without repeating the border voxel.

    >>> mirror(np.array([-2, -1, 0, 1, 2, 3, 4]), 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    """
    if length == 1:
        return np.zeros_like(places)
    period = 2 * (length - 1)
    folded = np.mod(places, period)
    return np.minimum(folded, period - folded)


def windows_along(length: int, size: int, *, overlap: float, multiple: int = 1, minimum: int = 1) -> Axis:
    """Windows of `size` voxels along `length` voxels, neighbours sharing floor(size * overlap) voxels.

    multiple: what the network needs; `size` is a multiple of it. A shorter scan gets one window, its length
    rounded up to the multiple, and at least to `minimum`.

    >>> windows_along(10, 4, overlap=0.25).offsets
    (0, 3, 6)
    >>> windows_along(11, 4, overlap=0.25).offsets
    (0, 3, 6, 7)
    >>> windows_along(50, 64, overlap=0.25, multiple=32).size
    64
    >>> windows_along(20, 64, overlap=0.25, multiple=32).size
    32
    """
    if min(length, size, multiple) < 1 or size % multiple or size < minimum or not 0 <= overlap < 1:
        raise ValueError(f"no windows of {size} (multiple of {multiple}, overlap {overlap}) along {length}")
    size = min(size, math.ceil(max(length, minimum) / multiple) * multiple)
    last = max(length - size, 0)
    step = size - math.floor(size * overlap)
    offsets = [*range(0, last + 1, step)]
    if offsets[-1] != last:
        offsets.append(last)
    return Axis(length, size, tuple(offsets))


def layout(
    shape: tuple[int, int, int],
    size: tuple[int, int, int],
    *,
    overlap: float,
    multiple: tuple[int, int, int] = (1, 1, 1),
    minimum: tuple[int, int, int] = (1, 1, 1),
) -> Layout:
    """The chunks of a scan of `shape`, each of `size` or smaller where the scan is (z, y, x).

    A size of 1 along z (2D and 2.5D networks) never overlaps.
    """
    z, y, x = (
        windows_along(n, s, overlap=overlap, multiple=m, minimum=least)
        for n, s, m, least in zip(shape, size, multiple, minimum, strict=True)
    )
    return Layout(z, y, x)
