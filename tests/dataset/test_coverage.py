"""A split is told, before a fit, which classes it cannot teach or judge; counts made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from bone_backend.dataset.checks import read_labels
from bone_backend.dataset.coverage import check_seen, check_split
from bone_backend.errors import ScanError


def told(found, training, validation, *, names=("a", "b", "c"), **more):
    labels = read_labels(found, [f"mask_{name}" for name in names[: len(found)]], ignore_label=255)
    return check_split(labels, names, training=training, validation=validation, **more)


def test_a_split_in_which_both_sides_hold_every_class_needs_no_word():
    assert told([{0: 5, 1: 5}, {0: 9, 1: 1}], (0,), (1,)) == []


def test_a_class_that_validation_lacks_is_named_with_its_scans():
    [warning] = told([{0: 5, 1: 5}, {0: 9}], (0,), (1,), classes={1: "bone"})
    assert warning.startswith("No validation scan (b) holds class 1 (bone), so validation cannot tell")
    assert "--validation-pairs" in warning


def test_two_classes_that_validation_lacks_are_one_sentence():
    [warning] = told([{0: 5, 1: 5, 2: 5}, {0: 9}], (0,), (1,))
    assert "holds classes 1, 2, so validation cannot tell how well they are found" in warning


def test_a_class_that_only_validation_holds_is_named():
    [warning] = told([{0: 5, 1: 5}, {0: 9, 1: 1, 2: 3}], (0,), (1,), classes={2: "pores"})
    assert warning.startswith("Only the validation scans (b) hold class 2 (pores): what is never trained")


def test_slabs_are_told_as_slabs():
    found = [{0: 50, 1: 5, 2: 3, 3: 1}]
    judged = read_labels(found, ["mask_a"])
    learnt, judged = (replace(judged, counts=np.array([row])) for row in ([40, 4, 3, 0], [10, 1, 0, 1]))
    only, lacking = check_split(learnt, "a", training=(0,), validation=(0,), judged=judged)
    more = "Give one more scan that holds it, or put it to another class: --map-labels."
    assert only == (
        f"Only the slab that validates (a) holds class 3: what is never trained is not found. {more}"
    )
    assert lacking.startswith("No slice of the slab that validates (a) holds class 2, so validation cannot ")
    assert lacking.endswith(more)


def test_background_that_nobody_annotated_in_validation_is_a_class_too():
    [warning] = told([{0: 5, 1: 5}, {1: 9, 255: 4}], (0,), (1,))
    assert "holds class 0 (background), so " in warning


def test_one_scan_of_several_in_which_nothing_counts_is_named():
    [warning] = told([{0: 5, 1: 5}, {0: 9, 1: 1}, {255: 10}], (0,), (1, 2))
    assert warning == "Scan c: no voxel of its mask counts, so it adds nothing to validation."


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([{0: 5, 1: 5}, {255: 10}], r"no voxel of the validation scans \(b\) counts"),
        ([{255: 10}, {0: 5, 1: 5}], r"no voxel of the training scans \(a\) counts"),
        ([{0: 10}, {0: 5, 1: 5}], r"the training scans \(a\) hold nothing but background"),
        ([{0: 10, 255: 1}, {0: 5, 1: 5, 2: 1}], r"nothing but background"),
    ],
)
def test_a_split_of_which_nothing_can_come_is_refused(found, words):
    with pytest.raises(ScanError, match=words):
        told(found, (0,), (1,))


def test_a_class_that_all_validation_patches_missed_is_told_after_the_first_epoch():
    labels = read_labels([{0: 5, 1: 5, 2: 1}, {0: 9, 1: 1, 2: 1}], ["a", "b"])
    counts = np.array([[10, 2, 0], [1, 5, 3], [0, 0, 0]])
    [warning] = check_seen(counts, labels, (1,))
    assert warning.startswith("No validation patch holds class 2, though the scans do")
    assert check_seen(counts + np.eye(3, dtype=int), labels, (1,)) == []
