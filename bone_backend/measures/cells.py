"""Count the cubes of 2 x 2 x 2 voxels of a structure by their filling, which gives surface and Euler number.

In:  a structure, bool, slab by slab along z; where wanted, the part of the volume that counts.
Out: how often each of the 256 fillings occurs; from that surface and Euler number, exact for any slabs.
A cube at the border of the volume goes on beyond it as it is there, and counts by the share of its voxels
that lie inside: an eighth a voxel. So cut faces are no surface, and the Euler number is corrected for the
edges: chi - 1/2 of the faces' + 1/4 of the edges' - 1/8 of the corners', as in Odgaard & Gundersen 1993.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

CODES = 256
_VOXELS = [*itertools.product((0, 1), repeat=3)]  # (z, y, x) of bit 0 to 7
_FILLED = (np.arange(CODES)[:, None] >> np.arange(8) & 1).astype(bool)  # (code, voxel)


def codes(mask: np.ndarray) -> np.ndarray:
    """uint8 (z - 1, y - 1, x - 1): the filling of each cube; bit 4 z + 2 y + x is its voxel z, y, x.

    >>> codes(np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]]], bool)).tolist()
    [[[129]]]
    """
    voxels = np.ascontiguousarray(mask).view(np.uint8)
    pairs = voxels[:, :, :-1] | voxels[:, :, 1:] << 1
    squares = pairs[:, :-1] | pairs[:, 1:] << 2
    found: np.ndarray = squares[:-1] | squares[1:] << 4
    return found


@dataclass
class Cells:
    """The cubes of a volume of `depth` slices.

    weighted: int64 (9, 256), how many cubes of each filling have 0 to 8 voxels that count. closed: int64
    (256,), of all cubes where nothing lies beyond the volume.
    """

    depth: int
    weighted: np.ndarray = field(default_factory=lambda: np.zeros((9, CODES), np.int64))
    closed: np.ndarray = field(default_factory=lambda: np.zeros(CODES, np.int64))
    _z: int = 0
    _before: tuple[np.ndarray, np.ndarray | None] | None = None

    def add(self, mask: np.ndarray, counted: np.ndarray | None = None) -> None:
        """The next slices (z, y, x). counted: the voxels that count, bool; None: all."""
        is_last = self._z + len(mask) == self.depth
        first = (mask[:1], None if counted is None else counted[:1]) if self._before is None else self._before
        slab = np.concatenate([first[0], mask, *([mask[-1:]] if is_last else [])])
        found = codes(np.pad(slab, ((0, 0), (1, 1), (1, 1)), mode="edge"))
        inside = None
        if counted is not None and first[1] is not None:
            own = np.concatenate([first[1], counted, *([counted[-1:]] if is_last else [])])
            own[0] &= self._before is not None
            own[-1] &= not is_last
            inside = codes(np.pad(own, ((0, 0), (1, 1), (1, 1))))
        self._tally(found, inside, is_first=self._before is None, is_last=is_last)
        self._before = (mask[-1:].copy(), None if counted is None else counted[-1:].copy())
        self._z += len(mask)

    def _tally(self, found: np.ndarray, inside: np.ndarray | None, *, is_first: bool, is_last: bool) -> None:
        ends = [(is_first, is_last), (True, True), (True, True)]
        for place in itertools.product(*(_parts(n, *end) for n, end in zip(found.shape, ends, strict=True))):
            piece = found[tuple(part for part, _ in place)]
            if not piece.size:
                continue
            bits = _bits_inside([side for _, side in place])
            self.closed += np.bincount(_mixed(piece & np.uint8(bits)), minlength=CODES)
            if inside is None:
                self.weighted[bits.bit_count()] += np.bincount(_mixed(piece), minlength=CODES)
            else:
                own = inside[tuple(part for part, _ in place)]
                is_mixed = (piece != 0) & (piece != CODES - 1)
                number = _FILLED.sum(axis=1)[own[is_mixed]]
                both = np.bincount(number * CODES + piece[is_mixed], minlength=9 * CODES)
                self.weighted += both.reshape(9, CODES)

    def total(self, of_a_cube: np.ndarray) -> float:
        """The sum over all cubes of what each filling is worth, by the share of each that counts."""
        return float(np.arange(9) / 8 @ (self.weighted @ of_a_cube))

    @property
    def euler_closed(self) -> int:
        """Euler number of the structure as it is in the volume: parts - tunnels + cavities."""
        return round(float(self.closed @ euler_numbers()))

    @property
    def euler_corrected(self) -> float:
        """Euler number without what the borders of the volume add to it."""
        return self.total(euler_numbers())


def _mixed(piece: np.ndarray) -> np.ndarray:
    """Those that are neither empty nor full, which have neither surface nor Euler number."""
    found: np.ndarray = piece[(piece != 0) & (piece != CODES - 1)]
    return found


def _parts(count: int, has_first: bool, has_last: bool) -> list[tuple[slice, int]]:
    """First, inner and last cubes along an axis; -1, 0 and 1."""
    begin, end = int(has_first), count - int(has_last)
    parts = [(slice(0, 1), -1)] * has_first + [(slice(begin, end), 0)]
    return parts + [(slice(count - 1, count), 1)] * has_last


def _bits_inside(sides: Sequence[int]) -> int:
    """The bits of the voxels of a cube that lie in the volume, where it is first (-1) or last along axes."""
    found = 0
    for bit, voxel in enumerate(_VOXELS):
        if all(side == 0 or place == (side < 0) for place, side in zip(voxel, sides, strict=True)):
            found |= 1 << bit
    return found


def euler_numbers() -> np.ndarray:
    """float64 (256,): what the point in the middle of a cube adds to the Euler number, by its filling.

    Voxels are closed cubes, so that they touch by 26 neighbours, and the background by 6. Vertices - edges +
    faces - voxels; an edge belongs to the points at its two ends, a face to four, a voxel to eight.
    """
    found = np.zeros(CODES)
    for code, filled in enumerate(_FILLED):
        grid = filled.reshape(2, 2, 2)
        edges = sum(bool(grid.take(side, axis).any()) for axis in range(3) for side in (0, 1))
        faces = sum(
            bool(grid[tuple(where)].any())
            for axis in range(3)
            for where in itertools.product(*([slice(None)] if a == axis else [0, 1] for a in range(3)))
        )
        found[code] = bool(filled.any()) - edges / 2 + faces / 4 - filled.sum() / 8
    return found


def crofton(spacing: Sequence[float]) -> np.ndarray:
    """float64 (256,): area of surface by Crofton's formula, by the filling of a cube.

    Lines along the 13 directions between neighbouring voxels count how often they cross the surface; each
    direction has the weight of the part of the sphere that is nearest to it (Ohser & Muecklich 2000).
    """
    size = np.asarray(spacing, float)
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8)]
    steps = [tuple(np.subtract(_VOXELS[b], _VOXELS[a])) for a, b in pairs]
    weights = _weights(size)
    found = np.zeros(CODES)
    for (a, b), step in zip(pairs, steps, strict=True):
        length = float(np.linalg.norm(np.array(step) * size))
        shared = 2 ** (2 - (np.count_nonzero(step) - 1))  # cubes that have this pair too
        one_line = math.prod(size) / length  # area for each line of this direction
        found += (_FILLED[:, a] != _FILLED[:, b]) * 2 * weights[step] * one_line / shared
    return found


def _weights(size: np.ndarray) -> dict[tuple[int, ...], float]:
    """The share of each direction, and of its opposite."""
    from scipy.spatial import SphericalVoronoi

    steps = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]
    points = np.array(steps) * size
    points /= np.linalg.norm(points, axis=1)[:, None]
    shares = SphericalVoronoi(points).calculate_areas() / (4 * math.pi)
    return {step: 2 * float(share) for step, share in zip(steps, shares, strict=True)}
