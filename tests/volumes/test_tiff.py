"""TIFF stacks as other programs write them, and damaged ones."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.errors import ScanError
from bone_backend.volumes.tiff import decoding as tiff_decoding
from bone_backend.volumes.volume import open_volume, peek

STACK = np.random.default_rng(1).integers(0, 60000, (6, 40, 50)).astype(np.uint16)


def write(path, array=STACK, **how):
    how.setdefault("photometric", "minisblack")
    tifffile.imwrite(path, array, **how)
    return path


def assert_holds(path, array=STACK, *, in_place):
    with open_volume(path) as volume:
        assert peek(path) == volume.header
        assert volume.header.shape == array.shape
        assert volume.header.dtype == array.dtype
        assert volume.header.dtype.isnative
        assert (volume.slices is not None) == in_place
        np.testing.assert_array_equal(volume.read(0, len(array)), array)
        np.testing.assert_array_equal(volume.read(3, 5), array[3:5])


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_byte_orders_and_bigtiff(tmp_path, byteorder, bigtiff):
    assert_holds(write(tmp_path / "a.tif", byteorder=byteorder, bigtiff=bigtiff), in_place=True)


@pytest.mark.parametrize(
    "how",
    [
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"imagej": True},  # tifffile calls these slices channels
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"metadata": None},
    ],
)
def test_imagej_ome_and_bare_stacks(tmp_path, how):
    assert_holds(write(tmp_path / "a.tif", **how), in_place=True)


@pytest.mark.parametrize("axis", ["TYX", "ZYX", "IYX"])
def test_a_stack_declared_as_time_is_a_stack(tmp_path, axis):
    assert_holds(write(tmp_path / "a.tif", metadata={"axes": axis}), in_place=True)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits"])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("imagej", [False, True])
def test_compressed_stacks(tmp_path, compression, predictor, imagej):
    pytest.importorskip("imagecodecs")
    if compression == "packbits" and predictor:
        pytest.skip("packbits has no predictor")
    path = write(tmp_path / "a.tif", compression=compression, predictor=predictor, imagej=imagej)
    assert_holds(path, in_place=False)


def test_float_stacks_with_predictor(tmp_path):
    pytest.importorskip("imagecodecs")
    array = (STACK / 7).astype(np.float32)
    assert_holds(write(tmp_path / "a.tif", array, compression="zlib", predictor=True), array, in_place=False)


def test_tiled_stacks_are_decoded(tmp_path):
    assert_holds(write(tmp_path / "a.tif", tile=(16, 16)), in_place=False)


def test_stacks_of_several_strips(tmp_path):
    assert_holds(write(tmp_path / "a.tif", rowsperstrip=7), in_place=True)


def test_pages_that_are_not_one_block(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for image in STACK:
            writer.write(image, contiguous=False, metadata=None)
    assert_holds(tmp_path / "a.tif", in_place=True)


def test_one_bit_masks_are_read_as_zero_and_one(tmp_path):
    pytest.importorskip("imagecodecs")
    mask = STACK > 30000
    assert_holds(write(tmp_path / "mask.tif", mask), mask.astype(np.uint8), in_place=False)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int8", "int64", "float64"])
def test_other_number_types_are_told_and_read(tmp_path, dtype):
    array = STACK.astype(dtype)
    assert_holds(write(tmp_path / "a.tif", array), array, in_place=True)


def test_indexed_colours_are_read_as_their_numbers(tmp_path):
    labels = (STACK % 3).astype(np.uint8)
    path = write(tmp_path / "a.tif", labels, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    assert_holds(path, labels, in_place=True)


def test_imagej_over_4_gb_has_one_page_and_its_voxels_behind_it(tmp_path):
    """As Fiji saves it: one page, 'images=' in the description, offsets that a classic TIFF cannot hold."""
    if sys.platform == "win32":
        pytest.skip("the file is only small where the system keeps sparse files")
    depth, height, width = 2200, 1000, 1000
    description = (
        f"ImageJ=1.53t\nimages={depth}\nslices={depth}\nunit=mm\nspacing=0.5\nloop=false\n\0".encode()
    )
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
    tags += [(270, 2, len(description), 8), (273, 4, 1, 1024), (277, 3, 1, 1), (278, 4, 1, height)]
    tags += [(279, 4, 1, width * height * 2)]
    path = tmp_path / "big.tif"
    with path.open("wb") as file:
        file.write(b"MM\0*" + struct.pack(">I", 8 + len(description)) + description)
        file.write(struct.pack(">H", len(tags)))
        for code, kind, count, value in tags:
            packed = struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
            file.write(struct.pack(">HHI", code, kind, count) + packed)
        file.write(bytes(4))
        file.seek(1024 + 2 * width * height * (depth - 1))
        file.write(np.full((height, width), 513, ">u2"))
    volume = open_volume(path)
    assert volume.header.shape == (depth, height, width)
    assert (volume.header.voxel_size, volume.header.unit) == ((0.5, 1, 1), "mm")
    assert volume.read(depth - 1, depth)[0, 999, 999] == 513
    assert volume.read(depth - 2, depth - 1).max() == 0


@pytest.mark.parametrize(
    "how", [{}, {"imagej": True}, {"metadata": None}, {"compression": "zlib"}, {"ome": True}]
)
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_stack_cut_off_anywhere_is_refused(tmp_path, how, keep):
    path = write(tmp_path / "a.tif", **how)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ScanError, match=r"a\.tif"):
        open_volume(path)


@pytest.mark.parametrize("how", [{}, {"imagej": True}, {"metadata": None}])
def test_a_stack_that_lost_its_last_page_headers_is_refused_or_whole(tmp_path, how):
    """Older tifffile does not look at them where the voxels are one block."""
    path = write(tmp_path / "a.tif", **how)
    path.write_bytes(path.read_bytes()[:-10])
    try:
        volume = open_volume(path)
    except ScanError:
        return
    np.testing.assert_array_equal(volume.read(0, 6), STACK)


def test_the_slice_where_the_file_ends_is_told(tmp_path):
    path = write(tmp_path / "a.tif")
    path.write_bytes(path.read_bytes()[: 3 * 4000 + 1000])
    with pytest.raises(
        ScanError, match=r"a\.tif: (is truncated: slice 4 of 6 is cut off|is damaged or truncated)"
    ):
        open_volume(path)


def test_a_damaged_page_of_a_compressed_stack_is_told(tmp_path):
    path = write(tmp_path / "a.tif", compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[3].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + 1000] = bytes(1000)
    path.write_bytes(data)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume.read(0, 3), STACK[:3])
        with pytest.raises(ScanError, match=r"a\.tif, slice 4 of 6: cannot be decoded"):
            volume.read(0, 6)


def test_pages_of_mixed_size_are_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z in range(5):
            writer.write(STACK[z, : 30 if z == 2 else 40], contiguous=False, metadata=None)
    with pytest.raises(
        ScanError, match=r"page 3 is uint16 \(30, 50\), but 4 of 5 slices are uint16 \(40, 50\)"
    ):
        open_volume(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("array", "how", "message"),
    [
        (STACK[0], {}, "holds one slice only"),
        (np.zeros((5, 8, 9, 3), np.uint8), {"photometric": "rgb"}, "is a colour image"),
        (np.zeros((8, 9, 3), np.uint8), {"photometric": "rgb"}, "is a colour image"),
        (
            np.zeros((3, 2, 8, 9), np.uint8),
            {"imagej": True, "metadata": {"axes": "ZCYX"}},
            "Export one channel",
        ),
        (np.zeros((3, 8, 9), np.uint8), {"imagej": True, "metadata": {"axes": "CYX"}}, "Export one channel"),
        (np.zeros((3, 8, 9), np.complex64), {}, "holds complex64"),
    ],
)
def test_what_is_no_stack_of_slices(tmp_path, array, how, message):
    path = write(tmp_path / "a.tif", array, **how)
    with pytest.raises(ScanError, match=message):
        open_volume(path)


def test_two_images_in_one_ome_file_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(STACK, photometric="minisblack", metadata={"axes": "ZYX"})
        writer.write(STACK[:3], photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(ScanError, match="holds 2 images"):
        open_volume(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    "content", [b"", b"II", b"II*\0", b"not a tiff at all", b"II*\0\xff\xff\xff\x7f", b"MM\0*" + bytes(40)]
)
def test_files_that_are_no_tiff(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ScanError, match=r"a\.tif"):
        open_volume(tmp_path / "a.tif")


def test_a_file_without_the_right_to_read(tmp_path):
    path = write(tmp_path / "a.tif")
    path.chmod(0)
    try:
        path.open("rb").close()
    except PermissionError:
        with pytest.raises(ScanError, match="cannot be read"):
            open_volume(path)
    else:
        pytest.skip("this user may read everything")


WITHOUT_IMAGECODECS = """
import sys
sys.modules["imagecodecs"] = None  # as if it were not installed
from bone_backend.errors import PackageError
from bone_backend.volumes.volume import open_volume
print(open_volume("zlib.tif").read(0, 6).sum())
try:
    open_volume("lzw.tif").read(0, 6)
except PackageError as fault:
    print(fault)
"""


def test_without_imagecodecs_zlib_is_read_and_lzw_names_the_package(tmp_path):
    pytest.importorskip("imagecodecs")  # writes the file
    for compression in ("zlib", "lzw"):
        write(tmp_path / f"{compression}.tif", compression=compression, predictor=True)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_IMAGECODECS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    total, fault = done.stdout.splitlines()
    assert int(total) == STACK.sum()
    assert fault.startswith(
        "lzw.tif, slice 1 of 6: is compressed (LZW), which needs the package imagecodecs: pip"
    )


def test_a_stack_that_disappears_between_reads_is_told(tmp_path):
    path = write(tmp_path / "a.tif", compression="zlib")
    volume = open_volume(path)
    path.unlink()
    with pytest.raises(ScanError, match="cannot be read any more"):
        volume.read(0, 1)


@pytest.mark.parametrize("damage", ["truncated", "not npy", "objects", "two axes"])
def test_npy_files_that_are_no_volume(tmp_path, damage):
    path = tmp_path / "a.npy"
    np.save(path, STACK if damage != "two axes" else STACK[0])
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "not npy":
        path.write_bytes(b"text")
    elif damage == "objects":
        np.save(path, np.array([[[None]]]))
    expected = {
        "truncated": "is truncated",
        "not npy": "is not a .npy",
        "objects": "holds object",
        "two axes": "its shape",
    }
    with pytest.raises(ScanError, match=expected[damage]):
        open_volume(path)


def test_a_stack_written_page_by_page_is_a_volume(tmp_path):
    rng = np.random.default_rng(3)
    array = rng.integers(0, 255, (5, 20, 30), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as writer:
        for plane in array:
            writer.write(plane)
    with open_volume(tmp_path / "pages.tif") as volume:
        assert np.array_equal(volume.read(0, 5), array)


def test_a_fault_of_our_own_while_a_tiff_is_open_is_not_told_as_damage(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 8), np.uint8))
    for fault in (IndexError("list index out of range"), TypeError("wrong"), AssertionError(), KeyError("z")):
        with pytest.raises(type(fault)), tiff_decoding.opened(tmp_path / "a.tif"):
            raise fault


def test_a_fault_of_our_own_while_decoding_goes_up():
    no_storage = None
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'block'"):
        tiff_decoding._unpack(bytearray(64), no_storage, np.empty((8, 8), np.uint8))
