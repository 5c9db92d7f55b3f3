"""Draw which patches an epoch takes, and how each is varied; nothing is read here.

In:  the extent of every scan, patch size, patches per tile, largest overlap, and (seed, epoch).
Out: a Plan: for every patch its scan, tile, position, turn, brightness and contrast, in the order of the
     epoch.
The plan decides everything that is random, so any patch can be made again and the number of threads changes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np

from ..options.fit import FitOptions
from .choice import ANY, Choice, Visits, choose_visits
from .corners import aim, draw_corners
from .variation import Table, draw_variation


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

    scan, z, y, x: int64, index of the scan and first voxel of the patch. turn: int8, a code of
    augmentation.TURNS_2D or TURNS_3D, 0 for none. brightness (added) and contrast (factor): float32, after
    normalisation. variation: records of VARIATION, None when no transform was asked for.
    """

    scan: np.ndarray
    z: np.ndarray
    y: np.ndarray
    x: np.ndarray
    turn: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    variation: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scan)

    def part(self, start: int, stop: int) -> Plan:
        """Patches start to stop (half-open)."""
        return self.taken(slice(start, stop))

    def every(self, first: int, step: int) -> Plan:
        """Every step-th patch from first on: the share of one of several GPUs."""
        return self.taken(slice(first, None, step))

    def taken(self, some: slice | np.ndarray) -> Plan:
        """Some patches, by a slice or by their numbers."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        taken: dict[str, Any] = {
            name: None if value is None else value[some] for name, value in values.items()
        }
        return Plan(**taken)


def joined(plans: Sequence[Plan]) -> Plan:
    """The patches of several plans, one after the other; either all have a variation or none."""
    values: dict[str, Any] = {}
    for field in fields(Plan):
        parts = [getattr(plan, field.name) for plan in plans]
        values[field.name] = None if parts[0] is None else np.concatenate(parts)
    return Plan(**values)


@dataclass(frozen=True)
class Chances:
    """Probabilities and ranges of the paper's augmentation (Lee et al. 2026, 2.3.1).

    flip: of each flip direction. turn: of a quarter or half turn, shared equally by the three angles. The
    rest is left as it is. brightness, contrast: of each intensity change; *_range: its half width.
    """

    flip: float = 0.166
    turn: float = 0.5
    brightness: float = 0.4
    brightness_range: float = 0.15
    contrast: float = 0.4
    contrast_range: float = 0.25

    @classmethod
    def of(cls, options: FitOptions) -> Self:
        """As the options have them."""
        return cls(
            flip=options.flip_chance,
            turn=options.turn_probability,
            brightness=options.brightness_probability,
            brightness_range=options.brightness_range,
            contrast=options.contrast_probability,
            contrast_range=options.contrast_range,
        )


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
    transforms: Table | None = None,
    choice: Choice | None = None,
    tile_depth: int = 1,
    shuffle: bool = True,
) -> Plan:
    """Patches of one epoch: every tile of `scans` once, in random order, patches_per_tile crops of each.

    extents: of all scans; `scans` picks some by index. max_overlap: largest share of a patch that another
    patch of its tile covers, kept where the tile has room for it. chances: augmentation, None for none.
    transforms: further changes, as `options.transforms.read` gives them. choice: other tiles than every one
    once. shuffle: False keeps the order of the scans, as in validation. The same (seed, epoch) gives the same
    plan on every machine; neither transforms nor a choice that wishes nothing changes what else is drawn.
    """
    rng = np.random.default_rng([seed, epoch, 0xB0E])
    visits = _all_tiles(extents, scans, tile_depth)
    if choice is not None:
        visits = choose_visits(np.random.default_rng([seed, epoch, 0xC401CE]), visits, choice)
    if shuffle:
        visits = visits.taken(rng.permutation(len(visits.scan)))
    size = np.array(extents, dtype=np.int64)[visits.scan]
    shape = np.array(patch, dtype=np.int64)
    room = np.maximum(np.column_stack([visits.depth, size[:, 1:]]), shape)  # smaller scans are reflected
    corner = draw_corners(rng, room, shape, count=patches_per_tile, max_overlap=max_overlap)
    if choice is not None:
        again = np.random.default_rng([seed, epoch, 0xA13])
        aim(again, corner, visits, room=room, patch=shape, choice=choice, max_overlap=max_overlap)
    corner[:, :, 0] += visits.first_z[:, None]
    tiles, count = corner.shape[:2]
    plan = Plan(
        scan=np.repeat(visits.scan, count),
        z=corner[:, :, 0].ravel(),
        y=corner[:, :, 1].ravel(),
        x=corner[:, :, 2].ravel(),
        turn=np.zeros(tiles * count, dtype=np.int8),
        brightness=np.zeros(tiles * count, dtype=np.float32),
        contrast=np.ones(tiles * count, dtype=np.float32),
    )
    if chances is not None:
        plan = _vary(rng, plan, chances, tiles=tiles, axes=3 if patch.z > 1 else 2)
    if transforms:
        centre = (np.repeat(size[:, 1:], count, axis=0) - 1) / 2 - np.column_stack([plan.y, plan.x])
        records = draw_variation(transforms, len(plan), per_tile=count, seed=seed, epoch=epoch, centre=centre)
        plan = replace(plan, variation=records)
    return plan


def _all_tiles(extents: Sequence[Extent], scans: Sequence[int], tile_depth: int) -> Visits:
    """Every tile of the scans once, in order."""
    scan = np.concatenate([np.full(count_tiles(extents[s], tile_depth), s, dtype=np.int64) for s in scans])
    first_z = np.concatenate([_tile_starts(extents[s], tile_depth) for s in scans])
    depth = np.minimum(np.array([e.z for e in extents], dtype=np.int64)[scan], tile_depth)
    return Visits(scan, first_z, depth, wanted=np.full(len(scan), ANY, dtype=np.int64))


def _tile_starts(extent: Extent, tile_depth: int) -> np.ndarray:
    starts = np.arange(count_tiles(extent, tile_depth), dtype=np.int64) * tile_depth
    return np.minimum(starts, max(extent.z - tile_depth, 0))


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
    """Probability of every turn code: none, flips (x, y, and z in 3D), turns by 90, 180, 270 degrees in the
    slice plane.
    """
    table = [chances.flip] * axes + [chances.turn / 3] * 3
    return np.array([1 - sum(table), *table])
