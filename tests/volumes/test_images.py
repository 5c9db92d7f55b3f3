"""Folders of BMP, PNG, JPEG and JPEG 2000: what Pillow writes is read as Pillow reads it."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bone_backend.errors import ScanError
from bone_backend.progress import silent
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import open_volume, peek

SHAPE = (3, 13, 22)
GREY = np.random.default_rng(2).integers(0, 256, SHAPE).astype(np.uint8)
LABELS = GREY % 5


def palette(image, colours):
    image.putpalette([part for colour in colours for part in colour])
    return image


def written(folder, ending, planes, **settings):
    folder.mkdir()
    for z, plane in enumerate(planes):
        image = plane if isinstance(plane, Image.Image) else Image.fromarray(plane)
        image.save(folder / f"s_rec{z:08}{ending}", **settings)
    return folder


def read(folder):
    with open_volume(folder) as volume:
        array = volume.read(0, volume.header.shape[0])
        assert peek(folder) == volume.header
        assert (array.shape, array.dtype) == (volume.header.shape, volume.header.dtype)
        return array


@pytest.mark.parametrize("ending", [".bmp", ".BMP", ".png", ".jp2"])
def test_grey_slices_are_what_pillow_wrote(tmp_path, ending):
    folder = written(tmp_path / "s", ending, GREY)
    np.testing.assert_array_equal(read(folder), GREY)
    with open_volume(folder) as volume, open_source(volume, folder=tmp_path, progress=silent) as source:
        np.testing.assert_array_equal(source.read_slice(2), GREY[2])


@pytest.mark.parametrize("ending", [".png", ".jp2"])
def test_sixteen_bits_are_kept(tmp_path, ending):
    wide = GREY.astype(np.uint16) * 257
    np.testing.assert_array_equal(read(written(tmp_path / "s", ending, wide)), wide)


def test_a_jpeg_is_read_and_warned_of(tmp_path, caplog):
    smooth = np.broadcast_to(np.arange(0, 220, 10, dtype=np.uint8), SHAPE)
    folder = written(tmp_path / "s", ".jpg", smooth, quality=100)
    assert np.abs(read(folder).astype(int) - smooth).max() <= 2
    assert "JPEG changes grey values" in caplog.text


def test_labels_with_a_table_of_colours_are_the_stored_numbers(tmp_path):
    colours = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 90)]
    for ending in (".png", ".bmp"):
        planes = [palette(Image.fromarray(plane, "L").convert("P"), colours) for plane in LABELS]
        for plane, image in zip(LABELS, planes, strict=True):
            image.putdata(plane.ravel().tolist())
        settings = {"bits": 8} if ending == ".png" else {}
        np.testing.assert_array_equal(read(written(tmp_path / ending, ending, planes, **settings)), LABELS)
    small = [image.copy() for image in planes]
    np.testing.assert_array_equal(read(written(tmp_path / "four", ".png", small, bits=4)), LABELS)


def test_black_and_white_slices_of_ctan_are_0_and_255(tmp_path):
    planes = [Image.fromarray(plane > 2) for plane in LABELS]
    np.testing.assert_array_equal(
        read(written(tmp_path / "bmp", ".bmp", planes)), (LABELS > 2) * np.uint8(255)
    )
    np.testing.assert_array_equal(read(written(tmp_path / "png", ".png", planes)), LABELS > 2)


def test_a_skyscan_folder_has_the_size_of_its_log_and_its_preview_is_left_out(tmp_path):
    folder = written(tmp_path / "s", ".bmp", GREY)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "s_rec_spr.bmp")
    (folder / "s_rec.log").write_text(
        "[Reconstruction]\nPixel Size (um)=6.5\nResult Image Width (pixels)=22\n"
    )
    header = peek(folder)
    assert (header.shape, header.voxel_size_um, header.voxel_size_from) == (SHAPE, (6.5,) * 3, "s_rec.log")
    np.testing.assert_array_equal(read(folder), GREY)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, bits=8, colour=0, data=b""):
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def saved(array, ending):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, {"jpg": "JPEG", "jp2": "JPEG2000"}.get(ending, ending.upper()))
    return stream.getvalue()


RGB = np.zeros((13, 22, 3), np.uint8)
HOSTILE = [
    ("png", b"", "does not begin"),
    ("png", b"\x89PNG\r\n\x1a\n", "does not begin"),
    ("png", png(0, 5), "announces 5 x 0"),
    ("png", png(2**31 - 1, 2**31 - 1), "announces"),
    ("png", png(30_000, 30_000, data=zlib.compress(b"")), "more than its"),
    ("png", png(5, 5, bits=7), "with 7 bit"),
    ("png", png(5, 5, data=b"junk"), "truncated or damaged"),
    ("png", saved(RGB, "png"), "holds colours"),
    ("png", saved(GREY[0], "png")[:-60], "truncated or damaged"),
    ("bmp", saved(GREY[0], "bmp")[:-60], "are announced"),
    ("bmp", saved(GREY[0], "bmp")[:30], "cut off"),
    ("bmp", saved(RGB, "bmp"), "holds colours"),
    ("bmp", saved(GREY[0], "png"), "does not begin"),
    ("jpg", saved(GREY[0], "jpg")[:40], "names no image"),
    ("jpg", saved(RGB, "jpg"), "holds colours"),
    ("jp2", saved(GREY[0], "jp2")[:60], "names no image|cut off"),
    ("jp2", saved(RGB, "jp2"), "holds colours"),
    ("jp2", saved(GREY[0], "jp2")[:160], "truncated or damaged"),
]


@pytest.mark.parametrize(("ending", "content", "told"), HOSTILE, ids=lambda value: str(value)[:20])
def test_every_broken_slice_is_told_by_name(tmp_path, ending, content, told):
    for z in (0, 1):
        (tmp_path / f"s{z}.{ending}").write_bytes(content)
    with pytest.raises(ScanError, match=told) as fault:
        read(tmp_path)
    assert f"s0.{ending}" in str(fault.value)


def test_a_slice_of_another_size_and_a_gap_are_told(tmp_path):
    folder = written(tmp_path / "s", ".bmp", GREY)
    Image.fromarray(GREY[0, :5]).save(folder / "s_rec00000003.bmp")
    with pytest.raises(ScanError, match=r"s_rec00000003\.bmp is 8 bit \(5, 22\), but most"):
        open_volume(folder)
    (folder / "s_rec00000001.bmp").unlink()
    with pytest.raises(ScanError, match="a slice is missing"):
        open_volume(folder)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), ending=st.sampled_from(["bmp", "png", "jpg", "jp2"]))
def test_a_slice_with_other_bytes_is_read_or_refused_and_nothing_else(tmp_path_factory, data, ending):
    folder = tmp_path_factory.getbasetemp() / f"fuzz_{ending}"
    folder.mkdir(exist_ok=True)
    content = bytearray(saved(GREY[0], ending))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 200) - 1))] = data.draw(st.integers(0, 255))
    for z in (0, 1):
        (folder / f"s{z}.{ending}").write_bytes(content)
    told = None
    try:
        with open_volume(folder) as volume:
            small = volume.header.nbytes < 1 << 20
            assert not small or volume.read(0, 1).shape == (1, *volume.header.shape[1:])
    except ScanError as fault:
        told = str(fault)
    assert told is None or folder.name in told
