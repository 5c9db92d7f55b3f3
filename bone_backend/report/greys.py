"""Draw the grey values of every scan of a fit, as the network sees them, with the two tissues marked.

In:  the record of the run; its statistics hold a histogram of each scan.
Out: one <svg> with a row for each scan on a common scale, and what it shows in words.
Scans agree where their marks stand below each other and their outlines are alike. Heights are logarithmic, as
bone is a few per cent of most scans.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..intensity.histogram import Histogram
from ..intensity.normalisation import Normalisation, beside_edges, normalisation
from ..intensity.summary import Statistics, check_written
from ..options.programs import FitOptions
from ..volumes.classes import TRAINING, VALIDATION
from .charts import INK, PALE
from .rendering import Markup, rendered

WIDTH, LEFT, RIGHT = 980, 210, 14
ROW, GAP, TOP, BOTTOM = 40, 22, 16, 40
CELLS = 183  # that a row is drawn with
LEAST = 1e-5  # share of the voxels in a cell that has no height any more
MOST_ROWS = 30
LONGEST_NAME = 30  # letters that the room on the left takes
BOTH = "#7a5195"
COLOURS = {"training": TRAINING, "validation": VALIDATION}


@dataclass(frozen=True)
class Row:
    """A scan. use: what its colour means, in a word; scale: on which it is drawn."""

    name: str
    use: str
    means: tuple[float, float]  # of the two tissues, where the scale has them
    histogram: Histogram
    scale: Normalisation

    @property
    def marks(self) -> list[float]:
        """Where the means of the two tissues lie on the network's scale."""
        return [float(self._place(grey)) for grey in self.means]

    @property
    def ends(self) -> tuple[float, float]:
        """What the histogram covers on the network's scale."""
        low, high = (self._place(grey) for grey in self.histogram.edges[[0, -1]])
        return max(float(low), self.scale.low), min(float(high), self.scale.high)

    def shares(self, edges: np.ndarray) -> np.ndarray:
        """float64 (cells,): share of the voxels between neighbouring edges on the network's scale."""
        return self.histogram.shares(edges / self.scale.scale + self.scale.shift)

    def _place(self, grey: float) -> float:
        return (grey - self.scale.shift) * self.scale.scale


def greys_section(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The picture and what it shows; None where the record holds no histograms, as that of an older run."""
    options = FitOptions.model_validate({**record["options"], "resume": None})
    fitted = [found for item in record["inputs"] if (found := _statistics(item))]
    rows = [row for item in record["inputs"] if (row := _row(record, item, options, fitted))]
    if not rows:
        return None
    shown = rows[:MOST_ROWS]
    left_out = len(record["inputs"]) - len(shown)
    return {
        "picture": drawn(shown),
        "normalization": options.normalization,
        "left_out": left_out,
    }


def _statistics(item: Mapping[str, Any]) -> Statistics | None:
    try:
        check_written(item["statistics"])
    except ValueError:
        return None
    return Statistics.from_dict(item["statistics"])


def _row(
    record: Mapping[str, Any], item: Mapping[str, Any], options: FitOptions, fitted: Sequence[Statistics]
) -> Row | None:
    found = _statistics(item)
    tissues = found.tissues if found else None
    if found is None or tissues is None or tissues.histogram is None:
        return None
    result, name = record["result"], item["name"]
    uses = [
        use
        for use, scans in (("training", result["train_scans"]), ("validation", result["validation_scans"]))
        if name in scans
    ]
    mode, voxels = options.normalization, options.counted_voxels
    scale = normalisation(mode, found, name=name, voxels=voxels, fitted=fitted)
    means = beside_edges(found, voxels, fitted) or (tissues.low, tissues.high)
    return Row(name, " and ".join(uses), means, tissues.histogram, scale)


def drawn(
    rows: Sequence[Row],
    *,
    scale: str = "grey value as the network sees it",
    colours: Mapping[str, str] = COLOURS,
) -> Markup:
    """The rows below each other. scale: what the numbers are. colours: by the use of a scan."""
    ends = [row.ends for row in rows]
    low, high = min(first for first, _ in ends), max(last for _, last in ends)
    edges = np.linspace(low, high, CELLS + 1)

    def x(place: float) -> float:
        return LEFT + (WIDTH - RIGHT - LEFT) * (place - low) / (high - low)

    shares = [row.shares(edges) for row in rows]
    most = max(float(share.max()) for share in shares)
    floor = TOP + len(rows) * (ROW + GAP)
    pictures = [
        {
            "name": row.name if len(row.name) <= LONGEST_NAME else f"…{row.name[1 - LONGEST_NAME :]}",
            "use": row.use,
            "colour": colours.get(row.use, BOTH),
            "base": TOP + number * (ROW + GAP) + ROW,
            "path": _outline(
                [x(edge) for edge in edges], share, base=TOP + number * (ROW + GAP) + ROW, most=most
            ),
            "marks": [
                {"x": f"{x(place):.1f}", "text": f"{grey:.4g}"}
                for place, grey in zip(row.marks, row.means, strict=True)
            ],
        }
        for number, (row, share) in enumerate(zip(rows, shares, strict=True))
    ]
    return rendered(
        "greys.svg",
        width=WIDTH,
        height=floor + BOTTOM,
        left=LEFT,
        right=WIDTH - RIGHT,
        floor=floor,
        row=ROW,
        rows=pictures,
        scale=scale,
        ticks=[{"x": f"{x(tick):.1f}", "text": f"{tick:g}"} for tick in _ticks(low, high)],
        ink=INK,
        pale=PALE,
    )


def _outline(places: Sequence[float], shares: np.ndarray, *, base: float, most: float) -> str:
    """A path of steps above the base line."""
    span = math.log10(max(most, 10 * LEAST) / LEAST)
    heights = np.clip(np.log10(np.maximum(shares, LEAST) / LEAST) / span, 0, 1) * ROW
    path = f"M{places[0]:.1f} {base}"
    for place, height in zip(places[1:], heights, strict=True):
        path += f"V{base - height:.1f}H{place:.1f}"
    return f"{path}V{base}Z"


def _ticks(low: float, high: float) -> list[float]:
    """At most about ten round numbers from low to high."""
    rough = (high - low) / 8
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
