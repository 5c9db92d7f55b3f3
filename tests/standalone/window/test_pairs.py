"""Dropped files become pairs by their names; a look tells shape, voxel size, classes and what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from bone_backend.options.programs import FitOptions
from bone_backend.pairing.names import is_mask, key, match, volumes_in
from bone_backend.volumes.volume import save
from standalone.window.pairs import PairList, Row, look_at


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("scan", "mask"),
    [
        ("femur_1.tif", "femur_1_mask.tif"),
        ("femur_1_image.tif", "femur_1_mask.tif"),
        ("Femur-1.npy", "femur 1 labels.tif"),
        ("images/femur_1.tif", "masks/femur_1.tif"),
        ("images/femur_1.tif", "segmentation/femur_1.tif"),
    ],
)
def test_scan_and_mask_find_each_other_by_their_names(tmp_path, scan, mask):
    touch(tmp_path, scan, mask, scan.replace("1", "2"), mask.replace("1", "2"))
    found = match([tmp_path])
    assert (tmp_path / scan, tmp_path / mask) in found
    assert len(found) == 2


def test_a_scan_called_image_in_a_folder_of_masks_is_no_mask():
    assert not is_mask(Path("masks/femur_image.tif"))
    assert is_mask(Path("x/femur_seg.tif"))
    assert key(Path("a/scan")) == "a"


def test_folders_of_slices_are_volumes_and_folders_of_volumes_are_not(tmp_path):
    save(tmp_path / "femur", np.zeros((4, 8, 8), np.uint8))
    save(tmp_path / "femur_mask", np.zeros((4, 8, 8), np.uint8))
    assert volumes_in(tmp_path) == [tmp_path / "femur", tmp_path / "femur_mask"]
    assert match([tmp_path]) == [(tmp_path / "femur", tmp_path / "femur_mask")]


def test_what_comes_one_by_one_completes_its_row(tmp_path):
    touch(tmp_path, "a.tif", "b.tif", "a_mask.tif", "b_mask.tif")
    pairs = PairList()
    pairs.add([tmp_path / "a.tif"])
    pairs.add([tmp_path / "b.tif"])
    assert [row.state for row in pairs.rows] == ["choose its mask"] * 2
    pairs.add([tmp_path / "b_mask.tif"])
    pairs.add([tmp_path / "a_mask.tif"])
    assert [(Path(row.scan).name, Path(row.mask).name) for row in pairs.rows] == [
        ("a.tif", "a_mask.tif"),
        ("b.tif", "b_mask.tif"),
    ]
    pairs.add([tmp_path])
    assert len(pairs.rows) == 2


def test_the_rows_are_the_options_and_come_back_from_them():
    pairs = PairList([Row("a", "b", "mouse"), Row("c", ""), Row("d", "e", is_validation=True)])
    assert pairs.in_words() == "2 pairs, 1 not complete"
    assert pairs.validation() == [2]
    checked = FitOptions.parse({"pairs": pairs.value(), "validation_pairs": [2], "output": "run"})
    assert [pair.subject for pair in checked.pairs] == ["mouse", None]
    again = PairList()
    again.take(pairs.value(), [2])
    assert again.value() == pairs.value()
    assert [row.is_validation for row in again.rows] == [False, True]
    again.take([["x", "y"]])
    assert again.rows == [Row("x", "y")]


def test_a_look_tells_shape_voxel_size_and_classes(tmp_path):
    scan = np.zeros((5, 6, 7), np.uint8)
    mask = np.zeros((5, 6, 7), np.uint8)
    mask[2, 3, 4], mask[4, 0, 0] = 1, 7
    save(tmp_path / "scan.tif", scan, voxel_size=(12.5, 12.5, 12.5))
    save(tmp_path / "mask.tif", mask, voxel_size=(12.5, 12.5, 12.5))
    found = look_at(str(tmp_path / "scan.tif"), str(tmp_path / "mask.tif"), 1)
    assert (found.shape, found.classes, found.is_sample, found.faults) == ((5, 6, 7), (0, 1, 7), False, ())
    assert (found.shape_in_words, found.voxel_size_in_words) == ("5 × 6 × 7", "12.5 µm")


def test_a_look_tells_what_is_wrong_in_words(tmp_path):
    save(tmp_path / "scan.npy", np.zeros((5, 6, 7), np.uint8))
    save(tmp_path / "short.npy", np.ones((4, 6, 7), np.uint8))
    save(tmp_path / "grey.npy", np.arange(210, dtype=np.uint8).reshape(5, 6, 7))
    scan = str(tmp_path / "scan.npy")
    look = look_at(scan, str(tmp_path / "short.npy"), 1)
    assert look.faults[0].startswith("mask short.npy is 4 x 6 x 7 but its scan scan.npy is 5 x 6 x 7")
    assert look.notes == ("nothing but 1 was seen in short",)
    look = look_at(scan, str(tmp_path / "grey.npy"), 1)
    assert (look.faults, look.notes) == ((), ("grey has more than 64 different values; is it a scan?",))
    [told] = look_at(scan, str(tmp_path / "none.npy"), 1).faults
    assert "none.npy: does not exist" in told
