"""The histogram of a scan about its two tissues, and how far the grey values of two scans lie apart.

In:  every grey value of the scan and how many voxels have it, without what was left out as border or metal.
Out: a Histogram of some hundred bins, small enough for a model file; means of ordered values.
It is made of what was counted for the tissues anyway; no voxel is looked at again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

BINS = 256
# From so far below the darker tissue to so far above the brighter one, in distances between the two; what
# lies outside counts in the first or the last bin.
BELOW, ABOVE = 1.0, 2.0
RANKS = 200  # ordered values that stand for all, where two scans are compared


@dataclass(frozen=True)
class Histogram:
    """Voxels in bins of one width. first: grey value at which the first bin begins; counts: one per bin."""

    first: float
    width: float
    counts: tuple[int, ...]

    @property
    def edges(self) -> np.ndarray:
        """float64 (bins + 1,): grey values at which the bins begin, and the end of the last."""
        return self.first + self.width * np.arange(len(self.counts) + 1)

    def share_above(self, grey: float) -> float:
        """Share of the voxels brighter than a grey value; those of one bin count as spread evenly in it.

        >>> Histogram(0.0, 10.0, (50, 25, 25)).share_above(15.0)
        0.375
        """
        below = np.interp(grey, self.edges, self._up_to())
        return float(1 - below / sum(self.counts))

    def shares(self, edges: np.ndarray) -> np.ndarray:
        """float64 (n - 1,): share of the voxels between neighbouring grey values of `edges` (n,), rising."""
        return np.diff(np.interp(edges, self.edges, self._up_to())) / sum(self.counts)

    def ordered(self, low: float, high: float) -> np.ndarray | None:
        """float64 (RANKS,): grey values of evenly spaced rank among the voxels from `low` to `high`.

        None where there are none.
        """
        up_to, edges = self._up_to(), self.edges
        first, last = np.interp([low, high], edges, up_to)
        if not last > first:
            return None
        ranks = first + (last - first) * (np.arange(RANKS) + 0.5) / RANKS
        bins = np.searchsorted(up_to, ranks, side="right") - 1  # never an empty one
        return edges[bins] + (ranks - up_to[bins]) * (self.width / np.array(self.counts)[bins])

    def _up_to(self) -> np.ndarray:
        return np.concatenate([[0.0], np.cumsum(self.counts, dtype=np.float64)])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Histogram:
        """From plain JSON values."""
        counts = tuple(int(count) for count in values["counts"])
        return cls(float(values["first"]), float(values["width"]), counts)


def histogram(values: np.ndarray, counts: np.ndarray, *, low: float, high: float) -> Histogram:
    """About the two tissues. values: float64 (n,), rising, n > 1; counts: int64 (n,). low, high: their means.

    Whole numbers get bins of whole width, so that each bin stands for as many values.

    >>> histogram(np.array([9.0, 10.0, 50.0]), np.array([4, 2, 1]), low=9.7, high=50.0).width
    1.0
    """
    distance = high - low
    first = max(float(values[0]), low - BELOW * distance)
    last = min(float(values[-1]), high + ABOVE * distance)
    if bool((values == np.floor(values)).all()):
        first, last = math.floor(first), math.ceil(last)
        width = float(math.ceil((last - first + 1) / BINS))
        number = math.ceil((last - first + 1) / width)
        first -= 0.5
    else:
        width, number = (last - first) / BINS, BINS
    bins = np.clip((values - first) / width, 0, number - 1).astype(np.intp)
    found = np.zeros(number, np.int64)
    np.add.at(found, bins, counts)
    return Histogram(float(first), width, tuple(int(count) for count in found))


def check_written(values: Any) -> None:
    """Raise ValueError where values that were read from a file are not those of a Histogram."""
    if not isinstance(values, dict) or values.keys() != {"first", "width", "counts"}:
        raise ValueError("a histogram has other keys")
    counts = values["counts"]
    if not all(
        type(values[name]) in (int, float) and math.isfinite(values[name]) for name in ("first", "width")
    ):
        raise ValueError("a histogram has no bins")
    if not values["width"] > 0 or not isinstance(counts, (list, tuple)) or not 0 < len(counts) <= BINS:
        raise ValueError("a histogram has no bins")
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts) or not any(counts):
        raise ValueError("a histogram has no counts")
