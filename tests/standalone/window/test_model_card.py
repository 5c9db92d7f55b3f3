"""What the card of a model tells of a scan before it is labelled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bone_backend.intensity.statistics import measure
from bone_backend.volumes.volume import ArrayVolume, save
from standalone.window.model_card import read_card

SHAPE = (12, 40, 40)


def femur(seed: int) -> np.ndarray:
    """A tenth is bright."""
    random = np.random.default_rng(seed)
    scan = random.normal(50, 5, SHAPE)
    scan[:, 5:18, 5:18] = random.normal(170, 8, (SHAPE[0], 13, 13))
    return scan.round().clip(1, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make(tmp_path_factory.mktemp("model") / "femur.pth", voxels="nonzero")


def make(path: Path, *, voxels: str) -> Path:
    from tests.prediction_models import make_model  # loads torch

    found = {
        f"femur_{seed}": measure(ArrayVolume(femur(seed)), voxels="nonzero").to_dict() for seed in (1, 2)
    }
    bone = {"statistics": found, "statistics_voxels": voxels, "voxel_size_um": [[20.0, 20.0, 20.0]]}
    return make_model(path, bone=bone, is_plain=True)


def test_greys_like_those_of_the_fit_get_no_word_and_others_one(model):
    card = read_card(str(model))
    assert (len(card.fitted), card.normalization) == (2, "ZScore")
    assert card.grey_warnings(femur(3).reshape(-1)) == []
    told = card.grey_warnings((255 - femur(3)).reshape(-1))
    assert any("Is its grey scale inverted" in text for text in told)
    assert card.grey_warnings(np.zeros(100, np.uint8)) == []  # a prediction refuses it


@pytest.mark.parametrize("voxels", ["auto", "edges", "edge-tissues", "all"])
def test_a_model_with_any_grey_scale_warns(voxels, tmp_path):
    card = read_card(str(make(tmp_path / "femur.pth", voxels=voxels)))
    assert card.grey_warnings(femur(3).reshape(-1)) == []
    told = card.grey_warnings((255 - femur(3)).reshape(-1))
    assert any("Is its grey scale inverted" in text for text in told)


def test_a_scan_outside_of_the_model_is_told_before_it_is_labelled(driver, model, tmp_path):
    save(tmp_path / "like.tif", femur(3), voxel_size=(20.0, 20.0, 20.0))
    save(tmp_path / "unlike.tif", 255 - femur(3), voxel_size=(60.0, 60.0, 60.0))
    tab = driver.window.predict
    driver.window.tabs.setCurrentWidget(tab)
    driver.type_into(tab, "model", str(model))
    driver.type_into(tab, "scan", str(tmp_path / "like.tif"))
    driver.wait(lambda: tab.viewer.view is not None)
    assert tab.warning.text() == ""
    driver.type_into(tab, "scan", str(tmp_path / "unlike.tif"))
    driver.wait(lambda: "inverted" in tab.warning.text())
    assert tab.warning.isVisible()
    assert tab.warning.text().startswith("The model was fitted on voxels of 20 um, this scan has 60 um")
    assert tab.run_bar.start.isEnabled()  # a warning stops nobody
    driver.type_into(tab, "scan", str(tmp_path / "like.tif"))
    driver.wait(lambda: tab.warning.text() == "")
