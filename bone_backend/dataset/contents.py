"""Which labels every slice of a mask holds, and where some of their voxels lie.

In:  the slices of a mask, one by one, while it is checked.
Out: Contents, from which tiles and patches are chosen.
A slice costs a few numbers for every label, however large it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ScanError

# Voxels whose place is kept, for each label of a slice; patches that must hold a class are laid around one of
# them.
PLACES = 16
# A mask with more labels than this is refused when it is checked, so nothing more is kept of it.
MOST_LABELS = 64


@dataclass(frozen=True)
class Contents:
    """What the slices of one mask hold.

    counts: int64 (slice, class). places: int32 (slice, class, PLACES, 2), y and x of voxels of the class,
    drawn at random with repeats; 0 where the slice has none. None when places were not asked for.
    """

    counts: np.ndarray
    places: np.ndarray | None = None
    others: tuple[Contents, ...] = ()  # of the slices along y and x, where they were asked for

    def slices(self, first: int, last: int) -> Contents:
        """Of the slices first to last (half open) only."""
        places = None if self.places is None else self.places[first:last]
        return Contents(self.counts[first:last], places)

    def between(self, first: int, last: int) -> Contents:
        """Of slices along y or x, as far as they lie between two slices along z (half open).

        As far as is known: the voxels whose places are kept stand for all. Without places the counts stay.
        """
        if self.places is None:
            return self
        z = self.places[..., 0]
        is_inside = (z >= first) & (z < last)
        inside = is_inside.sum(axis=-1, keepdims=True)  # (slice, class, 1)
        order = np.argsort(~is_inside, axis=-1, kind="stable")  # those inside first, repeated to fill
        taken = np.take_along_axis(order, np.arange(PLACES) % np.maximum(inside, 1), axis=-1)
        places = np.take_along_axis(self.places, taken[..., None], axis=-2).copy()
        places[..., 0] = np.where(inside > 0, places[..., 0] - first, 0)
        counts = -(-self.counts * inside[..., 0] // PLACES)
        counts[:, 0] = self.counts[:, 0]  # of background no places are kept
        return Contents(counts, places)


class ContentsMaker:
    """Collects what the slices of a mask hold, label by label. of_others: those along y and x too."""

    def __init__(self, *, with_places: bool = False, of_others: bool = False):
        self.with_places, self.of_others = with_places, of_others
        self._counts: dict[int, dict[int, int]] = {}  # label value -> slice -> voxels
        self._places: dict[tuple[int, int], np.ndarray] = {}
        self._others: dict[int, tuple[Crossing, Crossing]] = {}  # label value -> along y, along x

    def add(self, z: int, plane: np.ndarray, values: np.ndarray, amounts: np.ndarray) -> None:
        """Slice z of the mask holds so many voxels of these values."""
        for value, amount in zip(values.tolist(), amounts.tolist(), strict=True):
            if value not in self._counts and len(self._counts) > MOST_LABELS:
                continue
            self._counts.setdefault(value, {})[z] = amount
            if self.of_others:
                crossings = self._others.setdefault(
                    value, (Crossing(plane.shape[0]), Crossing(plane.shape[1]))
                )
                is_it = plane == value
                for crossing, turned in zip(crossings, (is_it, is_it.T), strict=True):
                    crossing.add(z, turned, with_places=self.with_places and value != 0)
            if self.with_places and value != 0:
                flat = np.flatnonzero(plane.ravel() == value)
                chosen = np.random.default_rng([z, abs(value)]).integers(0, len(flat), size=PLACES)
                self._places[value, z] = np.stack(np.divmod(flat[chosen], plane.shape[1]), axis=1).astype(
                    np.int32
                )

    def by_class(self, table: np.ndarray, num_classes: int, *, slices: int) -> Contents:
        """The contents by class. table: int64, label value -> class index, negative for voxels that do not
        count.
        """
        counts = np.zeros((slices, num_classes), dtype=np.int64)
        shape = (slices, num_classes, PLACES, 2)
        places = np.zeros(shape, dtype=np.int32) if self.with_places else None
        for value, rows in self._counts.items():
            index = int(table[value])
            for z, amount in rows.items() if index >= 0 else ():
                counts[z, index] += amount
                found = self._places.get((value, z))
                if places is not None and found is not None:
                    # labels mapped to one class share its places as they share its voxels
                    rng = np.random.default_rng([z, abs(value), 1])
                    taken = rng.random(PLACES) < amount / counts[z, index]
                    places[z, index][taken] = found[taken]
        others = tuple(self._crossed(axis, table, num_classes) for axis in (0, 1)) if self._others else ()
        return Contents(counts, places, others)

    def _crossed(self, axis: int, table: np.ndarray, num_classes: int) -> Contents:
        """The contents of the slices along y (0) or x (1)."""
        slices = len(next(iter(self._others.values()))[axis].counts)
        counts = np.zeros((slices, num_classes), dtype=np.int64)
        places = np.zeros((slices, num_classes, PLACES, 2), dtype=np.int32) if self.with_places else None
        rng = np.random.default_rng([axis, 2])
        for value, crossings in sorted(self._others.items()):
            index, crossing = int(table[value]), crossings[axis]
            if index < 0:
                continue
            counts[:, index] += crossing.counts
            if places is not None:
                share = crossing.counts / np.maximum(counts[:, index], 1)
                taken = rng.random((slices, PLACES)) < share[:, None]
                places[:, index][taken] = crossing.places[taken]
        return Contents(counts, places)


class Crossing:
    """Voxels of one label in the slices along y or x, from one slice along z after another.

    counts: int64 (slice,). places: int32 (slice, PLACES, 2), z and the axis that is left.
    """

    def __init__(self, slices: int):
        self.counts = np.zeros(slices, dtype=np.int64)
        self.places = np.zeros((slices, PLACES, 2), dtype=np.int32)
        self._rng = np.random.default_rng([slices, 3])

    def add(self, z: int, is_it: np.ndarray, *, with_places: bool) -> None:
        """is_it: bool (slice, voxel), where slice z has the label. Every voxel seen is kept alike often."""
        amounts = np.count_nonzero(is_it, axis=1)
        self.counts += amounts
        rows = np.flatnonzero(amounts)
        if with_places and len(rows):
            columns = np.nonzero(is_it[rows])[1]
            first = np.cumsum(amounts[rows]) - amounts[rows]
            drawn = columns[first[:, None] + self._rng.integers(0, amounts[rows, None], (len(rows), PLACES))]
            is_new = self._rng.random(drawn.shape) < (amounts[rows] / self.counts[rows])[:, None]
            kept = self.places[rows]
            kept[is_new] = np.stack([np.full_like(drawn, z), drawn], axis=-1)[is_new]
            self.places[rows] = kept


@dataclass(frozen=True)
class Holdings:
    """The contents of all scans of a fit in one table. first: row of the first slice of every scan."""

    first: np.ndarray
    counts: np.ndarray
    places: np.ndarray | None

    @classmethod
    def of(cls, contents: tuple[Contents, ...]) -> Holdings:
        """Gather the contents of the scans, in their order."""
        sizes = [len(found.counts) for found in contents]
        places = [found.places for found in contents if found.places is not None]
        return cls(
            first=np.cumsum([0, *sizes[:-1]]),
            counts=np.concatenate([found.counts for found in contents]),
            places=np.concatenate(places) if len(places) == len(contents) else None,
        )

    def of_tiles(self, scan: np.ndarray, first_z: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Voxels int64 (tile, slice, class) of tiles that begin at first_z; slices beyond a tile's depth hold
        nothing.

        scan, first_z, depth: int64 (tile,).
        """
        offset = np.arange(int(depth.max()))
        is_inside = offset < depth[:, None]
        row = (self.first[scan] + first_z)[:, None] + np.where(is_inside, offset, 0)
        return self.counts[row] * is_inside[:, :, None]


def check_not_empty(count: int, what: str) -> None:
    """Raise ScanError when the choice of tiles has left none."""
    if count == 0:
        raise ScanError(
            f"No tile is left for {what}: the masks of those scans hold nothing but background and ignored "
            "voxels, or their scan_weights are 0. Use empty_tiles keep, give scans with labels, or change "
            "the weights."
        )
