"""Local thickness: the diameter of the largest sphere that lies in a structure and covers a voxel.

In:  a structure, bool (z, y, x), and the size of its voxels.
Out: float32 (z, y, x): squared radius of the largest sphere over each voxel of its inner part, 0 outside.
After Hildebrand & Rueegsegger 1997 (J Microsc 185:67). A sphere is centred on a voxel; its radius r is the
distance from there to the nearest voxel outside, centre to centre; it covers the voxels nearer than r (as
Dougherty & Kunzelmann 2007 and BoneJ have it). Beyond the array nothing limits a sphere. Spheres that lie in
that of a neighbour are left out first (Remy & Thiel 2005), which changes no result.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

BYTES_A_VOXEL = 36  # of the array, at the most at a time
PIECE = 1 << 20  # voxels at a time
BATCH = 500  # spheres between two looks at a stop
STEPS: list[tuple[int, int, int]] = [  # to the 26 neighbours
    (z, y, x) for z, y, x in itertools.product((-1, 0, 1), repeat=3) if z or y or x
]

Look = Callable[[float], None]  # is told the share that is done; raises Cancelled
Box = tuple[slice, slice, slice]


def squared_distances(structure: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """float32 (z, y, x): squared distance from each voxel to the nearest outside, 0 outside; exact for whole
    numbers. There must be a voxel outside.
    """
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(
        structure, sampling=spacing, return_distances=False, return_indices=True
    )
    found = np.empty(structure.shape, np.float32)
    step = max(1, PIECE // max(math.prod(structure.shape[1:]), 1))
    for z0 in range(0, len(found), step):
        z1 = min(z0 + step, len(found))
        total = np.zeros((z1 - z0, *found.shape[1:]))
        for axis, size in enumerate(spacing):
            own = np.arange(found.shape[axis]).reshape([-1 if axis == a else 1 for a in range(3)])
            own = own[z0:z1] if axis == 0 else own
            total += ((nearest[axis, z0:z1] - own) * size) ** 2
        found[z0:z1] = total
    return found


@dataclass
class Spheres:
    """What is known of spheres of each squared radius, for one size of voxels."""

    spacing: tuple[float, float, float]
    _needed: dict[tuple[float, tuple[int, int, int]], float] = field(default_factory=dict)
    _templates: dict[float, np.ndarray] = field(default_factory=dict)
    _bytes: int = 0

    def reach(self, squared: float) -> tuple[int, int, int]:
        """Voxels along z, y and x from the centre that a sphere can cover."""
        z, y, x = (math.ceil(math.sqrt(squared) / size) for size in self.spacing)
        return z, y, x

    def template(self, squared: float) -> np.ndarray:
        """The box of a sphere: its squared radius at the voxels that it covers, 0 elsewhere."""
        known = self._templates.get(squared)
        if known is None:
            if self._bytes > 1 << 27:
                self._templates.clear()
                self._bytes = 0
            axes = [
                (np.arange(-n, n + 1) * size) ** 2
                for n, size in zip(self.reach(squared), self.spacing, strict=True)
            ]
            distances = (axes[0][:, None, None] + axes[1][:, None] + axes[2]).astype(np.float32)
            known = np.where(distances < np.float32(squared), np.float32(squared), np.float32(0))
            self._templates[squared] = known
            self._bytes += known.nbytes
        return known

    def needed(self, squared: float, step: tuple[int, int, int]) -> float:
        """Squared radius above which the sphere of a neighbour, `step` away, holds a sphere of this one."""
        key = (squared, step)
        known = self._needed.get(key)
        if known is None:
            reach = self.reach(squared)
            sizes = self.spacing
            z, y = (np.arange(n + 1) * size for n, size in zip(reach[:2], sizes[:2], strict=True))
            left = np.float32(squared) - (z[:, None] ** 2 + y**2)
            x = np.maximum(np.ceil(np.sqrt(np.maximum(left, 0)) / sizes[2]) + 1, 0)
            for _ in range(3):  # down to the last voxel that is covered, by the same sums as elsewhere
                total = (z[:, None] ** 2 + y**2 + (x * sizes[2]) ** 2).astype(np.float32)
                x -= (total >= np.float32(squared)) & (x >= 0)
            moved = (
                (z[:, None] + abs(step[0]) * sizes[0]) ** 2
                + (y + abs(step[1]) * sizes[1]) ** 2
                + ((x + abs(step[2])) * sizes[2]) ** 2
            )
            known = float(moved[(x >= 0) & (left > 0)].max(initial=0.0).astype(np.float32))
            self._needed[key] = known
        return known

    def centres(self, squared: np.ndarray, look: Look | None = None) -> np.ndarray:
        """bool (z, y, x): where the sphere is not held by that of one of the 26 neighbours."""
        kept = squared > 0
        step = max(1, PIECE // max(math.prod(squared.shape[1:]), 1))
        for z0 in range(0, len(squared), step):
            if look:
                look(z0 / len(squared))
            self._thin(squared, kept, z0, min(z0 + step, len(squared)))
        return kept

    def _thin(self, squared: np.ndarray, kept: np.ndarray, z0: int, z1: int) -> None:
        """Take away, in slices z0 to z1, what a neighbour holds."""
        own = squared[z0:z1]
        if not own.any():
            return
        place, met, values = _places(own)
        for step in STEPS:
            table = np.full(int(met[-1]) + 1, np.inf, np.float32)
            table[met] = [self.needed(value, step) if value else np.inf for value in values]
            mine, theirs = _moved(step, squared.shape)
            low, high = max(z0, mine[0].start), min(z1, mine[0].stop)
            if low >= high:
                continue
            here = (slice(low, high), *mine[1:])
            there = (slice(low + step[0], high + step[0]), *theirs[1:])
            limits = table[place[low - z0 : high - z0, mine[1], mine[2]]]
            kept[here] &= squared[there] <= limits


def _places(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """A number for each value, at each voxel; the numbers that occur, ascending; their values."""
    if (squared == np.floor(squared)).all():  # whole numbers are their own
        whole = squared.astype(np.int32)
        met = np.flatnonzero(np.bincount(whole.reshape(-1)))
        return whole, met, met.astype(float).tolist()
    values, place = np.unique(squared, return_inverse=True)
    return place.reshape(squared.shape), np.arange(len(values)), values.tolist()


def _moved(step: Sequence[int], shape: Sequence[int]) -> tuple[Box, Box]:
    """The voxels that have a neighbour `step` away, and those neighbours."""
    mine = [slice(max(0, -s), n - max(0, s)) for s, n in zip(step, shape, strict=True)]
    theirs = [slice(max(0, s), n - max(0, -s)) for s, n in zip(step, shape, strict=True)]
    return (mine[0], mine[1], mine[2]), (theirs[0], theirs[1], theirs[2])


def cover(
    squared: np.ndarray,
    spheres: Spheres,
    inner: Box,
    *,
    limit: float | None = None,
    look: Look | None = None,
) -> np.ndarray:
    """float32: squared radius of the largest sphere that covers each voxel of the inner part.

    squared: as `squared_distances` gives them. inner: the part that is wanted. limit: radius
    above which spheres are left out.
    """
    kept = spheres.centres(squared, (lambda share: look(0.3 * share)) if look else None)
    places = np.flatnonzero(kept)
    radii = squared.reshape(-1)[places]
    centres = np.stack(np.unravel_index(places, squared.shape), axis=1)
    away = np.zeros(len(places))
    for axis, size in enumerate(spheres.spacing):
        low, high = inner[axis].start, inner[axis].stop - 1
        gap = np.maximum(np.maximum(low - centres[:, axis], centres[:, axis] - high), 0)
        away += (gap * size) ** 2
    is_near = away.astype(np.float32) < radii
    if limit is not None:
        is_near &= radii <= limit**2
    places, radii, centres = places[is_near], radii[is_near], centres[is_near]
    order = np.argsort(radii, kind="stable")
    radii, centres = radii[order], centres[order]
    values, first = np.unique(radii, return_index=True)
    last = np.append(first[1:], len(radii))
    work = np.cumsum((values**1.5 + 1) * (last - first))
    start = np.array([part.start for part in inner])
    found = np.zeros([part.stop - part.start for part in inner], np.float32)
    for number, (value, a, b) in enumerate(zip(values.tolist(), first, last, strict=True)):
        for begin in range(a, b, BATCH):
            if look:
                look(0.3 + 0.7 * float(work[number] / work[-1]))
            paint(found, centres[begin : min(begin + BATCH, b)] - start, spheres.template(value))
    return found


def paint(found: np.ndarray, centres: np.ndarray, template: np.ndarray) -> None:
    """Raise `found` at all voxels that spheres around the centres cover. template: of one sphere."""
    reach = np.array(template.shape) // 2
    low, high = np.maximum(centres - reach, 0), np.minimum(centres + reach + 1, found.shape)
    first = low - centres + reach
    last = first + (high - low)
    rows = np.concatenate([low, high, first, last], axis=1).tolist()
    maximum = np.maximum
    for z0, y0, x0, z1, y1, x1, a0, b0, c0, a1, b1, c1 in rows:
        part = found[z0:z1, y0:y1, x0:x1]
        maximum(part, template[a0:a1, b0:b1, c0:c1], out=part)
