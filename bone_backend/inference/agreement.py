"""Whether labels agree with the scan's own split into two tissues, as they did in the scans of the fit.

In:  what the model file tells of its scans (`training.brightness`); greys and labels as they stream by.
Out: an Agreement, and a sentence where it is grossly worse than in the fit.
"Bright" is what lies above the threshold between the two tissues (Otsu). Labels are compared with it by
Cohen's kappa (1960, doi 10.1177/001316446002000104): 1 where the bright classes are just what is bright, 0
where they agree no more often than by chance, as when all or nothing is labelled.

What was seen on seven micro-CT scans (a trabecular biopsy, a femur, a tooth, four mouse skulls): with their
masks as labels kappa is .81 to 1.00; with nothing or everything labelled 0, inverted -.04 to -.58, shifted by
20 voxels -.05 to .07 (the tooth, which is thick: .29). So labels with less than half of the smallest kappa in
the fit are no matter of taste. Masks that do not follow the greys (a bone and its marrow as one class) have
a small kappa in the fit already; below LEAST nothing is said, nor of scans without two separate tissues.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..intensity.tally import count_values
from ..intensity.tissues import Tissues
from ..model_files.header import ModelHeader
from .labels import ClassMap

WORSE = 0.5  # times the smallest kappa of the fit
LEAST = 0.4  # of the fit, from which on its labels follow the greys


@dataclass(frozen=True)
class Agreement:
    """threshold: grey value between the two tissues. bright_labelled: share of the brighter voxels that have
    the label of a bright class; labelled_bright: share of those labels whose voxels are bright (None: there
    are none). kappa: of both. kappa_of_fit: the smallest in the scans of the fit. names: of bright classes.
    """

    threshold: float
    bright_labelled: float | None
    labelled_bright: float | None
    kappa: float
    kappa_of_fit: float
    names: tuple[str, ...]

    def warning(self) -> str:
        """What to say of the labels; "" where there is nothing to say."""
        if self.kappa >= WORSE * self.kappa_of_fit:
            return ""
        named = " or ".join(self.names)
        seen = f"nothing is labelled {named}"
        if self.labelled_bright is not None:
            seen = (
                f"of the voxels labelled {named}, {_percent(self.labelled_bright)} are brighter than "
                f"{self.threshold:.4g}, the grey value between its two tissues"
            )
            if self.bright_labelled is not None:
                seen += f", and of the brighter voxels {_percent(self.bright_labelled)} are labelled {named}"
        return (
            f"the labels disagree grossly with its grey values: {seen} (kappa {self.kappa:.2f}; in the "
            f"scans of the fit {self.kappa_of_fit:.2f} or more). Look at the labels before you use them: the "
            "model may have learnt too little, or the scan is unlike those that it was fitted on."
        )


@dataclass(frozen=True)
class Expected:
    """What the scans of the fit tell. bright: numbers of the bright classes. kappa: the smallest."""

    bright: tuple[int, ...]
    kappa: float


def expected(bright_voxels: Any, num_classes: int) -> Expected | None:
    """From the model file's "bright_voxels": scan -> [dark, bright] voxels of each class, or whatever it is.

    None where it tells nothing, or where the labels of the fit did not follow the greys.
    """
    scans = bright_voxels.values() if isinstance(bright_voxels, dict) else ()
    tables = [np.array(scan, np.float64) for scan in scans if _is_table(scan, num_classes)]
    if not tables:
        return None
    bright = _bright_classes(np.sum(tables, axis=0))
    least = min(kappa(*_of_table(table, bright)) for table in tables)
    return Expected(bright, least) if least >= LEAST else None


def kappa(both: float, labelled: float, bright: float, total: float) -> float:
    """Cohen's kappa of two sets of voxels, of sizes `labelled` and `bright`, that share `both` of `total`.

    0 where one of them is all or nothing.

    >>> round(kappa(2, 2, 4, 10), 3)
    0.545
    """
    by_chance = (labelled * bright + (total - labelled) * (total - bright)) / total**2
    seen = (total - labelled - bright + 2 * both) / total
    return (seen - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0


class BrightLabels:
    """Counts the bright voxels of each label, slab by slab. dtype: of the labels, uint8 or uint16."""

    def __init__(self, tissues: Tissues, told: Expected, dtype: np.dtype):
        self.threshold, self.told = tissues.threshold, told
        self.counts = np.zeros(1 << (8 * dtype.itemsize), np.int64)

    def add(self, labels: np.ndarray, greys: np.ndarray) -> None:
        """Both (z, y, x) of the same slices, C-contiguous."""
        limit = math.floor(self.threshold) if greys.dtype.kind in "iu" else self.threshold
        is_bright = greys > limit
        self.counts += count_values(labels * is_bright)
        self.counts[0] -= is_bright.size - np.count_nonzero(is_bright)

    def agreement(self, voxels: Mapping[str, int], class_map: ClassMap) -> Agreement:
        """At the end. voxels: of each label value."""
        chosen, values = self.told.bright, class_map.values
        total, bright = sum(voxels.values()), int(self.counts.sum())
        labelled = sum(voxels[str(values[i])] for i in chosen)
        both = sum(int(self.counts[values[i]]) for i in chosen)
        return Agreement(
            threshold=self.threshold,
            bright_labelled=both / bright if bright else None,
            labelled_bright=both / labelled if labelled else None,
            kappa=kappa(both, labelled, bright, total),
            kappa_of_fit=self.told.kappa,
            names=tuple(class_map.names[i] for i in chosen),
        )


def counter(model: ModelHeader, tissues: Tissues | None, dtype: np.dtype) -> BrightLabels | None:
    """Who counts while a scan is labelled; None where there is nothing to compare with."""
    told = expected(model.bone.get("bright_voxels"), model.num_classes)
    if told is None or tissues is None or not tissues.are_separate:
        return None
    return BrightLabels(tissues, told, dtype)


def _is_table(scan: Any, num_classes: int) -> bool:
    return (
        isinstance(scan, (list, tuple))
        and len(scan) == num_classes
        and all(isinstance(row, (list, tuple)) and len(row) == 2 for row in scan)
        and all(type(count) is int and 0 <= count < 2**53 for row in scan for count in row)
        and any(any(row) for row in scan)
    )


def _bright_classes(table: np.ndarray) -> tuple[int, ...]:
    """The classes that together are most like what is bright. table: float64 (class, 2), dark and bright."""
    sizes = table.sum(axis=1)
    order = np.argsort(-table[:, 1] / np.maximum(sizes, 1), kind="stable").tolist()
    choices = [tuple(sorted(order[: n + 1])) for n in range(len(order))]
    return max(choices, key=lambda chosen: kappa(*_of_table(table, chosen)))


def _of_table(table: np.ndarray, chosen: Sequence[int]) -> tuple[float, float, float, float]:
    """The arguments of `kappa`."""
    part = table[list(chosen)]
    return float(part[:, 1].sum()), float(part.sum()), float(table[:, 1].sum()), float(table.sum())


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
