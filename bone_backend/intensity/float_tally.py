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
from .tissues import find_tissues

# Of equal width from the smallest to the largest value; the class means are exact to this width.
OTSU_BINS = 4096
# Tissues are sought in bins that leave this share of the voxels outside at either end, where those few (hot
# pixels, say) would make the bins more than WIDER times as wide.
OUTSIDE, WIDER = 1e-4, 4.0
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


def _span(first: int, last: int) -> tuple[float, float]:
    """The smallest and the largest value that two ordered bins can hold."""
    edges = [_value(_bits_of(bin) << 16 | lower) for bin in (first, last) for lower in (0, 0xFFFF)]
    return min(edges), max(edges)


def _blocks(slab: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(slice of the slab, up to BLOCK values of it); the same division whatever the slab."""
    for number, tile in enumerate(slab):
        flat = tile.reshape(-1)
        for start in range(0, flat.size, BLOCK):
            yield number, flat[start : start + BLOCK]


def _upper_bits(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint16)[_UPPER::2]


class _Bins:
    """Voxels counted in bins of equal width; what lies outside counts in the first or last one."""

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high
        self.counts = np.zeros(OTSU_BINS, np.int64)

    def add(self, exact: np.ndarray, *, zeros: int) -> None:
        """exact: float64 values. zeros: how many of them are 0 and not to be counted."""
        counts = np.bincount(self._numbers(exact), minlength=OTSU_BINS)
        if zeros:
            counts[self._numbers(np.zeros(1))] -= zeros
        self.counts += counts

    def used(self) -> tuple[np.ndarray, np.ndarray]:
        """The centres of the bins that hold something, and their counts."""
        centres = self.low + (np.arange(OTSU_BINS) + 0.5) * ((self.high - self.low) / OTSU_BINS)
        return centres[self.counts > 0], self.counts[self.counts > 0]

    def _numbers(self, exact: np.ndarray) -> np.ndarray:
        bins = (exact - self.low) * (OTSU_BINS / (self.high - self.low))
        return np.clip(bins, 0, OTSU_BINS - 1, out=bins).astype(np.intp)


class FloatTally:
    """First pass: how many voxels, their sums, and how many begin with each 16 bits."""

    def __init__(self, name: str, *, voxels: str, percentiles: Sequence[float]):
        self.name = name
        self.voxels = voxels
        self.percentiles = tuple(percentiles)
        self.upper = np.zeros(1 << 16, np.int64)
        self.zeros = 0  # that were left out
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
                    f"{self.name}: slice {z + number + 1} (the first is 1) holds NaN or infinity. "
                    "Replace these voxels by a grey value, e.g. that of air, and save the scan again."
                )
            if self.voxels == "nonzero":
                zeros = values.size - int(np.count_nonzero(values))
                counts[0] -= zeros
                self.zeros += zeros
            self.upper += counts
            self.sums.append(float(values.sum(dtype=np.float64)))

    def merge(self, other: FloatTally) -> None:
        """Add what another tally has counted."""
        self.upper += other.upper
        self.zeros += other.zeros
        self.sums += other.sums

    def finish(self) -> FloatDetail:
        """The tally of the second pass; ScanError when no voxel is left."""
        if not self.upper.any():
            raise no_voxels(self.name)
        return FloatDetail(
            _ordered(self.upper),
            mean=math.fsum(self.sums) / int(self.upper.sum()),
            zeros=self.zeros,
            voxels=self.voxels,
            percentiles=self.percentiles,
        )


class FloatDetail:
    """Second pass: the lower 16 bits where a percentile lies, squares about the mean, bins for Otsu.

    upper: int64 (65536,), the voxels in each bin of upper bits, in the order of the values. zeros: voxels of
    value 0 that were left out.
    """

    def __init__(
        self, upper: np.ndarray, *, mean: float, zeros: int, voxels: str, percentiles: Sequence[float]
    ):
        self.upper = upper
        self.mean = mean
        self.zeros = zeros
        self.voxels = voxels
        self.percentiles = tuple(percentiles)
        self.ends = np.cumsum(upper)
        self.count = int(self.ends[-1])
        ranks = {rank for q in (0.0, 100.0, *percentiles) for rank in percentile_ranks(q, self.count)[:2]}
        self.lower = {bin: np.zeros(1 << 16, np.int64) for bin in sorted({self._bin_of(r) for r in ranks})}
        self.otsu = _Bins(*_span(min(self.lower), max(self.lower)))
        outside = int(self.count * OUTSIDE)
        low, high = _span(self._bin_of(outside), self._bin_of(self.count - 1 - outside))
        is_wide = self.otsu.high - self.otsu.low > WIDER * (high - low)
        self.tissue = _Bins(low, high) if is_wide else self.otsu
        self.squares: list[float] = []

    def _bin_of(self, rank: int) -> int:
        return int(np.searchsorted(self.ends, rank, side="right"))

    def empty(self) -> FloatDetail:
        """A tally of the same kind that has counted nothing yet."""
        return FloatDetail(
            self.upper,
            mean=self.mean,
            zeros=self.zeros,
            voxels=self.voxels,
            percentiles=self.percentiles,
        )

    def add(self, slab: np.ndarray, z: int) -> None:
        """Count a slab (n, y, x) that begins at slice z."""
        is_wanted = np.zeros(1 << 16, bool)
        is_wanted[[_bits_of(bin) for bin in self.lower]] = True
        for _, values in _blocks(slab):
            values = values + np.float32(0)  # -0.0 becomes 0.0
            is_counted = values != 0 if self.voxels == "nonzero" else None
            zeros = 0 if is_counted is None else values.size - int(np.count_nonzero(is_counted))
            exact = values.astype(np.float64)
            for bins in self._bins():
                bins.add(exact, zeros=zeros)
            exact -= self.mean
            if is_counted is not None:
                exact *= is_counted
            self.squares.append(float(np.square(exact, out=exact).sum()))
            chosen = values[is_wanted[_upper_bits(values)]]
            self._add_lower(chosen[chosen != 0] if zeros else chosen)

    def _bins(self) -> list[_Bins]:
        return [self.otsu] if self.tissue is self.otsu else [self.otsu, self.tissue]

    def _all_voxels(self) -> tuple[np.ndarray, np.ndarray]:
        """Grey values to a bin, rising, and voxels with each, with those of 0 that were left out."""
        centres, counts = self.tissue.used()
        if not self.zeros:
            return centres, counts
        place = int(np.searchsorted(centres, 0.0))
        return np.insert(centres, place, 0.0), np.insert(counts, place, self.zeros)

    def _add_lower(self, values: np.ndarray) -> None:
        upper, lower = _upper_bits(values), values.view(np.uint16)[1 - _UPPER :: 2]
        for bin, counts in self.lower.items():
            counts += np.bincount(lower[upper == _bits_of(bin)], minlength=1 << 16)

    def merge(self, other: FloatDetail) -> None:
        """Add what another tally has counted."""
        for bin, counts in self.lower.items():
            counts += other.lower[bin]
        self.squares += other.squares
        for mine, theirs in zip(self._bins(), other._bins(), strict=True):
            mine.counts += theirs.counts

    def finish(self) -> Statistics:
        """The statistics."""
        smallest, largest = self._value_at(0), self._value_at(self.count - 1)
        return Statistics(
            count=self.count,
            mean=self.mean,
            std=math.sqrt(math.fsum(self.squares) / self.count) if largest > smallest else 0.0,
            min=smallest,
            max=largest,
            percentiles=percentile_values(self.percentiles, self.count, value_at=self._value_at),
            otsu_means=otsu_means(*self.otsu.used()),
            voxels=self.voxels,
            tissues=find_tissues(*self._all_voxels()),
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
