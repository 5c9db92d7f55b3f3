"""Pictures inside the report: one patch or slice as scan, reference, prediction, and what is wrong.

In:  grey values, class indices and shares of wrong voxels (y, x), and the colours of the classes.
Out: the text of one <div> with four panels, each an <svg>; PNG bytes.
The grey image is embedded once and shown four times, so that a page with many examples stays small. The
panels stand beside each other where there is room, else two and two.
"""

from __future__ import annotations

import base64
import itertools
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from ..volumes.classes import NOT_ANNOTATED, rgb, wrong_colour
from .rendering import Markup, rendered

PANEL = 250  # px, width of a panel in its own units
CLASS_ALPHA, NOT_COUNTED = 0.5, 255
NOT_ANNOTATED_ALPHA = 110
NOT_ANNOTATED_LEGEND = "#dddddd"  # what that looks like over a grey scan
FADED = 0.6  # share of white over the scan, so that red is dark on it for every eye
LEVELS, FAINTEST = 8, 0.45  # of the wrong voxels' opacity where a pixel stands for several voxels
TITLES = ("scan", "reference", "prediction", "wrong voxels")

Colour = tuple[int, int, int, int]


def png(image: np.ndarray, palette: Sequence[Colour] | None = None) -> bytes:
    """An 8-bit PNG of uint8 (y, x): grey values, or indices into a palette of (red, green, blue, opacity).

    After the PNG specification (ISO/IEC 15948).
    """
    height, width = image.shape
    is_grey = palette is None
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter
    rows[:, 0] = is_grey  # 1: differences to the left neighbour, smaller for scans; 0: none
    rows[:, 1:] = image
    if is_grey:
        rows[:, 2:] -= image[:, :-1]
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if is_grey else 3, 0, 0, 0)
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


def label_png(labels: np.ndarray, colours: Sequence[str]) -> bytes:
    """Classes in their colours, half transparent.

    Background (index 0) is clear, voxels that do not count are whitish.
    """
    alpha = round(255 * CLASS_ALPHA)
    palette: list[Colour] = [(*rgb(colour), alpha if index else 0) for index, colour in enumerate(colours)]
    palette.append((*rgb(NOT_ANNOTATED), NOT_ANNOTATED_ALPHA))
    shown = np.where(labels == NOT_COUNTED, len(colours), labels).astype(np.uint8)
    return png(shown, palette)


def wrong_png(share: np.ndarray, colour: str) -> bytes:
    """Where voxels are wrong, in `colour`; all else is clear.

    share: float (y, x), of the voxels behind each pixel that are wrong; even the smallest can be seen.
    """
    steps = np.linspace(FAINTEST, 1, LEVELS)
    palette = [(0, 0, 0, 0), *((*rgb(colour), round(255 * step)) for step in steps)]
    return png(np.ceil(share * LEVELS).astype(np.uint8), palette)


def panels(
    name: str,
    grey: np.ndarray,
    *,
    reference: np.ndarray,
    prediction: np.ndarray,
    wrong: np.ndarray,
    colours: Sequence[str],
    label: str,
) -> Markup:
    """Four panels.

    name: of the picture, unique on the page. grey: uint8 (y, x) as it is shown. reference, prediction: uint8
    class indices, NOT_COUNTED where the mask says nothing. wrong: share of wrong voxels. label: what the
    picture shows, in words.
    """
    height, width = grey.shape
    tall = max(1, round(PANEL * height / width))
    layers = (
        b"",
        label_png(reference, colours),
        label_png(prediction, colours),
        wrong_png(wrong, wrong_colour(colours)),
    )
    return rendered(
        "panels.html",
        name=name,
        label=label,
        width=PANEL,
        height=tall,
        faded=FADED,
        is_sharp=width < PANEL,
        grey=data_uri(png(grey)),
        panels=[
            {
                "title": title,
                "layer": data_uri(layer) if layer else "",
                "is_faded": title == "wrong voxels",
            }
            for title, layer in zip(TITLES, layers, strict=True)
        ],
    )
