"""Counts and scores of labels against scikit-learn, torchmetrics and numbers made by hand."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score, precision_score, recall_score

from bone_backend.errors import ScanError
from bone_backend.scores import metrics
from bone_backend.scores.metrics import (
    CHUNK_BYTES,
    MOST_VALUES,
    Counts,
    counts,
    dice,
    intersections,
    iou,
    mean,
    precision,
    recall,
    unions,
)

RUNS = np.random.default_rng(7)


def runs_of_labels(
    size: int, *, labels: int, run: int, wrong: float, dtype: str = "u1"
) -> tuple[np.ndarray, np.ndarray]:
    """A reference made of runs of one label, and a prediction that differs in a share of the voxels."""
    reference = np.repeat(RUNS.integers(0, labels, size // run + 1), run)[:size].astype(dtype)
    noise = RUNS.integers(0, labels, size).astype(dtype)
    return reference, np.where(RUNS.random(size) < wrong, noise, reference)


def test_six_voxels_counted_by_hand():
    table = counts([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2], 3)
    assert table.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert table.dtype == np.int64
    assert iou(table).tolist() == [2 / 3, 1 / 3, 1 / 2]
    assert dice(table).tolist() == [4 / 5, 1 / 2, 2 / 3]
    assert precision(table).tolist() == [1, 1 / 2, 1 / 2]
    assert recall(table).tolist() == [2 / 3, 1 / 2, 1]
    assert intersections(table).tolist() == [2, 1, 1]
    assert unions(table).tolist() == [3, 3, 2]
    assert mean(iou(table)) == pytest.approx(0.5)


def test_a_class_absent_from_both_is_nan_and_left_out_of_the_mean():
    table = counts([0, 0, 2, 2], [0, 0, 2, 0], 4)
    np.testing.assert_array_equal(np.isnan(iou(table)), [False, True, False, True])
    assert mean(iou(table)) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert np.isnan(mean([]))
    assert np.isnan(mean(iou(np.zeros((2, 2), np.int64))))


def test_a_class_present_only_in_the_reference_scores_zero_and_counts_in_the_mean():
    table = counts([0, 1], [0, 0], 2)
    assert iou(table).tolist() == [0.5, 0.0]
    assert np.isnan(precision(table)[1])
    assert mean(iou(table)) == 0.25


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">u2", "i2", "u4", "i8", "u8", "?"])
@pytest.mark.parametrize("labels", [1, 3, 40])
def test_counts_equal_scikit_learn_for_every_dtype_and_number_of_labels(dtype, labels):
    labels = min(labels, 2) if dtype == "?" else labels
    size = CHUNK_BYTES + 1003  # a second, odd chunk
    for run, wrong in ((1, 0.5), (11, 0.02), (5000, 0.0)):
        pair = runs_of_labels(size, labels=labels, run=run, wrong=wrong, dtype=dtype)
        expected = confusion_matrix(*(side.astype("i8") for side in pair), labels=range(labels + 1))
        np.testing.assert_array_equal(counts(*pair, labels + 1), expected)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_counts_and_scores_equal_scikit_learn(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9))
    labels = st.integers(0, data.draw(st.integers(0, 9)))
    left = data.draw(hnp.arrays(np.uint8, shape, elements=labels))
    right = data.draw(
        hnp.arrays(data.draw(st.sampled_from([np.uint8, np.int16, np.uint64])), shape, elements=labels)
    )
    total = Counts([0, 1])  # scikit-learn warns of a single label
    total.add(left, right)
    flat = left.ravel().astype(int), right.ravel().astype(int)
    np.testing.assert_array_equal(total.matrix, confusion_matrix(*flat, labels=total.values))
    assert set(total.values) == {0, 1} | set(flat[0]) | set(flat[1])
    options = {"average": None, "labels": total.values, "zero_division": 0}
    np.testing.assert_allclose(np.nan_to_num(iou(total.matrix)), jaccard_score(*flat, **options))
    np.testing.assert_allclose(np.nan_to_num(dice(total.matrix)), f1_score(*flat, **options))
    np.testing.assert_allclose(np.nan_to_num(precision(total.matrix)), precision_score(*flat, **options))
    np.testing.assert_allclose(np.nan_to_num(recall(total.matrix)), recall_score(*flat, **options))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_any_cut_into_slabs_and_any_merge_gives_the_same_counts(thickness, labels, seed):
    generator = np.random.default_rng(seed)
    left, right = generator.integers(0, labels, (2, 60, 11, 13), dtype=np.uint8)
    parts = [Counts(), Counts()]
    for number, start in enumerate(range(0, 60, thickness)):
        parts[number % 2].add(left[start : start + thickness], right[start : start + thickness])
    parts[0].merge(parts[1])
    whole = Counts()
    whole.add(left, right)
    assert parts[0].values == whole.values
    np.testing.assert_array_equal(parts[0].matrix, whole.matrix)


def test_the_mean_iou_equals_torchmetrics_with_a_class_that_is_absent():
    torch = pytest.importorskip("torch")
    classification = pytest.importorskip("torchmetrics.classification")
    left, right = RUNS.choice([0, 1, 3], (2, 5000))
    expected = classification.MulticlassJaccardIndex(5, average="macro")(
        torch.from_numpy(right), torch.from_numpy(left)
    )
    assert mean(iou(counts(left, right, 5))) == pytest.approx(float(expected), abs=1e-6)


def test_turned_and_strided_arrays_are_counted_as_they_look():
    left, right = RUNS.integers(0, 3, (2, 40, 50, 60), dtype=np.uint8)
    expected = counts(left, right, 3)
    np.testing.assert_array_equal(counts(left.T, right.T, 3), expected)
    np.testing.assert_array_equal(counts(np.asfortranarray(left), right, 3), expected)
    np.testing.assert_array_equal(
        counts(left[::2, ::-1, 1:], right[::2, ::-1, 1:], 3),
        counts(left[::2, ::-1, 1:].copy(), right[::2, ::-1, 1:].copy(), 3),
    )


def test_slabs_of_different_dtypes_are_counted_together():
    total = Counts()
    total.add(np.array([0, 300, 300], "u2"), np.array([0, 300, 0], "u2"))
    total.add(np.array([0, 7], "u1"), np.array([0, 7], "u1"))
    assert total.values == (0, 7, 300)
    assert total.matrix.tolist() == [[2, 0, 0], [0, 1, 0], [1, 0, 1]]


def test_masks_of_0_and_255_are_counted_as_they_are():
    total = Counts()
    total.add(np.array([0, 255, 255], "u1"), np.array([0, 255, 0], "u1"))
    assert total.values == (0, 255)
    assert total.matrix.tolist() == [[1, 0], [1, 1]]


def test_counts_beyond_the_whole_numbers_of_float32_stay_exact():
    total = Counts([0, 1])
    slab = np.zeros(1 << 20, np.uint8)
    for _ in range(17):
        total.add(slab, slab)
    total.add(np.array([0], "u1"), np.array([1], "u1"))
    assert total.matrix.tolist() == [[17 << 20, 1], [0, 0]]


def test_no_voxels_give_no_counts():
    assert counts(np.zeros((0, 4, 4), "u1"), np.zeros((0, 4, 4), "u1"), 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("bad", [np.array([0.0, 1.0]), np.array([1j, 2]), np.array(["0", "1"])])
def test_values_that_are_no_integers_are_refused(bad):
    with pytest.raises(ScanError, match="labels are whole numbers"):
        counts(np.array([0, 1]), bad, 2)


@pytest.mark.parametrize(
    ("dtype", "value", "seen"), [("i2", -3, "-3"), ("i8", -1, "-1"), ("u8", 2**63, "-9223372036854775808")]
)
@pytest.mark.parametrize("size", [1, CHUNK_BYTES + 5])
def test_negative_labels_and_those_beyond_int64_are_refused(dtype, value, seen, size):
    total = Counts([0])
    with pytest.raises(ScanError, match=f"{seen} was found"):  # noqa: PT012  at once or when the result is asked for
        total.add(np.zeros(size, dtype), np.full(size, value, dtype))
        _ = total.matrix


def test_shapes_that_differ_are_refused():
    with pytest.raises(ScanError, match=r"\(2,\).*\(3,\)"):
        counts([0, 0], [0, 0, 0], 1)


def test_a_label_outside_the_named_classes_is_refused():
    with pytest.raises(ScanError, match="label 2 is not among the classes 0, 1"):
        counts([0, 1], [0, 2], 2)


def test_a_scan_taken_for_a_mask_is_refused():
    many = np.arange(5000, dtype="u2")
    with pytest.raises(ScanError, match=f"more than {MOST_VALUES}"):
        counts(many, many, 5000)
    total = Counts()
    with pytest.raises(ScanError, match=f"more than {MOST_VALUES}"):  # noqa: PT012
        total.add(many, many)
        _ = total.values


BACKGROUND_ONLY = np.array([[100, 0], [0, 0]]), np.array([[80, 0], [20, 0]])  # validation, training


@pytest.mark.parametrize(
    ("validation", "training"),
    [
        ([[95, 5], [0, 0]], [[78, 2], [4, 16]]),  # finds bone in training, and some too much in validation
        ([[40, 60], [0, 0]], [[50, 30], [2, 18]]),  # far too much of it
        ([[99, 1], [0, 0]], [[80, 0], [19, 1]]),  # one voxel
    ],
)
def test_background_alone_is_never_best_where_validation_holds_no_bone(validation, training):
    trained = [True, True]
    assert metrics.mean(metrics.iou(BACKGROUND_ONLY[0])) == 1
    found = metrics.choice(np.array(validation), np.array(training), trained)
    assert found > metrics.choice(*BACKGROUND_ONLY, trained) == 0


def test_the_choice_is_the_published_mean_where_validation_holds_every_class():
    validation = np.array([[50, 3, 1], [4, 20, 2], [0, 5, 15]])
    training = np.array([[9, 0, 0], [9, 0, 0], [9, 0, 0]])
    assert metrics.choice(validation, training, [True] * 3) == metrics.mean(metrics.iou(validation))


def test_wrong_voxels_of_validation_count_in_the_choice_though_validation_lacks_the_class():
    training = np.array([[78, 2], [4, 16]])
    few, many = (np.array([[100 - wrong, wrong], [0, 0]]) for wrong in (5, 50))
    assert metrics.choice(few, training, [True, True]) == 16 / (2 + 4 + 16 + 5)
    assert metrics.choice(many, training, [True, True]) == 16 / (2 + 4 + 16 + 50)


def test_of_three_classes_only_the_one_that_validation_lacks_is_taken_from_training():
    validation = np.array([[50, 5, 1], [5, 20, 0], [0, 0, 0]])
    training = np.array([[9, 0, 0], [0, 9, 3], [0, 3, 9]])
    bone, pores = 20 / 30, 9 / (9 + 3 + 3 + 1)
    assert metrics.choice(validation, training, [True] * 3) == pytest.approx((bone + pores) / 2)


def test_a_class_that_was_never_trained_does_not_count_in_the_choice():
    validation = np.array([[50, 5, 0], [5, 20, 0], [4, 4, 2]])
    found = metrics.choice(validation, np.eye(3, dtype=int), [True, True, False])
    assert found == pytest.approx((50 / 64 + 20 / 34) / 2)


def test_an_epoch_of_which_nothing_counts_has_no_score():
    nothing = np.zeros((2, 2), int)
    assert np.isnan(metrics.choice(nothing, nothing, [True, True]))
