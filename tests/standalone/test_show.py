"""Results in words: classes by name, columns that line up, and nothing that steers the terminal."""

from __future__ import annotations

import io

import pytest

from standalone import show

ROGUE = "bone\x1b[2J\x1b]0;pwn\x07"
SHOWN = "bone\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}]0;pwn\N{REPLACEMENT CHARACTER}"

FIT = {
    "model": "runs/femur/BONe_best_epoch_7_val_jaccard_0.9266.pth",
    "best_epoch": 7,
    "best_val_iou": 0.9266,
    "val_iou_per_class": {0: 0.9991, 1: 0.9541, 2: None},
    "class_names": {0: "background", 1: "bone", 2: "class 2"},
    "run_folder": "runs/femur",
    "epochs": 25,
    "seconds": 3725.0,
    "peak_ram_gib": 0.734,
}
PREDICTION = {
    "output": "labels",
    "voxels": {"0": 1_500_000, "1": 499_999, "5": 1},
    "confidence": {
        "mean": 0.98,
        "per_class": {"1": {"name": "bone", "mean": 0.9}, "5": {"name": "trabecular pores", "mean": 0.5}},
        "uncertain_voxels": 1234,
        "uncertain_share": 0.000617,
    },
    "seconds": 59.97,
    "slices": 2112,
    "peak_ram_gib": 1.5,
}
SCORES = {
    "mean_iou": 0.75,
    "mean_dice": None,
    "classes": {
        "0": {
            "iou": 1.0,
            "dice": 1.0,
            "reference_voxels": 12_345_678_901,
            "predicted_voxels": 12_345_678_901,
            "intersection_voxels": 12_345_678_901,
        },
        "1": {
            "iou": 0.5,
            "dice": 2 / 3,
            "reference_voxels": 10,
            "predicted_voxels": 20,
            "intersection_voxels": 10,
        },
        "7": {
            "iou": None,
            "dice": None,
            "reference_voxels": 0,
            "predicted_voxels": 0,
            "intersection_voxels": 0,
        },
    },
    "names": {"1": "cortical and trabecular bone of the hind limb"},
}


def test_a_fit_is_told_with_the_names_of_its_classes():
    assert show.result("fit", FIT).splitlines() == [
        "Best model  runs/femur/BONe_best_epoch_7_val_jaccard_0.9266.pth",
        "Validation  mean IoU 0.9266 in epoch 7 of 25",
        "Run folder  runs/femur",
        "Time, RAM   1 h 2 min, peak 0.73 GiB",
        "",
        "class         validation IoU",
        "0 background          0.9991",
        "1 bone                0.9541",
        "class 2               absent",
    ]


def test_a_fit_without_a_finished_epoch_says_so():
    found = FIT | {"model": None, "best_val_iou": None, "best_epoch": 0, "val_iou_per_class": {0: None}}
    text = show.result("fit", found)
    assert "none: no epoch was finished" in text
    assert "mean IoU" not in text


def test_a_prediction_is_told_with_names_and_shares_of_what_is_rare_too():
    lines = show.result("predict", PREDICTION).splitlines()
    assert lines[:4] == [
        "Labels      labels",
        "Confidence  mean 0.9800",
        "Uncertain   1,234 voxels (0.06%) below the confidence threshold, now background",
        "Time, RAM   1 min 0 s for 2,112 slices, peak 1.50 GiB",
    ]
    assert lines[5:] == [
        "class                  voxels     share  confidence",
        "0 background        1,500,000   75.00 %           -",
        "1 bone                499,999   25.00 %      0.9000",
        "5 trabecular pores          1  < 0.01 %      0.5000",
    ]


def test_what_cleaning_did_is_told_with_its_share_and_no_uncertain_voxels_are_no_news():
    steps = [{"step": "bone:largest", "changed": 1234, "of": 58762}, {"step": "2:fill", "changed": 0}]
    sure = {**PREDICTION["confidence"], "uncertain_voxels": 0, "uncertain_share": 0.0}
    text = show.result("predict", PREDICTION | {"cleaning": steps, "confidence": sure})
    assert "Cleaned     bone:largest: 1,234 voxels changed, 2.1 % of the class\n" in text
    assert "            2:fill: 0 voxels changed\n" in text
    assert "Uncertain" not in text


def test_scores_have_names_where_they_are_known():
    lines = show.result("iou", SCORES).splitlines()
    assert lines[1].startswith("0 background")
    assert lines[2].startswith("1 cortical")
    assert lines[3].startswith("class 7")
    assert lines[4].split() == ["mean", "0.7500", "absent"]
    without = show.result("iou", {**SCORES, "names": {}}).splitlines()
    assert without[2].startswith("class 1 ")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(("command", "found"), [("fit", FIT), ("predict", PREDICTION), ("iou", SCORES)])
def test_no_line_is_wrapped_by_the_terminal_and_numbers_stand_in_columns(
    monkeypatch, command, found, columns
):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = show.result(command, found).splitlines()
    assert max(map(len, lines)) < columns
    (head,) = [line for line in lines if line.startswith("class ") and ("IoU" in line or "share" in line)]
    table = lines[lines.index(head) :]
    last = head.split()[-1] if command != "iou" else "IoU"
    end = head.index(last) + len(last)
    for line in table[1:4]:
        assert line[end - 1] != " ", (head, line)
        assert line[end : end + 1] in ("", " ")


def test_a_dry_run_is_told_as_it_is():
    found = {"dry_run": True, "told": ["a", "b", "d"], "notes": ["b"], "warnings": ["c"]}
    assert show.result("fit", found) == "a\nd\nWarning: c"  # the log has told the notes


def test_control_characters_of_a_model_file_are_replaced():
    text = show.result("info", {"kind": "model", "classes": {1: ROGUE, 2: "dent\u00ed\nn"}})
    assert f"1 {SHOWN}" in text
    assert "2 dent\u00ed\N{REPLACEMENT CHARACTER}n" in text
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_they_are_replaced_in_keys_and_lists_and_where_the_writing_is_turned():
    card = {
        "kind": "model",
        "version": [ROGUE, "\u202eabc"],
        "train_dataset": {ROGUE: 0.5},
        "other_options": {"loss": ROGUE},
    }
    lines = [line.split("  ")[-1].strip() for line in show.result("info", card).splitlines()]
    assert f"{SHOWN}, \N{REPLACEMENT CHARACTER}abc" in lines
    assert f"{SHOWN}: 0.5" in lines
    assert f"loss {SHOWN}" in lines


def test_other_results_keep_their_lines_and_lose_control_characters():
    found = {"sheet": ROGUE, "patches": ["a"], "changes": []}
    assert show.result("preview-augmentation", found).splitlines() == [
        f"Sheet    {SHOWN}",
        "Patches  a",
        "Changes  none",
    ]


SEVERAL = {
    "scans": [
        {"scan": "batch/one/femur.tif", "confidence": {"mean": 0.9}, "seconds": 3.0, "warnings": []},
        {"scan": "a_folder_of_very_many_letters/of_the_second_batch/two/femur.tif", "error": "is empty."},
    ],
    "failed": 1,
    "seconds": 3.0,
}


class Screen(io.StringIO):
    """A terminal that is read afterwards."""

    def isatty(self):
        return True


def test_scans_of_one_name_are_told_apart_and_a_long_path_is_broken_behind_a_slash(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout", Screen())
    lines = show.result("predict", SEVERAL).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["one/femur.tif", "two/femur.tif"]
    assert lines[-3:] == ["a_folder_of_very_many_letters/of_the_second_batch/two/", "femur.tif:", "is empty."]
    assert max(map(len, lines)) < 60
