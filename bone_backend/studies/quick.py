"""A study shortened to minutes, to see that its file, its scans and its networks go together.

In:  the options of a run.
Out: those of a run of seconds: one epoch of one step on small patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..options.programs import FitOptions
from .states import QUICK

FOLDS, SEEDS = 2, 1
MARK = QUICK
TOLD = (
    "Quick: one seed, two folds, one epoch of one step with two small patches, random first weights. "
    "The scores mean nothing."
)
EDGE, EDGE_3D = 64, 32  # of the patches, at least as large as the network takes
STEP = {
    **{"epochs": 1, "minutes": None, "epoch_steps": 1, "validation_patches": 2},
    **{"batch_size": 2, "patches_per_tile": 1, "accumulate": 1, "early_stopping": None},
}


def shortened(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a fit, but quick. Raises OptionError where they do not hold as they are."""
    FitOptions.parse(values)
    short = {**values, **STEP, "patch_size": None}
    asked = FitOptions.parse({**short, "patch_depth": values.get("patch_depth", 64)})
    if asked.is_library_weights:
        short["weights"] = "random"
    depth, edge = asked.size_multiples[0], max(asked.size_multiples[1:])
    wanted = EDGE_3D if asked.mode == "3D" else EDGE
    short["patch_size"] = max(-(-wanted // edge) * edge, asked.smallest_patch)
    if asked.mode == "3D":
        short["patch_depth"] = -(-EDGE_3D // depth) * depth
    return short
