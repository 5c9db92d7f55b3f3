"""Connected parts of a volume that is read slab by slab, exact across the borders of slabs.

In:  a mask for each slab (z, y, x), in order.
Out: which part each voxel belongs to; size of each part, whether it reaches the border, what is around it.
scipy labels each slab; parts that meet at the border of two slabs are joined at the end. A second reading
labels each slab anew, which gives the same numbers. Memory holds a slab and some 50 bytes for each part of a
slab. Voxels are neighbours where they share a face.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Parts:
    """The parts of all slabs that were added. kinds: how many kinds of voxels can be around a part."""

    kinds: int = 0
    _offset: int = 0
    _sizes: list[np.ndarray] = field(default_factory=list)
    _reaching: list[np.ndarray] = field(default_factory=list)
    _around: list[np.ndarray] = field(default_factory=list)
    _pairs: list[np.ndarray] = field(default_factory=list)
    _before: tuple[np.ndarray, np.ndarray | None] | None = None

    def add(self, mask: np.ndarray, kind: np.ndarray | None = None, *, is_last: bool) -> None:
        """The next slab. kind: intp (z, y, x) below `kinds`, of each voxel, to know what is around a part."""
        local, count = label(mask)
        ids = np.where(mask, local + self._offset, -1) - mask
        self._sizes.append(np.bincount(local.reshape(-1), minlength=count + 1)[1:])
        reaching = np.zeros(count + 1, bool)
        faces = [local[:, 0], local[:, -1], local[:, :, 0], local[:, :, -1]]
        faces += [local[0]] * (self._before is None) + [local[-1]] * is_last
        for face in faces:
            reaching[face.reshape(-1)] = True
        self._reaching.append(reaching[1:])
        if kind is not None:
            self._around.append(self._faces_around(local, mask, kind, count))
        if self._before is not None:
            self._meet(ids[0], None if kind is None else kind[0])
        self._before = (ids[-1], None if kind is None else kind[-1])
        self._offset += count

    def _faces_around(self, local: np.ndarray, mask: np.ndarray, kind: np.ndarray, count: int) -> np.ndarray:
        """How many faces each part of a slab has towards each kind of others, within the slab."""
        found = np.zeros((count + 1) * self.kinds, np.int64)
        for axis in range(3):
            first, second = (_along(axis, slice(None, -1)), _along(axis, slice(1, None)))
            for mine, theirs in ((first, second), (second, first)):
                is_border = mask[mine] & ~mask[theirs]
                places = local[mine][is_border] * self.kinds + kind[theirs][is_border]
                found += np.bincount(places, minlength=len(found))
        return found.reshape(count + 1, self.kinds)[1:]

    def _meet(self, first: np.ndarray, kind: np.ndarray | None) -> None:
        """Join what meets at the border of two slabs, and count the faces there."""
        assert self._before is not None
        last, kind_before = self._before
        both = (last >= 0) & (first >= 0)
        self._pairs.append(np.unique(np.stack([last[both], first[both]], axis=1), axis=0))
        if kind is None or kind_before is None:
            return
        above, below = self._around[-2], self._around[-1]
        start = self._offset  # of the slab that was just labelled
        for mine, theirs, table, base in (
            (last, first, above, start - len(above)),
            (first, last, below, start),
        ):
            others = kind if mine is last else kind_before
            is_border = (mine >= 0) & (theirs < 0)
            np.add.at(table, (mine[is_border] - base, others[is_border]), 1)

    def join(self) -> Joined:
        """All parts, once all slabs are there."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        pairs = np.concatenate([np.empty((0, 2), np.int64), *self._pairs])
        links = coo_matrix(
            (np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(self._offset, self._offset)
        )
        count, part = connected_components(links, directed=False) if self._offset else (0, np.empty(0, int))
        sizes, reaching = np.zeros(count, np.int64), np.zeros(count, bool)
        around = np.zeros((count, self.kinds), np.int64)
        if count:
            np.add.at(sizes, part, np.concatenate(self._sizes))
            np.logical_or.at(reaching, part, np.concatenate(self._reaching))
            if self._around:
                np.add.at(around, part, np.concatenate(self._around))
        # numbered in the order of their first voxels
        first = np.full(count, self._offset, np.int64)
        np.minimum.at(first, part, np.arange(self._offset))
        order = np.argsort(first, kind="stable")
        place = np.empty(count, np.int64)
        place[order] = np.arange(count)
        return Joined(place[part], sizes[order], reaching[order], around[order])


@dataclass
class Joined:
    """Parts in the order of their first voxels. part: of each part of a slab. sizes: in voxels. reaching:
    whether one reaches the border of the volume. around: faces towards each kind of other voxels.
    """

    part: np.ndarray
    sizes: np.ndarray
    reaching: np.ndarray
    around: np.ndarray
    _offset: int = 0

    def of(self, mask: np.ndarray, values: np.ndarray) -> np.ndarray:
        """values[part] at each voxel of the next slab, 0 elsewhere; the slabs as they were added."""
        local, count = label(mask)
        table = np.zeros(count + 1, values.dtype)
        table[1:] = values[self.part[self._offset : self._offset + count]]
        self._offset += count
        found: np.ndarray = table[local]
        return found


def label(mask: np.ndarray, *, in_slices: bool = False) -> tuple[np.ndarray, int]:
    """The number of its part at each voxel, 0 outside, and how many there are. in_slices: each by itself."""
    from scipy import ndimage

    structure = ndimage.generate_binary_structure(3, 1)
    if in_slices:
        structure[[0, 2]] = False
    local, count = ndimage.label(mask, structure)
    return local, int(count)


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if i == axis else slice(None) for i in range(3))
