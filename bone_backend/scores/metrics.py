"""Score labels from confusion counts: IoU, Dice, precision, recall.

In:  int64 counts (class, class), rows reference, columns prediction; or two label arrays to count.
Out: float64 scores per class; nan where a score has no meaning.
The counts are integers (counts.py); only the last division is in floating point.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .counts import CHUNK_BYTES, MOST_VALUES, Counts, Integers

__all__ = [
    "CHUNK_BYTES",
    "MOST_VALUES",
    "Counts",
    "Integers",
    "choice",
    "counts",
    "dice",
    "intersections",
    "iou",
    "mean",
    "precision",
    "recall",
    "regrouped",
    "unions",
]

Scores = npt.NDArray[np.float64]


def counts(reference: npt.ArrayLike, prediction: npt.ArrayLike, values: int | Sequence[int]) -> Integers:
    """Confusion counts of two label arrays of one shape.

    values: the label values in the order of rows and columns; an int n stands for 0 to n - 1.
    Returns int64 (class, class), rows reference, columns prediction.
    Raises ScanError for a label that is not among the values, for floats and for different shapes.

    >>> counts([0, 0, 1, 1], [0, 1, 1, 1], 2).tolist()
    [[1, 1], [0, 2]]
    """
    order = list(range(values)) if isinstance(values, int) else [int(value) for value in values]
    total = Counts(order, closed=True)
    total.add(np.asarray(reference), np.asarray(prediction))
    where = [total.values.index(value) for value in order]
    return total.matrix[np.ix_(where, where)]


def regrouped(
    counts: Integers, values: Sequence[int], *, rows: Sequence[int | None], columns: Sequence[int | None]
) -> tuple[Integers, tuple[int, ...]]:
    """The same counts after labels got other values.

    counts: int64 (class, class) in the order of `values`. rows, columns: for each of the values the one that
    it becomes in the reference and in the prediction; None leaves its voxels out, on both sides.
    Returns int64 (class, class) and the values that still occur, ascending.

    >>> table, values = regrouped([[3, 1, 0], [0, 0, 0], [0, 4, 0]], [0, 1, 255], rows=[0, 1, 1],
    ...                           columns=[0, 1, 255])
    >>> table.tolist(), values
    ([[3, 1], [0, 4]], (0, 1))
    """
    new = sorted({value for value in (*rows, *columns) if value is not None})
    table = np.zeros((len(new), len(new)), np.int64)
    kept = [[i for i, value in enumerate(side) if value is not None] for side in (rows, columns)]
    places = [[new.index(value) for value in side if value is not None] for side in (rows, columns)]
    np.add.at(table, np.ix_(*places), np.asarray(counts)[np.ix_(*kept)])
    present = np.flatnonzero(table.sum(axis=0) + table.sum(axis=1))
    return table[np.ix_(present, present)], tuple(new[i] for i in present)


def choice(validation: Integers, training: Integers, is_trained: npt.ArrayLike) -> float:
    """How well an epoch did, for the choice of the best one; nan where nothing tells.

    validation, training: int64 (class, class), rows reference, of the epoch. is_trained: bool (class,),
    whether any training scan holds the class.

    It is the mean IoU of validation over the trained classes. Where the validation reference lacks one of
    them, that mean would reward a network that never predicts it. Then it is the mean over the classes other
    than background, and the IoU of a class that validation lacks is taken over the voxels of training and
    validation together: background alone scores 0 there, and every wrong voxel still counts.

    >>> trained, training = [True, True], np.array([[80, 0], [20, 0]])
    >>> choice(np.array([[100, 0], [0, 0]]), training, trained)  # background only
    0.0
    >>> round(choice(np.array([[95, 5], [0, 0]]), np.array([[78, 2], [4, 16]]), trained), 3)  # 16 of 27
    0.593
    """
    validation, is_trained = np.asarray(validation), np.asarray(is_trained, np.bool_)
    is_judged = validation.sum(axis=1) > 0
    own = iou(validation)
    if is_judged[is_trained].all():
        return mean(own[is_trained])
    scores = np.where(is_judged, own, iou(validation + np.asarray(training)))
    return mean(scores[1:][is_trained[1:]])


def intersections(counts: Integers) -> Integers:
    """Voxels on which reference and prediction agree, int64 (class,)."""
    return np.asarray(counts).diagonal()


def unions(counts: Integers) -> Integers:
    """Voxels that have the class in the reference, the prediction or both, int64 (class,)."""
    counts = np.asarray(counts)
    return counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal()


def iou(counts: Integers) -> Scores:
    """Intersection over union (Jaccard index) per class.

    counts: int64 (class, class), rows reference, columns prediction.
    Returns float64 (class,); nan where a class is absent from both.

    >>> iou(np.array([[1, 1], [0, 2]])).round(3).tolist()
    [0.5, 0.667]
    """
    return _ratio(intersections(counts), unions(counts))


def dice(counts: Integers) -> Scores:
    """Dice score (F1) per class, twice the intersection over the sum of both; nan where absent from both."""
    counts = np.asarray(counts)
    return _ratio(2 * counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1))


def precision(counts: Integers) -> Scores:
    """Share of a class's predicted voxels that are right, float64 (class,); nan where none was predicted."""
    return _ratio(intersections(counts), np.asarray(counts).sum(axis=0))


def recall(counts: Integers) -> Scores:
    """Share of a class's reference voxels that were found, float64 (class,); nan where there are none."""
    return _ratio(intersections(counts), np.asarray(counts).sum(axis=1))


def mean(scores: npt.ArrayLike) -> float:
    """Mean over the classes that are present in the reference or the prediction; nan when there is none.

    Background counts as a class. The paper's mIoU is torchmetrics' JaccardIndex, averaged "macro", which is
    this mean (classes absent from both have weight 0 in torchmetrics 1.9.0).
    """
    present = np.asarray(scores, np.float64)
    present = present[~np.isnan(present)]
    return float(present.mean()) if present.size else float("nan")


def _ratio(numerator: Integers, denominator: Integers) -> Scores:
    result = np.full(denominator.shape, np.nan)
    return np.divide(numerator, denominator, out=result, where=denominator > 0)
