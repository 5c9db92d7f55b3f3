"""Some slices of a pair to look at, kept small while the pair is read.

In:  slabs of a scan and its mask.
Out: three Looks: grey values and labels of whole slices, spread over those that hold labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CANDIDATES, SHOWN = 12, 3  # slices that are kept while reading, and of those
LARGEST = 320  # px of a longer edge


@dataclass(frozen=True)
class Look:
    """grey: uint8 (y, x). labels: the mask's values (y, x), None if no whole numbers. z: from 0."""

    z: int
    grey: np.ndarray
    labels: np.ndarray | None
    step: int


class Planes:
    """depth: slices of the pair."""

    def __init__(self, depth: int):
        self._wanted = np.unique(np.linspace(0, depth - 1, CANDIDATES + 2).round().astype(int)[1:-1])
        self._kept: list[tuple[int, np.ndarray, np.ndarray, int]] = []

    def add(self, z0: int, scan: np.ndarray, mask: np.ndarray) -> None:
        """Slices z0 and on of both."""
        for z in self._wanted[(self._wanted >= z0) & (self._wanted < z0 + len(scan))].tolist():
            step = -(-max(scan.shape[1:]) // LARGEST)
            small = (slice(z - z0, z - z0 + 1), slice(step // 2, None, step), slice(step // 2, None, step))
            self._kept.append((z, scan[small][0].copy(), mask[small][0].copy(), step))

    def chosen(self, low: float, high: float) -> list[Look]:
        """Three of them. low, high: grey values that become black and white."""
        labelled = [one for one in self._kept if one[2].any()] or self._kept
        at = np.unique(((np.arange(SHOWN) + 0.5) / SHOWN * len(labelled)).astype(int))
        made = []
        for z, grey, labels, step in (labelled[number] for number in at if labelled):
            shown = np.clip((grey.astype(np.float64) - low) / max(high - low, 1e-12), 0, 1)
            told = labels if labels.dtype.kind in "iu" else None
            made.append(Look(z, np.nan_to_num(shown * 255).astype(np.uint8), told, step))
        return made
