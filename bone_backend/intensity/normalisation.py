"""Bring the grey values of every scan onto one scale.

In:  a scan's Statistics and a mode.
Out: two numbers and two limits: normalised = clip((grey - shift) * scale, low, high); and a power to which
     greys are raised before, 1 but where a scan has another grey curve than those of a fit (grey_curve.py).
Whoever has the values on a GPU uses the numbers; `apply` is the same for numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import OptionError, ScanError
from . import shared
from .summary import SHARED, Statistics

# What the two Otsu classes of a typical bone scan have as Z-scores: half the voxels in each class, and a
# spread within the classes that is small against their distance, put the means near -1 and 1.
TISSUE_LOW, TISSUE_HIGH = -1.0, 1.0


@dataclass(frozen=True)
class Normalisation:
    """normalised = clip((curved - shift) * scale, low, high), in float32; curved is the grey value, or where
    power is not 1 top * (grey / top) ** power, of a negative one 0."""

    mode: str
    shift: float
    scale: float
    low: float
    high: float
    power: float = 1.0
    top: float = 1.0

    def apply(self, grey: np.ndarray) -> np.ndarray:
        """Normalised values, float32, of the shape of `grey` (any number type).

        >>> Normalisation("minMax", 100.0, 0.01, 0.0, 1.0).apply(np.array([100, 150, 300]))
        array([0. , 0.5, 1. ], dtype=float32)
        """
        values = grey.astype(np.float32)
        if self.power != 1:
            np.maximum(values, 0, out=values)
            values /= np.float32(self.top)
            np.power(values, np.float32(self.power), out=values)
            values *= np.float32(self.top)
        values -= np.float32(self.shift)
        values *= np.float32(self.scale)
        return np.clip(values, np.float32(self.low), np.float32(self.high), out=values)


def _z_score(statistics: Statistics) -> Normalisation:
    """Mean 0, population standard deviation 1, clipped to -5..5 (as the published program)."""
    if not statistics.std > 0:
        raise _UniformError(statistics.mean)
    return Normalisation("ZScore", shift=statistics.mean, scale=1 / statistics.std, low=-5.0, high=5.0)


def _min_max(statistics: Statistics) -> Normalisation:
    """Smallest 0, largest 1 (as the published program); voxels of value 0 that were left out are clipped."""
    return _between("minMax", statistics.min, statistics.max, to=(0.0, 1.0), limits=(0.0, 1.0))


def _percentiles(statistics: Statistics) -> Normalisation:
    """The 0.5th percentile 0, the 99.5th 1, clipped: a few bright specks of metal do not move the scale."""
    low, high = statistics.percentiles["0.5"], statistics.percentiles["99.5"]
    return _between("percentiles", low, high, to=(0.0, 1.0), limits=(0.0, 1.0))


def _tissue(statistics: Statistics) -> Normalisation:
    """Mean of the darker tissue -1, of the brighter one 1, clipped to -5..5.

    Anchored in the two materials (soft tissue or air, and bone) and not in how much of each is in the field
    of view: an empty border or a larger bone moves a scan's mean, but hardly its class means.
    """
    if statistics.tissues is None:
        raise _UniformError(statistics.mean)
    return _to_tissues(statistics.tissues.low, statistics.tissues.high)


def _edges(statistics: Statistics) -> Normalisation:
    """The same by the two tissues beside strong edges; over all voxels where there is no edge."""
    return _tissue(statistics) if statistics.edges is None else _to_tissues(*statistics.edges)


def _edge_tissues(statistics: Statistics) -> Normalisation:
    """The same with the median of the darker one."""
    return _edges(statistics) if statistics.edge_tissues is None else _to_tissues(*statistics.edge_tissues)


def _otsu(statistics: Statistics) -> Normalisation:
    """The same by the means of Otsu's classes over the voxels that were counted: the first definition."""
    low, high = statistics.otsu_means or (statistics.min, statistics.max)
    return _to_tissues(low, high)


def _to_tissues(low: float, high: float) -> Normalisation:
    return _between("tissue", low, high, to=(TISSUE_LOW, TISSUE_HIGH), limits=(-5.0, 5.0))


def _between(
    mode: str, first: float, second: float, *, to: tuple[float, float], limits: tuple[float, float]
) -> Normalisation:
    """The scale that brings `first` to to[0] and `second` to to[1]."""
    if not second > first:
        raise _UniformError(first)
    scale = (to[1] - to[0]) / (second - first)
    return Normalisation(mode, shift=first - to[0] / scale, scale=scale, low=limits[0], high=limits[1])


class _UniformError(Exception):
    """All grey values are the same, or nearly so."""

    def __init__(self, grey: float):
        super().__init__(grey)
        self.grey = grey


NORMALISATIONS: dict[str, Callable[[Statistics], Normalisation]] = {
    "ZScore": _z_score,
    "minMax": _min_max,
    "percentiles": _percentiles,
    "tissue": _edge_tissues,
}
# The voxels that they go by: in TISSUE_VOXELS.
TISSUES = {SHARED: _edge_tissues, "edge-tissues": _edge_tissues, "edges": _edges, "auto": _tissue}


def normalisation(
    mode: str,
    statistics: Statistics,
    *,
    name: str = "The scan",
    voxels: str = "auto",
    fitted: Sequence[Statistics] = (),
) -> Normalisation:
    """The normalisation of a scan with these statistics.

    mode: a key of NORMALISATIONS. name: of the scan, for messages. voxels: as the fit was told; with "auto"
    "tissue" has its second definition, with "nonzero" and "all" its first, by which older models were fitted.
    fitted: the statistics of all scans of the fit, with which one of the same scanner may share its scale.
    Raises ScanError where all grey values are the same.
    """
    if mode not in NORMALISATIONS:
        raise OptionError(f"There is no normalisation {mode!r}; there are {', '.join(NORMALISATIONS)}.")
    make = NORMALISATIONS[mode] if mode != "tissue" else TISSUES.get(voxels, _otsu)
    if voxels == SHARED:
        statistics = replace(statistics, edge_tissues=shared.tissues(statistics, fitted)[0])
    try:
        made = make(statistics)
    except _UniformError as uniform:
        raise ScanError(
            f"{name}: all grey values are {uniform.grey:g} or nearly so; {mode} cannot bring them onto a "
            "scale. Is this the scan, or an empty part of it?"
        ) from None
    return made


def beside_edges(
    statistics: Statistics, voxels: str, fitted: Sequence[Statistics] = ()
) -> tuple[float, float] | None:
    """The two tissues beside edges by which a scale goes; None where it goes by others."""
    pairs = {"edges": statistics.edges, "edge-tissues": statistics.edge_tissues}
    return shared.tissues(statistics, fitted)[0] if voxels == SHARED else pairs.get(voxels)


def scale_notes(
    mode: str, statistics: Statistics, *, name: str, voxels: str = "auto", fitted: Sequence[Statistics] = ()
) -> tuple[list[str], list[str]]:
    """What to say of a scan's scale: which grey values were taken for its tissues, and doubts.

    The same arguments as `normalisation`. Both lists are empty unless the two tissues are sought.
    """
    tissues = statistics.tissues
    if mode != "tissue" or voxels not in TISSUES or tissues is None:
        return [], []
    note = f"{name}: the two tissues have the grey values {tissues}."
    if (found := beside_edges(statistics, voxels, fitted)) is not None:
        note = f"{name}: {_beside_in_words(statistics, found, fitted)}."
    if tissues.are_separate:
        return [note], []
    doubt = (
        f"{name}: its grey values do not fall into two tissues ({tissues.low:.5g} and {tissues.high:.5g} "
        "overlap), so its scale is uncertain. Does it lie wholly inside bone, or outside, or is it very "
        "noisy? Take a part that holds bone and what surrounds it, or another normalization."
    )
    return [note], [doubt]


def _beside_in_words(statistics: Statistics, found: tuple[float, float], fitted: Sequence[Statistics]) -> str:
    """found: the two tissues by which the scale goes."""
    told = "beside its edges the two tissues have the grey values {:.5g} and {:.5g}"
    own = statistics.edge_tissues
    if own is None or found in (own, statistics.edges):
        return told.format(*found)
    count = shared.tissues(statistics, fitted)[1]
    return (
        f"{told.format(*own)}; as in {count} of the {len(fitted)} scans of the fit, so the scale is theirs: "
        "{:.5g} and {:.5g}".format(*found)
    )
