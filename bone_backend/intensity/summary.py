"""The statistics of a scan's grey values, as a value.

In:  what a tally has counted.
Out: Statistics, and the interpolation that makes percentiles from ordered values.
Every number is exact or the nearest float64, whatever the order in which the voxels were counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from reprlib import repr as short
from typing import Any

from ..errors import OptionError, called
from . import tissues
from .tissues import Tissues

VOXELS = ("nonzero", "all")
SHARED = "shared-tissues"
TISSUE_VOXELS = (
    "auto",
    "edges",
    "edge-tissues",
    SHARED,
)  # of a scale that goes by tissues, which are always sought
PERCENTILES = (0.5, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 99.5)


@dataclass(frozen=True)
class Statistics:
    """What is known of a scan's grey values.

    count:       number of voxels that were counted.
    mean, std:   their mean and population standard deviation.
    min, max:    the smallest and the largest.
    percentiles: "0.5", "50", "99.5" ... -> value; linear interpolation, as numpy.percentile in float64.
    otsu_means:  mean of the voxels up to Otsu's threshold and of those above; None where all are equal.
    voxels:      "nonzero" (voxels of value 0 are left out) or "all".
    tissues:     the two tissues, sought among all voxels in any case; None where all are equal.
    edges:       mean grey values of the two tissues beside strong edges (edges.py); None where there are
                 none, and in what an older version has counted. edge_tissues: the same
                 with the median of the darker one.
    """

    count: int
    mean: float
    std: float
    min: float
    max: float
    percentiles: Mapping[str, float]
    otsu_means: tuple[float, float] | None
    voxels: str = "nonzero"
    tissues: Tissues | None = None
    edges: tuple[float, float] | None = None
    edge_tissues: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, alike before and after a way through JSON."""
        pairs = {name: getattr(self, name) for name in ("otsu_means", *_BESIDE)}
        return asdict(self) | {name: None if pair is None else list(pair) for name, pair in pairs.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Statistics:
        """From `to_dict`, also after a way through JSON; other keys are left out."""
        return cls(
            count=int(values["count"]),
            mean=float(values["mean"]),
            std=float(values["std"]),
            min=float(values["min"]),
            max=float(values["max"]),
            percentiles=dict(values["percentiles"]),
            otsu_means=_pair(values["otsu_means"]),
            voxels=values["voxels"],
            tissues=Tissues.from_dict(values["tissues"]) if values.get("tissues") else None,
            edges=_pair(values.get("edges")),
            edge_tissues=_pair(values.get("edge_tissues")),
        )


_BESIDE = ("edges", "edge_tissues")  # which what an older version has counted may lack


def _pair(values: Sequence[float] | None) -> tuple[float, float] | None:
    return None if values is None else (float(values[0]), float(values[1]))


def check_written(values: Any) -> None:
    """Raise ValueError where values that were read from a file are not those of `Statistics.to_dict`."""
    numbers = ("mean", "std", "min", "max")
    known = {field.name for field in fields(Statistics)}
    if not isinstance(values, dict) or values.keys() | {*_BESIDE} != known:
        raise ValueError("it holds no statistics")
    count, means, percentiles = values["count"], values["otsu_means"], values["percentiles"]
    if type(count) is not int or not 0 < count < 2**63:
        raise ValueError(f"count is {short(count)}")
    if wrong := [name for name in numbers if not _is_number(values[name])]:
        raise ValueError(f"{wrong[0]} is {short(values[wrong[0]])}")
    if values["std"] < 0 or not values["min"] <= values["mean"] <= values["max"]:
        raise ValueError("mean and std are not between min and max")
    if values["voxels"] not in VOXELS:
        raise ValueError(f"voxels is {short(values['voxels'])}")
    if not isinstance(percentiles, dict) or not all(map(_is_number, percentiles.values())):
        raise ValueError("percentiles are no numbers")
    if not all(re.fullmatch(r"\d{1,3}(\.\d{1,12})?", name) for name in percentiles):
        raise ValueError("percentiles have other names")
    for name, pair in (("otsu_means", means), *((name, values.get(name)) for name in _BESIDE)):
        if pair is not None and not (
            isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair))
        ):
            raise ValueError(f"{name} is {short(pair)}")
    if values["tissues"] is not None:
        tissues.check_written(values["tissues"])


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def voxels_to_count(voxels: str) -> str:
    """What is counted where a fit or model goes by these voxels.

    >>> voxels_to_count("edges"), voxels_to_count("all")
    ('nonzero', 'all')
    """
    return "nonzero" if voxels in TISSUE_VOXELS else voxels


def check_choices(voxels: str, percentiles: Sequence[float]) -> None:
    """Raise OptionError for an unknown choice of voxels, or a percentile outside 0 to 100."""
    faults = []
    if voxels not in VOXELS:
        faults.append(f"{called('voxels')} is {voxels!r}; it can be {' or '.join(VOXELS)}.")
    faults += [f"percentile {q} is not between 0 and 100." for q in percentiles if not 0 <= q <= 100]
    if faults:
        raise OptionError(faults)


def percentile_name(percentile: float) -> str:
    """
    >>> percentile_name(99.5), percentile_name(50.0)
    ('99.5', '50')
    """
    return f"{percentile:.12g}"


def percentile_ranks(percentile: float, count: int) -> tuple[int, int, float]:
    """Places (from 0) of the two ordered values around a percentile, and the part of the way between them.

    >>> percentile_ranks(50.0, 4)
    (1, 2, 0.5)
    """
    place = (count - 1) * (percentile / 100)  # numpy's method "linear", operation by operation
    low = math.floor(place)
    return low, min(low + 1, count - 1), place - low


def percentile_values(
    percentiles: Sequence[float], count: int, *, value_at: Callable[[int], float]
) -> dict[str, float]:
    """Percentiles by linear interpolation. value_at: the n-th smallest of `count` values, n from 0."""
    found = {}
    for percentile in percentiles:
        low, high, part = percentile_ranks(percentile, count)
        a, b = value_at(low), value_at(high)
        found[percentile_name(percentile)] = a + (b - a) * part if part < 0.5 else b - (b - a) * (1 - part)
    return found
