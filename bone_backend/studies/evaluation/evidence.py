"""How sure the scores of a study are: intervals over scans, and paired tests against the best.

In:  for each configuration the score of each scan, the mean over its seeds.
Out: bootstrap confidence intervals; p values of Wilcoxon's signed rank test, corrected after Holm.
The scan is the unit: seeds and patches of one scan are no independent observations.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import PackageError

RESAMPLES, CONFIDENCE, SEED = 9999, 0.95, 0
FEWEST = 2  # values for an interval


def check_installed() -> None:
    """Raise PackageError where scipy is not there."""
    if importlib.util.find_spec("scipy") is None:
        raise PackageError(
            'a study needs the Python package scipy: pip install "bone-segmentation[studies]".'
        )


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean (Efron and Tibshirani 1993); None for fewer than two values.

    The same values always give the same interval.
    """
    from scipy.stats import bootstrap  # on use, it takes a second

    known = np.array([value for value in values if not np.isnan(value)], float)
    if len(known) < FEWEST:
        return None
    if np.ptp(known) == 0:
        return float(known[0]), float(known[0])
    found = bootstrap(
        (known,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def paired_p(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Two-sided p of Wilcoxon's signed rank test (1945) over the scans that both have; None without any."""
    from scipy.stats import wilcoxon

    shared = [scan for scan in one if scan in other and not np.isnan([one[scan], other[scan]]).any()]
    differences = np.array([one[scan] - other[scan] for scan in shared])
    if not len(differences):
        return None
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences).pvalue)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p values corrected for their number (Holm 1979); None stays and does not count.

    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    found: list[float | None] = [None] * len(values)
    highest = 0.0
    for place, (value, index) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - place) * value))
        found[index] = highest
    return found


def smallest_p(scans: int) -> float:
    """The least p that so many pairs can give: all differences of one sign.

    >>> smallest_p(5)
    0.0625
    """
    return min(1.0, 2.0 ** (1 - scans))
