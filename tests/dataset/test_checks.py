"""Pairs that cannot be used are told in words, all at once."""

import numpy as np
import pytest

from bone_backend.dataset.checks import IGNORED, count_labels, pair_faults, read_labels, size_faults
from bone_backend.errors import ScanError
from bone_backend.volumes.volume import ArrayVolume


def volume(array, **more):
    return ArrayVolume(np.asarray(array), name=more.pop("name", "made"), **more)


def faults(scan, mask):
    return pair_faults(scan, mask, number=2)


def test_a_pair_that_fits_has_no_faults():
    assert faults(volume(np.zeros((3, 4, 5), np.uint16)), volume(np.zeros((3, 4, 5), np.uint8))) == []


def test_different_shapes_are_told_with_both_shapes():
    (told,) = faults(volume(np.zeros((3, 4, 5), np.uint8)), volume(np.zeros((3, 4, 6), np.uint8)))
    assert "pair 2" in told
    assert "(3, 4, 6)" in told
    assert "(3, 4, 5)" in told


def test_different_voxel_sizes_are_told():
    scan = volume(np.zeros((3, 4, 5), np.uint8), voxel_size=(1.0, 1.0, 1.0))
    mask = volume(np.zeros((3, 4, 5), np.uint8), voxel_size=(2.0, 1.0, 1.0))
    assert "(2.0, 1.0, 1.0) um" in faults(scan, mask)[0]


def test_a_float_mask_is_refused():
    assert (
        "whole numbers"
        in faults(volume(np.zeros((3, 4, 5), np.uint8)), volume(np.zeros((3, 4, 5), np.float32)))[0]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_labels_are_counted_exactly(dtype):
    array = np.array([[[0, 0, 1], [2, 2, 2]], [[1, 1, 1], [0, 7, 7]]], dtype)
    assert count_labels(volume(array)) == {0: 3, 1: 4, 2: 3, 7: 2}


def test_classes_are_those_of_all_masks_together():
    found = read_labels([{0: 5, 1: 3}, {0: 4, 2: 4}], ["a", "b"])
    assert found.values == (0, 1, 2)
    assert found.counts.tolist() == [[5, 3, 0], [4, 0, 4]]
    assert found.table.tolist() == [0, 1, 2]


def test_a_mask_without_background_is_fine():
    assert read_labels([{1: 5, 2: 3}], ["a"]).num_classes == 3


@pytest.mark.parametrize(
    ("labels", "suggested"),
    [
        ({0: 1, 255: 2}, "255:1"),
        ({0: 1, 1: 1, 5: 2}, "5:2"),
        ({-1: 1, 0: 2}, "-1:1"),
        ({3: 1, 9: 1}, "3:1 9:2"),
    ],
)
def test_labels_that_do_not_run_from_zero_are_named_with_the_mapping_that_helps(labels, suggested):
    with pytest.raises(ScanError) as told:
        read_labels([labels], ["femur_mask.tif"])
    assert f"--map-labels {suggested}" in str(told.value)
    assert "femur_mask.tif" in str(told.value)
    assert all(str(value) in str(told.value) for value in labels)


def test_where_a_mapping_was_given_the_advice_begins_from_it():
    with pytest.raises(ScanError) as told:
        read_labels([{0: 1, 1: 1, 2: 1}], ["a"], map_labels=[(1, 3)])
    assert "mask labels are 0, 2, 3 after --map-labels" in str(told.value)
    assert "Use --map-labels 1:2 2:1" in str(told.value)
    helped = read_labels([{0: 1, 1: 1, 2: 1}], ["a"], map_labels=[(1, 2), (2, 1)])
    assert helped.values == (0, 1, 2)


def test_masks_of_one_material_with_different_labels_may_mean_the_same():
    with pytest.raises(ScanError) as told:
        read_labels([{0: 1, 1: 1}, {0: 1, 255: 1}], ["a", "b"])
    assert "If all masks mark the same, use --map-labels 255:1; if not: Use --map-labels 255:2" in str(
        told.value
    )


def test_a_mapping_makes_them_usable():
    found = read_labels([{0: 6, 255: 2}], ["a"], map_labels=[(255, 1)])
    assert found.values == (0, 1)
    assert found.table[255] == 1
    assert found.counts.tolist() == [[6, 2]]


def test_a_mapping_of_a_value_that_no_mask_has_is_refused():
    with pytest.raises(ScanError, match="map_labels names 7"):
        read_labels([{0: 6, 1: 2}], ["a"], map_labels=[(7, 1)])


def test_ignored_voxels_are_no_class():
    found = read_labels([{0: 6, 1: 2, 9: 4}], ["a"], ignore_label=9)
    assert found.num_classes == 2
    assert found.table[9] == IGNORED
    assert found.counts.sum() == 8


def test_a_scan_in_the_masks_place_is_recognised():
    with pytest.raises(ScanError, match="swapped"):
        read_labels([dict.fromkeys(range(200), 1)], ["a"])


def test_background_alone_teaches_nothing():
    with pytest.raises(ScanError, match="background only"):
        read_labels([{0: 6}], ["a"])


def test_a_patch_that_is_too_large_is_answered_with_the_largest_that_fits():
    assert size_faults((50, 100, 70), (1, 64, 64), name="a", multiple=(1, 32, 32)) == []
    (told,) = size_faults((50, 100, 70), (1, 128, 128), name="a", multiple=(1, 32, 32))
    assert "largest that fits is 64" in told
    (told,) = size_faults((20, 100, 100), (32, 64, 64), name="a", multiple=(8, 32, 32))
    assert "largest that fits is 16" in told
    (told,) = size_faults((20, 20, 100), (1, 64, 64), name="a", multiple=(1, 32, 32))
    assert "smaller than the smallest patch" in told
