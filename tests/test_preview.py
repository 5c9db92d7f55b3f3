"""Examples of augmentation: the patches of a fit, each change alone and as drawn."""

import numpy as np
import pytest

from bone_backend.options.programs import PreviewOptions
from bone_backend.preview import make_sheet
from bone_backend.volumes.volume import save


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two small scans, bright squares that the mask labels 1, dark holes in them labelled 2."""
    folder, made = tmp_path_factory.mktemp("pairs"), []
    rng = np.random.default_rng(0)
    for number in range(2):
        mask = np.zeros((40, 80, 90), np.uint8)
        mask[5:35, 20:60, 30:70] = 1
        mask[5:35, 35:45, 45:55] = 2
        scan = np.where(mask == 1, 180, 60) + rng.integers(0, 20, mask.shape)
        made.append([folder / f"scan{number}.tif", folder / f"mask{number}.tif"])
        save(made[-1][0], scan.astype(np.uint8))
        save(made[-1][1], mask)
    return made


def rows(pairs, *, examples=3, variants=4, **more):
    paper = {"brightness_probability": 0.4, "contrast_probability": 0.4, "transforms": ""}
    options = PreviewOptions.parse({"pairs": pairs, "patch_size": 32, **paper} | more)
    return make_sheet(options, examples=examples, variants=variants).rows


def test_an_untouched_patch_size_is_that_of_a_fit(pairs):
    sheet = make_sheet(PreviewOptions.parse({"pairs": pairs}), examples=1, variants=1)
    assert sheet.patch == (1, 32, 32)
    assert {picture.grey.shape for row in sheet.rows for picture in row.pictures} == {(32, 32)}


def test_each_change_is_shown_alone_and_then_the_patches_as_training_draws_them(pairs):
    found = rows(pairs, transforms={"gamma": 0.5, "noise": 0.5})
    assert [row.alone for row in found] == [True, False, False, False]
    captions = [picture.caption for picture in found[0].pictures]
    assert captions == [
        "as scanned",
        "flip",
        "turn by 90°",
        "brightness -0.15",
        "brightness +0.15",
        "contrast × 0.75",
        "contrast × 1.25",
        "gamma 0.70",
        "gamma 1.50",
        "noise 0.30",
    ]
    plain = found[0].pictures[0]
    changed = dict(zip(captions, found[0].pictures, strict=True))
    assert np.array_equal(changed["flip"].grey, plain.grey[:, ::-1])
    assert np.array_equal(changed["flip"].classes, plain.classes[:, ::-1])
    assert np.allclose(changed["contrast × 1.25"].grey, plain.grey * 1.25)
    assert np.array_equal(changed["noise 0.30"].classes, plain.classes)


def test_patches_come_from_all_scans_and_hold_labels(pairs):
    found = [row for row in rows(pairs, examples=4) if not row.alone]
    assert [row.name.split(",")[0] for row in found] == ["scan0", "scan1", "scan0", "scan1"]
    assert len({row.name for row in found}) == 4
    assert all(len(row.pictures) == 5 and row.pictures[0].classes.max() > 0 for row in found)


def test_what_is_drawn_is_what_the_caption_says(pairs):
    for row in rows(pairs, variants=6)[1:]:
        plain = row.pictures[0]
        for picture in row.pictures[1:]:
            if picture.caption == "turn by 180°":
                assert np.array_equal(picture.grey, plain.grey[::-1, ::-1])
            if picture.caption == "unchanged":
                assert np.array_equal(picture.grey, plain.grey)
            same = sorted(np.unique(picture.classes)) == sorted(np.unique(plain.classes))
            assert same  # flips, turns and greys move no class away


def test_one_pair_is_enough_and_no_augmentation_shows_unchanged_patches(pairs):
    found = rows(pairs[:1], augmentation=False)
    assert not any(row.alone for row in found)
    assert {p.caption for row in found for p in row.pictures} == {"as scanned", "unchanged"}


@pytest.mark.parametrize("mode", ["2.5D", "3D"])
def test_other_modes_show_the_labelled_slice_and_in_3d_a_section_below(pairs, mode):
    found = rows(pairs[:1], mode=mode, tile_depth=32, transforms={"step": 1.0, "rotation": 1.0})
    shape = (32 + 2 + 32, 32) if mode == "3D" else (32, 32)
    assert all(p.grey.shape == p.classes.shape == shape for row in found for p in row.pictures)
    assert "step × 1.20 +0.20" in [p.caption for p in found[0].pictures]
