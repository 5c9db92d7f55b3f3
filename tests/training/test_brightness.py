"""Bright voxels of each class are counted in a sample of slices, labels as the fit understands them."""

from __future__ import annotations

import numpy as np
import pytest

from bone_backend.dataset.checks import read_labels
from bone_backend.intensity.tissues import Tissues
from bone_backend.training.brightness import bright_voxels
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.patch_source import ArraySource

SEPARATE = Tissues(20.0, 100.0, contrast=9.0)  # threshold 60


def sources(grey: np.ndarray, mask: np.ndarray) -> tuple[ArraySource, ArraySource]:
    return ArraySource(ArrayVolume(grey)), ArraySource(ArrayVolume(mask))


def test_counts_are_those_of_a_slice_counted_by_hand():
    grey = np.array([[[10, 60, 61, 200], [99, 10, 10, 250]]], np.uint8)
    mask = np.array([[[0, 0, 1, 1], [7, 0, 1, 255]]], np.uint8)
    labels = read_labels([{0: 3, 1: 3, 7: 1, 255: 1}], ["mask.tif"], map_labels=((7, 1),), ignore_label=255)
    assert bright_voxels(*sources(grey, mask), labels, SEPARATE) == [[3, 0], [1, 3]]


def test_slices_are_spread_over_the_whole_scan():
    grey = np.full((100, 4, 4), 10, np.uint8)
    grey[[0, 99]] = 200
    mask = (grey > 60).astype(np.uint8)
    labels = read_labels([{0: 98 * 16, 1: 32}], ["mask.tif"])
    assert bright_voxels(*sources(grey, mask), labels, SEPARATE) == [[30 * 16, 0], [0, 2 * 16]]


@pytest.mark.parametrize("tissues", [None, Tissues(20.0, 100.0, contrast=2.5)])
def test_a_scan_without_two_tissues_tells_nothing(tissues):
    grey = np.zeros((2, 4, 4), np.uint8)
    labels = read_labels([{0: 16, 1: 16}], ["mask.tif"])
    assert bright_voxels(*sources(grey, grey), labels, tissues) is None
