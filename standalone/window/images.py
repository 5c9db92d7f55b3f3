"""Planes as Qt draws them fastest.

In:  planes of greys, labels or an overlay, and their colours.
Out: QImages.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtGui import QImage

from .view import Plane, as_bytes, grey_table


def grey_image(plane: Plane, low: float, high: float) -> QImage:
    """A slice in grey: `low` is black, `high` is white."""
    if plane.values.dtype == np.uint8:
        greys = (int(grey) for grey in grey_table(plane, low, high))
        return indexed_image(plane.values, [0xFF000000 | grey * 0x010101 for grey in greys], is_opaque=True)
    values = np.ascontiguousarray(as_bytes(plane, low, high))
    height, width = values.shape
    image = QImage(values.data, width, height, width, QImage.Format.Format_Grayscale8)
    return image.convertToFormat(QImage.Format.Format_RGB32)


def coloured_image(plane: Plane, low: float, high: float, table: Sequence[int]) -> QImage:
    """A slice in the 256 colours of a table (ARGB), from `low` to `high`."""
    return indexed_image(as_bytes(plane, low, high), table)


def indexed_image(values: np.ndarray, table: Sequence[int], *, is_opaque: bool = False) -> QImage:
    """Each value in its colour of the table (ARGB)."""
    values = np.ascontiguousarray(values)
    height, width = values.shape
    image = QImage(values.data, width, height, width, QImage.Format.Format_Indexed8)
    image.setColorTable(list(table))
    formats = QImage.Format
    return image.convertToFormat(formats.Format_RGB32 if is_opaque else formats.Format_ARGB32_Premultiplied)
