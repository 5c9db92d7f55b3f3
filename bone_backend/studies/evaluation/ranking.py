"""Rank configurations by a weighted score of how good and how costly they are (the paper, section 2.5.3).

In:  for each configuration its mIoU and what it takes; None where something was not measured.
Out: scores from 0 to 1 and ranks; the ranks under other weights (the paper's Table 7).
Each measure is scaled from its least to its most among the configurations, and turned round where less is
better.
A measure that some configuration lacks is left out, and its weight shared among the others but mIoU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIOU = "miou"
WEIGHT = 0.85  # of mIoU; the six others share the rest, 0.025 each
SWEEP = (1.00, 0.95, 0.90, 0.85, 0.80, 0.75, 0.70)
# name -> (in words, whether more is better)
MEASURES: dict[str, tuple[str, bool]] = {
    "batch_size": ("batch size", True),
    "gpu_percent": ("GPU use", True),
    "multiply_adds": ("multiply-adds", False),
    "parameters": ("parameters", False),
    "peak_gpu_gib": ("GPU memory", False),
    "seconds": ("time", False),
}


@dataclass(frozen=True)
class Ranking:
    """scores: of each configuration. ranks: from 1; equals share the better one. weights: of what counts.
    left_out: measures that do not, in words."""

    scores: Mapping[str, float]
    ranks: Mapping[str, int]
    weights: Mapping[str, float]
    left_out: tuple[str, ...]


def rank(figures: Mapping[str, Mapping[str, float | None]], *, weight: float = WEIGHT) -> Ranking:
    """figures: configuration -> MIOU and MEASURES -> value. weight: of mIoU; the others share the rest.

    >>> costs = dict.fromkeys(MEASURES)
    >>> found = rank({"a": {**costs, "miou": 0.9, "seconds": 10}, "b": {**costs, "miou": 0.8, "seconds": 5}})
    >>> {name: round(score, 2) for name, score in found.scores.items()}, found.ranks
    ({'a': 0.85, 'b': 0.15}, {'a': 1, 'b': 2})
    """
    counted = [name for name in MEASURES if all(one.get(name) is not None for one in figures.values())]
    share = (1 - weight) / len(counted) if counted else 0.0
    weights = {MIOU: weight if counted else 1.0, **dict.fromkeys(counted, share)}
    scaled = {name: _scaled(figures, name) for name in weights}
    scores = {one: sum(part * scaled[name][one] for name, part in weights.items()) for one in figures}
    return Ranking(
        scores,
        {one: 1 + sum(other > score + 1e-12 for other in scores.values()) for one, score in scores.items()},
        weights,
        tuple(words for name, (words, _) in MEASURES.items() if name not in counted),
    )


def _scaled(figures: Mapping[str, Mapping[str, float | None]], name: str) -> dict[str, float]:
    """From 0, the worst, to 1, the best; 1 for all where they are equal."""
    values = {one: float(row[name] or 0.0) for one, row in figures.items()}
    low, high = min(values.values()), max(values.values())
    if high - low <= 1e-12 * max(abs(high), abs(low)):
        return dict.fromkeys(values, 1.0)
    is_more_better = name == MIOU or MEASURES[name][1]
    return {
        one: (value - low if is_more_better else high - value) / (high - low) for one, value in values.items()
    }


def sweep(
    figures: Mapping[str, Mapping[str, float | None]], weights: Sequence[float] = SWEEP
) -> dict[float, dict[str, int]]:
    """Weight of mIoU -> ranks."""
    return {weight: dict(rank(figures, weight=weight).ranks) for weight in weights}
