"""Merge overlapping chunk predictions, and take the class of each voxel.

In:  class probabilities (class, [z,] y, x) of each chunk, placed by the layout that cut it.
Out: labels (z, y, x) slab by slab, and counts of voxels per class and confidence.
The mean is a true one: probabilities are summed into one reused accumulator whose weights are known
beforehand, and the sum is compared with weight * threshold, so nothing is divided. All stays on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ..volumes.kept import Note
from .labels import LEVELS, ClassMap
from .windows import Layout, Merge

EXACT_FLOAT32 = 2**24  # a float32 histogram counts to here


class Counted(NamedTuple):
    """counts: int64 (classes + 1, LEVELS), for `Confidence`. sure: mean confidence of each slice."""

    counts: np.ndarray
    sure: list[float]


class Merger:
    """Sums of the chunks over `depth` slices of a scan, which move along z as slices are finished.

    layout: of the chunks. depth: most slices that are unfinished at a time. threshold: least confidence.
    merge: "uniform" (the mean) or "gaussian" (weighted by the distance from the chunk's centre).
    """

    def __init__(
        self,
        layout: Layout,
        *,
        class_map: ClassMap,
        depth: int,
        threshold: float,
        merge: Merge = "uniform",
        device: torch.device | None = None,
    ):
        self.layout, self.class_map, self.threshold = layout, class_map, threshold
        self.classes = len(class_map.values)
        height, width = layout.y.length, layout.x.length
        device = device or torch.device("cpu")
        self.start = 0  # slice of the scan that sums[0] belongs to
        self.sums = torch.zeros((depth, self.classes, height, width), device=device)
        self.histogram = torch.zeros((self.classes + 1) * 256, dtype=torch.int64, device=device)
        self._sure: list[torch.Tensor | float] = []  # of each slice; on a GPU where nobody waits for it
        self._z_totals = layout.z.totals(merge)
        self._totals = _outer(layout.y.totals(merge), layout.x.totals(merge)).to(device)
        self._limit = self._scale = self._totals
        self._known_of = 0.0  # weight along z of the slice that they are for
        self._weights: torch.Tensor | None = None
        if merge == "gaussian":
            in_plane = _outer(layout.y.weights(merge), layout.x.weights(merge))
            along_z = torch.from_numpy(layout.z.weights(merge))
            self._weights = (along_z[:, None, None] * in_plane).to(device)
        self._table: torch.Tensor | None = None
        if not class_map.is_plain:
            self._table = torch.from_numpy(class_map.table.astype(np.int32)).to(device)

    def add(self, z: int, corner: tuple[int, int], probabilities: torch.Tensor) -> None:
        """Add the chunk whose first voxel is (z, *corner) in the scan.

        probabilities: float32 (class, y, x) for windows of one slice, or (class, z, y, x). What lies beyond a
        padded scan is dropped.
        """
        if probabilities.ndim == 3:
            probabilities = probabilities[:, None]
        y, x = corner
        sums = self.sums[z - self.start :, :, y:, x:]
        depth, height, width = (min(n, m) for n, m in zip(self.layout.size, _spatial(sums), strict=True))
        sums = sums[:depth, :, :height, :width].transpose(0, 1)
        probabilities = probabilities[:, :depth, :height, :width]
        if self._weights is None:
            sums += probabilities
        else:
            sums.addcmul_(probabilities, self._weights[:depth, :height, :width])

    def take(self, end: int) -> torch.Tensor:
        """Labels (end - start, y, x) of the slices before `end`, to which nothing will be added any more.

        uint8, or uint16 where a label value is above 255, on the device. The sums move on to `end`.
        """
        number = end - self.start
        labels = torch.empty((number, *self._totals.shape), dtype=torch.uint8, device=self.sums.device)
        if self._table is not None:
            labels = labels.to(torch.from_numpy(self.class_map.table).dtype)
        for i in range(number):
            self._decide(i, out=labels[i])
        self._move_on(end)
        return labels

    def take_means(self, end: int) -> torch.Tensor:
        """The same slices as mean class probabilities, float32 (slice, class, y, x); nothing is counted."""
        means = self.means(end)
        self._move_on(end)
        return means

    def means(self, end: int) -> torch.Tensor:
        """The same, to look at before they are taken."""
        number = end - self.start
        weights = torch.from_numpy(self._z_totals[self.start : end]).to(self.sums.device)
        return self.sums[:number] / (weights[:, None, None, None] * self._totals)

    def _move_on(self, end: int) -> None:
        """Slice `end` becomes the first that is held."""
        number = end - self.start
        held = self.sums.shape[0] - number
        if held:  # the unfinished slices move to the front; source and target may overlap
            self.sums[:held] = self.sums[number:].clone()
        self.sums[held:] = 0
        self.start = end

    def counted(self) -> Counted:
        """What was counted of all slices taken so far; waits for the device."""
        return Counted(self.counts(), _confidences(self._sure))

    def note(self, number: int) -> Note:
        """What was counted so far, and the confidence of the last `number` slices; waits for the device."""
        return Note(self.counts(), _confidences(self._sure[-number:]))

    def go_on(self, counts: np.ndarray, sure: Sequence[float]) -> None:
        """Begin with what an earlier run has counted."""
        table = np.zeros((self.classes + 1, 256), np.int64)
        table[:, :LEVELS] = counts
        self.histogram.copy_(torch.from_numpy(table.reshape(-1)))
        self._sure = [float(np.float32(mean * (LEVELS - 1) + 0.5)) for mean in sure]

    def skip(self, end: int) -> None:
        """Leave slices out that are known already."""
        self._move_on(end)

    def counts(self) -> np.ndarray:
        """int64 (classes + 1, LEVELS) of all slices taken so far, for `Confidence`; waits for the device."""
        return self.histogram.cpu().numpy().reshape(self.classes + 1, 256)[:, :LEVELS]

    def has_lost_numbers(self) -> bool:
        """Whether the network gave NaN for any voxel so far: level 0; a true confidence is >= 1 / classes."""
        return bool(self.counts()[:, 0].any())

    def _decide(self, i: int, *, out: torch.Tensor) -> None:
        """Labels and counts of the i-th slice held."""
        limit, scale = self._of_slice(float(self._z_totals[self.start + i]))
        best, classes, uncertain = highest_class(self.sums[i], limit, background=self.class_map.background)
        codes = torch.maximum(classes, uncertain * self.classes)
        if self._table is None:
            torch.mul(classes, 1 - uncertain, out=out)
        else:
            out.copy_(self._table[codes.int()])
        levels = best.mul_(scale).add_(0.5)
        # A number: a small tensor that is kept behind every large one parts the memory, which then grows.
        self._sure.append(levels.mean() if levels.is_cuda else float(levels.mean()))
        placed = torch.nan_to_num_(levels, nan=0.0).to(torch.int32).add_(codes.to(torch.int32).mul_(256))
        self._count(placed.view(-1))

    def _of_slice(self, z_total: float) -> tuple[torch.Tensor, torch.Tensor]:
        """float32 (y, x), in a slice whose windows along z weigh z_total: the sum that a class needs, and
        what makes levels of sums."""
        if z_total != self._known_of:
            self._limit, self._scale = self._totals * (self.threshold * z_total), (LEVELS - 1) / self._totals
            self._scale.mul_(1 / z_total)
            self._known_of = z_total
        return self._limit, self._scale

    def _count(self, placed: torch.Tensor) -> None:
        """Add to the histogram: int32, code * 256 + level of each voxel."""
        number = len(self.histogram)
        if placed.is_cuda:  # bincount would wait for the device
            for part in placed.split(EXACT_FLOAT32):
                self.histogram += (part + 0.5).histc(number, 0, number).to(torch.int64)
        else:
            self.histogram += torch.bincount(placed, minlength=number)


def highest_class(
    sums: torch.Tensor, limit: torch.Tensor, *, background: int | None = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The class with the highest sum at each voxel, the first of equals, and whether it is uncertain.

    sums: float32 (class, y, x). limit: float32 (y, x), what the highest must reach. background: its number.
    Returns the highest sum (y, x); its class number, uint8; and uint8 1 where a class other than background
    was highest but below the limit, else 0. Arithmetic on bytes is 20 times as fast as comparing them (CPU).
    """
    best, classes = sums[0].clone(), torch.zeros(sums.shape[1:], dtype=torch.uint8, device=sums.device)
    for number in range(1, len(sums)):
        classes = torch.maximum(classes, _is_above(sums[number], best).mul_(number))
        torch.maximum(best, sums[number], out=best)
    uncertain = _is_above(limit, best)
    if background == 0:
        uncertain.mul_(classes.clamp_max(1))
    elif background is not None:
        uncertain.mul_((classes != background).view(torch.uint8))
    return best, classes, uncertain


def _is_above(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """uint8, 1 where one > other. On a CPU by numpy, which takes a tenth of torch's time for it."""
    if one.is_cuda:
        return (one > other).view(torch.uint8)
    return torch.from_numpy(np.greater(one.numpy(), other.numpy()).view(np.uint8))


def _confidences(levels: Sequence[torch.Tensor | float]) -> list[float]:
    """Means of levels + 0.5, as confidences."""
    return [(float(level) - 0.5) / (LEVELS - 1) for level in levels]


def _outer(y: np.ndarray, x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.outer(y, x))


def _spatial(sums: torch.Tensor) -> tuple[int, int, int]:
    depth, _, height, width = sums.shape
    return depth, height, width
