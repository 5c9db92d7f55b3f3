"""Scores of every slice along z, counted on the way through two volumes.

In:  pieces of both, one after the other in the order z, y, x, and the Counts that they go into.
Out: SliceScores: voxels of every class in every slice; from them IoU, and which slices are the worst.
What a slice adds to the counts is kept as the few pairs of labels that occur in it, so that values can still
be mapped when all were met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .counts import Counts, Integers
from .judgement import MANY_LABELS

SIDES = ("reference_voxels", "predicted_voxels", "intersection_voxels")


@dataclass(frozen=True)
class SliceScores:
    """values: of the classes. The others: int64 (slice, class) voxels in the reference, the prediction, both.

    Voxels that do not count are in none of them.
    """

    values: tuple[int, ...]
    reference_voxels: Integers
    predicted_voxels: Integers
    intersection_voxels: Integers

    @property
    def iou(self) -> np.ndarray:
        """float64 (slice, class); nan where a class is in neither."""
        unions = self.reference_voxels + self.predicted_voxels - self.intersection_voxels
        found = np.full(unions.shape, np.nan)
        return np.divide(self.intersection_voxels, unions, out=found, where=unions > 0)

    @property
    def mean_iou(self) -> np.ndarray:
        """float64 (slice,): over the classes that are in the slice; nan where nothing counts."""
        scores = self.iou
        number = np.count_nonzero(~np.isnan(scores), axis=1)
        found = np.full(len(scores), np.nan)
        return np.divide(np.nansum(scores, axis=1), number, out=found, where=number > 0)

    @property
    def wrong_voxels(self) -> Integers:
        """int64 (slice,)"""
        return (self.reference_voxels - self.intersection_voxels).sum(axis=1)

    def worst(self, most: int, value: int | None = None) -> list[int]:
        """Numbers of the slices with the lowest IoU, the lowest first; of equal ones the one more wrong.

        value: of a class; None: by the mean.
        """
        scores = self.mean_iou if value is None else self.iou[:, self.values.index(value)]
        order = np.lexsort((-self.wrong_voxels, scores))  # nan comes last
        return [int(z) for z in order if not np.isnan(scores[z])][:most]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values: for each class a list over the slices."""
        return {
            "values": list(self.values),
            **{side: getattr(self, side).T.tolist() for side in SIDES},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SliceScores:
        """From `to_dict`."""
        number = len(values["values"])
        sides = (np.array(values[side], np.int64).reshape(number, -1).T for side in SIDES)
        return cls(tuple(values["values"]), *sides)


class SliceCounts:
    """Feeds a Counts, remembers what each slice has added; nothing more above MANY_LABELS labels."""

    def __init__(self, counts: Counts, slice_voxels: int):
        self._counts, self._slice_voxels = counts, slice_voxels
        self._left, self._number = slice_voxels, 0
        self._before: dict[tuple[int, int], int] = {}
        self._rows: list[tuple[int, int, int, int]] | None = []

    def add(self, reference: np.ndarray, prediction: np.ndarray) -> None:
        """The next voxels of both (voxels,)."""
        start = 0
        while start < reference.size:
            stop = min(start + self._left, reference.size)
            self._counts.add(reference[start:stop], prediction[start:stop])
            self._left -= stop - start
            start = stop
            if not self._left:
                self._end_slice()

    def _end_slice(self) -> None:
        self._left = self._slice_voxels
        if self._counts.number > MANY_LABELS:
            self._rows = None
        if self._rows is None:
            return
        table, values = self._counts.matrix, self._counts.values
        rows, columns = np.nonzero(table)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            pair, voxels = (values[row], values[column]), int(table[row, column])
            if added := voxels - self._before.get(pair, 0):
                self._rows.append((self._number, *pair, added))
                self._before[pair] = voxels
        self._number += 1

    def scores(
        self, values: Sequence[int], *, rows: Mapping[int, int | None], columns: Mapping[int, int | None]
    ) -> SliceScores | None:
        """At the end. None where there were too many labels.

        values: of the classes, after mapping. rows, columns: what each label has become in the reference and
        in the prediction; None where its voxels do not count.
        """
        if self._rows is None:
            return None
        places = {value: place for place, value in enumerate(values)}
        found = np.zeros((3, self._number, len(values)), np.int64)
        for z, old_row, old_column, voxels in self._rows:
            row, column = rows[old_row], columns[old_column]
            if row is None or column is None:
                continue
            found[0, z, places[row]] += voxels
            found[1, z, places[column]] += voxels
            if row == column:
                found[2, z, places[row]] += voxels
        return SliceScores(tuple(values), *found)
