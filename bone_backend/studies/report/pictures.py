"""A picture of a scan that is hard to label: its slice with the most wrong voxels.

In:  a scan, its mask, and the labels that a run has made.
Out: an Example as the report of a fit shows it.
The volumes are read slab by slab, twice at most.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...dataset.checks import IGNORED, class_of
from ...report.example import LARGEST_SLICE, Example, make_example
from ...scores import metrics
from ...volumes.volume import Volume, open_volume
from ..results import Score
from ..scans import StudyScan

BLACK, WHITE = 0.5, 99.5  # percentiles of the slice


def worst_slice(score: Score, scan: StudyScan, labels: Path) -> Example:
    """Raises ScanError where the labels are not there any more, or a file is damaged."""
    options, classes = score.result["options"], [int(one["value"]) for one in score.result["classes"]]
    mapping = {int(old): int(new) for old, new in options.get("map_labels") or []}
    ignored = options.get("ignore_label")
    with open_volume(scan.scan) as grey, open_volume(scan.mask) as mask, open_volume(labels) as made:
        z = _worst(mask, made, mapping, ignored)
        reference = _classes(mask.read(z, z + 1)[0], mapping, ignored)
        prediction = made.read(z, z + 1)[0].astype(np.int64)
        plane = grey.read(z, z + 1)[0]
    counted = np.where(np.isin(reference, classes), reference, -1)
    is_counted = counted >= 0
    low, high = np.percentile(plane, [BLACK, WHITE])
    return make_example(
        "slice",
        score.name,
        (z, 0, 0),
        metrics.counts(
            counted[is_counted], np.where(np.isin(prediction, classes), prediction, 0)[is_counted], classes
        ),
        grey=plane,
        window=(float(low), float(high)),
        reference=counted,
        prediction=prediction,
        largest=LARGEST_SLICE,
    )


def _worst(mask: Volume, made: Volume, mapping: dict[int, int], ignored: int | None) -> int:
    """Number of the slice with the most wrong voxels."""
    wrong: list[int] = []
    for z0, z1 in mask.slabs():
        for reference, prediction in zip(mask.read(z0, z1), made.read(z0, z1), strict=True):
            classes = _classes(reference, mapping, ignored)
            wrong.append(int(((classes != prediction) & (classes >= 0)).sum()))
    return int(np.argmax(wrong))


def _classes(plane: np.ndarray, mapping: dict[int, int], ignored: int | None) -> np.ndarray:
    """Class of each voxel of a mask, negative where it does not count."""
    values, places = np.unique(plane, return_inverse=True)
    known = np.array([class_of(int(value), mapping, ignored) for value in values], np.int64)
    known[known == IGNORED] = -1
    return known[places].reshape(plane.shape)
