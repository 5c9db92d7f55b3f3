"""A little picture of a pair: the middle slice of its scan with the mask over it; knows no Qt.

In:  an open scan and mask.
Out: uint8 (y, x, 3), at most LARGEST along an edge. One slice of each is read, by its position in the file.
"""

from __future__ import annotations

import numpy as np

from bone_backend.volumes.abstract import Volume
from bone_backend.volumes.classes import class_colour

from .live import painted

LARGEST = 180  # px
LOW, HIGH = 0.5, 99.5  # percentiles shown as black and white


def thumbnail(scan: Volume, mask: Volume | None) -> np.ndarray:
    """The picture; without the mask where that has another shape, or no whole numbers."""
    shape = scan.header.shape
    z = shape[0] // 2
    step = max(-(-max(shape[1:]) // LARGEST), 1)
    grey = scan.read(z, z + 1)[0][::step, ::step].astype(np.float32)
    known = grey[np.isfinite(grey)]
    low, high = np.percentile(known, (LOW, HIGH)) if known.size else (0.0, 1.0)
    shown = np.clip(np.nan_to_num(grey - low) / max(high - low, 1e-12), 0, 1) * 255
    labels = np.zeros(grey.shape, np.uint8)
    colours = [class_colour(0)]
    if mask is not None and mask.header.shape == shape and mask.header.dtype.kind in "iu":
        values, places = np.unique(mask.read(z, z + 1)[0][::step, ::step], return_inverse=True)
        numbers = [0] * len(values)
        for number, value in enumerate(values.tolist()):
            if value > 0 and len(colours) < 200:
                numbers[number] = len(colours)
                colours.append(class_colour(value))
        labels = np.array(numbers, np.uint8)[places.reshape(grey.shape)]
    return painted(shown.astype(np.uint8), labels, colours)
