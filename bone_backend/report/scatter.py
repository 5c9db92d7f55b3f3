"""Draw points as SVG: what something is worth against what it takes.

In:  points with two numbers, a short word and a colour.
Out: the text of one <svg> element, in the looks of the line charts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .charts import BOTTOM, GRID, HEIGHT, INK, LEFT, PALE, RIGHT, TITLE, WIDTH, Frame, axis_of, tick_of
from .rendering import Markup, rendered


@dataclass(frozen=True)
class Point:
    """word: beside the point. title: what it is, told under the pointer."""

    x: float
    y: float
    word: str
    title: str
    colour: str


def scatter_chart(title: str, points: Sequence[Point], *, x_label: str) -> Markup:
    """An SVG element with a dot for each point whose numbers are finite; x from 0."""
    known = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y)]
    bottom, top, ticks = axis_of([point.y for point in known], None, None)
    first, last, x_ticks = axis_of([point.x for point in known], 0.0, None)
    frame = Frame(top=TITLE + 8, first=first, last=last, bottom=bottom, high=top)
    return rendered(
        "scatter.svg",
        title=title,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        floor=HEIGHT - BOTTOM,
        ink=INK,
        pale=PALE,
        grid=GRID,
        x_label=x_label,
        ticks=[tick_of(frame, tick) for tick in ticks],
        x_ticks=[(f"{frame.x(tick):.1f}", f"{tick:g}") for tick in x_ticks],
        points=[
            {
                "x": f"{frame.x(point.x):.1f}",
                "y": f"{frame.y(point.y):.1f}",
                "text_x": f"{frame.x(point.x) + 7:.1f}",
                "text_y": f"{frame.y(point.y) + 4:.1f}",
                "word": point.word,
                "title": point.title,
                "colour": point.colour,
            }
            for point in known
        ],
    )
