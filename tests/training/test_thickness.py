"""How thick structures are, and that no patch is shrunk below what the user allows."""

from __future__ import annotations

import numpy as np
import pytest

from bone_backend.dataset.checks import Labels
from bone_backend.dataset.variation import hold_thickness, neutral
from bone_backend.training.thickness import thickness
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.patch_source import ArraySource

NUMBERS = {"probability": 0.6, "smallest": 0.2, "largest": 1.2, "thinnest_px": 2.5}


def measured(mask: np.ndarray) -> float | None:
    count = int(mask.max()) + 1
    labels = Labels(tuple(range(count)), np.arange(count), np.zeros((1, count), np.int64))
    return thickness(ArraySource(ArrayVolume(mask, name="mask")), labels)


def cubes(edge: int, value: int = 1) -> np.ndarray:
    mask = np.zeros((48, 48, 48), np.uint8)
    for z in range(0, 48, 16):
        for y in range(0, 48, 16):
            for x in range(0, 48, 16):
                mask[z : z + edge, y : y + edge, x : x + edge] = value
    return mask


@pytest.mark.parametrize("edge", [2, 4, 10])
def test_cubes_are_half_as_thick_as_their_edge(edge):
    assert measured(cubes(edge)) == edge / 2


def test_the_thinnest_class_counts_unless_there_is_next_to_nothing_of_it():
    both = cubes(8)
    both[:, :, 12:14] = 2
    assert measured(both) == pytest.approx(cubes_of_two := 2 * 48 / (2 + 48), rel=1e-6)
    assert cubes_of_two < 4
    speck = cubes(8)
    speck[0, 15, 15] = 2
    assert measured(speck) == 4


def test_nothing_is_as_thick_as_nothing():
    assert measured(np.zeros((4, 8, 8), np.uint8)) is None


@pytest.mark.parametrize(
    ("thick", "drawn", "held"),
    [
        (5.0, 0.2, 0.5),  # to half at most, which is 2.5 voxels
        (5.0, 0.7, 0.85),  # in the middle of what is allowed
        (5.0, 1.2, 1.2),
        (100.0, 0.2, 0.2),  # no further than the smallest
        (2.4, 0.2, 1.0),  # thin already
        (1e-6, 0.2, 1.0),
        (5.0, 1.0, 1.0),  # not drawn
    ],
)
def test_patches_are_shrunk_as_far_as_their_structures_allow(thick, drawn, held):
    records = neutral(1)
    records["shrink"] = drawn
    hold_thickness(records, np.array([thick]), NUMBERS)
    assert records["shrink"][0] == pytest.approx(held)
