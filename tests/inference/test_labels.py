"""Class numbers become the model's label values, and confidences are told as counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bone_backend.errors import ModelFileError
from bone_backend.inference.labels import LEVELS, ClassMap, Confidence


def test_a_model_without_class_values_gets_the_numbers_from_0():
    plain = ClassMap.from_model(None, 3)
    assert plain.values == (0, 1, 2)
    assert plain.names == ("background", "class 1", "class 2")
    assert plain.dtype == np.uint8
    assert plain.is_plain
    assert plain.background == 0


def test_label_values_and_names_come_from_the_model_file():
    classes = [{"value": 0, "name": "background"}, {"value": 4, "name": "cortical"}, {"value": 2, "name": ""}]
    found = ClassMap.from_model(classes, 3)
    assert found.values == (0, 4, 2)
    assert found.names == ("background", "cortical", "class 2")
    assert found.table.tolist() == [0, 4, 2, 0]
    assert not found.is_plain


def test_a_label_above_255_needs_16_bits():
    assert ClassMap.from_model([{"value": 0}, {"value": 256}], 2).dtype == np.uint16
    assert ClassMap.from_model([{"value": 0}, {"value": 255}], 2).dtype == np.uint8


def test_background_may_stand_anywhere_or_be_missing():
    assert ClassMap.from_model([{"value": 1}, {"value": 0}], 2).background == 1
    assert ClassMap.from_model([{"value": 1}, {"value": 2}], 2).background is None


def test_as_many_values_as_classes_are_needed():
    with pytest.raises(ModelFileError, match="names 2 classes, but its network has 3"):
        ClassMap.from_model([{"value": 0}, {"value": 1}], 3)


@pytest.mark.parametrize("values", [(0, 0), (0, 65536), (0, -1), (0, "1"), (0, None), (0, True), (0, 1.0)])
def test_values_that_are_no_labels_are_refused(values):
    with pytest.raises(ModelFileError, match="different whole numbers"):
        ClassMap.from_model([{"value": value} for value in values], 2)


def made_counts() -> np.ndarray:
    """Classes 0, 1: 6 background voxels at 1.0; 3 of class 1 at 0.75 and 1 at 0.65; 2 uncertain at 0.4."""
    counts = np.zeros((3, LEVELS), np.int64)
    counts[0, 200], counts[1, 150], counts[1, 130], counts[2, 80] = 6, 3, 1, 2
    return counts


def test_confidence_is_told_as_counted_by_hand():
    told = Confidence(ClassMap.from_model([{"value": 0}, {"value": 7, "name": "bone"}], 2), made_counts())
    assert told.voxels == {"0": 8, "7": 4}
    figures = told.to_dict()
    assert figures["mean"] == pytest.approx((6 * 1.0 + 3 * 0.75 + 0.65 + 2 * 0.4) / 12)
    assert figures["per_class"]["7"] == {
        "name": "bone",
        "mean": pytest.approx((3 * 0.75 + 0.65) / 4),
        "median": 0.75,
        "lowest_5_percent": 0.65,
        "below_75_percent": 0.25,
    }
    assert figures["uncertain_voxels"] == 2
    assert figures["uncertain_share"] == pytest.approx(2 / 12)
    expected = [0] * 20
    expected[19], expected[15], expected[13], expected[8] = 6, 3, 1, 2
    assert figures["histogram"] == expected


def test_a_class_without_voxels_has_no_mean():
    told = Confidence(ClassMap.from_model(None, 2), np.zeros((3, LEVELS), np.int64)).to_dict()
    assert told["mean"] is None
    assert told["per_class"]["1"]["mean"] is None
    assert told["uncertain_share"] == 0.0


def test_labels_without_a_background_class_still_tell_the_uncertain_as_background():
    told = Confidence(ClassMap.from_model([{"value": 1}, {"value": 2}], 2), made_counts())
    assert told.voxels == {"0": 2, "1": 6, "2": 4}
