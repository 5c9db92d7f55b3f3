"""Labels that disagree with the scan's own split into two tissues are told; good ones are not."""

from __future__ import annotations

import numpy as np
import pytest

from bone_backend.inference.agreement import BrightLabels, expected, kappa
from bone_backend.inference.labels import ClassMap
from bone_backend.intensity.statistics import measure
from bone_backend.intensity.tissues import Tissues
from bone_backend.volumes.array import ArrayVolume
from mocks.scans import Phantom

CLASSES = ClassMap((0, 1, 2), ("background", "bone", "pores"))


@pytest.fixture(scope="module")
def femur() -> tuple[np.ndarray, np.ndarray]:
    return Phantom(shape=(16, 64, 64), seed=3).whole()


def table(grey: np.ndarray, mask: np.ndarray, threshold: float, classes: int = 3) -> list[list[int]]:
    return [
        [int(((mask == value) & ((grey > threshold) == bright)).sum()) for bright in (False, True)]
        for value in range(classes)
    ]


def warning(grey: np.ndarray, labels: np.ndarray, bright_voxels: dict) -> str:
    """What is said of labels that stream by in slabs of three slices."""
    told = expected(bright_voxels, 3)
    assert told is not None
    tissues = measure(ArrayVolume(grey)).tissues
    assert tissues is not None
    counter = BrightLabels(tissues, told, labels.dtype)
    for z in range(0, len(grey), 3):
        counter.add(np.ascontiguousarray(labels[z : z + 3]), grey[z : z + 3])
    voxels = {str(value): int((labels == value).sum()) for value in CLASSES.values}
    return counter.agreement(voxels, CLASSES).warning()


def fitted(grey: np.ndarray, mask: np.ndarray) -> dict:
    tissues = measure(ArrayVolume(grey)).tissues
    assert tissues is not None
    return {"femur_1": table(grey, mask, tissues.threshold)}


def test_kappa_is_that_of_a_table_counted_by_hand():
    assert kappa(both=2, labelled=2, bright=4, total=10) == pytest.approx((0.8 - 0.56) / (1 - 0.56))
    assert kappa(5, 5, 5, 10) == 1
    assert kappa(0, 0, 4, 10) == 0
    assert kappa(4, 10, 4, 10) == 0
    assert kappa(0, 5, 5, 10) == -1
    assert kappa(0, 0, 0, 10) == 0


def test_the_true_mask_and_a_slightly_worse_one_are_not_doubted(femur):
    grey, mask = femur
    known = fitted(grey, mask)
    assert warning(grey, mask, known) == ""
    assert warning(grey, np.roll(mask, 1, axis=1), known) == ""


@pytest.mark.parametrize(
    ("nonsense", "seen"),
    [
        (lambda mask: np.zeros_like(mask), "nothing is labelled bone"),
        (lambda mask: np.ones_like(mask), "100 % are labelled bone"),
        (lambda mask: np.array([1, 0, 1], np.uint8)[mask], "kappa -"),
        (lambda mask: np.roll(mask, 20, axis=1), "of the voxels labelled bone"),
    ],
)
def test_nonsense_is_told_with_the_numbers_and_what_to_do(femur, nonsense, seen):
    grey, mask = femur
    told = warning(grey, nonsense(mask), fitted(grey, mask))
    assert seen in told
    assert "Look at the labels before you use them" in told


def test_the_bright_classes_are_learnt_from_the_scans_of_the_fit():
    pores_are_dark = {"biopsy": [[0, 0], [20, 80], [300, 0]]}  # no background
    assert expected(pores_are_dark, 3).bright == (1,)
    two_bright = {"tooth": [[700, 0], [5, 95], [10, 190]]}  # dentine and enamel
    assert expected(two_bright, 3).bright == (1, 2)
    dark_bone = {"negative": [[0, 900], [100, 0]]}
    assert expected(dark_bone, 2).bright == (0,)


def test_labels_that_never_followed_the_greys_are_not_judged():
    filled = {"bone with its marrow": [[500, 20], [300, 180]]}
    assert expected(filled, 2) is None
    one_good_one_filled = {"a": [[900, 0], [0, 100]], **filled}
    assert expected(one_good_one_filled, 2) is None


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        {"a": 3},
        {"a": [[1, 2]]},
        {"a": [[1.5, 2], [3, 4]]},
        {"a": [[-1, 2], [3, 4]]},
        {"a": [[0, 0], [0, 0]]},
    ],
)
def test_a_model_file_that_tells_nothing_or_nonsense_judges_nothing(kept):
    assert expected(kept, 2) is None


def test_bright_voxels_are_counted_by_label_value_in_8_and_16_bit_and_in_float():
    grey = np.array([[[10, 60, 61, 200]]])
    told = expected({"a": [[900, 0], [0, 100]]}, 2)
    for labels, dtype in ((np.uint8, np.uint8), (np.uint16, np.uint16), (np.uint8, np.float32)):
        counter = BrightLabels(Tissues(20, 101, contrast=9.0), told, np.dtype(labels))  # threshold 60.5
        counter.add(np.array([[[0, 1, 1, 0]]], labels), grey.astype(dtype))
        assert counter.counts[:3].tolist() == [1, 1, 0]
        assert counter.counts.sum() == 2
