"""Statistics of float32 scans in two passes, with exact percentiles and bounded memory.

In:  slabs (z, y, x) of float32, in any order and any division into whole slices.
Out: Statistics.
The bits of a float32, sorted by sign, are a whole number of the same order: the first pass counts its upper
half, the second its lower half, in those few bins where a percentile lies. Sums are taken over fixed blocks
of a slice and added by math.fsum, so that neither the slabs nor the processes change a bit of the result.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import ScanError
from .summary import Statistics, percentile_ranks, percentile_values
from .tally import BLOCK, count_values, no_voxels, otsu_means

# Of equal width from the smallest to the largest value; the class means are exact to this width.
OTSU_BINS = 4096
_UPPER = 1 if sys.byteorder == "little" else 0
_NEGATIVE = 1 << 15


def _ordered(bins: np.ndarray) -> np.ndarray:
    """Bins (65536,) by upper bits as they stand -> in rising order of value: negative ones turned round."""
    return np.concatenate([bins[: _NEGATIVE - 1 : -1], bins[:_NEGATIVE]])


def _bits_of(ordered: int) -> int:
    """Upper 16 bits of the float32 values in an ordered bin.

    >>> [hex(_bits_of(n)) for n in (0x7FFF, 0x8000)]
    ['0x8000', '0x0']
    """
    return ordered - _NEGATIVE if ordered >= _NEGATIVE else 0xFFFF - ordered


def _value(bits: int) -> float:
    return float(np.array(bits, np.uint32).view(np.float32))


def _blocks(slab: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(slice of the slab, up to BLOCK values of it); the same division whatever the slab."""
    for number, tile in enumerate(slab):
        flat = tile.reshape(-1)
        for start in range(0, flat.size, BLOCK):
            yield number, flat[start : start + BLOCK]


def _upper_bits(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint16)[_UPPER::2]


class FloatTally:
    """First pass: how many voxels, their sums, and how many begin with each 16 bits."""

    def __init__(self, name: str, *, voxels: str, percentiles: Sequence[float]):
        self.name = name
        self.voxels = voxels
        self.percentiles = tuple(percentiles)
        self.upper = np.zeros(1 << 16, np.int64)
        self.sums: list[float] = []

    def empty(self) -> FloatTally:
        """A tally of the same kind that has counted nothing yet."""
        return FloatTally(self.name, voxels=self.voxels, percentiles=self.percentiles)

    def add(self, slab: np.ndarray, z: int) -> None:
        """Count a slab (n, y, x) that begins at slice z; ScanError, naming it, for NaN and infinity."""
        for number, values in _blocks(slab):
            counts = count_values(_upper_bits(values))
            if counts[_NEGATIVE]:  # tiny negative numbers, or -0.0, which is to be 0.0
                values = values + np.float32(0)
                counts = count_values(_upper_bits(values))
            if counts[0x7F80:_NEGATIVE].any() or counts[0xFF80:].any():  # all bits of the exponent are set
                raise ScanError(
                    f"{self.name}: slice {z + number} (the first is 0) holds NaN or infinity. "
                    "Replace these voxels by a grey value, e.g. that of air, and save the scan again."
                )
            if self.voxels == "nonzero":
                counts[0] -= values.size - np.count_nonzero(values)
            self.upper += counts
            self.sums.append(float(values.sum(dtype=np.float64)))

    def merge(self, other: FloatTally) -> None:
        """Add what another tally has counted."""
        self.upper += other.upper
        self.sums += other.sums

    def finish(self) -> FloatDetail:
        """The tally of the second pass; ScanError when no voxel is left."""
        if not self.upper.any():
            raise no_voxels(self.name)
        return FloatDetail(
            _ordered(self.upper),
            mean=math.fsum(self.sums) / int(self.upper.sum()),
            voxels=self.voxels,
            percentiles=self.percentiles,
        )


class FloatDetail:
    """Second pass: the lower 16 bits where a percentile lies, squares about the mean, bins for Otsu.

    upper: int64 (65536,), the voxels in each bin of upper bits, in the order of the values.
    """

    def __init__(self, upper: np.ndarray, *, mean: float, voxels: str, percentiles: Sequence[float]):
        self.upper = upper
        self.mean = mean
        self.voxels = voxels
        self.percentiles = tuple(percentiles)
        self.ends = np.cumsum(upper)
        self.count = int(self.ends[-1])
        ranks = {rank for q in (0.0, 100.0, *percentiles) for rank in percentile_ranks(q, self.count)[:2]}
        self.lower = {bin: np.zeros(1 << 16, np.int64) for bin in sorted({self._bin_of(r) for r in ranks})}
        first, last = _bits_of(min(self.lower)), _bits_of(max(self.lower))
        edges = [_value(bits << 16 | lower) for bits in (first, last) for lower in (0, 0xFFFF)]
        self.low, self.high = min(edges), max(edges)
        self.otsu_counts = np.zeros(OTSU_BINS, np.int64)
        self.squares: list[float] = []

    def _bin_of(self, rank: int) -> int:
        return int(np.searchsorted(self.ends, rank, side="right"))

    def empty(self) -> FloatDetail:
        """A tally of the same kind that has counted nothing yet."""
        return FloatDetail(self.upper, mean=self.mean, voxels=self.voxels, percentiles=self.percentiles)

    def add(self, slab: np.ndarray, z: int) -> None:
        """Count a slab (n, y, x) that begins at slice z."""
        is_wanted = np.zeros(1 << 16, bool)
        is_wanted[[_bits_of(bin) for bin in self.lower]] = True
        for _, values in _blocks(slab):
            values = values + np.float32(0)  # -0.0 becomes 0.0
            is_counted = values != 0 if self.voxels == "nonzero" else None
            zeros = 0 if is_counted is None else values.size - int(np.count_nonzero(is_counted))
            exact = values.astype(np.float64)
            self._add_otsu(exact, zeros=zeros)
            exact -= self.mean
            if is_counted is not None:
                exact *= is_counted
            self.squares.append(float(np.square(exact, out=exact).sum()))
            chosen = values[is_wanted[_upper_bits(values)]]
            self._add_lower(chosen[chosen != 0] if zeros else chosen)

    def _add_otsu(self, exact: np.ndarray, *, zeros: int) -> None:
        counts = np.bincount(self._otsu_bins(exact), minlength=OTSU_BINS)
        if zeros:
            counts[self._otsu_bins(np.zeros(1))] -= zeros
        self.otsu_counts += counts

    def _otsu_bins(self, exact: np.ndarray) -> np.ndarray:
        bins = (exact - self.low) * (OTSU_BINS / (self.high - self.low))
        return np.clip(bins, 0, OTSU_BINS - 1, out=bins).astype(np.intp)

    def _add_lower(self, values: np.ndarray) -> None:
        upper, lower = _upper_bits(values), values.view(np.uint16)[1 - _UPPER :: 2]
        for bin, counts in self.lower.items():
            counts += np.bincount(lower[upper == _bits_of(bin)], minlength=1 << 16)

    def merge(self, other: FloatDetail) -> None:
        """Add what another tally has counted."""
        for bin, counts in self.lower.items():
            counts += other.lower[bin]
        self.squares += other.squares
        self.otsu_counts += other.otsu_counts

    def finish(self) -> Statistics:
        """The statistics."""
        smallest, largest = self._value_at(0), self._value_at(self.count - 1)
        centres = self.low + (np.arange(OTSU_BINS) + 0.5) * ((self.high - self.low) / OTSU_BINS)
        used = self.otsu_counts > 0
        return Statistics(
            count=self.count,
            mean=self.mean,
            std=math.sqrt(math.fsum(self.squares) / self.count) if largest > smallest else 0.0,
            min=smallest,
            max=largest,
            percentiles=percentile_values(self.percentiles, self.count, value_at=self._value_at),
            otsu_means=otsu_means(centres[used], self.otsu_counts[used]),
            voxels=self.voxels,
        )

    def _value_at(self, rank: int) -> float:
        """The n-th smallest voxel, n from 0."""
        bin = self._bin_of(rank)
        within = rank - (int(self.ends[bin - 1]) if bin else 0)
        counts = self.lower[bin]
        if bin < _NEGATIVE:  # among negative values the greater bits are the smaller value
            return _value(_bits_of(bin) << 16 | 0xFFFF - _find(counts[::-1], within))
        return _value(_bits_of(bin) << 16 | _find(counts, within))


def _find(counts: np.ndarray, rank: int) -> int:
    return int(np.searchsorted(np.cumsum(counts), rank, side="right"))
