"""A scan whose grey values are unlike those of the model's scans is told; one of the same kind is not."""

from __future__ import annotations

import numpy as np
import pytest

from bone_backend.intensity.grey_scale import advice, statistics_of
from bone_backend.intensity.statistics import Statistics, measure
from bone_backend.volumes.array import ArrayVolume
from mocks.scans import Phantom


def scanned(**more) -> np.ndarray:
    return Phantom(shape=(16, 96, 96), **more).whole()[0]


def measured(grey: np.ndarray, voxels: str = "nonzero") -> Statistics:
    return measure(ArrayVolume(grey), voxels=voxels)


def gamma(grey: np.ndarray, power: float) -> np.ndarray:
    return np.round((grey / 255.0) ** power * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def fitted() -> list[Statistics]:
    return [measured(scanned(seed=seed)) for seed in (1, 2)]


def told(grey: np.ndarray, fitted: list[Statistics], mode: str = "tissue") -> str:
    return "\n".join(advice(measured(grey), fitted, mode=mode, voxels="auto"))


@pytest.mark.parametrize("mode", ["tissue", "ZScore", "minMax", "percentiles"])
def test_the_scans_of_the_fit_are_never_told(fitted, mode):
    for seed in (1, 2):
        assert told(scanned(seed=seed), fitted, mode) == ""


def test_another_animal_brighter_or_cut_or_in_16_bit_is_of_the_same_kind(fitted):
    other = scanned(seed=5)
    for grey in (other, other // 2 + 30, other[:, :80], other.astype(np.uint16) * 200):
        assert told(grey, fitted) == ""


def test_another_grey_curve_is_told_with_numbers_and_what_to_do(fitted):
    found = told(gamma(scanned(seed=5), 0.5), fitted)
    assert "grey values are spread otherwise than in the scans of the fit (the" in found
    assert "% is ordinary" in found
    assert "Look at the labels before you use them." in found


def test_an_inverted_grey_scale_is_told_by_the_share_of_bright_voxels(fitted):
    found = told(255 - scanned(seed=5), fitted)
    assert "Is its grey scale inverted" in found
    assert "in the scans of the fit" in found


def test_what_the_scans_of_the_fit_differ_by_is_never_told(fitted):
    other = gamma(scanned(seed=5), 0.7)
    assert told(other, fitted) != ""
    assert told(other, [*fitted, measured(gamma(scanned(seed=6), 0.7))]) == ""


def test_by_z_score_a_scan_with_far_more_bone_is_told_where_its_tissues_come_to_lie():
    rare, often = (two_tissues(share) for share in (0.05, 0.2))
    found = told(often, [measured(rare)], "ZScore")
    assert "by ZScore its brighter tissue comes to lie at" in found
    assert told(often, [measured(rare)], "tissue") == ""  # which anchors both


def two_tissues(share: float) -> np.ndarray:
    random = np.random.default_rng(0)
    is_bone = random.random((8, 64, 64)) < share
    return np.where(is_bone, 180, 60).astype(np.uint8) + random.integers(0, 9, (8, 64, 64), np.uint8)


def test_a_scan_of_one_tissue_is_told_once(fitted):
    noise = np.random.default_rng(0).normal(100, 10, (8, 64, 64)).astype(np.uint8)
    assert "do not fall into two tissues" in told(noise, fitted, "ZScore")
    assert told(noise, fitted) == ""  # by this normalisation it is said where the scale is sought


def test_a_model_file_that_lacks_the_numbers_is_passed_over(fitted):
    whole = fitted[0].to_dict()
    old = {name: value for name, value in whole.items() if name != "tissues"}
    older = whole | {"tissues": {name: v for name, v in whole["tissues"].items() if name != "histogram"}}
    for kept in (None, {}, {"a": old}, {"a": {"mean": 3}}, {"a": None}, [whole]):
        assert statistics_of(kept) == []
    (found,) = statistics_of({"a": older})
    assert told(255 - scanned(seed=5), [found]) == ""
    assert statistics_of({"a": whole, "b": old}) == [fitted[0]]
    assert told(255 - scanned(seed=5), []) == ""


def test_float_scans_are_compared_as_whole_numbers_are(fitted):
    other = scanned(seed=5)
    assert told(other.astype(np.float32) / 255, fitted) == ""
    assert told(gamma(other, 0.5).astype(np.float32), fitted) != ""
