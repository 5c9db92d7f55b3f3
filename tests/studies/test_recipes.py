"""Every recipe runs on phantoms, shortened by --quick; and a fit takes its options from one."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from bone_backend.errors import OptionError
from bone_backend.model_files import model_file
from bone_backend.networks.build import build_network
from bone_backend.networks.spec import NetworkSpec
from bone_backend.progress import silent
from bone_backend.studies.plan import make_plan
from bone_backend.study import study
from standalone.option_files import read_config
from tests.conftest import phantoms, write_pairs

from .studies import options, rows, table

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
RUNS = {"bp-2d-03": 15, "benchmark-30": 30, "dimensionality": 25, "fine-tune": 4}
QUICK = {"bp-2d-03": 2, "benchmark-30": 3, "dimensionality": 4, "fine-tune": 4}
EVERY = {"benchmark-30": 10, "dimensionality": 4}  # of the rows; all networks are built in other tests


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The recipes as a user copies them, with a table of phantoms and a model to go on from."""
    made = tmp_path_factory.mktemp("recipes")
    pairs = write_pairs(made, phantoms(*[(32, 64, 64)] * 10))
    columns = {
        "fold": list("1233344455"),  # quick: the first two
        "pool": [*["training"] * 8, "validation", "test"],
    }
    for path in RECIPES.glob("*.toml"):
        shutil.copy(path, made)
    (made / "scans-20.csv").write_text(table(pairs, columns), encoding="utf-8")
    spec = NetworkSpec("U-Net", "resnet18", "2D", in_channels=1, num_classes=3)
    torch.manual_seed(1)
    told = {"num_classes": 3, "in_channels": 1, "mode": "2D", "is_3d": False, "model_arch": "U-Net",
            "backbone": "resnet18", "normalization": "ZScore"}  # fmt: skip
    state = build_network(spec).eval().state_dict()
    model_file.save_model(made / "published.pth", state=state, metadata=told, bone={})
    return made


@pytest.mark.parametrize("name", RUNS)
def test_a_recipe_has_as_many_runs_as_it_says(folder, tmp_path, name):
    plan = make_plan(options(folder / f"{name}.toml", tmp_path / "out"), known={}, progress=silent)
    assert len(plan.runs) == RUNS[name]
    line = re.search(rf"`{name}.toml`.*\| (\d+) \|", (RECIPES / "README.md").read_text(encoding="utf-8"))
    assert int(line[1]) == RUNS[name]


@pytest.mark.slow
@pytest.mark.rare
@pytest.mark.parametrize("name", RUNS)
def test_a_recipe_runs_when_it_is_shortened(folder, tmp_path, name):
    path = folder / f"{name}.toml"
    if name in EVERY:
        head, *parts = path.read_text(encoding="utf-8").split("\n[[rows]]")
        path = folder / "some.toml"
        path.write_text("\n[[rows]]".join([head, *parts[:: EVERY[name]]]), encoding="utf-8")
    told = study(options(path, tmp_path / "out", quick=True))
    assert told["runs"] == QUICK[name]
    found = rows(tmp_path / "out")
    assert len({row["run"] for row in found}) == QUICK[name]
    assert not any(np.isnan(float(row["mean_iou"])) for row in found)
    page = (tmp_path / "out" / "study.html").read_text(encoding="utf-8")
    assert "The scores mean nothing." in page
    assert ("mIoU by training scans" in page) == (name == "fine-tune")


def test_the_table_of_the_paper_waits_for_paths(tmp_path):
    with pytest.raises(OptionError) as fault:
        make_plan(options(RECIPES / "bp-2d-03.toml", tmp_path / "out"), known={}, progress=silent)
    assert fault.value.faults[0] == "scans-20.csv, row 1: scan is empty; write its path."
    assert len(fault.value.faults) == 40


def test_a_fit_takes_the_options_of_a_recipe():
    values = read_config(RECIPES / "bp-2d-03.toml")
    told = tomllib.loads((RECIPES / "bp-2d-03.toml").read_text(encoding="utf-8"))
    assert values == told["base"]
    assert values["batch_size"] == 64
