"""A scan that was stored with another gamma is brought back to the greys of the fit; no other is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bone_backend.inference.streaming import prepare
from bone_backend.inference.windows import layout
from bone_backend.intensity.grey_curve import GreyCurve, seek
from bone_backend.intensity.normalisation import Normalisation
from bone_backend.intensity.statistics import Statistics, measure
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.volume import save
from mocks.scans import Phantom


def scanned(seed: int) -> np.ndarray:
    return Phantom(shape=(16, 96, 96), seed=seed).whole()[0]


def stored(grey: np.ndarray, gamma: float, most: float = 255) -> np.ndarray:
    """float64, up to `most`, which 255 becomes."""
    return most * (grey / 255.0) ** gamma


@pytest.fixture(scope="module")
def fitted() -> list[Statistics]:
    return [measure(ArrayVolume(scanned(seed))) for seed in (1, 2)]


def sought(grey: np.ndarray, fitted: list[Statistics], folder: Path, voxels: str = "shared-tissues"):
    save(folder / "scan.tif", grey, overwrite=True)
    return seek(folder / "scan.tif", measure(ArrayVolume(grey)), fitted, voxels=voxels)


def whole(grey: np.ndarray, dtype: type) -> np.ndarray:
    return np.round(grey).astype(dtype)


@pytest.mark.parametrize("gamma", [0.7, 0.8, 1.3])
@pytest.mark.parametrize("number", ["uint16", "int16", "float32"])
def test_the_power_that_undoes_a_gamma_is_found(gamma, number, fitted, tmp_path):
    most = {"uint16": 60000, "int16": 9000, "float32": 0.7}[number]
    grey = stored(scanned(2), gamma, most)
    grey = grey.astype(np.float32) if number == "float32" else whole(grey, np.dtype(number).type)
    curve, found = sought(grey, fitted, tmp_path)
    assert curve.power == pytest.approx(1 / gamma, rel=0.06)
    assert curve.top == grey.max()
    # the tissues lie in the same proportion as in the scans of the fit
    low, high = found.edge_tissues
    wanted = np.mean([one.edge_tissues for one in fitted], axis=0)
    assert low / high == pytest.approx(wanted[0] / wanted[1], rel=0.04)


def test_another_animal_stored_with_a_gamma_in_8_bit_is_found_too(fitted, tmp_path):
    curve, _ = sought(whole(stored(scanned(5), 0.6), np.uint8), fitted, tmp_path)
    assert curve.power == pytest.approx(1 / 0.6, rel=0.06)


def changed() -> dict[str, np.ndarray]:
    """Scans that no power explains."""
    grey = scanned(5)
    noise = np.random.default_rng(0).normal(0, 8, grey.shape)
    return {
        "as it is": grey,
        "darker, with an offset": grey // 2 + 60,
        "16 bit": grey.astype(np.uint16) * 200,
        "inverted": 255 - grey,
        "noisy, with an offset": np.clip(grey * 0.8 + 20 + noise, 0, 255).astype(np.uint8),
        "nearly as it is": whole(stored(grey, 0.95), np.uint8),
        "with negative values": whole(stored(scanned(2), 0.7, 2000), np.int16) - 20,
        "of one value": np.full_like(grey, 9),
    }


@pytest.mark.parametrize("name", changed())
def test_no_other_scan_is_changed(name, fitted, tmp_path):
    grey = changed()[name]
    curve, found = sought(grey, fitted, tmp_path)
    assert curve is None
    assert found == measure(ArrayVolume(grey))


def test_scales_of_all_voxels_and_models_without_statistics_have_no_curve(fitted, tmp_path):
    grey = whole(stored(scanned(2), 0.7, 60000), np.uint16)
    assert sought(grey, fitted, tmp_path)[0]
    assert sought(grey, fitted, tmp_path, "auto")[0] is None
    assert sought(grey, [], tmp_path)[0] is None
    turned = replace(fitted[0], edge_tissues=fitted[0].edge_tissues[::-1])  # of a damaged model file
    assert sought(grey, [turned], tmp_path)[0] is None


def test_the_network_sees_the_curved_greys_from_numpy_and_from_torch():
    numbers = Normalisation("tissue", 50.0, 0.02, -5.0, 5.0, power=1.5, top=200.0)
    grey = np.array([[[-3, 0, 50, 128, 200]]], np.int16)
    wanted = (GreyCurve(1.5, 200.0).of(np.maximum(grey, 0)) - 50) * 0.02
    np.testing.assert_allclose(numbers.apply(grey), wanted, rtol=1e-5)
    shape = layout((1, 1, 5), (1, 1, 5), overlap=0)
    seen = prepare(torch.from_numpy(grey), numbers, layout=shape, device=torch.device("cpu"))
    np.testing.assert_allclose(seen.numpy(), wanted, rtol=1e-5)
