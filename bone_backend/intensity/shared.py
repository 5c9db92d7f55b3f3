"""One grey scale for scans of one scanner.

In:  the statistics of a scan, and those of the scans that a network is fitted on.
Out: the grey values of its two tissues, by which its scale goes.
Where a scan has its tissues at about the same grey values as others, they come from one scanner at one
setting, and the same grey value means the same in all of them; what their own tissues differ by is how much
thin bone and how much marrow each holds. So they share the means of all, as CT scans do in nnU-Net (Isensee
et al. 2021, "CT normalization"). A scan that is unlike has the scale of its own.

Seen (darker, brighter tissue, of the distance between them): four mouse skulls of one scanner, up to .01 and
.11; parts of a biopsy .07 and .22, of a femur .08 and .16; a skull enlarged 1.4 times .03 and .23. Not of one
scanner: the skulls with gamma .75 .15 and .14 or more, blurred with an offset .35 and .18, a femur .05 and
.31.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from .summary import Statistics

# Of the distance between the tissues: so far apart are those of one scanner at most. What surrounds bone is
# everywhere about the same, what counts as bone depends on how thin it is.
DARKER, BRIGHTER = 0.1, 0.25

Pair = tuple[float, float]


def tissues(scan: Statistics, fitted: Sequence[Statistics]) -> tuple[Pair | None, int]:
    """The two tissues by which the scale of a scan goes, and how many scans of the fit share it.

    scan: of the fit, or another. fitted: all of the fit. None where the scan has no edges; its own tissues,
    and 0, where none of the fit is alike.

    >>> a, b, c = (_example(*pair) for pair in ((10, 80), (12, 90), (40, 90)))
    >>> tissues(a, [a, b, c]), tissues(c, [a, b])
    (((11.0, 85.0), 2), ((40, 90), 0))
    """
    own = scan.edge_tissues
    if own is None:
        return None, 0
    others = [other for one in fitted if (other := one.edge_tissues) is not None]
    near = [_mean(_alike(other, others)) for other in _alike(own, others)]
    return (_mean(near), len(near)) if near else (own, 0)


def groups(fitted: Sequence[Statistics]) -> list[Pair]:
    """The two tissues of the scans of each scanner, the mean of those that share a scale.

    >>> groups([_example(*pair) for pair in ((10, 80), (12, 90), (40, 90))])
    [(11.0, 85.0), (40.0, 90.0)]
    """
    pairs = [pair for one in fitted if (pair := one.edge_tissues) is not None]
    return list(dict.fromkeys(_mean(_alike(pair, pairs)) for pair in pairs))


def _alike(own: Pair, others: Sequence[Pair]) -> list[Pair]:
    """Those of the others that are of the same scanner."""
    return [other for other in others if _are_alike(own, other)]


def _are_alike(one: Pair, other: Pair) -> bool:
    distance = (one[1] - one[0] + other[1] - other[0]) / 2
    darker, brighter = (abs(a - b) / distance for a, b in zip(one, other, strict=True))
    return darker <= DARKER and brighter <= BRIGHTER


def _mean(pairs: Sequence[Pair]) -> Pair:
    low, high = zip(*pairs, strict=True)
    return fmean(low), fmean(high)


def _example(low: float, high: float) -> Statistics:
    return Statistics(1, low, 0.0, low, high, {}, (low, high), edge_tissues=(low, high))
