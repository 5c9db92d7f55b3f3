"""Pictures inside the report: one patch as scan, reference, prediction, and what is wrong.

In:  grey values and class indices of a patch (y, x), and the colours of the classes.
Out: the text of one <svg> element that holds its images; PNG bytes.
The grey image is embedded once and shown four times, so that a page with many examples stays small.
"""

from __future__ import annotations

import base64
import itertools
import struct
import zlib
from collections.abc import Sequence
from html import escape

import numpy as np

PANEL, GAP, CAPTION = 250, 8, 20
CLASS_ALPHA, NOT_COUNTED = 0.5, 255
WRONG = "#ffb000"  # amber on a darkened scan: light against dark for every eye
TITLES = ("scan", "reference", "prediction", "wrong voxels")

Colour = tuple[int, int, int, int]


def png(image: np.ndarray, palette: Sequence[Colour] | None = None) -> bytes:
    """An 8-bit PNG of uint8 (y, x): grey values, or indices into a palette of (red, green, blue, opacity).

    After the PNG specification (ISO/IEC 15948).
    """
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter, 0 for none
    rows[:, 1:] = image
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if palette is None else 3, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if palette is not None:
        chunks.append((b"PLTE", bytes(itertools.chain.from_iterable(colour[:3] for colour in palette))))
        chunks.append((b"tRNS", bytes(colour[3] for colour in palette)))
    chunks += [(b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def data_uri(image: bytes) -> str:
    """The PNG inside a page."""
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")


def rgb(colour: str) -> tuple[int, int, int]:
    """
    >>> rgb("#e69f00")
    (230, 159, 0)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def label_png(labels: np.ndarray, colours: Sequence[str]) -> bytes:
    """Classes in their colours, half transparent.

    Background (index 0) is clear, voxels that do not count are whitish.
    """
    alpha = round(255 * CLASS_ALPHA)
    palette: list[Colour] = [(*rgb(colour), alpha if index else 0) for index, colour in enumerate(colours)]
    palette.append((255, 255, 255, 110))
    shown = np.where(labels == NOT_COUNTED, len(colours), labels).astype(np.uint8)
    return png(shown, palette)


def wrong_png(reference: np.ndarray, prediction: np.ndarray) -> bytes:
    """Voxels whose class is wrong, in WRONG; all others clear."""
    wrong = (reference != prediction) & (reference != NOT_COUNTED)
    return png(wrong.astype(np.uint8), [(0, 0, 0, 0), (*rgb(WRONG), 255)])


def example_svg(
    name: str,
    grey: np.ndarray,
    *,
    reference: np.ndarray,
    prediction: np.ndarray,
    colours: Sequence[str],
    label: str,
) -> str:
    """Four panels beside each other.

    name: of the element, unique on the page. grey: uint8 (y, x) as it is shown. reference, prediction: uint8
    class indices, NOT_COUNTED where the mask says nothing. label: what the picture shows, in words.
    """
    height, width = grey.shape
    tall = round(PANEL * height / width)
    size = f'width="{PANEL}" height="{tall}" preserveAspectRatio="none"'
    sharp = ' class="sharp"' if width < PANEL else ""
    layers = [
        b"",
        label_png(reference, colours),
        label_png(prediction, colours),
        wrong_png(reference, prediction),
    ]
    parts = [
        f'<svg viewBox="0 0 {4 * PANEL + 3 * GAP} {tall + CAPTION}" role="img" '
        f'aria-label="{escape(label)}" class="example">',
        f'<defs><image id="{name}" {size}{sharp} href="{data_uri(png(grey))}"/></defs>',
    ]
    for number, (title, layer) in enumerate(zip(TITLES, layers, strict=True)):
        x = number * (PANEL + GAP)
        parts.append(
            f'<text x="{x}" y="13">{title}</text><g transform="translate({x} {CAPTION})"><use '
            f'href="#{name}"/>'
        )
        if title == "wrong voxels":
            parts.append(f'<rect width="{PANEL}" height="{tall}" fill="#000000" opacity="0.55"/>')
        if layer:
            parts.append(f'<image {size}{sharp} href="{data_uri(layer)}"/>')
        parts.append("</g>")
    return "".join([*parts, "</svg>"])
