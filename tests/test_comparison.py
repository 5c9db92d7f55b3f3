"""Comparison of label volumes: scores known by hand, any storage, exact counts, words for misfits."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from bone_backend import comparison
from bone_backend.comparison import compare, write_csv
from bone_backend.errors import Cancelled, OutputError, ScanError
from bone_backend.jobs.run import run_here
from bone_backend.progress import Recorder
from bone_backend.volumes.volume import ArrayVolume, open_volume, save

REFERENCE = np.array([[[0, 0, 1], [1, 2, 2]], [[0, 0, 0], [0, 0, 0]]], np.uint8)
PREDICTION = np.array([[[0, 1, 1], [1, 2, 0]], [[0, 0, 0], [0, 0, 0]]], np.uint8)


def arrays(*sides: np.ndarray, voxel_size=None) -> list[ArrayVolume]:
    return [ArrayVolume(side, voxel_size=voxel_size) for side in sides]


def random_labels(shape, seed=0, labels=3, wrong=0.1):
    generator = np.random.default_rng(seed)
    reference = generator.integers(0, labels, shape, dtype=np.uint8)
    return reference, np.where(generator.random(shape) < wrong, labels - 1, reference).astype(np.uint8)


def stored(folder, kind: str, name: str, labels: np.ndarray):
    """The labels on disk in one of the ways that BONe reads."""
    if kind == "big-endian":
        with tifffile.TiffWriter(folder / f"{name}.tif", byteorder=">") as file:
            for page in labels.astype("u2"):
                file.write(page, contiguous=False, metadata=None)
        return folder / f"{name}.tif"
    path = folder / {"folder": name, "stack": f"{name}.tif", "npy": f"{name}.npy"}.get(
        kind, f"{name}_zlib.tif"
    )
    save(path, labels, compression="zlib" if kind == "zlib" else None)
    return path


def test_a_voxel_size_that_is_given_is_that_of_both(tmp_path):
    save(tmp_path / "a.tif", REFERENCE, voxel_size=(10, 10, 10))
    save(tmp_path / "b.tif", REFERENCE, voxel_size=(12, 12, 12))
    paths = {"reference": str(tmp_path / "a.tif"), "prediction": str(tmp_path / "b.tif")}
    with pytest.raises(ScanError, match="its voxels are 12 x 12 x 12 um"):
        run_here("iou", paths)
    assert run_here("iou", {**paths, "voxel_size": "10um"})["mean_iou"] == 1


def test_scores_of_twelve_voxels_by_hand():
    result = compare(*arrays(REFERENCE, PREDICTION))
    assert result.classes[0] == comparison.ClassScore(7 / 9, 14 / 16, 8, 8, 7)
    assert result.classes[1] == comparison.ClassScore(2 / 3, 4 / 5, 2, 3, 2)
    assert result.classes[2] == comparison.ClassScore(1 / 2, 2 / 3, 2, 1, 1)
    assert result.mean_iou == pytest.approx((7 / 9 + 2 / 3 + 1 / 2) / 3)
    assert result.mean_dice == pytest.approx((14 / 16 + 4 / 5 + 2 / 3) / 3)
    assert result.values == (0, 1, 2)
    assert result.confusion.tolist() == [[7, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert result.voxels == 12


def test_equal_volumes_score_one():
    result = compare(*arrays(REFERENCE, REFERENCE))
    assert result.mean_iou == result.mean_dice == 1


def test_masks_of_0_and_255_are_compared_as_they_are():
    result = compare(*arrays(REFERENCE.clip(0, 1) * np.uint8(255), PREDICTION.clip(0, 1) * np.uint8(255)))
    assert list(result.classes) == [0, 255]
    assert result.classes[255].intersection_voxels == 3


def test_a_mask_of_0_255_against_labels_of_0_1_shares_only_background():
    result = compare(*arrays(REFERENCE.clip(0, 1) * np.uint8(255), PREDICTION.clip(0, 1)))
    assert {value: score.iou for value, score in result.classes.items()} == {0: 7 / 9, 1: 0, 255: 0}


def test_masks_of_0_and_255_are_scored_with_the_mapping_of_the_fit():
    bone = REFERENCE.clip(0, 1)
    result = compare(*arrays(bone * np.uint8(255), PREDICTION.clip(0, 1)), map_labels=[(255, 1)])
    assert {value: score.iou for value, score in result.classes.items()} == {0: 7 / 9, 1: 3 / 5}
    assert result.warnings == ()


def test_a_prediction_that_still_has_the_masks_values_is_mapped_too():
    sides = [side.clip(0, 1) * np.uint8(255) for side in (REFERENCE, PREDICTION)]
    for left, right in ((sides[0], sides[1]), (REFERENCE.clip(0, 1), sides[1])):
        assert compare(*arrays(left, right), map_labels=[(255, 1)]).confusion.tolist() == [[7, 1], [1, 3]]


@pytest.mark.parametrize(
    ("mapping", "predicted", "expected"),
    [
        ([(1, 2), (2, 1)], PREDICTION, [[7, 1, 0], [1, 0, 1], [0, 2, 0]]),  # 1 and 2 change places
        ([(1, 0), (2, 1)], PREDICTION // 2, [[10, 0], [1, 1]]),  # only label 2 is bone
        ([(2, 1)], PREDICTION, [[7, 1], [1, 3]]),  # both are; a 2 of the prediction can only be a mask's
    ],
)
def test_the_reference_is_mapped_and_the_prediction_has_the_values_of_the_network(
    mapping, predicted, expected
):
    assert compare(*arrays(REFERENCE, predicted), map_labels=mapping).confusion.tolist() == expected


def test_ignored_voxels_count_on_neither_side():
    part = np.where(np.arange(3) < 2, REFERENCE, 255).astype(np.uint8)  # the last column is not annotated
    result = compare(*arrays(part, PREDICTION), ignore_label=255)
    assert result.values == (0, 1, 2)
    assert result.confusion.tolist() == [[5, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert (result.voxels, result.ignored_voxels) == (12, 4)
    both = compare(*arrays(part, np.where(PREDICTION == 2, 255, PREDICTION)), ignore_label=255)
    assert both.confusion.tolist() == [[5, 1], [0, 1]]


def test_background_that_was_not_annotated_is_ignored_in_the_reference_alone():
    """A network says background where it finds nothing; leaving that out would reward it."""
    result = compare(*arrays(REFERENCE, PREDICTION), ignore_label=0)
    assert result.classes[2].iou == 1 / 2
    assert result.ignored_voxels == 8


def test_a_reference_of_which_nothing_counts_is_refused():
    with pytest.raises(ScanError, match="no voxel counts: all have the ignored label 255"):
        compare(*arrays(np.full_like(REFERENCE, 255), PREDICTION), ignore_label=255)


@pytest.mark.parametrize(
    ("reference", "prediction", "told"),
    [
        ([0, 255], [0, 1], "have no label in common but background: 255 is in the reference alone, 1 is in"),
        ([0, 255], [0, 1], "use --map-labels 255:1."),
        ([0, 1], [0, 255], "use --map-labels 255:1."),
        ([0, 85, 170, 255], [0, 1, 2, 3], "use --map-labels 85:1 170:2 255:3."),
        ([0, 1, 3], [0, 1, 2], "never meet: 3 is in the reference alone, 2 is in the prediction alone."),
        ([0, 7, 8], [0, 1], "use --map-labels OLD:NEW, once for each."),
        ([0, 1, 255], [0, 1], "Label 255 is in the reference alone."),
        ([0, 1, 255], [0, 1], "use --ignore-label 255;"),
        ([0, 1], [0, 1, 255], "Label 255 is in the prediction alone."),
    ],
)
def test_volumes_that_share_hardly_any_label_get_a_word(reference, prediction, told, caplog):
    sides = [np.resize(side, (2, 3, 4)).astype(np.uint8) for side in (reference, prediction)]
    [warning] = compare(*arrays(*sides)).warnings
    assert told in warning
    assert warning in caplog.text


@pytest.mark.parametrize(
    ("reference", "prediction"), [([0, 1, 2], [0, 1]), ([0, 1], [0, 1, 2]), ([0], [0, 1])]
)
def test_a_class_that_was_not_found_or_found_in_excess_is_in_the_table_and_needs_no_word(
    reference, prediction
):
    sides = [np.resize(side, (2, 3, 4)).astype(np.uint8) for side in (reference, prediction)]
    assert compare(*arrays(*sides)).warnings == ()


def test_a_mapping_that_names_what_is_not_there_gets_a_word():
    [warning] = compare(*arrays(REFERENCE, PREDICTION), map_labels=[(225, 1)]).warnings
    assert warning == "map_labels names 225, which neither volume holds; they hold 0, 1, 2."


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.integers(0, 5), st.integers(0, 3), max_size=4),
    st.one_of(st.none(), st.integers(6, 8)),
    st.integers(0, 99),
)
def test_mapping_the_counts_is_mapping_the_voxels(mapping, ignored, seed):
    generator = np.random.default_rng(seed)
    reference = generator.integers(0, 7, (3, 20, 20), dtype=np.uint8)
    prediction = generator.integers(0, 2, reference.shape, dtype=np.uint8)
    result = compare(*arrays(reference, prediction), map_labels=list(mapping.items()), ignore_label=ignored)
    counted = reference != ignored
    mapped = np.array([mapping.get(value, value) for value in range(7)])[reference][counted]
    classes = {*mapped.tolist(), *mapping.values()}
    predicted = prediction[counted]
    if any(value in mapping and value not in classes for value in (0, 1)):
        predicted = np.array([mapping.get(value, value) for value in range(7)])[predicted]
    np.testing.assert_array_equal(result.confusion, confusion_matrix(mapped, predicted))


def noise(values, *, like=(4, 60, 60)):
    return np.random.default_rng(3).integers(1, values, like, dtype=np.uint8)


def test_a_scan_in_the_place_of_labels_is_refused_by_name():
    mask = (noise(4, like=(4, 60, 60)) > 2).astype(np.uint8)
    scans = [noise(248), noise(25), np.clip(noise(248), 90, 200)]
    scans.append(np.repeat(np.repeat(noise(248, like=(4, 30, 30)), 2, axis=1), 2, axis=2))  # smooth
    for scan in scans:
        for sides in ((mask, scan), (scan, mask)):
            with pytest.raises(ScanError, match=r"holds \d+ different values.* (this is|looks like) a scan"):
                compare(*arrays(*sides))
    with pytest.raises(ScanError, match="this is a scan"):
        compare(*arrays(scans[0], scans[0]))


def test_masks_of_many_bones_are_labels():
    """117 structures, each a block of voxels; and as many, each smaller and a fifth of them wrong."""
    blocks = np.arange(117 * 27).reshape(117, 27) // 27
    reference = np.repeat(blocks.reshape(9, 13, 27), 4, axis=1).astype(np.uint8)
    prediction = np.where(np.random.default_rng(0).random(reference.shape) < 0.2, 0, reference)
    result = compare(*arrays(reference, prediction.astype(np.uint8)))
    assert len(result.classes) == 117
    assert result.classes[116].iou == pytest.approx(0.8, abs=0.1)


def test_only_the_labels_that_are_asked_for_are_scored():
    result = compare(*arrays(REFERENCE, PREDICTION), labels=[2, 1, 7])
    assert list(result.classes) == [1, 2, 7]
    assert np.isnan(result.classes[7].iou)
    assert result.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert result.confusion.shape == (3, 3)


@pytest.mark.parametrize("left", ["folder", "stack", "npy", "zlib", "big-endian"])
@pytest.mark.parametrize("right", ["folder", "zlib"])
def test_every_way_to_store_labels_gives_the_same_counts(tmp_path, left, right, monkeypatch):
    monkeypatch.setattr(comparison, "PIECE_BYTES", 1000)  # much less than a slice
    reference, prediction = random_labels((5, 33, 47))
    expected = confusion_matrix(reference.ravel(), prediction.ravel())
    paths = stored(tmp_path, left, "reference", reference), stored(tmp_path, right, "prediction", prediction)
    result = compare(*paths)
    np.testing.assert_array_equal(result.confusion, expected)
    assert result.reference == str(paths[0])


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 20), st.integers(1, 20)),
    st.integers(1, 500),
    st.permutations([0, 1, 2]),
)
def test_counts_do_not_depend_on_pieces_or_on_the_layout_in_memory(shape, piece, axes):
    before, comparison.PIECE_BYTES = comparison.PIECE_BYTES, piece
    try:
        reference, prediction = random_labels(shape)
        expected = compare(*arrays(reference, prediction)).confusion
        back = np.argsort(axes)
        turned = [
            np.ascontiguousarray(side.transpose(axes)).transpose(back) for side in (reference, prediction)
        ]
        np.testing.assert_array_equal(compare(*arrays(*turned)).confusion, expected)
        np.testing.assert_array_equal(compare(*arrays(reference, turned[1])).confusion, expected)
    finally:
        comparison.PIECE_BYTES = before


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int32", "uint64"])
def test_volumes_of_different_integer_types_are_compared(dtype):
    reference, prediction = random_labels((3, 20, 20), labels=2)
    np.testing.assert_array_equal(
        compare(*arrays(reference, prediction.astype(dtype))).confusion,
        confusion_matrix(reference.ravel(), prediction.ravel()),
    )


def test_the_job_returns_plain_json_and_writes_the_table(tmp_path):
    paths = (
        stored(tmp_path, "folder", "reference", REFERENCE),
        stored(tmp_path, "stack", "prediction", PREDICTION),
    )
    options = {
        "reference": str(paths[0]),
        "prediction": str(paths[1]),
        "output": str(tmp_path / "scores.csv"),
    }
    answer = json.loads(json.dumps(run_here("iou", options, progress=Recorder()), allow_nan=False))
    assert answer["mean_iou"] == pytest.approx((7 / 9 + 2 / 3 + 1 / 2) / 3)
    assert answer["mean_dice"] == pytest.approx((14 / 16 + 4 / 5 + 2 / 3) / 3)
    assert answer["classes"]["1"] == {
        "iou": 2 / 3,
        "dice": 4 / 5,
        "reference_voxels": 2,
        "predicted_voxels": 3,
        "intersection_voxels": 2,
    }
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    voxels = ["reference_voxels", "predicted_voxels", "intersection_voxels"]
    assert rows[0] == ["class", "iou", "dice", *voxels, "name"]
    assert rows[2] == ["1", str(2 / 3), "0.8", "2", "3", "2", "class 1"]
    assert rows[-1][0] == "mean"
    assert float(rows[-1][1]) == answer["mean_iou"]
    assert run_here("iou", options | {"output": None})["classes"] == answer["classes"]


def test_a_score_without_meaning_is_null_in_json_and_empty_in_the_table(tmp_path):
    result = compare(*arrays(REFERENCE, PREDICTION), labels=[9])
    assert result.to_dict()["classes"]["9"]["iou"] is None
    assert result.to_dict()["mean_iou"] is None
    write_csv(tmp_path / "scores.csv", result)
    assert (tmp_path / "scores.csv").read_text().splitlines()[1] == "9,,,0,0,0,class 9"


def test_a_table_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(OutputError):
        write_csv(tmp_path / "scores.csv", compare(*arrays(REFERENCE, PREDICTION)))
    assert [item.name for item in tmp_path.iterdir()] == ["scores.csv"]


def test_progress_ends_with_all_slices_and_a_stop_is_heeded(monkeypatch):
    monkeypatch.setattr(comparison, "PIECE_BYTES", 4)
    monkeypatch.setattr(comparison, "_REPORT_S", 0.0)
    recorder = Recorder()
    compare(*arrays(REFERENCE, PREDICTION), progress=recorder)
    assert [report.step for report in recorder.reports] == [0, 0, 1, 2]
    assert recorder.reports[-1].steps == 2
    with pytest.raises(Cancelled):
        compare(*arrays(REFERENCE, PREDICTION), progress=Recorder(stop_after=2))


def test_shapes_that_differ_are_refused_with_both_shapes():
    with pytest.raises(ScanError, match=r"2 x 2 x 2 \(z, y, x\), but the reference .* 2 x 2 x 3"):
        compare(*arrays(REFERENCE, PREDICTION[:, :, :2]))


def test_voxel_sizes_that_differ_by_more_than_rounding_are_refused():
    left = ArrayVolume(REFERENCE, voxel_size=(10, 5, 5))
    with pytest.raises(ScanError, match="10 x 5 x 5 um"):
        compare(left, ArrayVolume(PREDICTION, voxel_size=(10, 5, 5.1)))
    compare(left, ArrayVolume(PREDICTION, voxel_size=(10.0005, 5, 5)))
    compare(left, ArrayVolume(PREDICTION, voxel_size=(0.010, 0.005, 0.005), unit="mm"))
    compare(left, ArrayVolume(PREDICTION))  # unknown
    compare(left, ArrayVolume(PREDICTION, voxel_size=(1, 1, 1), unit=""))  # of no unit


def test_volumes_that_are_no_labels_are_refused(tmp_path):
    with pytest.raises(ScanError, match="float32 values; labels are whole numbers"):
        compare(*arrays(REFERENCE, PREDICTION.astype(np.float32)))
    with pytest.raises(ScanError, match="-1 was found"):
        compare(*arrays(REFERENCE, PREDICTION.astype(np.int16) - 1))
    with pytest.raises(ScanError, match="this is a scan"):
        compare(*arrays(np.zeros((2, 50, 50), "u2"), np.arange(5000, dtype="u2").reshape(2, 50, 50)))


def test_a_slice_that_is_lost_while_reading_is_named(tmp_path):
    reference, prediction = random_labels((5, 33, 47))
    left, right = stored(tmp_path, "folder", "a", reference), stored(tmp_path, "folder", "b", prediction)
    with open_volume(right) as volume:
        lost = sorted(right.iterdir())[3]
        lost.unlink()
        with pytest.raises(ScanError, match=lost.name):
            compare(left, volume)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.slow
def test_memory_stays_below_20_mib_whatever_the_size_of_a_slice(tmp_path):
    labels = np.zeros((2, 6000, 6000), np.uint16)
    labels[:, 1000:3000] = 1
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", labels)
        labels[:, :, :50] = 2
    program = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from benchmarks.sidebyside import measure\n"
        "from bone_backend.comparison import compare\n"
        "measure(lambda: compare(*sys.argv[1:]).voxels, watch_memory=True)\n"
    )
    command = [sys.executable, "-c", program, *(str(tmp_path / f"{name}.npy") for name in ("a", "b"))]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert answer["result"] == labels.size
    assert answer["peak_mib"] < 20
