"""Records and inputs of a run that are read back: what is used is of its type, the rest may be anything."""

from __future__ import annotations

import copy
import json

import pytest

from bone_backend.errors import OutputError
from bone_backend.files.json_files import opened, parse_json, sealed
from bone_backend.runs.records import read_inputs, read_record

INPUT = {
    "name": "femur",
    "scan": "/data/femur",
    "mask": "/data/femur_mask",
    "subject": None,
    "shape": [3, 4, 5],
    "dtype": "uint16",
    "voxel_size_um": [10.0, 5.0, 5.0],
    "voxels_per_class": [50, 10],
    "statistics": {"count": 60, "mean": 3.5, "std": 1.0, "min": 0, "max": 9},
}
ROW = {
    "epoch": 1,
    "learning_rate": 0.1,
    "train_loss": 0.5,
    "val_loss": 0.5,
    "train_miou": 0.5,
    "val_miou": 0.5,
    "val_iou_1": None,
    "skipped_steps": 0,
    "seconds": 1.5,
    "patches_per_s": 4.0,
    "waiting_share": 0.0,
}
RECORD = {
    "result": {
        "model": "/run/BONe_best_epoch_1_val_jaccard_0.5000.pth",
        "run_folder": "/run",
        "best_epoch": 1,
        "best_val_iou": 0.5,
        "val_iou_per_class": {"0": 0.5, "1": None},
        "epochs": 1,
        "train_scans": ["femur"],
        "validation_scans": ["tibia"],
        "outcome": "done",
    },
    "options": {"name": "BONe"},
    "device_name": "CPU",
    "written": "2026-01-02T03:04:05+00:00",
    "classes": [
        {"value": 0, "name": "background", "colour": "#000000"},
        {"value": 1, "name": "bone", "colour": "#e69f00"},
    ],
    "split": {
        "training": ["femur"],
        "validation": ["tibia"],
        "training_patches": 4,
        "validation_patches": 4,
    },
    "confusion": [[1, 2], [3, 4]],
    "parameters": 10,
    "multiply_adds": 100.0,
    "versions": {"bone": "1"},
    "machine": {"system": "Linux", "processor": "x86_64", "threads": 2},
    "figures": {"peak_ram_gib": 1.0},
    "seconds_in_all": 2.5,
    "inputs": [INPUT],
    "scores": [ROW],
}


def changed(values, place, value):
    """A copy with one value replaced; place: keys from the outermost in."""
    made = copy.deepcopy(values)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return made


def test_what_a_run_wrote_comes_back_with_all_that_nobody_relies_on(tmp_path):
    record = RECORD | {"newer": {"anything": [1, None]}}
    (tmp_path / "record.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "inputs.json").write_text(json.dumps({"pairs": [INPUT]}), encoding="utf-8")
    assert read_record(tmp_path / "record.json") == record
    assert read_inputs(tmp_path / "inputs.json") == [INPUT]


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("result",), [], "result is"),
        (("result", "best_epoch"), -1, r"result\.best_epoch is -1"),
        (("result", "best_epoch"), 2, "best_epoch is 2 of 1"),
        (("result", "epochs"), 1e9, r"result\.epochs is 1000000000\.0"),
        (("result", "best_val_iou"), float("nan"), r"result\.best_val_iou is nan"),
        (("result", "outcome"), "perfect", r"result\.outcome is 'perfect'"),
        (("result", "train_scans"), "femur", r"result\.train_scans is 'femur'"),
        (("classes", 1, "colour"), "red;}</style>", r"classes\[1\]\.colour is"),
        (("classes", 0, "value"), "0", r"classes\[0\]\.value is '0'"),
        (("classes",), [], "classes is"),
        (("confusion",), [[1, 2]], "confusion is not 2 x 2"),
        (("confusion", 0, 0), 2**70, r"confusion\[0\]\[0\] is"),
        (("scores", 0, "seconds"), "long", r"scores\[0\]\.seconds is 'long'"),
        (("scores", 0, "val_iou_1"), [1], r"scores\[0\]\.val_iou_1 is \[1\]"),
        (("scores", 0, "epoch"), None, r"scores\[0\]\.epoch is None"),
        (("split", "validation_patches"), -4, r"split\.validation_patches is -4"),
        (("seconds_in_all",), float("inf"), "seconds_in_all is inf"),
        (("inputs", 0, "shape"), [3, 4], r"inputs\[0\]\.shape is"),
        (("inputs", 0, "shape", 1), 0, r"inputs\[0\]\.shape\[1\] is 0"),
        (("inputs", 0, "dtype"), "V100000000", r"inputs\[0\]\.dtype is"),
        (("inputs", 0, "statistics", "mean"), None, r"inputs\[0\]\.statistics\.mean is None"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_file_place_and_value(tmp_path, place, value, told):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(changed(RECORD, place, value)), encoding="utf-8")
    with pytest.raises(OutputError, match=rf"record\.json is damaged, .*\({told}.*\)\. Put back a copy"):
        read_record(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "expecting value"),
        (b"[]", "valid dictionary"),
        (b"\xff\xfe", "no text in UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"pairs": ' * 40 + b"1" + b"}" * 40, "nested too deeply"),
        (b'{"pairs": ' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"pairs": [], "pairs": []}', "'pairs' stands twice"),
        (b'{"pairs": "\\udfff"}', "a text in it is none"),
        (b'{"pairs": [1e400]}', "inf"),
    ],
)
def test_text_that_is_no_record_is_told(tmp_path, content, told):
    (tmp_path / "inputs.json").write_bytes(content)
    with pytest.raises(OutputError, match=rf"inputs\.json is damaged, .*{told}"):
        read_inputs(tmp_path / "inputs.json")


def test_a_file_that_is_not_there_or_is_none_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"is no whole run folder: inputs\.json is missing"):
        read_inputs(tmp_path / "inputs.json")
    (tmp_path / "inputs.json").mkdir()
    with pytest.raises(OutputError, match="it is no file"):
        read_inputs(tmp_path / "inputs.json")


def test_a_name_that_is_not_utf8_may_stand_in_a_record():
    assert parse_json(b'["\\udcff"]') == ["\udcff"]


def test_a_checksum_belongs_to_its_values_whatever_their_order():
    kept = sealed({"a": 1, "b": [2.5, None]})
    assert opened(dict(reversed(kept.items()))) == {"a": 1, "b": [2.5, None]}
    with pytest.raises(ValueError, match="of other values"):
        opened(kept | {"a": 2})
    assert opened({"a": 2}) == {"a": 2}  # of an earlier version
