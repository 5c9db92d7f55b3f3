"""What labels mean is taken from a model or from the record beside them, and only where that is whole."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from bone_backend.comparison import compare
from bone_backend.errors import ModelFileError
from bone_backend.scores.meaning import (
    LabelMeaning,
    find,
    of_model,
    of_record,
    record_path,
    turned,
    write_record,
)
from bone_backend.volumes.volume import save
from mocks.model_files import NETWORK, published

SHAPE = (2, 3, 4)
TOLD = {
    "shape": list(SHAPE),
    "map_labels": [[255, 1]],
    "ignore_label": 254,
    "classes": [{"value": 0, "name": "background"}, {"value": 1, "name": "bone", "colour": "#ff0000"}],
}
NAMES = {0: "background", 1: "bone"}


@pytest.fixture
def labels(tmp_path):
    return tmp_path / "labels.tif"


def model(folder, **options):
    classes = [{"value": 0, "name": "background"}, {"value": 1, "name": "bone"}]
    return published(folder / "m.pth", **NETWORK, bone={"options": options, "classes": classes})


def test_a_record_that_was_written_is_read_back(labels):
    write_record(labels, TOLD)
    assert of_record(labels, SHAPE) == LabelMeaning(
        ((255, 1),), 254, NAMES, "the record labels.tif.record.json", {1: "#ff0000"}
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        "null",
        '"BONe labels"',
        "{}",
        json.dumps(TOLD),  # of no kind
        json.dumps({**TOLD, "kind": "other"}),
        json.dumps({**TOLD, "kind": "BONe labels", "shape": [2, 3]}),
        json.dumps({**TOLD, "kind": "BONe labels", "shape": [9, 9, 9]}),  # of other labels
        json.dumps({**TOLD, "kind": "BONe labels", "map_labels": [[255]]}),
        json.dumps({**TOLD, "kind": "BONe labels", "map_labels": [[255, 1e400]]}),
        json.dumps({**TOLD, "kind": "BONe labels", "map_labels": "255:1"}),
        json.dumps({**TOLD, "kind": "BONe labels", "map_labels": [[1, -1]]}),
        json.dumps({**TOLD, "kind": "BONe labels", "ignore_label": 70000}),
        json.dumps({**TOLD, "kind": "BONe labels", "classes": {"1": "bone"}}),
        json.dumps({**TOLD, "kind": "BONe labels", "classes": [{"value": "bone", "name": 1}]}),
        " " * (1 << 21),
    ],
    ids=range(19),
)
def test_a_record_that_is_damaged_or_of_other_labels_is_not_used_and_named(labels, text, caplog):
    record_path(labels).write_text(text, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert of_record(labels, SHAPE) is None
    assert "labels.tif.record.json is not used: " in caplog.text


def test_bytes_that_are_no_text_are_no_record(labels, caplog):
    record_path(labels).write_bytes(b"\xff\xfe{}")
    assert of_record(labels, SHAPE) is None
    assert "is not used" in caplog.text


def test_a_file_of_that_name_that_is_no_record_is_never_replaced(labels, caplog):
    record_path(labels).write_text('{"mine": true}', encoding="utf-8")
    write_record(labels, TOLD)
    assert record_path(labels).read_text(encoding="utf-8") == '{"mine": true}'
    assert "is already there and no record of labels" in caplog.text


def test_a_prediction_in_the_place_of_the_reference_is_noticed(labels, tmp_path):
    mask = tmp_path / "mask.tif"
    save(mask, np.ones(SHAPE, np.uint8))
    save(labels, np.ones(SHAPE, np.uint8))
    assert turned(labels, mask) == []
    write_record(labels, TOLD)
    assert turned(mask, labels) == turned(labels, labels) == turned(None, labels) == []
    (told,) = turned(labels, mask)
    assert told.startswith("labels.tif was predicted, as the record beside it says, and mask.tif has none")
    assert compare(labels, mask).warnings[-1] == told
    assert compare(mask, labels).warnings == ()


def test_names_that_would_control_a_terminal_are_shown_as_signs(labels):
    write_record(labels, {**TOLD, "classes": [{"value": 1, "name": "bo\x1b[31mne" + 99 * "x"}]})
    found = of_record(labels, SHAPE)
    assert found.names[1].startswith("bo\N{REPLACEMENT CHARACTER}[31mne")
    assert len(found.names[1]) == 60


def test_a_model_file_tells_what_its_fit_did_with_masks(tmp_path):
    path = model(tmp_path, map_labels=[[255, 1]], ignore_label=254)
    assert of_model(path) == LabelMeaning(((255, 1),), 254, NAMES, "the model file m.pth")
    assert of_model(published(tmp_path / "plain.pth", **NETWORK)).told() == ""


def test_a_model_file_that_tells_nonsense_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"m\.pth: what it says of itself .*map_labels\[0\]\[0\] is 'a'"):
        of_model(model(tmp_path, map_labels=[["a", "b"]]))


def test_the_user_comes_first_then_the_model_then_the_record(labels, tmp_path, caplog):
    write_record(labels, {**TOLD, "map_labels": [[9, 1]]})
    path = model(tmp_path, map_labels=[[255, 1]], ignore_label=None)
    with caplog.at_level(logging.INFO):
        assert find(labels, SHAPE).map_labels == ((9, 1),)
        assert find(labels, SHAPE, model=path).map_labels == ((255, 1),)
    assert "map_labels 9:1 and ignore_label 254: taken from the record labels.tif.record.json." in caplog.text
    assert "map_labels 255:1: taken from the model file m.pth." in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        found = find(labels, SHAPE, map_labels=[(7, 1)], ignore_label=3, model=path)
    assert (found.map_labels, found.ignore_label, found.names) == (((7, 1),), 3, NAMES)
    assert caplog.text == ""


def test_labels_with_a_record_are_scored_as_the_fit_would(labels, tmp_path):
    reference = np.array([[[0, 255, 255, 254]], [[0, 0, 255, 254]]], np.uint8)
    save(tmp_path / "mask.tif", reference)
    save(labels, np.array([[[0, 1, 1, 1]], [[0, 1, 1, 0]]], np.uint8))
    write_record(labels, {**TOLD, "shape": [2, 1, 4]})
    result = compare(tmp_path / "mask.tif", labels)
    assert result.values == (0, 1)
    assert result.confusion.tolist() == [[2, 1], [0, 3]]
    assert result.ignored_voxels == 2
    told = result.to_dict()
    assert told["names"] == {"0": "background", "1": "bone"}
    assert told["labels_from"] == "the record labels.tif.record.json"
    assert (told["map_labels"], told["ignore_label"]) == ([[255, 1]], 254)
