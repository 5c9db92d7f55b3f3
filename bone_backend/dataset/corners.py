"""Draw where the patches of a tile lie.

In:  the room of every tile, the shape of a patch, how much patches may overlap, and what they must hold.
Out: the first voxel of every patch, int64 (tile, patch, axis), counted from the tile's first voxel.
"""

from __future__ import annotations

import numpy as np

from .choice import ANY, Choice, Visits

# Draws until a position keeps the asked distance from the other patches of its tile; then the best one seen
# is taken.
TRIES = 32


def draw_corners(
    rng: np.random.Generator, room: np.ndarray, patch: np.ndarray, *, count: int, max_overlap: float
) -> np.ndarray:
    """First voxels int64 (tile, patch, axis) of `count` crops in tiles of `room` (tile, axis) voxels."""
    free = room - patch + 1
    if (free < 1).any():
        raise ValueError("a patch is larger than its tile; the options were not checked against the scans")
    corners = np.empty((len(room), count, 3), dtype=np.int64)
    for number in range(count):
        best = rng.integers(0, free)
        if number:
            worst = overlap(corners[:, :number], best, patch)
            for _ in range(TRIES):
                late = np.flatnonzero(worst > max_overlap)
                if not len(late):
                    break
                again = rng.integers(0, free[late])
                shared = overlap(corners[late, :number], again, patch)
                better = shared < worst[late]
                best[late[better]], worst[late[better]] = again[better], shared[better]
        corners[:, number] = best
    return corners


def overlap(earlier: np.ndarray, corner: np.ndarray, patch: np.ndarray) -> np.ndarray:
    """Largest share of a patch at corner (tile, axis) that one of the earlier (tile, patch, axis) covers."""
    common = np.clip(patch - np.abs(earlier - corner[:, None]), 0, None)
    return common.prod(axis=2).max(axis=1, initial=0) / patch.prod()


def aim(
    rng: np.random.Generator,
    corners: np.ndarray,
    visits: Visits,
    *,
    room: np.ndarray,
    patch: np.ndarray,
    choice: Choice,
    max_overlap: float,
) -> None:
    """Draw those corners anew, in place, whose patch must hold a voxel of a class; other patches stay where
    they are.

    Patches of a visit with a wanted class hold that class; of the others, foreground_share hold any class but
    background.
    """
    if not (choice.foreground_share or (visits.wanted != ANY).any()):
        return
    likely = choice.holdings.of_tiles(visits.scan, visits.first_z, visits.depth).astype(np.float64)
    likely[:, :, 0] = 0
    bound = visits.wanted != ANY
    likely[bound] *= (np.arange(likely.shape[2]) == visits.wanted[bound, None])[:, None]
    can = likely.any(axis=(1, 2))
    for number in range(corners.shape[1]):
        asked = (bound | (rng.random(len(corners)) < choice.foreground_share)) & can
        worst = np.where(asked, np.inf, 0.0)
        for _ in range(TRIES):
            late = np.flatnonzero(worst > max_overlap)
            if not len(late):
                break
            again = _around_a_voxel(
                rng, visits.taken(late), likely[late], room=room[late], patch=patch, choice=choice
            )
            shared = overlap(np.delete(corners[late], number, axis=1), again, patch)
            better = shared < worst[late]
            corners[late[better], number], worst[late[better]] = again[better], shared[better]


def _around_a_voxel(
    rng: np.random.Generator,
    visits: Visits,
    likely: np.ndarray,
    *,
    room: np.ndarray,
    patch: np.ndarray,
    choice: Choice,
) -> np.ndarray:
    """Corners int64 (tile, axis) of patches around one of the known voxels, drawn by likely (tile, slice,
    class).
    """
    places = choice.holdings.places
    assert places is not None
    sums = likely.reshape(len(likely), -1).cumsum(axis=1)
    drawn = (sums > (rng.random(len(sums)) * sums[:, -1])[:, None]).argmax(axis=1)
    depth, index = np.divmod(drawn, likely.shape[2])
    row = choice.holdings.first[visits.scan] + visits.first_z + depth
    place = places[row, index, rng.integers(0, places.shape[2], size=len(row))]
    voxel = np.concatenate([depth[:, None], place], axis=1)
    return rng.integers(np.maximum(voxel - patch + 1, 0), np.minimum(voxel, room - patch) + 1)
