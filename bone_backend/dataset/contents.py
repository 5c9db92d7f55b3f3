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


class ContentsMaker:
    """Collects what the slices of a mask hold, label by label."""

    def __init__(self, *, with_places: bool = False):
        self.with_places = with_places
        self._counts: dict[int, dict[int, int]] = {}  # label value -> slice -> voxels
        self._places: dict[tuple[int, int], np.ndarray] = {}

    def add(self, z: int, plane: np.ndarray, values: np.ndarray, amounts: np.ndarray) -> None:
        """Slice z of the mask holds so many voxels of these values."""
        for value, amount in zip(values.tolist(), amounts.tolist(), strict=True):
            if value not in self._counts and len(self._counts) > MOST_LABELS:
                continue
            self._counts.setdefault(value, {})[z] = amount
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
        return Contents(counts, places)


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
