"""Pairs that cannot be used are told in words, all at once."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from bone_backend.comparison import check_geometry
from bone_backend.dataset.checks import IGNORED, count_labels, pair_faults, read_labels, size_faults
from bone_backend.dataset.label_advice import grey_edges
from bone_backend.errors import ScanError
from bone_backend.volumes.volume import ArrayVolume, open_volume, save


def volume(array, **more):
    return ArrayVolume(np.asarray(array), name=more.pop("name", "made"), **more)


def faults(scan, mask):
    return pair_faults(scan, mask, number=2)


def test_a_pair_that_fits_has_no_faults():
    assert faults(volume(np.zeros((3, 4, 5), np.uint16)), volume(np.zeros((3, 4, 5), np.uint8))) == []


def test_different_shapes_are_told_with_both_shapes():
    (told,) = faults(volume(np.zeros((3, 4, 5), np.uint8)), volume(np.zeros((3, 4, 6), np.uint8)))
    assert "pair 2" in told
    assert "3 x 4 x 6" in told
    assert "3 x 4 x 5" in told


def test_different_voxel_sizes_are_told():
    scan = volume(np.zeros((3, 4, 5), np.uint8), voxel_size=(1.0, 1.0, 1.0))
    mask = volume(np.zeros((3, 4, 5), np.uint8), voxel_size=(2.0, 1.0, 1.0))
    assert "(2.0, 1.0, 1.0) um" in faults(scan, mask)[0]


def test_a_float_mask_is_refused():
    assert (
        "whole numbers"
        in faults(volume(np.zeros((3, 4, 5), np.uint8)), volume(np.zeros((3, 4, 5), np.float32)))[0]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_labels_are_counted_exactly(dtype):
    array = np.array([[[0, 0, 1], [2, 2, 2]], [[1, 1, 1], [0, 7, 7]]], dtype)
    assert count_labels(volume(array)) == {0: 3, 1: 4, 2: 3, 7: 2}


def test_classes_are_those_of_all_masks_together():
    found = read_labels([{0: 5, 1: 3}, {0: 4, 2: 4}], ["a", "b"])
    assert found.values == (0, 1, 2)
    assert found.counts.tolist() == [[5, 3, 0], [4, 0, 4]]
    assert found.table.tolist() == [0, 1, 2]


def test_a_mask_without_background_is_fine():
    assert read_labels([{1: 5, 2: 3}], ["a"]).num_classes == 3


@pytest.mark.parametrize(
    ("labels", "suggested"),
    [
        ({0: 1, 255: 2}, "255:1"),
        ({0: 1, 1: 1, 5: 2}, "5:2"),
        ({3: 1, 9: 1}, "3:1 9:2"),
    ],
)
def test_labels_that_do_not_run_from_zero_are_named_with_the_mapping_that_helps(labels, suggested):
    with pytest.raises(ScanError) as told:
        read_labels([labels], ["femur_mask.tif"])
    assert f"--map-labels {suggested}" in str(told.value)
    assert "femur_mask.tif" in str(told.value)
    assert all(str(value) in str(told.value) for value in labels)


def test_where_a_mapping_was_given_the_advice_begins_from_it():
    with pytest.raises(ScanError) as told:
        read_labels([{0: 1, 1: 1, 2: 1}], ["a"], map_labels=[(1, 3)])
    assert "mask labels are 0, 2, 3 after --map-labels" in str(told.value)
    assert "Use --map-labels 1:2 2:1" in str(told.value)
    helped = read_labels([{0: 1, 1: 1, 2: 1}], ["a"], map_labels=[(1, 2), (2, 1)])
    assert helped.values == (0, 1, 2)


def test_masks_of_one_material_with_different_labels_may_mean_the_same():
    with pytest.raises(ScanError) as told:
        read_labels([{0: 1, 1: 1}, {0: 1, 255: 1}], ["a", "b"])
    assert "If all masks mark the same, use --map-labels 255:1; if not: Use --map-labels 255:2" in str(
        told.value
    )


def test_a_mapping_makes_them_usable():
    found = read_labels([{0: 6, 255: 2}], ["a"], map_labels=[(255, 1)])
    assert found.values == (0, 1)
    assert found.table[255] == 1
    assert found.counts.tolist() == [[6, 2]]


def test_a_mapping_of_a_value_that_no_mask_has_is_refused():
    with pytest.raises(ScanError, match="map_labels names 7"):
        read_labels([{0: 6, 1: 2}], ["a"], map_labels=[(7, 1)])


def test_ignored_voxels_are_no_class():
    found = read_labels([{0: 6, 1: 2, 9: 4}], ["a"], ignore_label=9)
    assert found.num_classes == 2
    assert found.table[9] == IGNORED
    assert found.counts.sum() == 8


def test_a_scan_in_the_masks_place_is_recognised():
    with pytest.raises(ScanError, match="swapped"):
        read_labels([dict.fromkeys(range(200), 1)], ["a"])


def test_background_alone_teaches_nothing():
    with pytest.raises(ScanError, match="background only"):
        read_labels([{0: 6}], ["a"])


def test_a_patch_that_is_too_large_is_answered_with_the_largest_that_fits():
    assert size_faults((50, 100, 70), (1, 64, 64), name="a", multiple=(1, 32, 32), least=32) == []
    (told,) = size_faults((50, 100, 70), (1, 160, 160), name="a", multiple=(1, 32, 32), least=32)
    assert "largest that fits is 64" in told
    (told,) = size_faults((20, 100, 100), (48, 64, 64), name="a", multiple=(8, 32, 32), least=32)
    assert "largest that fits is 16" in told
    (told,) = size_faults((20, 20, 100), (1, 64, 64), name="a", multiple=(1, 32, 32), least=32)
    assert "less than half of the smallest patch" in told
    (told,) = size_faults((50, 60, 110), (1, 128, 128), name="a", multiple=(1, 16, 16), least=128)
    assert "less than half of the smallest patch of this network (128 px)" in told  # PAN: 48 is refused next


def test_a_scan_of_half_a_patch_is_taken():
    """It is reflected."""
    assert size_faults((20, 32, 100), (40, 64, 64), name="a", multiple=(8, 32, 32), least=32) == []


def test_a_scan_with_too_few_slices_for_3d_is_told_with_a_way_out():
    assert size_faults((15, 100, 100), (32, 64, 64), name="a", multiple=(32, 32, 32), least=32) == [
        "scan a has 15 slices, less than half of the smallest patch of this network (32 slices). Use the "
        "mode 2.5D or an architecture with smaller patches (PSPNet: 8 slices, Plain U-Net: 8 slices), or "
        "leave its pair out."
    ]


@pytest.mark.parametrize(
    ("dtype", "advice"),
    [
        ("int8", "int16 with the same values"),
        ("int32", "without scaling"),
        ("uint32", "without scaling"),
        ("int64", "without scaling"),
        ("float64", "Save it as float32"),
        ("float16", "Save it as float32"),
    ],
)
def test_a_scan_of_another_type_is_called_what_it_is(dtype, advice):
    (told,) = faults(volume(np.zeros((3, 4, 5), dtype)), volume(np.zeros((3, 4, 5), np.uint8)))
    assert f"scan made has voxels of type {dtype}; a scan is uint8, uint16, int16 or float32." in told
    assert advice in told
    assert "swapped" not in told


@pytest.mark.parametrize("known", ["tif", "folder"])
def test_a_mask_that_does_not_say_its_z_spacing_is_taken(tmp_path, known):
    """10 um in x and y, 20 um in z: said by the scan only. Another x and y size is still refused."""
    array = np.zeros((3, 4, 5), np.uint8)
    save(tmp_path / "scan.tif", array, voxel_size=(20.0, 10.0, 10.0))
    how = {"resolution": (1000, 1000), "resolutionunit": "CENTIMETER", "photometric": "minisblack"}
    if known == "tif":
        tifffile.imwrite(tmp_path / "mask.tif", array, metadata=None, **how)
    else:
        (tmp_path / "mask.tif").mkdir()
        for z, plane in enumerate(array):
            tifffile.imwrite(tmp_path / "mask.tif" / f"{z}.tif", plane, metadata=None, **how)
    scan, mask = open_volume(tmp_path / "scan.tif"), open_volume(tmp_path / "mask.tif")
    assert faults(scan, mask) == faults(mask, scan) == []
    check_geometry(scan, mask)
    save(tmp_path / "other.tif", array, voxel_size=(20.0, 11.0, 11.0))
    assert "(20.0, 11.0, 11.0) um" in faults(mask, open_volume(tmp_path / "other.tif"))[0]
    save(tmp_path / "told.tif", array, voxel_size=(10.0, 10.0, 10.0))
    assert "(10.0, 10.0, 10.0) um" in faults(scan, open_volume(tmp_path / "told.tif"))[0]


def test_labels_outside_0_to_65535_are_not_to_be_mapped_but_saved_anew():
    for values in ({-1: 1, 0: 2}, {0: 5, 1: 3, 70000: 1}):
        with pytest.raises(ScanError, match="Save it with other values") as told:
            read_labels([values], ["a"])
        assert "map-labels" not in str(told.value)


def ring(size=64):
    """A mask of 0 and 255: a ring, four slices."""
    y, x = np.mgrid[:size, :size] - size / 2
    one = ((np.hypot(y, x) < 24) & (np.hypot(y, x) > 12)) * np.uint8(255)
    return np.stack([one] * 4)


def averaged(mask, by):
    height, width = mask.shape[1] // by, mask.shape[2] // by
    blocks = mask[:, : height * by, : width * by].reshape(len(mask), height, by, width, by)
    return blocks.mean(axis=(2, 4)).round().astype(np.uint8)


def blurred(mask, times=1):
    soft = mask.astype(float)
    for _ in range(times):
        soft = (soft + sum(np.roll(soft, step, axis) for axis in (1, 2) for step in (-1, 1))) / 5
    return soft.round().astype(np.uint8)


def jpeg(mask):
    def through(plane):
        with io.BytesIO() as file:
            Image.fromarray(plane).save(file, "JPEG", quality=80)
            return np.array(Image.open(file))

    return np.stack([through(plane) for plane in mask])


def with_pores(mask):
    mask = mask.copy()
    mask[:, 28:36, 30:60] = 127
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        averaged(ring(), 2),
        averaged(ring(66), 3),
        blurred(ring()),
        blurred(ring(), 3),
        jpeg(ring()),
        blurred(with_pores(ring())),
        blurred(ring() // 255 * np.uint8(100)),
    ],
)
def test_grey_edges_are_called_so_and_not_taken_for_classes(mask):
    with pytest.raises(ScanError) as told:
        read_labels([count_labels(volume(mask))], ["femur_mask.tif"])
    assert "femur_mask.tif has grey edges" in str(told.value)
    assert "nearest neighbour" in str(told.value)
    assert "--map-labels" not in str(told.value)
    assert "swapped" not in str(told.value)


def test_grey_edges_that_the_user_has_mapped_are_taken():
    values = count_labels(volume(blurred(ring())))
    threshold = [(value, int(value > 127)) for value in values if value]
    assert read_labels([values], ["a"], map_labels=threshold).values == (0, 1)


@pytest.mark.parametrize(
    "values",
    [
        {0: 9000, 50: 4000, 100: 4000, 150: 4000, 200: 4000},
        {0: 90000, 10: 300, 20: 250, 30: 200, 40: 150, 50: 100},
        {0: 9000, 1: 900, 2: 10, 3: 8, 4: 6, 5: 5},
        {0: 900, 127: 50, 255: 50},
    ],
)
def test_classes_are_not_taken_for_grey_edges(values):
    assert grey_edges("a", values) is None


def test_a_value_beyond_the_others_is_asked_for_and_not_guessed():
    with pytest.raises(ScanError) as told:
        read_labels([{0: 5, 1: 4, 2: 3}, {0: 5, 255: 4}], ["a", "b"])
    text = str(told.value)
    assert (
        "Say what 255 means: if it is what other masks call 1 or 2, map it there, e.g. --map-labels 255:1;"
        in text
    )
    assert "if it marks voxels that nobody annotated: --ignore-label 255;" in text
    assert "only if it is a class of its own: --map-labels 255:3" in text
    with pytest.raises(ScanError) as told:  # beside both others it is neither of them
        read_labels([{0: 5, 1: 4, 2: 3, 255: 9}], ["a"])
    assert "other masks call" not in str(told.value)
    assert "--ignore-label 255; only if it is a class of its own: --map-labels 255:3" in str(told.value)
