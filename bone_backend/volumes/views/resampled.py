"""A volume on a grid of another voxel size, computed slice by slice.

In:  a volume with a known voxel size, and the size that is wanted.
Out: a Volume whose box begins at the same outer edge. Greys: the mean over the new voxel along axes that
become coarser, linear interpolation along those that become finer. Labels are never mixed: the label that
fills most of the new voxel, or the one at its centre.
The source is read once, in order, and two of its slices are kept, whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...errors import ScanError, called
from ..abstract import Volume
from ..header import Header, Triple
from .cut import moved

Shape = tuple[int, int, int]
MOST_LABELS = 64  # in what one new slice is made from
KEPT = 2  # slices of the source


class Taps(NamedTuple):
    """Of each new voxel of an axis the old ones that it is made from (n, k), and their shares, of sum 1."""

    places: np.ndarray
    shares: np.ndarray


def new_shape(shape: Sequence[int], old: Triple, new: Triple) -> tuple[int, int, int]:
    """Voxels of the new grid: as many as fill the old box best.

    >>> new_shape((10, 10, 1), (1.0, 1.0, 1.0), (2.0, 3.0, 4.0))
    (5, 3, 1)
    """
    z, y, x = (max(1, round(n * a / b)) for n, a, b in zip(shape, old, new, strict=True))
    return z, y, x


def area_taps(old: int, new: int, step: float) -> Taps:
    """Shares by how much of the new voxel an old one fills. step: new size / old size.

    >>> area_taps(4, 2, 2.0).places.tolist(), area_taps(4, 2, 2.0).shares.tolist()
    ([[0, 1], [2, 3]], [[0.5, 0.5], [0.5, 0.5]])
    """
    low, high = np.arange(new) * step, (np.arange(new) + 1) * step
    first = np.minimum(np.floor(low + 1e-9).astype(int), old - 1)
    number = max(1, int((np.ceil(np.minimum(high, old) - 1e-9).astype(int) - first).max()))
    places = first[:, None] + np.arange(number)
    filled = np.minimum(places + 1, high[:, None]) - np.maximum(places, low[:, None])
    shares = np.where(places < old, np.clip(filled, 0, None), 0)
    shares[shares.sum(axis=1) <= 0, 0] = 1.0
    return Taps(np.minimum(places, old - 1), shares / shares.sum(axis=1, keepdims=True))


def linear_taps(old: int, new: int, step: float) -> Taps:
    """Shares by distance from the centre; beyond the border its voxel counts."""
    centre = np.clip((np.arange(new) + 0.5) * step - 0.5, 0, old - 1)
    first = np.minimum(np.floor(centre).astype(int), max(old - 2, 0))
    part = centre - first
    return Taps(np.stack((first, np.minimum(first + 1, old - 1)), axis=1), np.stack((1 - part, part), axis=1))


def nearest(old: int, new: int, step: float) -> np.ndarray:
    """The old voxel at the centre of each new one."""
    return np.clip(np.floor((np.arange(new) + 0.5) * step).astype(int), 0, old - 1)


def spread(plane: np.ndarray, taps: Taps, axis: int, kind: np.dtype) -> np.ndarray:
    """A plane (y, x) on the new grid of one of its axes."""
    new = np.zeros(tuple(len(taps.places) if i == axis else n for i, n in enumerate(plane.shape)), kind)
    for place, share in zip(taps.places.T, taps.shares.T.astype(kind), strict=True):
        new += np.take(plane, place, axis=axis) * (share[:, None] if axis == 0 else share)
    return new


class _Planes:
    """Slices of the source made by a function, in order; the last few are kept."""

    def __init__(self, source: Volume, make: Callable[[np.ndarray], np.ndarray]):
        self._source, self._make = source, make
        self._made: dict[int, np.ndarray] = {}

    def __getitem__(self, z: int) -> np.ndarray:
        if z not in self._made:
            while len(self._made) >= KEPT:
                del self._made[next(iter(self._made))]
            self._made[z] = self._make(self._source.read(z, z + 1)[0])
        return self._made[z]


class ResampledVolume(Volume):
    """size: (z, y, x) in the unit of the source. labels_by: "" for greys, "majority", "nearest" or "smooth":
    the label that is largest when all are interpolated, which leaves no steps where labels become finer.
    shape: of the new grid, where it is known; else as many voxels as fill the old box best.

    Raises ScanError where the voxel size of the source is unknown.
    """

    def __init__(self, source: Volume, size: Triple, *, labels_by: str = "", shape: Shape | None = None):
        header = source.header
        old = header.voxel_size
        if old is None:
            raise ScanError(
                f"{header.path or header.name}: its voxel size is unknown, so it cannot be brought to "
                f"another. Give it with {called('voxel_size')}."
            )
        self.header = resampled_header(header, size, shape)
        self.files, self._source = source.files, source
        steps = [b / a for a, b in zip(old, size, strict=True)]
        axes = list(zip(header.shape, self.header.shape, steps, strict=True))
        self._near = [nearest(*axis) for axis in axes]
        is_by_area = [labels_by == "majority" or step > 1 for step in steps]
        self._taps = [
            (area_taps if by_area else linear_taps)(*axis)
            for by_area, axis in zip(is_by_area, axes, strict=True)
        ]
        kind = header.dtype
        self._kind = np.dtype(np.float64 if kind.itemsize > 2 and kind != np.float32 else np.float32)
        self._slice = {"": self._greys, "nearest": self._labels_near}.get(labels_by, self._labels_most)
        self._planes = _Planes(source, self._spread if labels_by == "" else lambda plane: plane)

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        for z in range(z0, z1):
            self._slice(z, out[z - z0])

    def _spread(self, plane: np.ndarray) -> np.ndarray:
        first, second = sorted((1, 2), key=lambda axis: self.header.shape[axis] / plane.shape[axis - 1])
        once = spread(plane, self._taps[first], first - 1, self._kind)
        return spread(once, self._taps[second], second - 1, self._kind)

    def _sources(self, z: int) -> list[tuple[int, float]]:
        """The slices of the source that a new slice is made from, and their shares."""
        places, shares = self._taps[0]
        return [
            (int(one), float(share)) for one, share in zip(places[z], shares[z], strict=True) if share > 0
        ]

    def _greys(self, z: int, out: np.ndarray) -> None:
        total = np.zeros(out.shape, self._kind)
        for place, share in self._sources(z):
            total += self._planes[place] * self._kind.type(share)
        if out.dtype.kind in "iu":
            limits = np.iinfo(out.dtype)
            np.clip(np.rint(total, out=total), limits.min, limits.max, out=total)
        np.copyto(out, total, casting="unsafe")

    def _labels_near(self, z: int, out: np.ndarray) -> None:
        plane = self._planes[int(self._near[0][z])]
        np.take(np.take(plane, self._near[1], axis=0), self._near[2], axis=1, out=out)

    def _labels_most(self, z: int, out: np.ndarray) -> None:
        """Of labels that fill equal parts, the one at the centre."""
        filled: dict[int, np.ndarray] = {}
        centre: np.ndarray | None = None
        for place, share in self._sources(z):
            plane = self._planes[place]
            if place == self._near[0][z]:
                centre = plane[np.ix_(self._near[1], self._near[2])]
            for value in np.unique(plane).tolist():
                part = self._spread(plane == value)
                part *= share
                if value in filled:
                    filled[value] += part
                else:
                    filled[value] = part
            if len(filled) > MOST_LABELS:
                raise ScanError(
                    f"{self.header.name}: has more than {MOST_LABELS} labels in a slice, too many to find "
                    f"the most frequent one. Use {called('labels_by')} nearest."
                )
        assert centre is not None
        out[...] = centre
        best = np.zeros(out.shape, self._kind)
        for value, part in filled.items():
            np.copyto(best, part, where=centre == value)
        for value, part in filled.items():
            is_more = part > best + 1e-5
            out[is_more] = value
            np.copyto(best, part, where=is_more)

    def close(self) -> None:
        self._source.close()


def resampled_header(header: Header, size: Triple, shape: Shape | None = None) -> Header:
    """What is known of a volume on the grid of another voxel size, in its own unit."""
    assert header.voxel_size is not None
    half = [(b / a - 1) / 2 for a, b in zip(header.voxel_size, size, strict=True)]
    return replace(
        header,
        shape=shape or new_shape(header.shape, header.voxel_size, size),
        voxel_size=size,
        origin=moved(header, half),
        is_z_told=True,
    )
