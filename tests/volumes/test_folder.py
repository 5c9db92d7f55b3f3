"""Which files of a folder are slices, their order, and what is said of folders that hold no volume."""

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.errors import ScanError
from bone_backend.volumes.tiff.folder import natural_key, slice_files
from bone_backend.volumes.volume import open_volume, peek


def empty_files(folder, *names):
    for name in names:
        (Path(folder) / name).touch()


def names_of(folder):
    return [path.name for path in slice_files(Path(folder))]


def write_slices(folder, count, *, shape=(4, 5), dtype="uint8", **how):
    for z in range(count):
        tifffile.imwrite(folder / f"s_{z:04d}.tif", np.full(shape, z, dtype), **how)


def test_slice_2_comes_before_slice_10(tmp_path):
    empty_files(tmp_path, *(f"slice_{n}.tif" for n in range(1, 13)))
    assert names_of(tmp_path) == [f"slice_{n}.tif" for n in range(1, 13)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**7), st.integers(2, 30), st.integers(1, 8), st.integers(1, 3), st.randoms())
def test_numbered_slices_come_in_the_order_of_their_numbers(first, count, digits, step, random):
    numbers = [first + step * i for i in range(count)]
    shuffled = random.sample(numbers, count)
    with tempfile.TemporaryDirectory() as folder:
        empty_files(folder, *(f"7T_a{n:0{digits}d}_rec.tif" for n in shuffled))
        assert names_of(folder) == [f"7T_a{n:0{digits}d}_rec.tif" for n in numbers]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2000), st.integers(3, 30), st.data())
def test_a_missing_number_is_named(first, count, data):
    gone = first + data.draw(st.integers(1, count - 2))
    if count == 3:
        count = 4  # 0 and 2 of three would be a series in steps of two
    with tempfile.TemporaryDirectory() as folder:
        empty_files(folder, *(f"skull_{n:04d}.tif" for n in range(first, first + count) if n != gone))
        with pytest.raises(
            ScanError, match=rf"a slice is missing in the numbered series: skull_{gone:04d}\.tif "
        ):
            slice_files(Path(folder))


def test_how_many_are_missing_is_said_without_counting_them(tmp_path):
    empty_files(tmp_path, "s_1.tif", "s_2.tif", "s_20240101123456.tif")
    with pytest.raises(ScanError, match=r"20240101123453 slices are missing .* first s_3\.tif"):
        slice_files(tmp_path)


def test_suffixes_in_any_case_hidden_and_other_files_aside(tmp_path):
    empty_files(tmp_path, "a_1.TIF", "a_2.tiff", "a_3.Tif", "._a_1.tif", ".hidden.tif", "a.log", "a_0.jpg")
    (tmp_path / "a_9.tif").mkdir()
    assert names_of(tmp_path) == ["a_1.TIF", "a_2.tiff", "a_3.Tif"]


def test_names_without_numbers_are_sorted(tmp_path):
    empty_files(tmp_path, "top.tif", "Middle.tif", "bottom.tif")
    assert names_of(tmp_path) == ["bottom.tif", "Middle.tif", "top.tif"]


def test_names_with_a_time_and_a_counter(tmp_path):
    names = [f"scan_{time}_{n}.tif" for n, time in enumerate((120001, 120007, 120011, 120020))]
    empty_files(tmp_path, *names)
    assert names_of(tmp_path) == names
    (tmp_path / names[2]).unlink()
    with pytest.raises(ScanError, match="a slice is missing"):
        slice_files(tmp_path)


def test_names_with_two_times_are_taken_as_they_are(tmp_path):
    names = [f"scan_{time}_{time + 3}.tif" for time in (120001, 120007, 120011, 120020)]
    empty_files(tmp_path, *names)
    assert names_of(tmp_path) == names


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no TIFF slices"),
        (["notes.txt", "slice.gif"], "has no TIFF slices"),
        (["one.tif"], "one TIFF only"),
        (["s_1.tif", "s_01.tif", "s_2.tif"], "same number"),
        (["s_1.tif", "s_1.tiff"], "same slice twice"),
        (["a.tif", "a.tiff"], "same slice twice"),
        (["image_1.tif", "image_2.tif", "mask_1.tif", "mask_2.tif"], r"also mask_1.tif \(and 1 more\)"),
        (["rec_1.tif", "rec_2.tif", "rec_look.tif"], "also rec_look.tif"),
        (["b1_s1.tif", "b1_s2.tif", "b2_s1.tif", "b2_s2.tif"], "count in two places"),
    ],
)
def test_folders_that_hold_no_single_series(tmp_path, names, message):
    empty_files(tmp_path, *names)
    with pytest.raises(ScanError, match=message):
        slice_files(tmp_path)


def test_sub_folders_with_slices_are_suggested(tmp_path):
    for name in ("images", "masks", "notes"):
        (tmp_path / name).mkdir()
    empty_files(tmp_path, "images/a.tif", "masks/a.tif", "notes/a.txt")
    with pytest.raises(ScanError, match=re.escape(f"{tmp_path / 'images'}, {tmp_path / 'masks'}")):
        open_volume(tmp_path)


def test_natural_key_never_compares_text_with_numbers():
    names = ["1.tif", "a1.tif", "a.tif", "1a2.tif", "a1b.tif", "10.tif"]
    assert sorted(names, key=natural_key) == ["1.tif", "1a2.tif", "10.tif", "a.tif", "a1.tif", "a1b.tif"]


def test_a_slice_of_another_size_is_named(tmp_path):
    write_slices(tmp_path, 5)
    tifffile.imwrite(tmp_path / "s_0003.tif", np.zeros((4, 6), np.uint8))
    with pytest.raises(
        ScanError, match=r"s_0003\.tif is uint8 \(4, 6\), but 4 of 5 slices are uint8 \(4, 5\)"
    ):
        open_volume(tmp_path)


def test_a_first_slice_of_another_dtype_is_named(tmp_path):
    write_slices(tmp_path, 5)
    tifffile.imwrite(tmp_path / "s_0000.tif", np.zeros((4, 5), np.uint16))
    with pytest.raises(ScanError, match=r"s_0000\.tif is uint16"):
        open_volume(tmp_path)


def test_a_truncated_slice_is_named(tmp_path):
    write_slices(tmp_path, 5, shape=(40, 50))
    damaged = tmp_path / "s_0002.tif"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(ScanError, match=r"s_0002\.tif: is truncated"):
        open_volume(tmp_path)
    damaged.write_bytes(b"")
    with pytest.raises(ScanError, match=r"s_0002\.tif: is not a TIFF"):
        open_volume(tmp_path)


def test_a_file_that_is_no_tiff_is_named(tmp_path):
    write_slices(tmp_path, 3)
    (tmp_path / "s_0001.tif").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ScanError, match=r"s_0001\.tif: is not a TIFF file"):
        open_volume(tmp_path)


@pytest.mark.parametrize("where", [0, 1])
def test_a_colour_slice_is_named(tmp_path, where):
    write_slices(tmp_path, 3)
    tifffile.imwrite(tmp_path / f"s_{where:04d}.tif", np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    with pytest.raises(ScanError, match=rf"s_000{where}\.tif: is a colour image \(3 values per pixel"):
        open_volume(tmp_path)


def test_a_stack_among_the_slices_is_named(tmp_path):
    write_slices(tmp_path, 3)
    tifffile.imwrite(tmp_path / "s_0001.tif", np.zeros((7, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(ScanError, match=r"s_0001\.tif: holds 7 pages"):
        open_volume(tmp_path)


def test_a_compressed_slice_that_is_damaged_is_named_when_it_is_read(tmp_path):
    rng = np.random.default_rng(0)
    for z in range(5):
        tifffile.imwrite(
            tmp_path / f"s_{z}.tif", rng.integers(0, 255, (60, 70), np.uint8), compression="zlib"
        )
    damaged = tmp_path / "s_3.tif"
    data = bytearray(damaged.read_bytes())
    data[-1500:-1000] = bytes(500)
    damaged.write_bytes(data)
    volume = open_volume(tmp_path)
    volume.read(0, 3)
    with pytest.raises(ScanError, match=r"s_3\.tif: cannot be decoded"):
        volume.read(0, 5)


def test_compressed_and_plain_slices_in_one_folder(tmp_path):
    write_slices(tmp_path, 4)
    tifffile.imwrite(tmp_path / "s_0002.tif", np.full((4, 5), 2, np.uint8), compression="zlib")
    volume = open_volume(tmp_path)
    assert volume.slices is None
    assert [int(s[0, 0]) for s in volume.read(0, 4)] == [0, 1, 2, 3]


def test_slices_of_both_byte_orders_in_one_folder(tmp_path):
    for z in range(4):
        tifffile.imwrite(
            tmp_path / f"{z}.tif", np.full((4, 5), 256 * z + 1, np.uint16), byteorder="<>"[z % 2]
        )
    volume = open_volume(tmp_path)
    assert volume.slices is not None
    assert [int(s[0, 0]) for s in volume.read(0, 4)] == [1, 257, 513, 769]


def test_peek_tells_what_opening_tells(tmp_path):
    write_slices(tmp_path, 3, dtype="int16")
    assert peek(tmp_path) == open_volume(tmp_path).header
    assert peek(str(tmp_path)).shape == (3, 4, 5)


def test_paths_that_are_not_there_or_no_volume(tmp_path):
    with pytest.raises(ScanError, match="does not exist"):
        open_volume(tmp_path / "gone")
    with pytest.raises(ScanError, match=r"Its folder .* does not exist either"):
        peek(tmp_path / "gone" / "too.tif")
    (tmp_path / "scan.jpg").write_bytes(b"x")
    with pytest.raises(ScanError, match="is no volume that BONe reads"):
        open_volume(tmp_path / "scan.jpg")


@pytest.mark.parametrize(
    "ordered",
    [
        [f"slice_{n:02x}.tif" for n in range(20)],  # hexadecimal: ... 09 0a ... 0f 10
        [f"S{n:X}_rec.tif" for n in range(8, 40)],
        [f"slice_{n}.tif" for n in range(-3, 4)],
        [f"slice_{n}.tif" for n in range(-12, 0)],  # all below zero: the first is the lowest
        [f"z={n:04d}.tif" for n in range(-11, 3)],
        [f"slice{n}.tif" for n in range(-2, 3)],
        [f"{n}.tif" for n in range(-2, 3)],
        [f"z_{n / 4:g}.tif" for n in range(9)],  # 0 0.25 0.5 ... 2
        [f"z_{n / 2:.1f}um.tif" for n in range(21)],
        [f"z_{n / 4:.2f}.tif" for n in range(-4, 5)],
        [f"scan-{n}.tif" for n in range(1, 13)],  # a hyphen, not a sign
        [f"scan.{n}.tif" for n in range(1, 13)],  # a full stop, not a decimal
        [f"scan.1.{n}.tif" for n in range(1, 13)],
        [f"femur_1.5um_{n:04d}.tif" for n in range(12)],
        [f"scan_2024-01-15_{n}.tif" for n in range(12)],
    ],
)
def test_slices_come_in_the_order_of_their_numbers_however_these_are_written(tmp_path, ordered):
    empty_files(tmp_path, *ordered)
    assert names_of(tmp_path) == ordered


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ([f"s_{n:02x}.tif" for n in range(20) if n != 12], r"a slice is missing .*s_0b\.tif and s_0d\.tif"),
        ([f"s_{n}.tif" for n in (-3, -2, 0, 1)], r"a slice is missing .*s_-2\.tif and s_0\.tif"),
        ([f"s_{n / 4:g}.tif" for n in range(9) if n != 5], r"a slice is missing .*s_1\.tif and s_1\.5\.tif"),
    ],
)
def test_a_missing_slice_is_told_however_the_numbers_are_written(tmp_path, names, told):
    empty_files(tmp_path, *names)
    with pytest.raises(ScanError, match=told):
        slice_files(tmp_path)


def test_a_preview_among_the_slices_is_to_be_moved_and_other_files_do_not_matter(tmp_path):
    slices = [f"rec_{n:04d}.tif" for n in range(12)]
    empty_files(
        tmp_path, *slices, "Thumbs.db", "rec_.log", "notes.txt", "rec_spr.bmp", ".DS_Store", "desktop.ini"
    )
    empty_files(tmp_path, "rec_spr.tif")  # SkyScan's, left out by its name
    assert names_of(tmp_path) == slices
    empty_files(tmp_path, "rec_look.tif")
    with pytest.raises(
        ScanError, match=r"also rec_look\.tif\. If that is no slice .* move it to another folder"
    ):
        slice_files(tmp_path)


def test_images_of_another_format_are_named_with_the_way_to_tiff(tmp_path):
    empty_files(tmp_path, "a_1.gif", "a_2.gif", "a_spr.webp", "a.log")
    with pytest.raises(ScanError, match=r"2 files that end in \.gif\. Save them as TIFF first"):
        slice_files(tmp_path)
