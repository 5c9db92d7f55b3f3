"""Find a scan's two tissues where they meet: the grey values on both sides of its strong edges.

In:  an open volume, and its tissues over all voxels.
Out: the means of the two tissues within two voxels of where they meet, and the median of the darker one; None
     where all is alike.
Means over all voxels depend on what else is in the field of view: air that one scanner writes as 0 and
another with noise, a holder, how wide the border is. What lies beside the surface of bone does not. Slices
are smoothed by a binomial of five, the edge is where the slope reaches half of the typical one of an edge
(above which half of the energy of all slopes lies), and the voxels around it are parted by Otsu's threshold.
The mean of the darker side depends on how far the greys of the edge itself reach into it, so on the curve of
the greys (gamma) and on the thickness of bone; its median hardly does. How alike the scales of scans become:
python -m benchmarks.edges.
numpy only, as the statistics; the same bits for any number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..volumes.abstract import Volume
from ..volumes.volume import open_volume
from .tally import count_values, otsu_means
from .tissues import Tissues

SLICES = 24  # at least so many are looked at, evenly spaced; all where they have up to VOXELS
VOXELS = 16 * 2**20
BAND = 2 * 2**20  # voxels of one slice that are looked at: a band of rows, another one in each slice
NEAR = 2  # voxels from an edge
HALF = 0.25  # of the squared slope: half of the slope
# On a scale of 0 and 1 for the two tissues; what lies beyond, as metal, counts as these.
DARKEST, BRIGHTEST = -1.0, 2.0
BINS = 4096  # of decimal numbers
_UPPER_BITS = 1 << 16
_INFINITE = 0x7F80  # the upper half of infinity; those of negative numbers are larger

Pair = tuple[float, float]


class Beside(NamedTuple):
    """The darker and the brighter tissue beside strong edges, in grey values; named as in Statistics."""

    edges: Pair | None = None  # means of both
    edge_tissues: Pair | None = None  # median of the darker, mean of the brighter


def near_edges(volume: Volume, tissues: Tissues | None) -> Beside:
    """What lies beside the strong edges of a scan.

    volume: uint8, int8, uint16, int16 or float32, without NaN. tissues: over all its voxels.
    """
    if tissues is None:
        return Beside()
    slopes = np.zeros(_UPPER_BITS, np.int64)
    for band in _bands(volume):
        slopes += count_values(_upper_bits(_slopes(band, tissues)))
    energy = np.cumsum(slopes * _values_of_bits())
    if not energy[-1] > 0:
        return Beside()
    limit = HALF * float(_values_of_bits()[np.searchsorted(energy, energy[-1] / 2)])
    counted = _Counts(volume.header.dtype, tissues)
    for band in _bands(volume):
        counted.add(band[_widened(_slopes(band, tissues) >= limit)])
    values, counts = counted.used()
    means = otsu_means(values, counts)
    if means is None:
        return Beside()
    return Beside(means, (darker_median(values, counts, limit=sum(means) / 2), means[1]))


def darker_median(values: np.ndarray, counts: np.ndarray, *, limit: float) -> float:
    """Median of the values up to a limit; each value stands for all halfway to its neighbours.

    values: float64 (n,), rising, at least two; counts: int64 (n,). limit: at least the first value.

    >>> darker_median(np.array([1.0, 2.0, 3.0, 9.0]), np.array([2, 1, 3, 8]), limit=5.0)
    2.5
    """
    halfway = (values[1:] + values[:-1]) / 2
    borders = np.concatenate([[2 * values[0] - halfway[0]], halfway])
    below = values[:-1] <= limit
    up_to = np.concatenate([[0], np.cumsum(counts[:-1][below])])
    return float(np.interp(up_to[-1] / 2, up_to, borders[: up_to.size]))


def near_edges_of(path: str, tissues: Tissues | None) -> Beside:
    """The same of a scan that is opened for it, in whatever process."""
    with open_volume(Path(path)) as volume:
        return near_edges(volume, tissues)


def _bands(volume: Volume) -> Iterator[np.ndarray]:
    """The parts of slices (y, x) that are looked at."""
    depth, height, width = volume.header.shape
    number = min(depth, max(SLICES, VOXELS // (height * width)))
    rows = min(height, max(4 * NEAR, BAND // width))
    for n in range(number):
        z = (2 * n + 1) * depth // (2 * number)
        first = n * rows % (height - rows + 1)
        yield volume.read(z, z + 1)[0, first : first + rows]


def _slopes(band: np.ndarray, tissues: Tissues) -> np.ndarray:
    """Squared slope of the smoothed greys, float32 (y, x)."""
    grey = band.astype(np.float64)
    grey -= tissues.low
    grey /= tissues.high - tissues.low
    smooth = np.clip(grey, DARKEST, BRIGHTEST).astype(np.float32)
    smooth = _smoothed(_smoothed(smooth).T).T
    squared = np.zeros(band.shape, np.float32)
    for axis in (0, 1):
        slope = _shifted(smooth, 1, axis)
        slope -= _shifted(smooth, -1, axis)
        slope *= slope
        squared += slope
    return squared


def _smoothed(grey: np.ndarray) -> np.ndarray:
    """Down the first axis with 1 4 6 4 1, the border repeated; 16 times as large."""
    wide = np.concatenate([grey[:1], grey[:1], grey, grey[-1:], grey[-1:]])
    out = wide[2:-2] * np.float32(6)
    out += (wide[1:-3] + wide[3:-1]) * np.float32(4)
    out += wide[:-4] + wide[4:]
    return out


def _shifted(grey: np.ndarray, by: int, axis: int) -> np.ndarray:
    """A copy, moved by one voxel along an axis; the border is repeated."""
    places = np.clip(np.arange(grey.shape[axis]) + by, 0, grey.shape[axis] - 1)
    return grey.take(places, axis=axis)


def _widened(is_edge: np.ndarray) -> np.ndarray:
    """And all that lies within NEAR rows and columns."""
    for _ in range(NEAR):
        for axis in (0, 1):
            is_edge = is_edge | _shifted(is_edge, 1, axis) | _shifted(is_edge, -1, axis)
    return is_edge


def _upper_bits(values: np.ndarray) -> np.ndarray:
    """The upper half of float32 numbers that are not negative: whole numbers of the same order."""
    return np.right_shift(values.view(np.uint32), 16).astype(np.uint16)


def _values_of_bits() -> np.ndarray:
    """float64 (65536,): the smallest number with these upper bits; 0 for negative ones and infinity."""
    values = np.zeros(_UPPER_BITS)
    finite = np.arange(_INFINITE, dtype=np.uint32) << 16
    values[:_INFINITE] = finite.view(np.float32)
    return values


class _Counts:
    """The histogram of the voxels near edges: of every value, or of decimal numbers in bins of one width."""

    def __init__(self, dtype: np.dtype, tissues: Tissues):
        self.is_float, self.is_signed = dtype.kind == "f", dtype.kind == "i"
        distance = tissues.high - tissues.low
        self.low, self.high = (tissues.low + place * distance for place in (DARKEST, BRIGHTEST))
        self.width = (self.high - self.low) / BINS
        size = BINS if self.is_float else 1 << (8 * dtype.itemsize)
        self.counts = np.zeros(size, np.int64)

    def add(self, greys: np.ndarray) -> None:
        if not self.is_float:
            self.counts += count_values(greys)
            return
        bins = np.clip((greys.astype(np.float64) - self.low) / self.width, 0, BINS - 1)
        self.counts += np.bincount(bins.astype(np.intp), minlength=BINS)

    def used(self) -> tuple[np.ndarray, np.ndarray]:
        """Values that occur, rising, and how often."""
        counts, size = self.counts, self.counts.size
        values = np.arange(size, dtype=np.float64)
        if self.is_float:
            values = self.low + (values + 0.5) * self.width
        elif self.is_signed:
            counts, values = np.roll(counts, size // 2), values - size // 2
        return np.clip(values[counts > 0], self.low, self.high), counts[counts > 0]
