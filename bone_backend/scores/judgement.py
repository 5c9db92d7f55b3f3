"""Do two label volumes belong together, and are they labels at all?

In:  pieces of both while they are counted; the counts after mapping.
Out: a ScanError for a scan in the place of labels; advice where the label values hardly meet.
A mask of many labels is told from a scan by its neighbours: they mostly have the same label, grey values not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ScanError
from .counts import Counts, Integers

FEW_LABELS = 20  # up to here nobody asks; 8-bit scans have more grey values
MANY_LABELS = 64  # as many as a fit takes; more should at least be those of the other volume
ENOUGH_PAIRS = 20_000  # of neighbours that are not background
NOISY = 0.5  # share of neighbours that differ: scans .8 to 1, masks of instances below .2
UNANNOTATED = (255, 65535)  # the values that programs take for voxels nobody has labelled


class ScanWatch:
    """Looks at both volumes while they are counted, once there are more than FEW_LABELS values."""

    def __init__(self, names: tuple[str, str]):
        self._names = names
        self._pairs, self._differing = [0, 0], [0, 0]

    def look(self, reference: np.ndarray, prediction: np.ndarray, counts: Counts) -> None:
        """A piece of both (voxels,), and all that was counted so far. Raises ScanError for a scan."""
        for side, piece in enumerate((reference, prediction)):
            left, right = piece[:-1], piece[1:]
            is_inside = np.logical_and(left, right)
            self._pairs[side] += int(np.count_nonzero(is_inside))
            self._differing[side] += int(np.count_nonzero(np.logical_and(is_inside, left != right)))
        self.judge(counts, at_least=ENOUGH_PAIRS)

    def judge(self, counts: Counts, *, at_least: int = 1) -> None:
        """Raises ScanError where a side has many values that change from voxel to voxel."""
        for side, name in enumerate(self._names):
            pairs = self._pairs[side]
            if pairs < at_least or self._differing[side] <= NOISY * pairs:
                continue
            labels = int(np.count_nonzero(counts.matrix.sum(axis=1 - side)))
            if labels > FEW_LABELS:
                raise ScanError(
                    f"{name}: holds {labels} different values or more, which change from voxel to voxel; "
                    "this is a scan. Give a mask as reference, and labels as prediction."
                )


def check_labels(table: Integers, values: Sequence[int], names: tuple[str, str]) -> None:
    """Raise ScanError where a side has very many values, most of which the other has not.

    table: counts after mapping, rows reference, in the order of `values`. names: of reference, prediction.
    """
    here = _labels_of(table, values)
    for side, name in enumerate(names):
        own, shared = here[side], here[0] & here[1]
        if len(own) > MANY_LABELS and len(shared) < len(own) / 2:
            raise ScanError(
                f"{name}: holds {len(own)} different values, of which {names[1 - side]} has {len(shared)}; "
                "this looks like a scan. Give a mask as reference, and labels as prediction. If both are "
                "labels, bring them to the same values with --map-labels OLD:NEW."
            )


def _labels_of(table: Integers, values: Sequence[int]) -> tuple[set[int], set[int]]:
    """The values that the reference has, and those that the prediction has."""
    rows, columns = (
        {value for value, count in zip(values, table.sum(axis=axis), strict=True) if count} for axis in (1, 0)
    )
    return rows, columns


def advice(table: Integers, values: Sequence[int], names: tuple[str, str], *, is_mapped: bool) -> list[str]:
    """What to say where the labels of both hardly meet; empty where they do.

    table: counts after mapping, rows reference, in the order of `values`. names: of reference, prediction.
    """
    left, right = (labels - {0} for labels in _labels_of(table, values))
    only = sorted(left - right), sorted(right - left)
    if only[0] and only[1]:
        began = (
            f"{names[0]} and {names[1]} have no label in common but background"
            if not left & right
            else f"Some labels of {names[0]} and {names[1]} never meet"
        )
        return [
            f"{began}: {_listed(only[0])} {_are(only[0])} in the reference alone, {_listed(only[1])} "
            f"{_are(only[1])} in the prediction alone. If they mean the same, use --map-labels "
            f"{_mapping(*only, is_right_plain=_is_plain(right) or not _is_plain(left))}."
        ]
    if is_mapped and right and not left:
        return [
            f"After mapping, {names[0]} holds background only, but {names[1]} has labels. If the reference "
            "was mapped before, say so with --map-labels 0:0."
        ]
    return [
        f"Label {value} is in the {side} alone. If it marks voxels that were not annotated, use "
        f"--ignore-label {value}; they count as wrong now."
        for side, found in zip(("reference", "prediction"), only, strict=True)
        for value in found
        if value in UNANNOTATED
    ]


def _is_plain(labels: set[int]) -> bool:
    """Whether labels run 1, 2, 3 ... without gaps, as those of a network do."""
    return labels == set(range(1, len(labels) + 1))


def _mapping(left: list[int], right: list[int], *, is_right_plain: bool) -> str:
    old, new = (left, right) if is_right_plain else (right, left)
    if len(old) != len(new):
        return "OLD:NEW, once for each"
    return " ".join(f"{a}:{b}" for a, b in zip(old, new, strict=True))


def _listed(values: Sequence[int]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:7], "..."])


def _are(values: Sequence[int]) -> str:
    return "is" if len(values) == 1 else "are"
