"""Recipes: the published settings field by field, what is given wins, and runs from before there were any."""

from __future__ import annotations

import json

import pytest

from bone_backend.dataset.settled import settled
from bone_backend.errors import OptionError
from bone_backend.options.programs import FitOptions, dump
from bone_backend.options.recipes import RECIPES, filled

PAIRS = [["a", "am"], ["b", "bm"]]
SHAPES = [(300, 400, 500), (300, 400, 500)]


def options(**values):
    return FitOptions.parse({"pairs": PAIRS, "output": "run"} | values)


def chosen(**values):
    return settled(options(**values), ["a", "b"], SHAPES)[0]


# The controls of the published window "BONe Deep Learning Fitting", top to bottom, and what the paper (Lee et
# al. 2026) says of augmentation.
PUBLISHED = {
    "mode": "2D",
    "slices": 3,
    "tile_depth": 32,
    "patch_depth": 32,
    "patch_size": 256,
    "patches_per_tile": 4,
    "max_patch_overlap": 0.3,
    "augmentation": True,
    "turn_probability": 0.5,
    "brightness_probability": 0.4,
    "brightness_range": 0.15,
    "contrast_probability": 0.4,
    "contrast_range": 0.25,
    "normalization": "ZScore",
    "train_split": 0.8,
    "architecture": "U-Net",
    "backbone": "resnet18",
    "stride": None,
    "weights": "random",
    "epochs": 25,
    "batch_size": 32,
    "learning_rate": 0.001,
    "optimizer": "Adam",
    "weight_decay": 0.01,
    "momentum": 0.9,
    "loss": "Jaccard",
    "loss_alpha": 1.25,
    "loss_beta": 1.25,
    "loss_gamma": 2.0,
    "focal_weight": 0.5,
    "seed": 42,
}
# What the published program does without a choice: whole scans validate, slices lie along z, every tile is
# visited once an epoch however long that takes, and the rate changes with the epochs.
WITHOUT_CHOICE = {
    "validation": "scans",
    "axes": "z",
    "schedule": "cosine",
    "class_balance": 0.0,
    "foreground_share": 0.0,
    "empty_tiles": "keep",
    "transforms": "",
    "minutes": None,
    "epoch_steps": None,
    "validation_patches": None,
    "accumulate": 1,
    "clip_gradient": None,
    "early_stopping": None,
}


@pytest.mark.parametrize(("name", "value"), [*PUBLISHED.items(), *WITHOUT_CHOICE.items()])
def test_the_recipe_paper_is_the_published_program_as_it_is_asked_and_as_it_is_settled(name, value):
    assert getattr(options(recipe="paper"), name) == value
    assert getattr(chosen(recipe="paper"), name) == value


@pytest.mark.parametrize(("mode", "chance"), [("2D", 0.166), ("3D", 0.111)])
def test_the_recipe_paper_flips_as_often_as_the_paper_says(mode, chance):
    assert options(recipe="paper", mode=mode).flip_chance == chance


def test_nothing_is_chosen_for_the_user_in_the_recipe_paper_and_what_is_set_aside_is_told():
    told = settled(options(recipe="paper"), ["a", "b"], SHAPES)[1]
    assert told == ["Recipe paper: the published settings."]
    told = settled(options(recipe="paper", patch_size=64, loss="Dice"), ["a", "b"], SHAPES)[1]
    assert told == ["Recipe paper: the published settings, but patch size 64, loss function Dice."]


@pytest.mark.parametrize(
    ("values", "time"),
    [
        ({}, (5.0, 9)),
        ({"recipe": "easy"}, (5.0, 9)),
        ({"recipe": "quick"}, (1.0, 4)),
        ({"recipe": "quick", "minutes": 20}, (20.0, 18)),
        ({"minutes": 120}, (120.0, 40)),
        ({"minutes": 120, "epochs": 3}, (120.0, 3)),
        ({"epochs": 7}, (None, 7)),
        ({"recipe": "paper"}, (None, 25)),
        ({"recipe": "paper", "minutes": 10}, (10.0, 25)),
    ],
)
def test_a_fit_has_the_time_or_the_epochs_that_were_given_or_those_of_its_recipe(values, time):
    found = chosen(**values)
    assert (found.minutes, found.epochs) == time


def test_quick_is_easy_in_one_minute():
    easy, quick = dump(options()), dump(options(recipe="quick"))
    assert {name: quick[name] for name in quick if quick[name] != easy[name]} == {
        "recipe": "quick",
        "minutes": 1.0,
    }


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_what_is_given_wins_over_the_recipe(recipe):
    given = {"minutes": 3.0, "epochs": 2, "loss": "Dice", "seed": 7, "patch_size": 128, "train_split": 0.5}
    found = options(recipe=recipe, **given)
    assert {name: getattr(found, name) for name in given} == given
    assert filled({"recipe": recipe, **given}) == RECIPES[recipe] | {"recipe": recipe} | given


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_a_recipe_names_options_that_there_are_and_holds_after_a_way_through_json(recipe):
    assert set(RECIPES[recipe]) <= set(FitOptions.model_fields)
    made = options(recipe=recipe)
    assert FitOptions.parse(json.loads(json.dumps(dump(made)))) == made


@pytest.mark.parametrize("recipe", ["papers", "", 3, None, ["paper"]])
def test_a_recipe_that_is_not_known_is_told_with_all_other_faults(recipe):
    with pytest.raises(OptionError) as told:
        options(recipe=recipe, seed=-1)
    assert len(told.value.faults) == 2
    assert any("recipe is" in fault and "choose easy, paper or quick" in fault for fault in told.value.faults)


# What version 1 of BONe wrote of a fit with its defaults, in part: no recipe, no validation, no minutes.
OLDER = {
    "pairs": [{"scan": "/a", "mask": "/am"}, {"scan": "/b", "mask": "/bm"}],
    "output": "/run",
    "mode": "2D",
    "patch_size": 32,
    "patches_per_tile": 4,
    "architecture": "U-Net",
    "backbone": "resnet18",
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 0.001,
    "loss": "Jaccard",
    "schedule": "cosine",
}


def test_a_run_of_an_older_version_goes_on_as_it_was(tmp_path):
    (tmp_path / "options.json").write_text(json.dumps(OLDER), encoding="utf-8")
    found = settled(FitOptions.parse({"resume": str(tmp_path)}), ["a", "b"], SHAPES)[0]
    assert (found.recipe, found.validation, found.axes) == ("paper", "scans", "z")
    assert (found.minutes, found.epoch_steps, found.validation_patches) == (None, None, None)
    kept = ("patch_size", "patches_per_tile", "epochs", "batch_size", "learning_rate", "loss", "schedule")
    assert {name: getattr(found, name) for name in kept} == {name: OLDER[name] for name in kept}
    assert FitOptions.parse({"resume": str(tmp_path), "epochs": 5}).epochs == 5
    with pytest.raises(OptionError, match="recipe cannot be changed"):
        FitOptions.parse({"resume": str(tmp_path), "recipe": "easy"})


def test_a_run_of_an_older_version_that_is_given_a_time_has_it(tmp_path):
    (tmp_path / "options.json").write_text(json.dumps(OLDER), encoding="utf-8")
    again = settled(FitOptions.parse({"resume": str(tmp_path), "minutes": 2}), ["a", "b"], SHAPES)[0]
    assert (again.minutes, again.epochs) == (2.0, 3)
