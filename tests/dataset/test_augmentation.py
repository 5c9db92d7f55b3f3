"""Changes of a batch: exactly what the plan has drawn."""

import numpy as np
import pytest
import torch

from bone_backend.dataset.augmentation import TURNS_2D, TURNS_3D, Numbers, prepare
from bone_backend.dataset.normalisation import Normalisation
from bone_backend.dataset.samples import Plan

SQUARE = np.array([[1, 2], [3, 4]])


def plan(count, *, turn=None, brightness=None, contrast=None, scan=None):
    return Plan(
        scan=np.zeros(count, np.int64) if scan is None else np.array(scan),
        z=np.zeros(count, np.int64),
        y=np.zeros(count, np.int64),
        x=np.zeros(count, np.int64),
        turn=np.zeros(count, np.int8) if turn is None else np.array(turn, np.int8),
        brightness=np.zeros(count, np.float32) if brightness is None else np.array(brightness, np.float32),
        contrast=np.ones(count, np.float32) if contrast is None else np.array(contrast, np.float32),
    )


def numbers(*pairs, low=-100.0, high=100.0):
    found = [Normalisation("ZScore", shift, scale, low, high) for shift, scale in pairs or [(0.0, 1.0)]]
    return Numbers.of(found, torch.device("cpu"))


def changed(grey, labels, **drawn):
    found = plan(len(grey), **drawn)
    return prepare(
        torch.from_numpy(grey),
        torch.from_numpy(labels),
        plan=found,
        numbers=numbers(),
        classes=torch.arange(256),
    )


def test_each_turn_moves_grey_values_and_labels_alike():
    expected = {
        0: [[1, 2], [3, 4]],
        1: [[2, 1], [4, 3]],  # flipped along x
        2: [[3, 4], [1, 2]],  # flipped along y
        3: [[2, 4], [1, 3]],  # turned by 90 degrees, counter-clockwise as seen with y downwards
        4: [[4, 3], [2, 1]],
        5: [[3, 1], [4, 2]],
    }
    grey = np.stack([SQUARE] * 6)[:, None].astype(np.uint8)
    patches, target = changed(grey, np.stack([SQUARE] * 6).astype(np.uint8), turn=range(6))
    for code, picture in expected.items():
        assert patches[code, 0].tolist() == picture, TURNS_2D[code]
        assert target[code].tolist() == picture, TURNS_2D[code]


def test_three_dimensional_turns_keep_slices_in_their_plane_except_the_flip_along_z():
    cube = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    patches, target = changed(np.stack([cube] * 7)[:, None], np.stack([cube] * 7), turn=range(7))
    assert [kind for kind, _ in TURNS_3D] == ["none", "flip", "flip", "flip", "turn", "turn", "turn"]
    assert patches[3, 0].tolist() == cube[::-1].tolist()
    assert target[4].tolist() == [np.rot90(plane).tolist() for plane in cube]


def test_normalisation_contrast_brightness_and_clipping_come_in_this_order():
    grey = np.full((2, 1, 1, 1), 30, np.uint8)
    found = plan(2, scan=[0, 1], brightness=[0.25, 0.25], contrast=[2.0, 0.5])
    patches, _ = prepare(
        torch.from_numpy(grey),
        torch.zeros(2, 1, 1, dtype=torch.uint8),
        plan=found,
        numbers=numbers((10.0, 0.1), (20.0, 0.01), low=-5, high=4.0),
        classes=torch.arange(2),
    )
    assert patches.flatten().tolist() == [4.0, np.float32((30 - 20) * np.float32(0.01) * 0.5 + 0.25)]


def test_every_stored_dtype_gives_the_same_patches():
    values = np.array([[0, 1], [100, 127]])
    found = [
        changed(np.broadcast_to(values, (1, 1, 2, 2)).astype(dtype), np.zeros((1, 2, 2), label))[0]
        for dtype in (np.uint8, np.uint16, np.int16, np.int32, np.float32)
        for label in (np.uint8, np.uint16)
    ]
    assert all(torch.equal(one, found[0]) for one in found)
    assert found[0].dtype == torch.float32


def test_labels_become_classes_by_the_table():
    labels = np.array([[[0, 255], [7, 0]]], np.uint8)
    table = torch.full((256,), -100)
    table[0], table[255] = 0, 1
    _, target = prepare(
        torch.zeros(1, 1, 2, 2), torch.from_numpy(labels), plan=plan(1), numbers=numbers(), classes=table
    )
    assert target.tolist() == [[[0, 1], [-100, 0]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "table", [[0, 1, 2], [2, -100, 0], [*range(-100, 0), 300], list(range(255, -1, -1))], ids=str
)
def test_any_table_of_classes_is_looked_up_alike_and_what_came_in_stays(dtype, table):
    labels = np.random.default_rng(0).integers(0, len(table), (3, 8, 8)).astype(dtype)
    grey, before = labels[:, None].copy(), labels.copy()
    patches, target = prepare(
        torch.from_numpy(grey),
        torch.from_numpy(labels),
        plan=plan(3),
        numbers=numbers((1.0, 2.0)),
        classes=torch.tensor(table),
    )
    assert target.dtype == torch.int64
    assert np.array_equal(target.numpy(), np.array(table)[labels])
    patches.zero_()
    target.zero_()
    assert np.array_equal(labels, before)
    assert np.array_equal(grey[:, 0], before)
