"""Draw which patches an epoch takes, and how each is varied; nothing is read here.

In:  the extent of every scan, patch size, patches per tile, largest overlap, and (seed, epoch).
Out: a Plan: for every patch its scan, tile, position, turn, brightness and contrast, in the order of the epoch.
The plan decides everything that is random, so any patch can be made again and the number of threads changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

# Draws until a position keeps the asked distance from the earlier patches of its tile; then the best one seen is taken.
TRIES = 32


class Extent(NamedTuple):
    """Voxels of one scan along each axis."""

    z: int
    y: int
    x: int


class PatchShape(NamedTuple):
    """Voxels of a patch; z counts the slices that the network labels (1 in 2D and 2.5D)."""

    z: int
    y: int
    x: int


@dataclass(frozen=True)
class Plan:
    """Patches of one epoch, one entry each, in the order in which they are used.

    scan, z, y, x: int64, index of the scan and first voxel of the patch. turn: int8, a code of augmentation.TURNS_2D or
    TURNS_3D, 0 for none. brightness (added) and contrast (factor): float32, after normalisation.
    """

    scan: np.ndarray
    z: np.ndarray
    y: np.ndarray
    x: np.ndarray
    turn: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray

    def __len__(self) -> int:
        return len(self.scan)

    def part(self, start: int, stop: int) -> Plan:
        """Patches start to stop (half-open)."""
        return Plan(**{f.name: getattr(self, f.name)[start:stop] for f in fields(self)})

    def every(self, first: int, step: int) -> Plan:
        """Every step-th patch from first on: the share of one of several GPUs."""
        return Plan(**{f.name: getattr(self, f.name)[first::step] for f in fields(self)})


@dataclass(frozen=True)
class Chances:
    """Probabilities and ranges of the paper's augmentation (Lee et al. 2026, 2.3.1).

    flip: of each flip direction. turn: of a quarter or half turn, shared equally by the three angles. The rest is left as
    it is. brightness, contrast: of each intensity change; *_range: its half width.
    """

    flip: float = 0.166
    turn: float = 0.5
    brightness: float = 0.4
    brightness_range: float = 0.15
    contrast: float = 0.4
    contrast_range: float = 0.25


PAPER_2D = Chances()
PAPER_3D = Chances(flip=0.111)


def count_tiles(extent: Extent, tile_depth: int) -> int:
    """Tiles of a scan: slices, or slabs of tile_depth of which the last ends flush with the scan.

    >>> count_tiles(Extent(100, 64, 64), 32)
    4
    """
    return -(-extent.z // tile_depth)


def draw_plan(
    extents: Sequence[Extent],
    patch: PatchShape,
    *,
    scans: Sequence[int],
    patches_per_tile: int,
    max_overlap: float,
    seed: int,
    epoch: int,
    chances: Chances | None,
    tile_depth: int = 1,
    shuffle: bool = True,
) -> Plan:
    """Patches of one epoch: every tile of `scans` once, in random order, patches_per_tile crops of each.

    extents: of all scans; `scans` picks some by index. max_overlap: largest share of a patch that another patch of its tile
    covers, kept where the tile has room for it. chances: augmentation, None for none. shuffle: False keeps the order of the
    scans, as in validation. The same (seed, epoch) gives the same plan on every machine.
    """
    rng = np.random.default_rng([seed, epoch, 0xB0E])
    scan = np.concatenate([np.full(count_tiles(extents[s], tile_depth), s, dtype=np.int64) for s in scans])
    first_z = np.concatenate([_tile_starts(extents[s], tile_depth) for s in scans])
    if shuffle:
        order = rng.permutation(len(scan))
        scan, first_z = scan[order], first_z[order]
    room = np.array([extents[s] for s in range(len(extents))], dtype=np.int64)[scan]
    room[:, 0] = np.minimum(room[:, 0], tile_depth)
    corner = _draw_corners(rng, room, np.array(patch, dtype=np.int64), patches_per_tile, max_overlap)
    corner[:, :, 0] += first_z[:, None]
    tiles, count = corner.shape[:2]
    plan = Plan(
        scan=np.repeat(scan, count),
        z=corner[:, :, 0].ravel(),
        y=corner[:, :, 1].ravel(),
        x=corner[:, :, 2].ravel(),
        turn=np.zeros(tiles * count, dtype=np.int8),
        brightness=np.zeros(tiles * count, dtype=np.float32),
        contrast=np.ones(tiles * count, dtype=np.float32),
    )
    return plan if chances is None else _vary(rng, plan, chances, tiles=tiles, axes=3 if patch.z > 1 else 2)


def _tile_starts(extent: Extent, tile_depth: int) -> np.ndarray:
    starts = np.arange(count_tiles(extent, tile_depth), dtype=np.int64) * tile_depth
    return np.minimum(starts, max(extent.z - tile_depth, 0))


def _draw_corners(
    rng: np.random.Generator, room: np.ndarray, patch: np.ndarray, count: int, max_overlap: float
) -> np.ndarray:
    """First voxels int64 (tile, patch, axis) of `count` crops in tiles of `room` (tile, axis) voxels."""
    free = room - patch + 1
    if (free < 1).any():
        raise ValueError("a patch is larger than its tile; the options were not checked against the scans")
    corners = np.empty((len(room), count, 3), dtype=np.int64)
    for number in range(count):
        best = rng.integers(0, free)
        if number:
            worst = _overlap(corners[:, :number], best, patch)
            for _ in range(TRIES):
                late = np.flatnonzero(worst > max_overlap)
                if not len(late):
                    break
                again = rng.integers(0, free[late])
                shared = _overlap(corners[late, :number], again, patch)
                better = shared < worst[late]
                best[late[better]], worst[late[better]] = again[better], shared[better]
        corners[:, number] = best
    return corners


def _overlap(earlier: np.ndarray, corner: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """Largest share of a patch at corner (tile, axis) that one of the earlier (tile, patch, axis) covers."""
    common = np.clip(patch - np.abs(earlier - corner[:, None]), 0, None)
    return common.prod(axis=2).max(axis=1) / patch.prod()


def _vary(rng: np.random.Generator, plan: Plan, chances: Chances, *, tiles: int, axes: int) -> Plan:
    """Draw a turn for every patch, and brightness and contrast for every tile."""
    codes = _turn_table(chances, axes)
    turn = rng.choice(len(codes), size=len(plan), p=codes).astype(np.int8)
    per_tile = len(plan) // tiles

    def sometimes(chance: float, half_width: float, neutral: float) -> np.ndarray:
        value = rng.uniform(neutral - half_width, neutral + half_width, size=tiles)
        value[rng.random(tiles) >= chance] = neutral
        return np.repeat(value, per_tile).astype(np.float32)

    return replace(
        plan,
        turn=turn,
        brightness=sometimes(chances.brightness, chances.brightness_range, 0.0),
        contrast=sometimes(chances.contrast, chances.contrast_range, 1.0),
    )


def _turn_table(chances: Chances, axes: int) -> np.ndarray:
    """Probability of every turn code: none, flips (x, y, and z in 3D), turns by 90, 180, 270 degrees in the slice plane."""
    table = [chances.flip] * axes + [chances.turn / 3] * 3
    return np.array([1 - sum(table), *table])
