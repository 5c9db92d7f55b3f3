"""One patch or whole slice to look at, no larger than a page needs.

In:  grey values and class indices (y, x) of any size, and the counts of what is judged.
Out: an Example: grey values, classes and the share of wrong voxels, one pixel for each or for several voxels.
Grey values and errors are averaged, of the classes the commonest is shown, so that nothing is lost by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scores import metrics
from ..scores.counts import Integers
from .pictures import NOT_COUNTED

LARGEST_PATCH, LARGEST_SLICE = 256, 512  # px; larger ones are shown smaller


@dataclass(frozen=True)
class Example:
    """What is shown of one patch or slice, and how good it is.

    kind: "worst", "typical" or "slice". place: first voxel (z, y, x) of what is shown. iou: float64 (class,).
    wrong_voxels, counted_voxels: of the whole patch or slice. step: voxels along the edge of a pixel.
    grey: uint8 (y, x) as it is shown. reference, prediction: uint8 class indices, NOT_COUNTED where the mask
    says nothing. wrong: float32, share of wrong voxels in each pixel.
    """

    kind: str
    scan: str
    place: tuple[int, int, int]
    iou: np.ndarray
    wrong_voxels: int
    counted_voxels: int
    step: int
    grey: np.ndarray
    reference: np.ndarray
    prediction: np.ndarray
    wrong: np.ndarray


def make_example(
    kind: str,
    scan: str,
    place: tuple[int, int, int],
    counts: Integers,
    *,
    grey: np.ndarray,
    window: tuple[float, float],
    reference: np.ndarray,
    prediction: np.ndarray,
    largest: int,
) -> Example:
    """An example with an edge of at most `largest` pixels.

    counts: int64 (class, class) of all that is judged. grey: as scanned (y, x); window: what is black and
    white. reference: class indices, negative where the mask says nothing. prediction: class indices.
    """
    step = -(-max(reference.shape) // largest)
    wrong = (reference != prediction) & (reference >= 0)
    indices = np.where(reference < 0, NOT_COUNTED, reference).astype(np.uint8)
    total = int(counts.sum())
    return Example(
        kind=kind,
        scan=scan,
        place=place,
        iou=metrics.iou(counts),
        wrong_voxels=total - int(counts.trace()),
        counted_voxels=total,
        step=step,
        grey=mean_of(shades(grey, window), step).round().astype(np.uint8),
        reference=commonest(indices, step),
        prediction=commonest(prediction.astype(np.uint8), step),
        wrong=mean_of(wrong, step),
    )


def shades(grey: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Grey values as uint8, `window` as black and white."""
    low, high = window
    share = (grey.astype(np.float32) - low) / max(high - low, 1e-12)
    return (np.clip(np.nan_to_num(share), 0, 1) * 255).round().astype(np.uint8)


def mean_of(image: np.ndarray, step: int) -> np.ndarray:
    """float32 means over squares of `step` voxels, ceil(size / step) along each axis.

    >>> mean_of(np.array([[0, 4], [4, 4]]), 2).tolist()
    [[3.0]]
    """
    return np.asarray(_squares(image, step).mean(axis=(1, 3), dtype=np.float32))


def commonest(labels: np.ndarray, step: int) -> np.ndarray:
    """The commonest label of each square of `step` voxels, the lowest of equals.

    >>> commonest(np.array([[0, 7], [7, 7]], np.uint8), 2).tolist()
    [[7]]
    """
    if step == 1:
        return labels
    squares = _squares(labels, step)
    best, most = np.zeros((squares.shape[0], squares.shape[2]), labels.dtype), -1
    for value in np.unique(labels):
        count = (squares == value).sum(axis=(1, 3), dtype=np.int32)
        best, most = np.where(count > most, value, best), np.maximum(count, most)
    return best.astype(labels.dtype)


def _squares(image: np.ndarray, step: int) -> np.ndarray:
    """(rows, step, columns, step), the border repeated where it does not come out even."""
    height, width = (-(-size // step) * step for size in image.shape)
    whole = np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1])), mode="edge")
    return whole.reshape(height // step, step, width // step, step)
