"""Draw line charts as SVG, for the report of a fit.

In:  named rows of numbers over the epochs.
Out: the text of one <svg> element, which needs nothing from outside and stays sharp on paper.
Every line has a thin dark edge, so that light class colours can be read on white.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

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
) -> str:
    """An SVG element with a line for each row.

    x: the epochs, ascending. low, high: ends of the vertical axis that are wanted, else found from the
    values. mark: epoch with a vertical line. Values that are missing leave a gap.
    """
    shown = [value for line in lines for value in line.values if _is_number(value)]
    bottom, top, ticks = _axis(shown, low, high)
    legend, rows = _legend(lines)
    frame = _Frame(
        top=TITLE + 8 + LEGEND_ROW * rows,
        first=min(x, default=1),
        last=max(x, default=1),
        bottom=bottom,
        high=top,
    )
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" class="chart">',
        f'<text x="0" y="15" class="chart-title">{escape(title)}</text>',
        *legend,
        *_grid(frame, ticks, x),
    ]
    if mark is not None and x:
        at = frame.x(mark)
        anchor = "end" if at > WIDTH - 70 else "start"
        shift = -4 if anchor == "end" else 4
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{frame.top}" y2="{HEIGHT - BOTTOM}" stroke="{PALE}" '
            f'stroke-dasharray="2 3"/>'
            f'<text x="{at + shift:.1f}" y="{HEIGHT - BOTTOM - 5}" text-anchor="{anchor}" '
            f'fill="{PALE}">{escape(mark_label)}</text>'
        )
    for line in lines:
        parts += _drawn(frame, line, x)
    return "\n".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _Frame:
    """Where the axes lie, and what their ends stand for."""

    top: int
    first: int
    last: int
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


def _axis(
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


def _grid(frame: _Frame, ticks: Sequence[float], x: Sequence[int]) -> list[str]:
    parts = []
    for tick in ticks:
        y = frame.y(tick)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
            f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end" '
            f'fill="{PALE}">{0.0 if abs(tick) < 1e-15 else tick:.4g}</text>'
        )
    floor = HEIGHT - BOTTOM
    parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}" stroke="{PALE}"/>')
    for epoch in _epoch_ticks(x):
        at = frame.x(epoch)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{floor}" y2="{floor + 4}" stroke="{PALE}"/>'
            f'<text x="{at:.1f}" y="{floor + 17}" text-anchor="middle" fill="{PALE}">{epoch}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle" fill="{PALE}">epoch</text>')
    return parts


def _legend(lines: Sequence[Line]) -> tuple[list[str], int]:
    """Swatches and names, in as many rows as they need."""
    parts: list[str] = []
    at, row = 0.0, 0
    for line in lines:
        label = line.label if len(line.label) <= 40 else line.label[:39] + "…"
        width = 34 + LETTER * len(label) + 14
        if at and at + width > WIDTH:
            at, row = 0.0, row + 1
        y = TITLE + 10 + LEGEND_ROW * row
        parts += _stroke(f"M{at:.1f} {y - 4}h26", line)
        parts.append(f'<text x="{at + 32:.1f}" y="{y}" fill="{INK}">{escape(label)}</text>')
        at += width
    return parts, row + 1


def _stroke(path: str, line: Line) -> list[str]:
    dash = ' stroke-dasharray="6 4"' if line.dashed else ""
    colour = escape(line.colour)
    edge = "" if line.dashed else f'<path d="{path}" fill="none" stroke="#444444" stroke-width="3"/>'
    return [f'{edge}<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>']


def _drawn(frame: _Frame, line: Line, x: Sequence[int]) -> list[str]:
    points = [
        (frame.x(epoch), frame.y(value)) if value is not None and math.isfinite(value) else None
        for epoch, value in zip(x, line.values, strict=True)
    ]
    path, is_open = "", False
    for point in points:
        if point is not None:
            path += f"{'L' if is_open else 'M'}{point[0]:.1f} {point[1]:.1f}"
        is_open = point is not None
    parts = _stroke(path, line) if path else []
    if len(x) <= MOST_DOTS:
        parts += [
            f'<circle cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="3" fill="{escape(line.colour)}" stroke="#444444" '
            f'stroke-width=".6"/>'
            for p in points
            if p is not None
        ]
    return parts
