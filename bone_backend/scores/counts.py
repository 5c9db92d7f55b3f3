"""Count which label became which, exactly and at the speed of memory.

In:  two label arrays of one shape, slab by slab.
Out: int64 counts (class, class), rows reference, columns prediction.
Counts are integers from the first voxel to the last, so any order of slabs gives the same result, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import ScanError

Integers = npt.NDArray[np.int64]

CHUNK_BYTES = 1 << 20  # at a time: still in the processor's cache, and few calls that let other threads in
MOST_VALUES = 1024  # more different labels than a mask has, fewer than a 16-bit scan taken for a mask
_FEW_VALUES = 5  # up to here comparing with each label is faster than looking labels up in a table
_RUN_VALUES = 16  # so many of the most frequent labels are looked for eight bytes at a time
_TOGETHER = 1 << 17  # voxels that are compared at a time where eight bytes are not of one label
_SAMPLE = 64  # the first labels are learnt from every 64th voxel


class Counts:
    """Confusion counts that grow slab by slab and meet the label values by themselves.

    Most voxels of two masks lie in runs of one label on which both agree. These are counted eight bytes at
    a time, by one comparison for each label. The rest (edges and errors) is gathered and counted voxel by
    voxel. About 2 MiB are held beside the slabs. Feed one object from one thread; merge those of several.
    """

    def __init__(self, values: Sequence[int] = (), *, closed: bool = False):
        """values: labels known beforehand; closed: any other label is a ScanError."""
        self._closed = False
        self._values: list[int] = []
        self._table: Integers = np.zeros((0, 0), np.int64)
        self._flags = np.empty((2 * _FEW_VALUES + 2, _TOGETHER), np.bool_)
        self._patterns_of: tuple[object, list[tuple[int, np.ndarray]]] = (None, [])
        self._rest: list[tuple[np.ndarray, np.ndarray]] = []  # pairs of voxels still to be counted, one dtype
        self._rest_size = 0
        self._grow(values)
        self._closed = closed

    @property
    def values(self) -> tuple[int, ...]:
        """All label values met in either array or named beforehand, ascending."""
        self._count_rest()
        return tuple(sorted(self._values))

    @property
    def number(self) -> int:
        """How many label values were met so far; cheap, and perhaps not the last word."""
        return len(self._values)

    @property
    def matrix(self) -> Integers:
        """int64 (class, class) in the order of `values`, rows reference, columns prediction."""
        self._count_rest()
        order = np.argsort(np.asarray(self._values, np.int64))
        return self._table[np.ix_(order, order)]

    def add(self, reference: np.ndarray, prediction: np.ndarray) -> None:
        """Count two integer or bool arrays of one shape, of any byte order and memory layout.

        Raises ScanError for other dtypes and shapes; for a label that does not belong, at the latest when the
        result is asked for.
        """
        if reference.shape != prediction.shape:
            raise ScanError(
                f"reference {reference.shape} and prediction {prediction.shape} must have one shape."
            )
        sides = [_integer(reference, "reference"), _integer(prediction, "prediction")]
        if sides[0].dtype == sides[1].dtype and all(_is_plain(side) for side in sides):
            self._add_chunk(*sides)
            return
        dtype = np.result_type(*sides).newbyteorder("=")
        pieces = np.nditer(
            sides,
            flags=["external_loop", "buffered", "zerosize_ok"],
            op_dtypes=[dtype, dtype],
            casting="same_kind",
            order="K",  # counts do not depend on it
            buffersize=CHUNK_BYTES // dtype.itemsize,
        )
        if reference.size:
            for left, right in pieces:
                self._add_chunk(left, right)

    def merge(self, other: Counts) -> None:
        """Add what another object has counted."""
        other._count_rest()
        self._grow([value for value in other._values if value not in self._values])
        where = [self._values.index(value) for value in other._values]
        self._table[np.ix_(where, where)] += other._table

    def _add_chunk(self, reference: np.ndarray, prediction: np.ndarray) -> None:
        if not self._values:
            self._grow(_distinct(reference[::_SAMPLE], prediction[::_SAMPLE]))
        per_word = 8 // reference.itemsize
        cut = reference.size // per_word * per_word
        words = reference[:cut].view(np.uint64), prediction[:cut].view(np.uint64)
        runs, rest = self._find_runs(*words, dtype=reference.dtype)
        if rest.size > words[0].size // 2:
            self._add_voxels(reference, prediction)
            return
        self._table.flat[:: len(self._values) + 1] += runs * per_word
        if rest.size:
            self._keep(*(side.take(rest).view(reference.dtype) for side in words))
        if cut < reference.size:
            self._keep(reference[cut:].copy(), prediction[cut:].copy())

    def _find_runs(
        self, reference: np.ndarray, prediction: np.ndarray, *, dtype: np.dtype
    ) -> tuple[Integers, np.ndarray]:
        """Words all of one label on both sides: how many for each label; and the places of the others."""
        runs = np.zeros(len(self._values), np.int64)
        agree, done, found = self._flags.reshape(-1)[: 3 * reference.size].reshape(3, -1)
        np.equal(reference, prediction, out=agree)
        left = int(np.count_nonzero(agree))
        flags = done
        for index, pattern in self._patterns(dtype):
            if not left:
                break
            np.equal(reference, pattern, out=flags)
            np.logical_and(flags, agree, out=flags)
            runs[index] = number = int(np.count_nonzero(flags))
            left -= number
            if flags is found and number:
                np.logical_or(done, found, out=done)
            flags = found
        if flags is done:  # no label is known, or nothing agrees
            return runs, np.arange(reference.size)
        if runs.sum() == reference.size:
            return runs, np.empty(0, np.intp)
        return runs, np.flatnonzero(np.logical_not(done, out=done))

    def _patterns(self, dtype: np.dtype) -> list[tuple[int, np.ndarray]]:
        """Eight bytes full of each label that the dtype can hold, the most frequent labels first."""
        order = np.argsort(-self._table.diagonal(), kind="stable")[:_RUN_VALUES].tolist()
        largest = np.iinfo(dtype).max
        key = (dtype, tuple(order))
        if key != self._patterns_of[0]:
            held = [index for index in order if self._values[index] <= largest]
            words = [
                np.full(8 // dtype.itemsize, self._values[index], dtype).view(np.uint64)[:1] for index in held
            ]
            self._patterns_of = key, list(zip(held, words, strict=True))
        return self._patterns_of[1]

    def _keep(self, reference: np.ndarray, prediction: np.ndarray) -> None:
        """Put voxels aside until there are enough to be worth the calls."""
        if self._rest and self._rest[0][0].dtype != reference.dtype:
            self._count_rest()
        self._rest.append((reference, prediction))
        self._rest_size += reference.size
        if self._rest_size >= _TOGETHER:
            self._count_rest()

    def _count_rest(self) -> None:
        if self._rest:
            rest, self._rest, self._rest_size = self._rest, [], 0
            self._add_voxels(*(_joined(side) for side in zip(*rest, strict=True)))

    def _add_voxels(self, reference: np.ndarray, prediction: np.ndarray) -> None:
        for start in range(0, reference.size, _TOGETHER):
            sides = reference[start : start + _TOGETHER], prediction[start : start + _TOGETHER]
            table = self._count(*sides)
            if table is None:  # a label not met before
                known = set(self._values)
                self._grow([value for value in _distinct(*sides) if value not in known])
                table = self._count(*sides)
            assert table is not None
            self._table += table

    def _count(self, reference: np.ndarray, prediction: np.ndarray) -> Integers | None:
        few = len(self._values) <= _FEW_VALUES
        return (self._compare if few else self._look_up)(reference, prediction)

    def _compare(self, reference: np.ndarray, prediction: np.ndarray) -> Integers | None:
        """Counts by comparing; the last row and column follow from the sums. None: unknown label."""
        size, number = reference.size, len(self._values)
        rows, columns = self._flags[:number, :size], self._flags[_FEW_VALUES : _FEW_VALUES + number, :size]
        both = self._flags[-1, :size]
        table = np.zeros((number, number), np.int64)
        row_sums, column_sums = np.zeros(number, np.int64), np.zeros(number, np.int64)
        for flags, side, sums in ((rows, reference, row_sums), (columns, prediction, column_sums)):
            largest = np.iinfo(side.dtype).max
            for index, value in enumerate(self._values):
                if value > largest:  # met in another slab of a wider type
                    flags[index] = False
                    continue
                np.equal(side, side.dtype.type(value), out=flags[index])
                sums[index] = np.count_nonzero(flags[index])
            if sums.sum() != size:
                return None
        for row in range(number - 1):
            for column in range(number - 1):
                np.logical_and(rows[row], columns[column], out=both)
                table[row, column] = np.count_nonzero(both)
        table[:-1, -1] = row_sums[:-1] - table[:-1].sum(axis=1)
        table[-1] = column_sums - table[:-1].sum(axis=0)
        return table

    def _look_up(self, reference: np.ndarray, prediction: np.ndarray) -> Integers | None:
        """Counts by a table of pairs, for many labels. None: unknown label."""
        number = len(self._values)
        order = np.argsort(self._values)
        ascending = np.asarray(self._values, np.int64)[order]
        places = []
        for side in (reference, prediction):
            place = np.minimum(np.searchsorted(ascending, side), number - 1)
            if not np.array_equal(ascending[place], side):
                return None
            places.append(order[place])
        return np.bincount(places[0] * number + places[1], minlength=number * number).reshape(number, number)

    def _grow(self, values: Sequence[int]) -> None:
        """Take up new label values; refuse what no mask has."""
        if self._closed and values:
            raise ScanError(f"label {_listed(values)} is not among the classes {_listed(self.values)}.")
        if min(values, default=0) < 0:
            raise ScanError(
                f"label values are 0 or more, but {min(values)} was found. Give a label volume, not a scan."
            )
        number = len(self._values) + len(values)
        if number > MOST_VALUES:
            raise ScanError(
                f"{number} different values, more than {MOST_VALUES}: this is a scan. Give a label volume."
            )
        self._values += values
        self._table = np.pad(self._table, (0, len(values)))


def _integer(array: np.ndarray, side: str) -> np.ndarray:
    """The same voxels as integers that the other side's integers can be compared with, without a copy."""
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind not in "iu":
        raise ScanError(
            f"the {side} is {array.dtype}; labels are whole numbers. Export it as labels (8 or 16 bit)."
        )
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:  # with int64 numpy would go to float64
        return array.view(array.dtype.str.replace("u", "i"))
    return array


def _is_plain(array: np.ndarray) -> bool:
    """Whether an array can be counted as it is: one contiguous row, not too long."""
    return (
        array.ndim == 1
        and 0 < array.nbytes <= CHUNK_BYTES
        and array.flags.c_contiguous
        and array.dtype.isnative
    )


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _listed(values: Sequence[int]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown if len(shown) <= 10 else [*shown[:9], "..."])


def _distinct(*arrays: np.ndarray) -> list[int]:
    """The different values in some arrays of one dtype, ascending."""
    if arrays[0].dtype.itemsize > 2 or arrays[0].dtype.kind == "i":
        return np.unique(np.concatenate(arrays)).tolist()
    seen = np.zeros(1 << 16, np.bool_)
    for array in arrays:
        seen[array] = True
    return np.flatnonzero(seen).tolist()
