"""However a program lays a stack out, BONe reads what tifffile reads."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.volumes.flat import flat_reader
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import open_volume, peek
from tests.volumes.raw_tiff import SHORT, plain_page, tiff_bytes

pytest.importorskip("imagecodecs")

STACK = np.random.default_rng(1).integers(0, 60000, (5, 37, 53)).astype(np.uint16)
COMPRESSIONS = [None, "zlib", "lzw", "packbits", "zstd", "lzma", "deflate"]
PREDICTABLE = ["zlib", "lzw", "zstd", "lzma", "deflate"]
LAYOUTS = [{}, {"rowsperstrip": 1}, {"rowsperstrip": 7}, {"tile": (16, 16)}, {"tile": (32, 64)}]


def assert_read_as_by_tifffile(path, array=None):
    """The same numbers from slabs, voxels in a row, patches and header; nothing but info works on luck."""
    with tifffile.TiffFile(path) as tif:
        expected = np.stack([page.asarray() for page in tif.pages])
    if array is not None:
        np.testing.assert_array_equal(expected, array)
    with open_volume(path) as volume, tempfile.TemporaryDirectory() as folder:
        assert peek(path) == volume.header
        assert volume.header.shape == expected.shape
        assert volume.header.dtype == (np.uint8 if expected.dtype == bool else expected.dtype)
        np.testing.assert_array_equal(volume.read(0, len(expected)), expected)
        np.testing.assert_array_equal(volume.read(1, 2), expected[1:2])
        reader = flat_reader(volume)
        np.testing.assert_array_equal(reader.read(0, expected[0].size), expected[0].ravel())
        reader.close()
        with open_source(volume, folder=Path(folder)) as source:
            last = len(expected) - 1
            np.testing.assert_array_equal(source.read_slice(last), expected[last])


@pytest.mark.parametrize("words", [{}, {"metadata": None}, {"software": "somebody"}, {"description": "mine"}])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_stack_written_page_by_page(tmp_path, compression, words):
    path = tmp_path / "scan.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in STACK:
            writer.write(page, compression=compression, **words)
    assert_read_as_by_tifffile(path, STACK)


@pytest.mark.parametrize("writer", [{"ome": True}, {"bigtiff": True}, {"byteorder": ">"}, {"shaped": False}])
@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 5}])
def test_page_by_page_in_other_dialects(tmp_path, writer, how):
    path = tmp_path / "scan.tif"
    with tifffile.TiffWriter(path, **writer) as file:
        for page in STACK:
            file.write(page, **how)
    assert_read_as_by_tifffile(path, STACK)


def test_pages_appended_one_by_one(tmp_path):
    for page in STACK:
        tifffile.imwrite(tmp_path / "scan.tif", page, append=True, compression="lzw")
    assert_read_as_by_tifffile(tmp_path / "scan.tif", STACK)


page_layouts = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(COMPRESSIONS),
        "layout": st.sampled_from(LAYOUTS),
        "predict": st.booleans(),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    pages=st.lists(page_layouts, min_size=2, max_size=5),
    dtype=st.sampled_from(["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"]),
    byteorder=st.sampled_from("<>"),
    bigtiff=st.booleans(),
    metadata=st.sampled_from([None, {}]),
)
def test_every_page_may_be_stored_in_its_own_way(pages, dtype, byteorder, bigtiff, metadata):
    array = (STACK / 256 if dtype in ("u1", "i1") else STACK).astype(dtype)[: len(pages)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.tif"
        with tifffile.TiffWriter(path, byteorder=byteorder, bigtiff=bigtiff) as writer:
            for image, how in zip(array, pages, strict=True):
                predictor = how["predict"] and how["compression"] in PREDICTABLE
                writer.write(
                    image,
                    compression=how["compression"],
                    predictor=predictor,
                    contiguous=False,
                    metadata=metadata,
                    photometric="minisblack",
                    **how["layout"],
                )
        assert_read_as_by_tifffile(path, array)


@pytest.mark.parametrize("how", LAYOUTS)
@pytest.mark.parametrize("compression", ["jpeg", "jpeg2000", "png", "jpegxl"])
def test_stacks_of_image_codecs(tmp_path, compression, how):
    """JPEG loses: what both read counts. Strips of one row are too low for some of them."""
    if how.get("rowsperstrip") == 1 or (compression == "png" and "tile" in how):
        pytest.skip("not written by tifffile")
    grey = (STACK // 256).astype(np.uint8)
    path = tmp_path / "scan.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in grey:
            writer.write(page, compression=compression, photometric="minisblack", **how)
    assert_read_as_by_tifffile(path)


@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
def test_packed_numbers(tmp_path, bits):
    array = (STACK % 2**bits).astype(np.uint8 if bits < 8 else np.uint16)
    try:
        tifffile.imwrite(tmp_path / "scan.tif", array, bitspersample=bits, photometric="minisblack")
    except TypeError as fault:  # tifffile 2023.7 with a newer imagecodecs; the test below needs neither
        if "runlen" not in str(fault):
            raise
        pytest.skip("this tifffile cannot write packed numbers with this imagecodecs")
    assert_read_as_by_tifffile(tmp_path / "scan.tif", array)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_masks_of_bool_are_0_and_1_as_tifffile_writes_them(tmp_path, compression):
    """It marks every array of bool as white-is-zero, though True is stored as 1."""
    mask = STACK > 30000
    with tifffile.TiffWriter(tmp_path / "mask.tif") as writer:
        for page in mask:
            writer.write(page, compression=compression)
    assert_read_as_by_tifffile(tmp_path / "mask.tif", mask)


@pytest.mark.parametrize("how", [{}, {"metadata": None}, {"ome": True}, {"compression": "zlib"}])
def test_a_stack_of_bool_is_0_and_1_on_every_page(tmp_path, how):
    tifffile.imwrite(tmp_path / "mask.tif", STACK > 30000, **how)
    assert_read_as_by_tifffile(tmp_path / "mask.tif", STACK > 30000)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("fill", [1, 2])
@pytest.mark.parametrize("compression", [1, 8])
def test_packed_numbers_of_either_byte_and_bit_order(tmp_path, order, fill, compression):
    """0x123, 0xABC, 0x007 in 12 bits are the bytes 12 3A BC 00 7(0), the highest bit first."""
    stored = bytes.fromhex("123abc0070")
    stored = zlib.compress(stored) if compression == 8 else stored
    if fill == 2:  # the bits of every byte the other way round
        stored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in stored)
    tags = plain_page(3, 1, tag_258=(SHORT, 12), tag_259=(SHORT, compression), tag_266=(SHORT, fill))
    path = tmp_path / "scan.tif"
    path.write_bytes(tiff_bytes([(tags, [stored])] * 2, order=order))
    assert open_volume(path).read(0, 2).tolist() == [[[0x123, 0xABC, 7]]] * 2


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_folder_of_slices_that_are_stored_in_different_ways(tmp_path, compression):
    for z, (page, how) in enumerate(zip(STACK, LAYOUTS, strict=True)):
        tifffile.imwrite(
            tmp_path / f"s{z}.tif",
            page,
            compression=compression if z % 2 else None,
            byteorder="<>"[z % 2],
            bigtiff=z == 3,
            **how,
        )
    with open_volume(tmp_path) as volume:
        np.testing.assert_array_equal(volume.read(0, 5), STACK)


@pytest.mark.parametrize("name", ["scan.btf", "scan.tf8", "scan", "SCAN.TIF", "scan.v2.TIFF", "scan.0.5um"])
def test_a_tiff_is_known_by_its_content_whatever_its_name(tmp_path, name):
    tifffile.imwrite(tmp_path / name, STACK, bigtiff=True, photometric="minisblack")
    assert_read_as_by_tifffile(tmp_path / name, STACK)


def test_names_that_differ_behind_a_dot_stay_different(tmp_path):
    names = []
    for end in ("0.5um", "0.7um"):
        tifffile.imwrite(tmp_path / f"scan.{end}", STACK, photometric="minisblack")
        names.append(peek(tmp_path / f"scan.{end}").name)
    assert names == ["scan.0.5um", "scan.0.7um"]


def test_uncompressed_pages_of_any_strips_are_read_in_place(tmp_path):
    with tifffile.TiffWriter(tmp_path / "scan.tif") as writer:
        for page, rows in zip(STACK, (1, 5, 7, 37, 100), strict=True):
            writer.write(page, rowsperstrip=rows, contiguous=False)
    assert open_volume(tmp_path / "scan.tif").slices is not None
