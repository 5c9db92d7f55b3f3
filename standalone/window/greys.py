"""The grey values of a volume from some of its slices: their range, histogram and tissues; knows no Qt.

In:  a sample of voxels.
Out: the greys that become black and white, bins to draw, and where the two tissues lie if there are two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bone_backend.intensity.tissues import find_tissues

BINS = 256
DARK, BRIGHT = 0.5, 99.8  # percentiles of the greys that become black and white
SHOWN = 0.02, 99.98  # percentiles between which the histogram is drawn; beyond lie a few voxels of metal
MARGIN = 0.03  # of the width, beside the histogram
MOST_VALUES = 4096  # that tissues are sought among


@dataclass(frozen=True)
class Bins:
    """edges: float64 (bins + 1,), rising. counts: int64 (bins,). tissues: mean greys of the two, rising."""

    edges: np.ndarray
    counts: np.ndarray
    tissues: tuple[float, float] | None

    @property
    def heights(self) -> np.ndarray:
        """float64 (bins,): 0 to 1 on a logarithmic scale; 0 only where nothing is."""
        logs = np.log1p(self.counts.astype(np.float64))
        return logs / max(float(logs.max()), 1e-9)


class Greys:
    """sample: voxels of any shape and number type; those that are no numbers do not count."""

    def __init__(self, sample: np.ndarray):
        flat = sample.reshape(-1)
        self._sample = flat[np.isfinite(flat)] if flat.dtype.kind == "f" else flat

    @property
    def sample(self) -> np.ndarray:
        """(n,), as stored."""
        return self._sample

    def suited(self) -> tuple[float, float]:
        """Greys that become black and white; value 0 counts only where it is all."""
        greys = self._sample.astype(np.float64)
        kept = greys[greys != 0]
        if kept.size == 0:
            return 0.0, 1.0
        low, high = np.percentile(kept, [DARK, BRIGHT])
        low = min(low, 0.0) if (greys == 0).mean() > 0.02 and low > 0 else low
        return float(low), float(high if high > low else low + 1)

    def extent(self) -> tuple[float, float]:
        """The smallest and the largest value; 1 apart where all are alike."""
        if self._sample.size == 0:
            return 0.0, 1.0
        low, high = float(self._sample.min()), float(self._sample.max())
        return low, high if high > low else low + 1

    @cached_property
    def bins(self) -> Bins:
        """Whole numbers get bins of whole width, so that none is empty by chance."""
        if self._sample.size == 0:
            return Bins(np.array([0.0, 1.0]), np.zeros(1, np.int64), None)
        low, high = (float(value) for value in np.percentile(self._sample, SHOWN))
        if self._sample.dtype.kind in "iub":
            low, high = float(np.floor(low)), float(np.ceil(high))
            width = float(np.ceil((high - low + 1) / BINS))
            edges = low - 0.5 + width * np.arange(int(np.ceil((high - low + 1) / width)) + 1)
        else:
            edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        counts = np.histogram(self._sample, edges)[0]
        return Bins(edges, counts, self._tissues())

    def _tissues(self) -> tuple[float, float] | None:
        """Means of the two tissues, where the greys fall into two."""
        values, counts = np.unique(self._sample, return_counts=True)
        if values.size > MOST_VALUES:
            counts, edges = np.histogram(self._sample, MOST_VALUES)
            values = (edges[:-1] + edges[1:]) / 2
        found = find_tissues(values.astype(np.float64), counts.astype(np.int64))
        return (found.low, found.high) if found and found.are_separate else None


def shown_range(bins: Bins, low: float, high: float) -> tuple[float, float]:
    """From where to where a histogram is drawn, so that the two borders are always in sight.

    >>> shown_range(Bins(np.array([0.0, 100.0]), np.array([1]), None), 20, 197)
    (-3.0, 200.0)
    """
    first, last = float(bins.edges[0]), float(bins.edges[-1])
    margin = MARGIN * (last - first)
    return min(first, low) - margin, max(last, high) + margin


def moved(low: float, high: float, *, by: float, which: str, least: float) -> tuple[float, float]:
    """The two borders after one of them ("low", "high"), or both ("both"), was moved; `least` apart.

    >>> moved(10, 20, by=15, which="low", least=1), moved(10, 20, by=5, which="both", least=1)
    ((19, 20), (15, 25))
    """
    if which == "both":
        return low + by, high + by
    if which == "low":
        return min(low + by, high - least), high
    return low, max(high + by, low + least)
