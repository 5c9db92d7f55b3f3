"""Whether a scan's grey values are like those of the scans that a model was fitted on.

In:  the statistics of the scan, those that the model file keeps, and how it normalises.
Out: sentences, one for each thing that lies outside of what the model has seen.
Compared are, scan by scan: how the grey values of each tissue are spread (the mean distance of values of the
same rank, in units of the distance between the tissues); for a normalisation that does not anchor the
tissues, where their means come to lie; and which share of the voxels is bright. What the scans of the fit
differ by among themselves is never told. A model file that lacks the numbers is passed over.

What was seen (dark, bright tissue; share in odds), beside a mouse skull: three other skulls of the same
scanner, one of them cut in half, halved in grey depth or enlarged 1.4 times: up to .010, up to .036, 0.8 to
1.0 times; the same with gamma .75: .024, .027, 1.2 times; gamma 1.33: .038, .032 to .061, .2 times; blurred
with noise: .078, .072; a trabecular biopsy .065, .062, 2.8 times; a femur .021, .139; a tooth .017, .108, 3.8
times; anything with its scale inverted: above .14, .14, 10 times; a part of a biopsy beside two others of it:
.018. By Z-score the bright tissue of the other skulls lies within .10 of the distance between the tissues,
that of the biopsy .38 away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .histogram import Histogram
from .normalisation import normalisation
from .summary import TISSUE_VOXELS, Statistics, check_written
from .tissues import Tissues

# Differences to the nearest scan of the fit that are ordinary.
DARK, BRIGHT = 0.02, 0.06  # of the distance between the tissues
PLACE = 0.25  # the same, of a mean on the model's scale
ODDS = 5.0  # times

NOT_SEPARATE = (
    "its grey values do not fall into two tissues as those of the scans of the fit do. Does it lie wholly "
    "inside bone, or outside, or is it very noisy? Look at the labels before you use them."
)


def statistics_of(kept: Any) -> list[Statistics]:
    """Those of a model file's "statistics" that are whole."""
    found = []
    for values in kept.values() if isinstance(kept, dict) else ():
        try:
            check_written(values)
        except ValueError:
            continue
        found.append(Statistics.from_dict(values))
    return found


def advice(scan: Statistics, fitted: Sequence[Statistics], *, mode: str, voxels: str) -> list[str]:
    """What to say before the scan is labelled; empty where it is like the scans of the fit.

    fitted: as `statistics_of` gives them. mode, voxels: of the normalisation.
    """
    fitted = known(fitted)
    if not fitted or scan.tissues is None:
        return []
    if not scan.tissues.are_separate:
        is_said = mode == "tissue" and voxels in TISSUE_VOXELS  # by `scale_notes`
        return [] if is_said else [NOT_SEPARATE]
    told = [_spread(scan, fitted), _share(scan, fitted)]
    if mode != "tissue":
        told.append(_places(scan, fitted, mode=mode, voxels=voxels))
    return [one for one in told if one]


def known(fitted: Sequence[Statistics]) -> list[Statistics]:
    """Those with two tissues and their histogram."""
    return [one for one in fitted if _tissues(one) is not None]


def strangeness(scan: Statistics, fitted: Sequence[Statistics]) -> tuple[float, float]:
    """How far the spread of the greys of the darker and of the brighter tissue is from the nearest scan of
    the fit: up to 1 is ordinary. All of them as `known` gives them.
    """
    seen, mine = [_shape(one) for one in fitted], _shape(scan)
    dark, bright = (min(_distance(mine[n], shape[n]) for shape in seen) for n in (0, 1))
    return dark / DARK, bright / BRIGHT


def _tissues(statistics: Statistics) -> tuple[Tissues, Histogram] | None:
    found = statistics.tissues
    return (found, found.histogram) if found and found.are_separate and found.histogram else None


def _shape(statistics: Statistics) -> tuple[np.ndarray, np.ndarray]:
    """Values of evenly spaced rank of the dark and of the bright tissue; their means lie near 0 and 1."""
    both = _tissues(statistics)
    assert both is not None
    tissues, found = both
    halves = found.ordered(-np.inf, tissues.threshold), found.ordered(tissues.threshold, np.inf)
    dark, bright = (
        np.array([mean]) if half is None else half
        for half, mean in zip(halves, (tissues.low, tissues.high), strict=True)
    )
    distance = tissues.high - tissues.low
    return (dark - tissues.low) / distance, (bright - tissues.low) / distance


def _spread(scan: Statistics, fitted: Sequence[Statistics]) -> str:
    """Of the grey values within each tissue."""
    seen, mine = [_shape(one) for one in fitted], _shape(scan)
    told = []
    for number, (name, ordinary) in enumerate((("darker", DARK), ("brighter", BRIGHT))):
        shapes = [shape[number] for shape in seen]
        limit = max([ordinary, *_to_nearest_other(shapes)])
        distance = min(_distance(mine[number], shape) for shape in shapes)
        if distance > limit:
            told.append(f"the {name} tissue by {100 * distance:.2g} %, where {100 * limit:.2g} % is ordinary")
    if not told:
        return ""
    return (
        f"its grey values are spread otherwise than in the scans of the fit ({'; '.join(told)}, of the "
        "distance between the tissues). Another grey curve, sharpness, noise or kind of specimen? Look at "
        "the labels before you use them."
    )


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance of values of the same rank: the earth mover's distance."""
    return float(np.abs(one - other).mean())


def _to_nearest_other(shapes: Sequence[np.ndarray]) -> list[float]:
    """For each scan of the fit, how far the nearest other one is."""
    return [
        min(_distance(one, other) for j, other in enumerate(shapes) if j != i)
        for i, one in enumerate(shapes)
        if len(shapes) > 1
    ]


def _share(scan: Statistics, fitted: Sequence[Statistics]) -> str:
    """Of the bright tissue."""
    shares = [_bright_share(one) for one in fitted]
    low, high, mine = min(shares), max(shares), _bright_share(scan)
    if _odds(low) / ODDS <= _odds(mine) <= _odds(high) * ODDS:
        return ""
    assert scan.tissues is not None
    return (
        f"{_percent(mine, mine)} of its voxels are brighter than {scan.tissues.threshold:.4g}, the grey "
        f"value between its two tissues; in the scans of the fit {_percent(low, high)} were. Is its grey "
        "scale inverted, is bone not what is bright, or does it show another part?"
    )


def _bright_share(statistics: Statistics) -> float:
    both = _tissues(statistics)
    assert both is not None
    return both[1].share_above(both[0].threshold)


def _odds(share: float) -> float:
    share = min(max(share, 1e-6), 1 - 1e-6)
    return share / (1 - share)


def _places(scan: Statistics, fitted: Sequence[Statistics], *, mode: str, voxels: str) -> str:
    """Of the means of the two tissues on the model's scale."""
    seen, mine = [_means(one, mode, voxels) for one in fitted], _means(scan, mode, voxels)
    for number, name in enumerate(("darker", "brighter")):
        low, high = min(means[number] for means in seen), max(means[number] for means in seen)
        margin = PLACE * min(means[1] - means[0] for means in seen)
        if not low - margin <= mine[number] <= high + margin:
            return (
                f"by {mode} its {name} tissue comes to lie at {mine[number]:.2f}, that of the scans of the "
                f"fit at {_range(low, high)}: the network sees other grey values than it knows. Look at the "
                "labels before you use them; a model with the normalization tissue bears more."
            )
    return ""


def _means(statistics: Statistics, mode: str, voxels: str) -> tuple[float, float]:
    """Where the two tissues of a scan come to lie on the model's scale."""
    tissues = statistics.tissues
    assert tissues is not None
    low, high = normalisation(mode, statistics, voxels=voxels).apply(np.array([tissues.low, tissues.high]))
    return float(low), float(high)


def _range(low: float, high: float) -> str:
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"


def _percent(low: float, high: float) -> str:
    first, last = f"{100 * low:.3g}", f"{100 * high:.3g}"
    return f"{first} %" if first == last else f"{first} to {last} %"
