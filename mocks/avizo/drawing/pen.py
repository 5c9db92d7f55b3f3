"""Colours, fonts and the few shapes that a Properties panel is made of.

In:  a Pillow image; sizes in logical pixels.
Out: texts, boxes, marks, drawn at twice the size so that they stay sharp in documents.
Pillow is imported on use; the font is that of matplotlib where there is one.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

SCALE = 2
BACKGROUND = (53, 55, 58)
HEADER = (38, 40, 43)
GROUP = (66, 69, 73)
FIELD = (36, 38, 41)
LINE = (96, 100, 106)
BUTTON = (84, 88, 94)
TEXT = (226, 228, 230)
FAINT = (150, 154, 160)
DISABLED = (112, 115, 120)
ACCENT = (92, 160, 214)
APPLY = (72, 142, 80)
APPLY_EDGE = (112, 190, 118)
MODULE = (214, 92, 84)


@functools.cache
def font(size, weight=""):
    """A Pillow font of `size` logical pixels; weight: "", "-Bold" or "-Oblique"."""
    from PIL import ImageFont

    found = importlib.util.find_spec("matplotlib")
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{weight}.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), size * SCALE)
    return ImageFont.load_default(size * SCALE)


def width_of(text, size=11, weight=""):
    """The width of a line of text in logical pixels."""
    return font(size, weight).getlength(text) / SCALE


def elide(text, width, size=11, *, keep_end=False):
    """`text` cut to `width` with an ellipsis, at its end or (keep_end) at its start."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(text + "…", size) > width:
        text = text[1:] if keep_end else text[:-1]
    return "…" + text if keep_end else text.rstrip() + "…"


def wrap(text, width, size=11):
    """`text` in lines no wider than `width`; its own line breaks are kept."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and width_of(longer, size) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(elide(line, width, size))
    return lines


class Pen:
    """Draws on an image in logical pixels."""

    def __init__(self, image):
        from PIL import ImageDraw

        self._draw = ImageDraw.Draw(image)

    def text(self, x, y, text, *, color=TEXT, size=11, weight="", anchor="lm"):
        """Text with its anchor (Pillow's letters; "lm" = left, middle) at (x, y)."""
        self._draw.text((x * SCALE, y * SCALE), text, fill=color, font=font(size, weight), anchor=anchor)

    def box(self, x0, y0, x1, y1, *, fill=None, edge=None, radius=3):
        """A rounded rectangle."""
        self._draw.rounded_rectangle(
            (x0 * SCALE, y0 * SCALE, x1 * SCALE, y1 * SCALE),
            radius * SCALE,
            fill=fill,
            outline=edge,
            width=SCALE,
        )

    def disc(self, x, y, radius, *, fill=None, edge=None):
        """A circle around (x, y)."""
        corners = ((x - radius) * SCALE, (y - radius) * SCALE, (x + radius) * SCALE, (y + radius) * SCALE)
        self._draw.ellipse(corners, fill=fill, outline=edge, width=SCALE)

    def lines(self, points, *, color=LINE, width=1.0):
        """A polyline."""
        self._draw.line(
            [(x * SCALE, y * SCALE) for x, y in points], fill=color, width=int(width * SCALE), joint="curve"
        )

    def triangle(self, x, y, *, down=True, color=TEXT):
        """A small triangle around (x, y), pointing down or right."""
        points = [(-4, -2), (4, -2), (0, 3)] if down else [(-2, -4), (3, 0), (-2, 4)]
        self._draw.polygon([((x + dx) * SCALE, (y + dy) * SCALE) for dx, dy in points], fill=color)
