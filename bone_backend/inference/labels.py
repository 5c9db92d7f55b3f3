"""From class numbers to label values, and how sure the network was.

In:  counts of voxels per class and confidence, as merging gathers them.
Out: the label value of every class, and the confidence of a prediction in figures.
Confidence is the highest class probability of a voxel; it is counted in steps of half a per cent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import ModelFileError
from ..volumes.header import Header, LabelClass, is_colour

LEVELS = 201  # confidence 0, 0.005, ... 1
BACKGROUND = 0  # the label of voxels below the confidence threshold
MOST_DOUBTFUL = 10  # slices that are named
COARSE_BINS = 20  # of the histogram that is told


@dataclass(frozen=True)
class ClassMap:
    """Label values of the classes of a network, in the order of its outputs.

    values: one per class, 0..65535. names: one per class. colours: "#rrggbb" or None, one per class or none.
    """

    values: tuple[int, ...]
    names: tuple[str, ...]
    colours: tuple[str | None, ...] = ()

    @classmethod
    def from_model(cls, classes: Sequence[Mapping[str, Any]] | None, number: int) -> ClassMap:
        """From the entries {"value", "name"} of a model file; values 0..number-1 where it has none.

        Raises ModelFileError when the entries do not fit the network's `number` of classes.
        """
        if not classes:
            return cls(tuple(range(number)), tuple(_name(value) for value in range(number)))
        values = [entry.get("value") for entry in classes]
        if len(values) != number:
            raise ModelFileError(f"The model file names {len(values)} classes, but its network has {number}.")
        sound = [v for v in values if type(v) is int and 0 <= v <= 65535]
        if len(set(sound)) != number:
            raise ModelFileError(
                f"The model file's label values are {values}; expected different whole numbers 0..65535."
            )
        names = (str(entry.get("name") or _name(value)) for entry, value in zip(classes, sound, strict=True))
        colours = (entry.get("colour") for entry in classes)
        return cls(tuple(sound), tuple(names), tuple(c if is_colour(c) else None for c in colours))

    @property
    def classes(self) -> tuple[LabelClass, ...]:
        """What the labels mean, for the file that holds them."""
        colours = self.colours or (None,) * len(self.values)
        return tuple(LabelClass(*one) for one in zip(self.values, self.names, colours, strict=True))

    @property
    def dtype(self) -> np.dtype:
        """uint8, or uint16 where a label value is above 255."""
        return np.dtype(np.uint16 if max(self.values) > 255 else np.uint8)

    def header(self, scan: Header, name: str) -> Header:
        """Of labels: the geometry of the scan, the names and colours of the classes."""
        return replace(scan, name=name, dtype=self.dtype, classes=self.classes)

    @property
    def background(self) -> int | None:
        """The class number of background (label 0); None where the network has no such class."""
        return self.values.index(BACKGROUND) if BACKGROUND in self.values else None

    @property
    def is_plain(self) -> bool:
        """Whether the label values are the class numbers themselves."""
        return self.values == tuple(range(len(self.values)))

    @property
    def table(self) -> np.ndarray:
        """(classes + 1,) of `dtype`: the label of each class number, last that of too uncertain voxels."""
        return np.array([*self.values, BACKGROUND], self.dtype)


@dataclass(frozen=True)
class Confidence:
    """How many voxels had which class with which confidence.

    counts: int64 (classes + 1, LEVELS); the last row holds the voxels that the threshold sent to background,
    the row of a class those that kept it. Level k means a confidence of k / 200, rounded. sure: the mean
    confidence of each slice, where it is known.
    """

    class_map: ClassMap
    counts: np.ndarray
    sure: Sequence[float] = ()

    def _of_class(self, row: np.ndarray) -> dict[str, Any]:
        total = int(row.sum())
        return {
            "mean": self.mean(row),
            "median": self.quantile(row, 0.5),
            "lowest_5_percent": self.quantile(row, 0.05),
            "below_75_percent": int(row[: round(0.75 * (LEVELS - 1))].sum()) / total if total else None,
        }

    @property
    def voxels(self) -> dict[str, int]:
        """Voxels of each label value in the written labels; the uncertain ones are background."""
        rows = self.counts.sum(axis=1)
        voxels = {BACKGROUND: int(rows[-1])} | {
            value: 0 for value in self.class_map.values if value != BACKGROUND
        }
        for value, count in zip(self.class_map.values, rows, strict=False):
            voxels[value] += int(count)
        return {str(value): voxels[value] for value in sorted(voxels)}

    def mean(self, counts: np.ndarray) -> float | None:
        """Mean confidence of counts per level, to 0.0025; None for no voxels."""
        total = int(counts.sum())
        return float((counts * np.arange(LEVELS)).sum() / (LEVELS - 1) / total) if total else None

    def quantile(self, counts: np.ndarray, share: float) -> float | None:
        """The confidence below which a share of the voxels lies, to 0.0025; None for no voxels."""
        total = int(counts.sum())
        level = int(np.searchsorted(np.cumsum(counts), share * total, side="left"))
        return level / (LEVELS - 1) if total else None

    def doubtful(self, number: int = MOST_DOUBTFUL) -> list[dict[str, Any]]:
        """The slices whose mean confidence is lowest, that first. z counts from 0."""
        order = sorted(range(len(self.sure)), key=lambda z: self.sure[z])
        return [{"z": z, "mean": round(self.sure[z], 4)} for z in order[:number]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a report.

        mean: over all voxels. per_class: of the voxels that kept a class, by label value: the mean
        confidence, the median, what 5 % of them do not reach, the share below .75. slices: the mean of each;
        doubtful_slices: the lowest.
        uncertain_voxels, uncertain_share: those the threshold sent to background. histogram: voxels in 20
        bins of 0.05 (a confidence of 1 counts in the last).
        """
        total = int(self.counts.sum())
        uncertain = int(self.counts[-1].sum())
        bins = np.minimum(np.arange(LEVELS) * COARSE_BINS // (LEVELS - 1), COARSE_BINS - 1)
        histogram = np.zeros(COARSE_BINS, np.int64)
        np.add.at(histogram, bins, self.counts.sum(axis=0))
        rows = zip(self.class_map.values, self.class_map.names, self.counts, strict=False)
        return {
            "mean": self.mean(self.counts.sum(axis=0)),
            "per_class": {str(value): {"name": name, **self._of_class(row)} for value, name, row in rows},
            "slices": [round(mean, 4) for mean in self.sure],
            "doubtful_slices": self.doubtful(),
            "uncertain_voxels": uncertain,
            "uncertain_share": uncertain / total if total else 0.0,
            "histogram": [int(n) for n in histogram],
        }


def _name(value: int) -> str:
    return "background" if value == BACKGROUND else f"class {value}"
