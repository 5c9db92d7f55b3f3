"""What the options of a fit are that nobody has given, by the name of a recipe.

In:  the values that are given, "recipe" among them.
Out: the values with those of the recipe under them.
The recipe easy is the table of options itself, where most is auto: chosen for the scans, the network and the
machine (dataset/settled.py). A file of one's own options is read by --config.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fields import Options

# The defaults of the published program (Lee et al. 2026; ../docs/options.md has their meaning).
PAPER: dict[str, Any] = {
    "validation": "scans",
    "train_split": 0.8,
    "mode": "2D",
    "patch_size": 256,
    "patches_per_tile": 4,
    "max_patch_overlap": 0.3,
    "axes": "z",
    "normalization": "ZScore",
    "class_balance": 0.0,
    "augmentation": True,
    "brightness_probability": 0.4,
    "brightness_range": 0.15,
    "contrast_probability": 0.4,
    "contrast_range": 0.25,
    "transforms": "",
    "architecture": "U-Net",
    "backbone": "resnet18",
    "weights": "random",
    "epochs": 25,
    "batch_size": 32,
    "learning_rate": 0.001,
    "optimizer": "Adam",
    "schedule": "cosine",
    "norm_statistics": "running",
    "loss": "Jaccard",
    "seed": 42,
}

# To see whether all goes well, before a fit that takes its time.
QUICK: dict[str, Any] = {"minutes": 1.0}

RECIPES: dict[str, dict[str, Any]] = {"easy": {}, "paper": PAPER, "quick": QUICK}


def told(options: Options) -> list[str]:
    """The recipe in words, and what of it was set aside; nothing of easy, which chooses by itself."""
    name = str(getattr(options, "recipe", "easy"))
    if not RECIPES.get(name):
        return []
    apart = [
        f"{field.label.lower()} {value if value is not None else field.none_word}"
        for field in options.option_fields()
        if field.name in RECIPES[name]
        and (value := getattr(options, field.name)) != RECIPES[name][field.name]
    ]
    what = {"paper": "the published settings", "quick": "one minute, to try out"}[name]
    return [f"Recipe {name}: {what}" + (f", but {', '.join(apart)}." if apart else ".")]


def filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, and those of the recipe that they name where nothing is given.

    A recipe that is not known is left to be told with all other faults.

    >>> filled({"recipe": "quick", "seed": 7})
    {'minutes': 1.0, 'recipe': 'quick', 'seed': 7}
    """
    recipe = values.get("recipe")
    return {**(RECIPES.get(recipe, {}) if isinstance(recipe, str) else {}), **values}
