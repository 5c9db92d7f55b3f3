"""Scores of a cross-validation by fold and seed, as in Table 6 of the paper (Lee et al. 2026).

In:  the scores of the scans of each fold, for each seed.
Out: mean and sample standard deviation of every cell, of the margins, and of all.
A cell is over the scans of its fold. A fold's margin is over all its scans and seeds. A seed's margin is over
the fold means of that seed. The whole is over the cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """mean, sd: nan where there is nothing, or one value only. count: values."""

    mean: float
    sd: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Mean and sample standard deviation (n - 1); values that are nan do not count."""
        known = np.array([value for value in values if not np.isnan(value)], float)
        mean = float(known.mean()) if len(known) else float("nan")
        return cls(mean, float(known.std(ddof=1)) if len(known) > 1 else float("nan"), len(known))


@dataclass(frozen=True)
class FoldTable:
    """cells: (fold, seed) -> over its scans. by_fold, by_seed: the margins. whole: over the cells."""

    folds: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: Mapping[tuple[str, int], Spread]
    by_fold: Mapping[str, Spread]
    by_seed: Mapping[int, Spread]
    whole: Spread


def fold_table(values: Mapping[tuple[str, int], Sequence[float]]) -> FoldTable:
    """values: (fold, seed) -> the score of each scan of the fold.

    >>> found = fold_table({("1", 42): [0.9, 0.8], ("2", 42): [0.7, 0.6]})
    >>> round(found.cells["1", 42].mean, 3), round(found.by_seed[42].mean, 3), round(found.whole.sd, 3)
    (0.85, 0.75, 0.141)
    """
    folds = tuple(dict.fromkeys(fold for fold, _ in values))
    seeds = tuple(dict.fromkeys(seed for _, seed in values))
    cells = {key: Spread.of(scores) for key, scores in values.items()}
    return FoldTable(
        folds,
        seeds,
        cells,
        by_fold={f: Spread.of([one for seed in seeds for one in values.get((f, seed), ())]) for f in folds},
        by_seed={s: Spread.of([cells[f, s].mean for f in folds if (f, s) in cells]) for s in seeds},
        whole=Spread.of([cell.mean for cell in cells.values()]),
    )


def dice_of(iou: float) -> float:
    """Dice from IoU, 2 J / (1 + J); of each scan first, then averaged, as in the paper.

    >>> dice_of(0.5) == 2 / 3
    True
    """
    return 2 * iou / (1 + iou)
