"""Count every grey value of a scan of 8 or 16 bit: one pass, whole numbers, exact.

In:  slabs (z, y, x) of uint8, int8, uint16 or int16, in any order and any division.
Out: Statistics.
Merging is the addition of whole numbers, so the result does not depend on slabs, processes or their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ScanError
from .summary import Statistics, percentile_values
from .tissues import Tissues, find_tissues

# np.bincount turns its input into 8-byte numbers: a block of this many keeps them in the cache.
BLOCK = 1 << 19


def count_values(slab: np.ndarray) -> np.ndarray:
    """How often each bit pattern occurs in a C-contiguous slab of 8- or 16-bit numbers.

    Returns int64 (256,) or (65536,); for signed numbers the negative ones stand in the upper half.

    >>> count_values(np.array([3, 3, 255], np.uint8))[[0, 3, 255]]
    array([0, 2, 1])
    """
    flat = slab.reshape(-1)
    if flat.dtype.itemsize == 2:
        return _count_16_bit(flat.view(np.uint16))
    flat = flat.view(np.uint8)
    whole = flat.size // 2 * 2
    pairs = _count_16_bit(flat[:whole].view(np.uint16)).reshape(256, 256)  # two voxels at a time
    counts = pairs.sum(axis=0) + pairs.sum(axis=1)
    if whole < flat.size:
        counts[flat[-1]] += 1
    return counts


def _count_16_bit(flat: np.ndarray) -> np.ndarray:
    counts = np.zeros(1 << 16, np.int64)
    block = np.empty(min(BLOCK, flat.size), np.intp)
    for start in range(0, flat.size, BLOCK):
        part = flat[start : start + BLOCK]
        indices = block[: part.size]
        np.copyto(indices, part)
        counts += np.bincount(indices, minlength=1 << 16)
    return counts


class IntegerTally:
    """The histogram of a scan, one bin for each value."""

    def __init__(self, name: str, dtype: np.dtype, *, voxels: str, percentiles: Sequence[float]):
        self.name = name
        self.voxels = voxels
        self.percentiles = tuple(percentiles)
        self.is_signed = dtype.kind == "i"
        self.counts = np.zeros(1 << (8 * dtype.itemsize), np.int64)

    def empty(self) -> IntegerTally:
        """A tally of the same kind that has counted nothing yet."""
        kind = np.dtype(f"{'i' if self.is_signed else 'u'}{1 if self.counts.size == 256 else 2}")
        return IntegerTally(self.name, kind, voxels=self.voxels, percentiles=self.percentiles)

    def add(self, slab: np.ndarray, z: int) -> None:
        """Count a C-contiguous slab (n, y, x) that begins at slice z."""
        self.counts += count_values(slab)

    def merge(self, other: IntegerTally) -> None:
        """Add what another tally has counted."""
        self.counts += other.counts

    def finish(self) -> Statistics:
        """The statistics; ScanError when no voxel is left."""
        counts = self.counts.copy()
        values = np.arange(counts.size, dtype=np.int64)
        if self.is_signed:
            counts = np.roll(counts, counts.size // 2)
            values -= counts.size // 2
        tissues = find_tissues(values.astype(np.float64), counts)
        if self.voxels == "nonzero":
            counts[values == 0] = 0
        used = counts > 0
        return _statistics(
            values[used],
            counts[used],
            name=self.name,
            voxels=self.voxels,
            percentiles=self.percentiles,
            tissues=tissues,
        )


def _statistics(
    values: np.ndarray,
    counts: np.ndarray,
    *,
    name: str,
    voxels: str,
    percentiles: Sequence[float],
    tissues: Tissues | None,
) -> Statistics:
    """values: int64 (n,) rising, without gaps in use; counts: int64 (n,), all above 0."""
    if values.size == 0:
        raise no_voxels(name)
    count = int(counts.sum())
    total = int(values @ counts)
    # Squares are below 2^32: in two steps no sum of int64 overflows, up to 2^44 voxels.
    squares = int(values**2 @ (counts & 0x3FFF)) + (int(values**2 @ (counts >> 14)) << 14)
    ends = np.cumsum(counts)
    return Statistics(
        count=count,
        mean=total / count,
        std=math.sqrt((count * squares - total * total) / (count * count)),
        min=float(values[0]),
        max=float(values[-1]),
        percentiles=percentile_values(
            percentiles, count, value_at=lambda rank: float(values[np.searchsorted(ends, rank, side="right")])
        ),
        otsu_means=otsu_means(values.astype(np.float64), counts),
        voxels=voxels,
        tissues=tissues,
    )


def no_voxels(name: str) -> ScanError:
    """The fault of a scan without grey values."""
    return ScanError(f"{name}: every voxel is 0, so there are no grey values to measure. Is this the scan?")


def otsu_means(values: np.ndarray, counts: np.ndarray) -> tuple[float, float] | None:
    """Means of the two classes that Otsu's threshold makes (Otsu 1979, doi 10.1109/TSMC.1979.4310076).

    values: float64 (n,), rising; counts: int64 (n,). None when there is one value only.

    >>> otsu_means(np.array([1.0, 2.0, 9.0]), np.array([1, 1, 2]))
    (1.5, 9.0)
    """
    if values.size < 2:
        return None
    weight = np.cumsum(counts)[:-1].astype(np.float64)
    part = np.cumsum(values * counts)
    total, count = part[-1], float(counts.sum())
    below, above = part[:-1] / weight, (total - part[:-1]) / (count - weight)
    best = int(np.argmax(weight * (count - weight) * (above - below) ** 2))  # between-class variance
    return float(below[best]), float(above[best])
