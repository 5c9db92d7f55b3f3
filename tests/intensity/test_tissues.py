"""The two tissues of a scan, also where the scanner, the specimen or the crop hides them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from bone_backend.intensity.normalisation import normalisation, scale_notes
from bone_backend.intensity.statistics import Statistics, measure
from bone_backend.intensity.summary import check_written
from bone_backend.intensity.tissues import find_tissues
from bone_backend.volumes.array import ArrayVolume
from mocks.scans import Phantom

SOFT, BONE = 60, 160  # of the made scans


def greys(*parts: tuple[int, float], spread: float = 8, seed: int = 1) -> np.ndarray:
    """Shuffled uint16 greys (20, 100, 100): (mean, share) of each tissue, normal with this spread."""
    random = np.random.default_rng(seed)
    total = 200_000
    values = np.concatenate([random.normal(mean, spread, round(share * total)) for mean, share in parts])
    values = random.permutation(np.resize(values, total))
    return values.round().clip(0, 65535).astype(np.uint16).reshape(20, 100, 100)


def tissues(scan: np.ndarray):
    found = measure(ArrayVolume(scan)).tissues
    assert found is not None
    return found


ORDINARY = greys((SOFT, 0.8), (BONE, 0.2))


def test_an_ordinary_scan_has_the_means_of_its_tissues():
    found = tissues(ORDINARY)
    assert (found.low, found.high) == pytest.approx((SOFT, BONE), abs=0.5)
    assert found.contrast == pytest.approx((BONE - SOFT) / 8, rel=0.05)
    assert (found.border, found.metal) == (0, 0)
    assert found.are_separate


def test_a_border_written_as_0_moves_nothing():
    scan = ORDINARY.copy()
    scan[:, :60] = 0  # 60 %
    found = tissues(scan)
    assert (found.low, found.high) == pytest.approx((SOFT, BONE), abs=0.5)
    assert found.border == pytest.approx(0.6)
    assert "60 % of the voxels left out as air or a border written as one value" in str(found)


def test_air_that_is_0_here_and_a_little_more_there_is_measured():
    """Noise about 0, cut off below: half of the air is exactly 0, and its mean is 8 / sqrt(2 pi) = 3.2."""
    found = tissues(greys((0, 0.8), (BONE, 0.2)))
    assert found.border == 0
    assert (found.low, found.high) == pytest.approx((3.2, BONE), abs=0.5)


def test_bone_that_was_cut_out_of_its_surroundings_stands_against_what_was_written_there():
    scan = greys((BONE, 1.0))
    scan[:, :60] = 0
    found = tissues(scan)
    assert (found.low, found.high, found.border) == (0, pytest.approx(BONE, abs=0.5), 0)
    assert found.are_separate


@pytest.mark.parametrize("share", [0.0005, 0.004])
def test_a_little_metal_is_left_out(share):
    found = tissues(greys((SOFT, 0.8 - share), (BONE, 0.2), (2000, share)))
    assert (found.low, found.high) == pytest.approx((SOFT, BONE), abs=0.5)
    assert found.metal == pytest.approx(share)


def test_metal_and_a_border_in_one_scan_are_both_left_out():
    scan = greys((SOFT, 0.796), (BONE, 0.2), (2000, 0.004))
    scan[:, :40] = 0
    found = tissues(scan)
    assert (found.low, found.high) == pytest.approx((SOFT, BONE), abs=0.5)
    assert (found.border, found.metal) == pytest.approx((0.4, 0.6 * 0.004), abs=2e-4)


def test_more_metal_is_left_out_where_it_is_saturated():
    scan = greys((SOFT, 0.8), (BONE, 0.2))
    scan[:, :3] = 65535
    found = tissues(scan)
    assert (found.low, found.high) == pytest.approx((SOFT, BONE), abs=0.5)
    assert found.metal == pytest.approx(0.03)


def test_a_skull_of_2_percent_in_air_and_soft_tissue_is_no_metal():
    found = tissues(greys((0, 0.7), (10, 0.28), (90, 0.02), spread=2))
    assert found.high == pytest.approx(90, abs=0.5)
    assert found.metal == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_every_type_of_scan_has_the_same_tissues(dtype):
    scan = ORDINARY.astype(np.int32)
    scan[:, :40] = 0
    found = tissues(scan.astype(dtype))
    assert (found.low, found.high) == pytest.approx((SOFT, BONE), abs=0.5)
    assert found.border == pytest.approx(0.4)


def test_a_hot_pixel_in_a_float_scan_hides_nothing():
    scan = ORDINARY.astype(np.float32) / 1000
    scan[3, 4, 5] = 1e30
    found = tissues(scan)
    assert (found.low, found.high) == pytest.approx((SOFT / 1000, BONE / 1000), abs=5e-4)


def test_which_voxels_are_counted_changes_nothing():
    for scan in (ORDINARY, ORDINARY.astype(np.float32)):
        scan = scan.copy()
        scan[:, :40] = 0
        both = [measure(ArrayVolume(scan), voxels=voxels).tissues for voxels in ("nonzero", "all")]
        assert both[0].low == pytest.approx(both[1].low, rel=1e-3)
        assert both[0].high == pytest.approx(both[1].high, rel=1e-3)


def test_a_gap_in_an_8_bit_histogram_does_not_matter():
    """Stretched from 64 steps to 256: three of four values are never used."""
    coarse = (ORDINARY // 4 * 4).astype(np.uint8)
    assert (tissues(coarse).low, tissues(coarse).high) == pytest.approx((SOFT - 1.5, BONE - 1.5), abs=0.5)


@pytest.mark.parametrize("spread", [3, 8, 20])
def test_a_crop_wholly_inside_bone_is_told_of(spread):
    found = measure(ArrayVolume(greys((BONE, 1.0), spread=spread)))
    (note,), (doubt,) = scale_notes("tissue", found, name="Scan crop")
    assert note.startswith("Scan crop: the two tissues have the grey values 1")
    assert doubt.startswith("Scan crop: its grey values do not fall into two tissues")


def test_what_was_taken_is_told_without_a_doubt_for_an_ordinary_scan():
    found = measure(ArrayVolume(ORDINARY))
    (note,), doubts = scale_notes("tissue", found, name="Scan 1")
    assert re.fullmatch(
        r"Scan 1: the two tissues have the grey values (60|59\.9\d+) and 1(60|59\.\d+)\.", note
    )
    assert doubts == []
    assert scale_notes("ZScore", found, name="Scan 1") == ([], [])
    assert scale_notes("tissue", found, name="Scan 1", voxels="all") == ([], [])  # by the first definition


def test_a_phantom_keeps_its_scale_when_dimmed_or_bordered():
    """Bone lies near 1 and what surrounds it near -1; the phantom has a circle of view with 0 around it."""
    greys, labels = zip(*Phantom(shape=(16, 96, 96), seed=2).slabs(), strict=True)
    scan, mask = np.concatenate(greys), np.concatenate(labels)
    is_seen = (scan > 0) & (np.arange(96) >= 40)
    bordered = scan.copy()
    bordered[:, :, :40] = 0
    for volume in (scan, scan // 2 + 20, bordered):
        made = normalisation("tissue", measure(ArrayVolume(volume))).apply(volume)
        assert np.median(made[(mask == 1) & is_seen]) == pytest.approx(1, abs=0.3)
        assert np.median(made[(mask == 0) & is_seen]) == pytest.approx(-1, abs=0.3)


def test_models_of_the_first_definition_keep_it():
    scan = ORDINARY.copy()
    scan[:, :60] = 0
    found = measure(ArrayVolume(scan), voxels="all")
    low, high = found.otsu_means
    old = normalisation("tissue", found, voxels="all")
    assert old.apply(np.array([low, high])) == pytest.approx([-1, 1], abs=1e-5)
    new = normalisation("tissue", found)
    assert new.apply(np.array([SOFT, BONE])) == pytest.approx([-1, 1], abs=0.02)
    assert low < SOFT / 2  # as unlike as that


def test_they_come_back_from_json():
    found = measure(ArrayVolume(ORDINARY))
    assert Statistics.from_dict(found.to_dict()) == found
    old = {name: value for name, value in found.to_dict().items() if name != "tissues"}
    assert Statistics.from_dict(old).tissues is None
    older = {name: value for name, value in found.to_dict().items() if name != "edge_tissues"}
    check_written(older)
    assert Statistics.from_dict(older) == replace(found, edge_tissues=None)
    del older["edges"]
    check_written(older)
    assert Statistics.from_dict(older) == replace(found, edges=None, edge_tissues=None)


def test_one_value_has_no_tissues_and_two_values_have():
    assert find_tissues(np.array([7.0]), np.array([3])) is None
    assert find_tissues(np.array([7.0, 8.0]), np.array([3, 0])) is None
    found = find_tissues(np.array([0.0, 255.0]), np.array([30, 10]))
    assert (found.low, found.high, found.are_separate) == (0, 255, True)
