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

# seed: from which noise, rings and displacements of the patch are made. rotation: degrees, as torch.rot90
# from y to x. scaling: factor, above 1 enlarges. elastic, spacing, blur: px. gamma: exponent. noise, ring,
# shift: tenths of the normalised range. ring_share: of the radii. centre_y, centre_x: of the rings, px from
# the patch's first voxel. gain, shift: of the slices behind a step; step_at: where it is, 0..1 of the patch's
# slices.
VARIATION = np.dtype(
    [("seed", "i8")]
    + [
        (name, "f4")
        for name in (
            "rotation", "scaling", "elastic", "spacing", "gamma", "blur", "noise", "ring", "ring_share",
            "centre_y", "centre_x", "gain", "shift", "step_at",
        )
    ]
)  # fmt: skip
NEUTRAL = {"scaling": 1.0, "gamma": 1.0, "gain": 1.0}

Table = Mapping[str, Mapping[str, float]]


def neutral(count: int) -> np.ndarray:
    """Records (count,) that change nothing."""
    made = np.zeros(count, dtype=VARIATION)
    for name, value in NEUTRAL.items():
        made[name] = value
    return made


def draw_variation(
    table: Table, count: int, *, per_tile: int, seed: int, epoch: int, centre: np.ndarray
) -> np.ndarray:
    """Records (count,) of VARIATION, drawn for every patch; a step for every tile, which is per_tile patches
    in a row.

    table: as transform_table.read gives it. centre: float (count, 2), y and x of the middle of the scan's
    slices as seen from each patch, where the rotation axis of a scanner lies and so the middle of its rings.
    """
    made = neutral(count)
    made["seed"] = _stream(seed, epoch, "seed").integers(0, 2**62, size=count)
    made["centre_y"], made["centre_x"] = centre[:, 0], centre[:, 1]
    for name, numbers in table.items():
        rng = _stream(seed, epoch, name)
        size = count // per_tile if name == "step" else count
        drawn = _DRAW[name](rng, numbers, size)
        is_left = rng.random(size) >= numbers["probability"]
        for column, values in drawn.items():
            values = np.where(is_left, NEUTRAL.get(column, 0.0), values)
            made[column] = np.repeat(values, count // size)
    return made


def _stream(seed: int, epoch: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, epoch, zlib.crc32(name.encode("ascii"))])


def _draw_gamma(rng: np.random.Generator, numbers: Mapping[str, float], n: int) -> dict[str, np.ndarray]:
    return {"gamma": np.exp(rng.uniform(np.log(numbers["low"]), np.log(numbers["high"]), size=n))}


def _draw_elastic(rng: np.random.Generator, numbers: Mapping[str, float], n: int) -> dict[str, np.ndarray]:
    return {
        "elastic": rng.uniform(0, numbers["strength_px"], size=n),
        "spacing": np.full(n, numbers["spacing_px"]),
    }


def _draw_ring(rng: np.random.Generator, numbers: Mapping[str, float], n: int) -> dict[str, np.ndarray]:
    return {"ring": rng.uniform(0, numbers["strength"], size=n), "ring_share": np.full(n, numbers["share"])}


def _draw_step(rng: np.random.Generator, numbers: Mapping[str, float], n: int) -> dict[str, np.ndarray]:
    widest = numbers["strength"]
    gain = np.maximum(rng.uniform(1 - widest, 1 + widest, size=n), 0.0)
    return {"gain": gain, "shift": rng.uniform(-widest, widest, size=n), "step_at": rng.random(n)}


_DRAW = {
    "rotation": lambda rng, numbers, n: {
        "rotation": rng.uniform(-numbers["degrees"], numbers["degrees"], size=n)
    },
    "scaling": lambda rng, numbers, n: {
        "scaling": rng.uniform(1 - numbers["share"], 1 + numbers["share"], size=n)
    },
    "elastic": _draw_elastic,
    "gamma": _draw_gamma,
    "blur": lambda rng, numbers, n: {"blur": rng.uniform(0, numbers["sigma_px"], size=n)},
    "noise": lambda rng, numbers, n: {"noise": rng.uniform(0, numbers["strength"], size=n)},
    "ring": _draw_ring,
    "step": _draw_step,
}
