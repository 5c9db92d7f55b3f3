"""Choose which tiles an epoch visits, where the user wants other than every tile once.

In:  what the tiles of every scan hold, and the user's wishes.
Out: the tiles of an epoch and the class that the patches of each must hold, if any.
The number of visits depends on the wishes only, never on the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .contents import Holdings, check_not_empty

# The class of a visit whose patches may hold anything.
ANY = -1


@dataclass(frozen=True)
class Choice:
    """Wishes about the tiles and patches of an epoch; the defaults wish nothing.

    skip_empty: leave out tiles that hold background and ignored voxels only. foreground_share: share of the
    patches, in tiles that hold a class other than background, which must hold a voxel of one. class_balance:
    share of the visits that are dealt out to the classes evenly. weights: visits of the tiles of each scan, 1
    for one visit; empty for 1 everywhere.
    """

    holdings: Holdings
    skip_empty: bool = False
    foreground_share: float = 0.0
    class_balance: float = 0.0
    weights: Sequence[float] = ()
    purpose: str = "training"


@dataclass(frozen=True)
class Visits:
    """Tiles in the order of the scans; scan, first_z, depth, wanted: int64 (visit,), wanted a class index or
    ANY.
    """

    scan: np.ndarray
    first_z: np.ndarray
    depth: np.ndarray
    wanted: np.ndarray

    def taken(self, index: np.ndarray) -> Visits:
        """Some visits, by number or by truth."""
        return Visits(self.scan[index], self.first_z[index], self.depth[index], self.wanted[index])


def choose_visits(rng: np.random.Generator, tiles: Visits, choice: Choice) -> Visits:
    """The visits of an epoch, of all tiles that there are. Raises ScanError when none is left."""
    holds = choice.holdings.of_tiles(tiles.scan, tiles.first_z, tiles.depth).any(axis=1)
    if choice.skip_empty:
        kept = np.flatnonzero(holds[:, 1:].any(axis=1))
        tiles, holds = tiles.taken(kept), holds[kept]
    weight = (
        np.array(choice.weights, dtype=np.float64)[tiles.scan] if choice.weights else np.ones(len(tiles.scan))
    )
    number = _weighted(rng, tiles.scan, weight)
    check_not_empty(len(number), choice.purpose)
    visits = tiles.taken(number)
    return _balance(rng, visits, tiles, holds=holds, weight=weight, share=choice.class_balance)


def _weighted(rng: np.random.Generator, scan: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Tile numbers in order: each as often as the whole part of its weight says, the rest by lot within its
    scan.
    """
    chosen = [np.repeat(np.arange(len(scan)), weight.astype(np.int64))]
    for index in np.unique(scan):
        own = np.flatnonzero(scan == index)
        extra = round(float(weight[own[0]] % 1) * len(own))
        chosen.append(rng.choice(own, size=extra, replace=False) if extra else own[:0])
    return np.sort(np.concatenate(chosen))


def _balance(
    rng: np.random.Generator,
    visits: Visits,
    tiles: Visits,
    *,
    holds: np.ndarray,
    weight: np.ndarray,
    share: float,
) -> Visits:
    """Give a share of the visits to tiles that hold a class, the same number to each class that occurs."""
    classes = [c for c in range(1, holds.shape[1]) if (weight[holds[:, c]] > 0).any()]
    count = round(share * len(visits.scan)) if classes else 0
    if count == 0:
        return visits
    replaced = rng.permutation(len(visits.scan))[:count]
    scan, first_z, depth, wanted = (
        a.copy() for a in (visits.scan, visits.first_z, visits.depth, visits.wanted)
    )
    for turn, index in enumerate(classes):
        mine = replaced[turn :: len(classes)]
        likely = weight * holds[:, index]
        tile = rng.choice(len(likely), size=len(mine), p=likely / likely.sum())
        scan[mine], first_z[mine], depth[mine] = tiles.scan[tile], tiles.first_z[tile], tiles.depth[tile]
        wanted[mine] = index
    return Visits(scan, first_z, depth, wanted)
