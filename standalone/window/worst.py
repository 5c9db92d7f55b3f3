"""Slices worth a look, the worst first; knows no Qt.

In:  scores of the slices of a comparison, or means of a volume such as a confidence.
Out: a Ranking: slice numbers along z, and each in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bone_backend.scores.slices import SliceScores

MOST = 20


@dataclass(frozen=True)
class Ranking:
    """what: by which they are ranked, in words. slices: numbers along z, the worst first. told: of each.

    order: whether the lowest or the highest are the worst.
    """

    what: str
    slices: tuple[int, ...]
    told: tuple[str, ...]
    order: str = "lowest"


def by_iou(scores: SliceScores, value: int | None = None, name: str = "") -> Ranking:
    """The slices with the lowest IoU: of the class `value`, called `name`, or of all in the mean."""
    found = scores.worst(MOST, value)
    ious = scores.mean_iou if value is None else scores.iou[:, scores.values.index(value)]
    what = "mean IoU" if value is None else f"IoU of {name}"
    return Ranking(what, tuple(found), tuple(f"{what} {ious[z]:.3f}" for z in found))


def by_mean(means: Sequence[float | None], what: str, *, order: str = "lowest") -> Ranking:
    """The slices with the lowest (or highest) mean. means: of each slice; None where not known.

    what: was averaged.

    >>> by_mean([0.9, None, 0.5], "confidence").told
    ('confidence 0.5', 'confidence 0.9')
    """
    values = np.array([np.nan if value is None else value for value in means], np.float64)
    keys = values if order == "lowest" else -values
    found = [int(z) for z in np.argsort(keys, kind="stable") if not np.isnan(values[z])][:MOST]
    return Ranking(what, tuple(found), tuple(f"{what} {values[z]:.4g}" for z in found), order)
