"""Find the two tissues of a scan in its histogram: what is not bone, and bone.

In:  every grey value of the scan, and how many voxels have it.
Out: Tissues, the mean of each and how far they stand apart; None where all voxels are alike.
They are the two classes of Otsu's threshold (Otsu 1979, doi 10.1109/TSMC.1979.4310076) over all voxels, less
what the scanner has not measured (a border written as one value) and metal. Three classes are not sought:
air, soft tissue and bone look like pulp, dentine and enamel, and only in the first case is the brightest
alone what is labelled.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from . import histogram as histograms
from .histogram import Histogram, histogram

#: distance of the means over the standard deviation within the classes, from which on there are two tissues:
#: one tissue in halves has 2.7 (normal), 2.8 (skewed) or 2.9 to 3.6 (inside bone), scans of bone 3.1 to 12
SEPARATE = 3.0
LARGEST_CONTRAST = 1000.0  # of classes of one value each
#: a border: at least this share of the voxels has the smallest value, with next to nothing (a tenth of it) in
#: the first twentieth of the way to the bright tissue; noise that was cut off at 0 goes on beyond it
BORDER_SHARE, NEARLY_NONE, GAP = 0.01, 0.1, 0.05
#: bone that was cut out of its surroundings stands against what was written there, so many times as clearly
#: (2.1 and more) as anything within it; a border makes a scan of bone clearer by 1.6 at most
CUT_OUT = 1.8
#: metal: a class this small, or this small and mostly of the largest value (saturated), and so many times as
#: far from bone as bone from the rest. Bone itself can be 2 % of a skull's scan.
METAL_SHARE, SATURATED_SHARE, METAL_DISTANCE = 0.005, 0.05, 3.0


@dataclass(frozen=True)
class Tissues:
    """low, high: mean grey value of each tissue. contrast: their distance over the standard deviation within
    them. border, metal: the share of all voxels that was left out as such. histogram: of the others; None in
    what was counted by an older version."""

    low: float
    high: float
    contrast: float
    border: float = 0.0
    metal: float = 0.0
    histogram: Histogram | None = None

    @property
    def threshold(self) -> float:
        """The grey value between the two, where Otsu's threshold lies but for a grey value or two."""
        return (self.low + self.high) / 2

    @property
    def are_separate(self) -> bool:
        """Whether there are two tissues at all."""
        return self.contrast >= SEPARATE

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, alike before and after a way through JSON."""
        made = asdict(self)
        if self.histogram is not None:
            made["histogram"]["counts"] = list(self.histogram.counts)
        return made

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Tissues:
        """From `to_dict`, also of an older version."""
        numbers = {name: float(value) for name, value in values.items() if name != "histogram"}
        found = values.get("histogram")
        return cls(**numbers, histogram=Histogram.from_dict(found) if found else None)

    def __str__(self) -> str:
        kinds = ((self.border, "air or a border written as one value"), (self.metal, "metal"))
        left = [f"{100 * share:.3g} % of the voxels left out as {kind}" for share, kind in kinds if share]
        return f"{self.low:.5g} and {self.high:.5g}" + (f" ({', '.join(left)})" if left else "")


@dataclass(frozen=True)
class _Split:
    """Two classes: the values from number `at` on are the brighter one."""

    at: int
    low: float
    high: float
    contrast: float


def find_tissues(values: np.ndarray, counts: np.ndarray) -> Tissues | None:
    """The two tissues. values: float64 (n,), rising; counts: int64 (n,), voxels with each.

    >>> found = find_tissues(np.array([9.0, 11.0, 49.0, 51.0]), np.array([2, 2, 1, 1]))
    >>> found.low, found.high, found.contrast
    (10.0, 50.0, 40.0)
    """
    values, counts = values[counts > 0], counts[counts > 0]
    if values.size < 2:
        return None
    total = int(counts.sum())
    border = metal = 0
    found = _split(values, counts)
    while True:
        if (rest := _without_metal(values, counts, found, total)) is not None:
            metal += int(counts[found.at :].sum())
            values, counts, found = values[: found.at], counts[: found.at], rest
        elif not border and (rest := _without_border(values, counts, found)) is not None:
            border = int(counts[0])
            values, counts, found = values[1:], counts[1:], rest
        else:
            return Tissues(
                found.low,
                found.high,
                found.contrast,
                border / total,
                metal / total,
                histogram(values, counts, low=found.low, high=found.high),
            )


def check_written(values: Any) -> None:
    """Raise ValueError where values that were read from a file are not those of `Tissues.to_dict`."""
    known = {"low", "high", "contrast", "border", "metal"}
    if not isinstance(values, dict) or values.keys() - {"histogram"} != known:
        raise ValueError("tissues have other keys")
    if not all(type(values[name]) in (int, float) and math.isfinite(values[name]) for name in known):
        raise ValueError("tissues are no numbers")
    if values.get("histogram") is not None:
        histograms.check_written(values["histogram"])


def _split(values: np.ndarray, counts: np.ndarray) -> _Split:
    """Otsu's classes of two values or more."""
    weight = np.cumsum(counts)[:-1].astype(np.float64)
    part = np.cumsum(values * counts)
    count = float(counts.sum())
    below, above = part[:-1] / weight, (part[-1] - part[:-1]) / (count - weight)
    best = int(np.argmax(weight * (count - weight) * (above - below) ** 2))  # between-class variance
    low, high = float(below[best]), float(above[best])
    means = np.where(np.arange(values.size) > best, high, low)
    spread = math.sqrt(float(counts @ (values - means) ** 2) / count)
    distance = high - low
    contrast = distance / spread if distance < LARGEST_CONTRAST * spread else LARGEST_CONTRAST
    return _Split(best + 1, low, high, contrast)


def _without_border(values: np.ndarray, counts: np.ndarray, whole: _Split) -> _Split | None:
    """The split of what is left where the smallest value is a border; None where it is not."""
    if values.size < 3 or counts[0] < BORDER_SHARE * counts.sum():
        return None
    near = values[1:] < values[0] + GAP * (whole.high - values[0])
    if counts[1:][near].sum() >= NEARLY_NONE * counts[0]:
        return None
    rest = _split(values[1:], counts[1:])
    return None if whole.contrast > CUT_OUT * rest.contrast else rest


def _without_metal(values: np.ndarray, counts: np.ndarray, whole: _Split, total: int) -> _Split | None:
    """The split of what is left where the brighter class is metal; None where it is not."""
    bright = counts[whole.at :]
    share = int(bright.sum()) / total
    is_saturated = bright.size == 1 or bright[-1] > bright[:-1].sum()
    if whole.at < 2 or share > (SATURATED_SHARE if is_saturated else METAL_SHARE):
        return None
    rest = _split(values[: whole.at], counts[: whole.at])
    is_far = whole.high - rest.high > METAL_DISTANCE * (rest.high - rest.low)
    return rest if is_far and rest.contrast >= SEPARATE else None
