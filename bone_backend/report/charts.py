"""Draw line charts as SVG, for the report of a fit and the page of a comparison.

In:  named rows of numbers over the epochs, or over the slices.
Out: the text of one <svg> element, which needs nothing from outside and stays sharp on paper.
Every line has a thin dark edge, so that light class colours can be read on white.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .rendering import Markup, rendered

WIDTH, HEIGHT = 470, 290
LEFT, RIGHT, BOTTOM, TITLE = 52, 14, 40, 24
LEGEND_ROW = 17
LETTER = 6.3  # mean width of a letter of 11 px, in px
MOST_DOTS = 40  # epochs up to which each has a dot
INK, PALE, GRID = "#222222", "#666666", "#e4e4e4"


@dataclass(frozen=True)
class Line:
    """One row of numbers; None or nan where there is none."""

    label: str
    values: Sequence[float | None]
    colour: str
    dashed: bool = False


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x: Sequence[int],
    low: float | None = None,
    high: float | None = None,
    mark: int | None = None,
    mark_label: str = "best",
    x_label: str = "epoch",
) -> Markup:
    """An SVG element with a line for each row.

    x: the epochs, ascending. low, high: ends of the vertical axis that are wanted, else found from the
    values. mark: epoch with a vertical line. Values that are missing leave a gap; a line without a label is
    not in the legend. x_label: what the horizontal axis counts.
    """
    shown = [value for line in lines for value in line.values if _is_number(value)]
    bottom, top, ticks = axis_of(shown, low, high)
    legend, rows = _legend(lines)
    frame = Frame(
        top=TITLE + 8 + LEGEND_ROW * rows,
        first=min(x, default=1),
        last=max(x, default=1),
        bottom=bottom,
        high=top,
    )
    floor = HEIGHT - BOTTOM
    return rendered(
        "chart.svg",
        title=title,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        floor=floor,
        ink=INK,
        pale=PALE,
        grid=GRID,
        legend=legend,
        ticks=[tick_of(frame, tick) for tick in ticks],
        epochs=[(epoch, f"{frame.x(epoch):.1f}") for epoch in _epoch_ticks(x)],
        x_label=x_label,
        mark=_mark(frame, mark, mark_label) if mark is not None and x else None,
        drawn=[_drawn(frame, line, x) for line in lines],
    )


@dataclass(frozen=True)
class Frame:
    """Where the axes lie, and what their ends stand for."""

    top: int
    first: float
    last: float
    bottom: float
    high: float

    def x(self, epoch: float) -> float:
        if self.first == self.last:
            return (LEFT + WIDTH - RIGHT) / 2
        return LEFT + 8 + (WIDTH - RIGHT - LEFT - 16) * (epoch - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        share = (min(max(value, self.bottom), self.high) - self.bottom) / (self.high - self.bottom)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - self.top) * share


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def axis_of(
    values: Sequence[float | None], low: float | None, high: float | None
) -> tuple[float, float, list[float]]:
    """Ends and ticks of the vertical axis."""
    numbers = [float(value) for value in values if value is not None]
    least = min(numbers, default=0.0) if low is None else low
    most = max(numbers, default=1.0) if high is None else high
    if low is None and 0 < least < 0.5 * most:
        least = 0.0
    if most - least < 1e-12 * max(abs(most), 1e-300):
        least, most = (
            (least - 0.5, most + 0.5) if least == 0 else (least - abs(least) * 0.1, most + abs(most) * 0.1)
        )
    step = _step((most - least) / 5)
    bottom = math.floor(least / step + 1e-9) * step
    top = math.ceil(most / step - 1e-9) * step
    count = round((top - bottom) / step)
    return bottom, top, [bottom + step * number for number in range(count + 1)]


def _step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below `rough`.

    >>> _step(0.013)
    0.02
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _epoch_ticks(x: Sequence[int]) -> list[int]:
    """At most eight whole epochs."""
    if not x:
        return []
    step = max(1, math.ceil(_step(max(len(x) / 7, 1))))
    return [epoch for epoch in x if epoch % step == 0 or (epoch == x[0] and step > 1 and epoch == 1)]


def tick_of(frame: Frame, tick: float) -> dict[str, str]:
    y = frame.y(tick)
    return {"y": f"{y:.1f}", "text_y": f"{y + 4:.1f}", "text": f"{0.0 if abs(tick) < 1e-15 else tick:.4g}"}


def _mark(frame: Frame, epoch: int, label: str) -> dict[str, Any]:
    at = frame.x(epoch)
    anchor, shift = ("end", -4) if at > WIDTH - 70 else ("start", 4)
    return {
        "x": f"{at:.1f}",
        "top": frame.top,
        "text_x": f"{at + shift:.1f}",
        "anchor": anchor,
        "label": label,
    }


def _legend(lines: Sequence[Line]) -> tuple[list[dict[str, Any]], int]:
    """Strokes and names, in as many rows as they need."""
    items: list[dict[str, Any]] = []
    at, row = 0.0, 0
    for line in lines:
        if not line.label:
            continue
        label = line.label if len(line.label) <= 40 else line.label[:39] + "…"
        width = 34 + LETTER * len(label) + 14
        if at and at + width > WIDTH:
            at, row = 0.0, row + 1
        y = TITLE + 10 + LEGEND_ROW * row
        path = f"M{at:.1f} {y - 4}h26"
        items.append({"path": path, "line": line, "x": f"{at + 32:.1f}", "y": y, "label": label})
        at += width
    return items, row + 1


def _drawn(frame: Frame, line: Line, x: Sequence[int]) -> dict[str, Any]:
    """The path of a line, with gaps, and its dots where the epochs are few."""
    points = [
        (frame.x(epoch), frame.y(value)) if value is not None and math.isfinite(value) else None
        for epoch, value in zip(x, line.values, strict=True)
    ]
    path, is_open = "", False
    for point in points:
        if point is not None:
            path += f"{'L' if is_open else 'M'}{point[0]:.1f} {point[1]:.1f}"
        is_open = point is not None
    dots = [(f"{p[0]:.1f}", f"{p[1]:.1f}") for p in points if p is not None] if len(x) <= MOST_DOTS else []
    return {"line": line, "path": path, "dots": dots}
