"""Find the power that undoes another grey curve: of a scan stored with another gamma than those of a fit.

In:  the statistics of a scan and of the scans of a fit, and the scan itself.
Out: a GreyCurve, and the statistics of the scan by it; None where its greys stay as they are.
Two anchors bring any straight scale to that of the fit; a curve they cannot see. A third one can: grey value
0. Where nothing but a power differs, the tissues beside edges have the same ratio after it as in the scans of
the fit; and then the greys within each tissue must be spread as there, which they were not before. Only where
both is so is the curve taken. Scans of other kinds, or with an offset and noise, fail the second test and
stay as they are. How often, and how near the powers come: python -m benchmarks.edges --curves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..volumes.abstract import Volume
from ..volumes.volume import open_volume
from . import grey_scale, shared
from .edges import near_edges
from .summary import SHARED, Statistics
from .tissues import find_tissues

VOXELS = (SHARED, "edge-tissues")  # of scales that go by the tissues beside edges
# Powers that are worth it, and that may be a gamma at all.
LEAST, MOST = 1.1, 2.0
# Strangeness: of each tissue, of both together, and of both in comparison with that without a curve. Noise
# with an offset can look like a gamma, less well.
EACH, BOTH, BETTER = 0.6, 0.75, 0.45
PROMISING = 1.5  # times what is ordinary: so strange may the first guess be
STEPS, NEAR, FURTHEST = 8, 0.015, 4  # towards the ratio, of its logarithm


@dataclass(frozen=True)
class GreyCurve:
    """top * (grey / top) ** power. top: the brightest grey value, which stays."""

    power: float
    top: float

    def of(self, grey: np.ndarray) -> np.ndarray:
        """float64, of the shape of `grey`, which holds nothing negative."""
        return np.asarray(self.top * (grey.astype(np.float64) / self.top) ** self.power)

    @property
    def words(self) -> str:
        return f"its grey values raised to the power of {self.power:g}"

    def advice(self) -> str:
        """What to say before the scan is labelled by it."""
        return (
            "its grey values follow another curve than those of the scans of the fit. Raised to the power "
            f"of {self.power:g} they lie and spread as there, so it is labelled by these "
            f"(--grey-curve keep: as they are). Look at the labels before you use them."
        )


class CurvedVolume(Volume):
    """A volume seen through a curve, float32."""

    def __init__(self, source: Volume, curve: GreyCurve):
        self._source, self._curve = source, curve
        dtype = source.header.dtype
        self.header = replace(source.header, dtype=np.dtype(np.float32))
        is_whole = dtype.kind in "ui"
        self._table = curve.of(np.arange(np.iinfo(dtype).max + 1)).astype(np.float32) if is_whole else None

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        for z in range(z0, z1):
            grey = self._source.read(z, z + 1)[0]
            if self._table is None:
                out[z - z0] = self._curve.of(grey)
            else:
                np.take(self._table, grey, out=out[z - z0])


def seek(
    path: Path, scan: Statistics, fitted: Sequence[Statistics], *, voxels: str
) -> tuple[GreyCurve | None, Statistics]:
    """The curve of a scan, and its tissues by it; None, and its statistics as they are, where it needs none.

    path: of the scan, which is read again only where a curve is promising. voxels: by which the model's scale
    goes. Of the statistics that are given back all but the tissues are those of the stored greys.
    """
    fitted = [one for one in grey_scale.known(fitted) if one.edge_tissues]
    if voxels not in VOXELS or not fitted or not grey_scale.known([scan]) or not _is_power(scan, fitted):
        return None, scan
    before = sum(grey_scale.strangeness(scan, fitted))
    best: tuple[GreyCurve | None, Statistics] = (None, scan)
    least = min(BOTH, BETTER * before)
    promising = [
        ratio for pair in shared.groups(fitted) if _is_promising(scan, fitted, ratio := _ratio(pair))
    ]
    if promising:
        with open_volume(path) as volume:
            for ratio in promising:
                curve, found = _solved(volume, scan, ratio)
                strange = grey_scale.strangeness(found, fitted)
                if curve and _is_worth_it(curve.power) and max(strange) <= EACH and sum(strange) < least:
                    best, least = (curve, found), sum(strange)
    return best


def _is_power(scan: Statistics, fitted: Sequence[Statistics]) -> bool:
    """Whether all of them have a zero that a power leaves in its place, and a ratio of the tissues."""
    pairs = [one.edge_tissues for one in (scan, *fitted)]
    return all(one.min >= 0 for one in (scan, *fitted)) and all(
        pair and 0 < pair[0] < pair[1] for pair in pairs
    )


def _ratio(pair: tuple[float, float]) -> float:
    """Logarithm of the ratio of the darker tissue to the brighter one, which a power multiplies by itself."""
    return math.log(pair[0] / pair[1])


def _is_worth_it(power: float) -> bool:
    return max(power, 1 / power) >= LEAST


def _is_promising(scan: Statistics, fitted: Sequence[Statistics], ratio: float) -> bool:
    """By the histograms alone, and the ratio that the tissues have now."""
    assert scan.edge_tissues is not None
    power = ratio / _ratio(scan.edge_tissues)
    if not 1 / MOST <= power <= MOST or not _is_worth_it(power):
        return False
    found = _tissues_by(GreyCurve(power, scan.max), scan)
    return bool(grey_scale.known([found])) and max(grey_scale.strangeness(found, fitted)) <= PROMISING


def _tissues_by(curve: GreyCurve, scan: Statistics) -> Statistics:
    """With the two tissues that it has by a curve; beside edges as they were."""
    assert scan.tissues is not None
    assert scan.tissues.histogram is not None
    edges, counts = scan.tissues.histogram.edges, np.array(scan.tissues.histogram.counts, np.int64)
    return replace(scan, tissues=find_tissues(curve.of(np.maximum((edges[:-1] + edges[1:]) / 2, 0)), counts))


def _solved(volume: Volume, scan: Statistics, ratio: float) -> tuple[GreyCurve | None, Statistics]:
    """The power, to a hundredth, by which the tissues beside edges have this ratio; None where none is found.

    What counts as an edge, and as bone, depends on the curve: hence in steps.
    """
    assert scan.edge_tissues is not None
    power, told, last = 1.0, _ratio(scan.edge_tissues), None
    for _ in range(STEPS):
        place = math.log(power)
        step = math.log(ratio / told)
        if last is not None:  # the same by what the last step has changed
            step = _secant(last, (place, told), ratio, least=step)
        last, power = (place, told), round(math.exp(place + step), 2)
        if not 1 / MOST <= power <= MOST:
            break
        curve = GreyCurve(power, scan.max)
        found = _tissues_by(curve, scan)
        beside = near_edges(CurvedVolume(volume, curve), found.tissues)
        if not grey_scale.known([found]) or not beside.edge_tissues or not beside.edge_tissues[0] > 0:
            break
        told = _ratio(beside.edge_tissues)
        if abs(told / ratio - 1) <= NEAR:
            return curve, replace(found, **beside._asdict())
    return None, scan


def _secant(before: tuple[float, float], now: tuple[float, float], wanted: float, *, least: float) -> float:
    """The step from `now` to where a straight line through both reaches `wanted`; up to FURTHEST times as far
    as `least`, and never against it."""
    slope = (now[1] - before[1]) / (now[0] - before[0]) if now[0] != before[0] else 0.0
    step = (wanted - now[1]) / slope if slope < 0 else math.inf  # powers above 1 lower the ratio
    return min(abs(step), FURTHEST * abs(least)) * (1 if least > 0 else -1)
