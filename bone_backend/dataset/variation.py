"""Draw how much every patch is changed by the advanced transforms; nothing is changed here.

In:  the table of transforms with their probabilities, and (seed, epoch).
Out: one record a patch: every number that `transforms.py` applies, neutral where nothing was drawn.
Each transform has its own stream of random numbers, so that adding one changes neither the patches nor the
others.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from ..options.transforms import TRANSFORMS, Column

COLUMNS = tuple(column for row in TRANSFORMS.values() for column in (*row.columns, *row.also))
# seed: from which noise, rings and displacements of the patch are made. centre_y, centre_x: of the rings, px
# from the patch's first voxel. The others are told in options/transforms.py.
VARIATION = np.dtype(
    [("seed", "i8")] + [(name, "f4") for name in ("centre_y", "centre_x", *(c.name for c in COLUMNS))],
    align=True,  # torch takes the seeds of a view only where 8 bytes divide a record
)

HARDLY = 0.8  # of the size; structures are thin enough already

Table = Mapping[str, Mapping[str, float]]


def neutral(count: int) -> np.ndarray:
    """Records (count,) that change nothing."""
    made = np.zeros(count, dtype=VARIATION)
    for column in COLUMNS:
        made[column.name] = column.neutral
    return made


def draw_variation(
    table: Table, count: int, *, per_tile: int, seed: int, epoch: int, centre: np.ndarray
) -> np.ndarray:
    """Records (count,) of VARIATION, drawn for every patch; some transforms for every tile, which is per_tile
    patches in a row.

    table: as `options.transforms.read` gives it. centre: float (count, 2), y and x of the middle of the
    scan's slices as seen from each patch, where a scanner's axis lies and so the middle of its rings.
    """
    made = neutral(count)
    made["seed"] = _stream(seed, epoch, "seed").integers(0, 2**62, size=count)
    made["centre_y"], made["centre_x"] = centre[:, 0], centre[:, 1]
    for name, numbers in table.items():
        rng = _stream(seed, epoch, name)
        row = TRANSFORMS[name]
        size = count // per_tile if row.per_tile else count
        drawn = [(column, _draw(rng, column, numbers, size)) for column in (*row.columns, *row.also)]
        is_left = rng.random(size) >= numbers["probability"]
        for column, values in drawn:
            values = np.where(is_left, column.neutral, values)
            made[column.name] = np.repeat(values, count // size)
    return made


def hold_thickness(records: np.ndarray, thick: np.ndarray, numbers: Mapping[str, float]) -> None:
    """Shrink no patch so far that its structures become thinner than "thinnest_px", in place.

    thick: voxels, of the structures of each patch's scan. numbers: of "shrink". What was drawn between its
    ends is drawn between those that are left; where there is hardly anything to shrink nothing is changed.
    """
    smallest, largest = numbers["smallest"], numbers["largest"]
    least = np.clip(numbers["thinnest_px"] / thick, smallest, 1.0)
    drawn = records["shrink"]
    share = (drawn - smallest) / max(largest - smallest, 1e-6)
    held = np.where(least > HARDLY, 1.0, least + share * (largest - least))
    records["shrink"] = np.where(drawn == 1.0, 1.0, held)


def _draw(rng: np.random.Generator, column: Column, numbers: Mapping[str, float], size: int) -> np.ndarray:
    low = column.low(numbers)
    if column.high is None:
        return np.full(size, low)
    high = column.high(numbers)
    if column.is_ratio:
        return np.exp(rng.uniform(np.log(low), np.log(high), size=size))
    values = rng.uniform(low, high, size=size)
    return values if column.least is None else np.maximum(values, column.least)


def _stream(seed: int, epoch: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, epoch, zlib.crc32(name.encode("ascii"))])
