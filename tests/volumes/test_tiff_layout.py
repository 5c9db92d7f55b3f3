"""Slices of one layout are known by their directory, and nothing else is taken for them."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile

from bone_backend.errors import ScanError
from bone_backend.volumes.tiff.layout import layout_of
from bone_backend.volumes.volume import open_volume

SLICE = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)


def write(path, image=SLICE, **options):
    tifffile.imwrite(path, image, **options)
    return path


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"rowsperstrip": 3}, {"resolution": (10, 10)}])
def test_slices_of_one_program_have_one_layout_whatever_their_voxels(tmp_path, options):
    layout = layout_of(write(tmp_path / "a.tif", **options))
    assert layout is not None
    assert layout.fits(write(tmp_path / "b.tif", SLICE[::-1].copy(), **options))


def test_texts_of_one_length_may_differ(tmp_path):
    layout = layout_of(write(tmp_path / "a.tif", metadata=None, description="slice number 01"))
    assert layout.fits(write(tmp_path / "b.tif", metadata=None, description="slice number 02"))


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (SLICE.T.copy(), {}),
        (SLICE.astype(np.int16), {}),
        (SLICE[:-1], {}),
        (SLICE, {"byteorder": ">"}),
        (SLICE, {"compression": "zlib"}),
        (SLICE, {"rowsperstrip": 3}),
        (SLICE, {"photometric": "miniswhite"}),
        (np.stack([SLICE, SLICE]), {}),
        (SLICE, {"bigtiff": True}),
    ],
)
def test_another_shape_type_or_encoding_is_another_layout(tmp_path, image, options):
    layout = layout_of(write(tmp_path / "a.tif", metadata=None))
    assert layout is not None
    assert not layout.fits(write(tmp_path / "b.tif", image, metadata=None, **options))


def test_strips_in_other_places_are_another_layout(tmp_path):
    path = write(tmp_path / "a.tif", rowsperstrip=3)
    layout = layout_of(path)
    with tifffile.TiffFile(path) as file:
        place = file.pages[0].tags["StripOffsets"].valueoffset
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    (tmp_path / "b.tif").write_bytes(content)
    assert not layout.fits(tmp_path / "b.tif")


def test_truncated_missing_and_foreign_files_do_not_fit(tmp_path):
    path = write(tmp_path / "a.tif")
    layout = layout_of(path)
    (tmp_path / "b.tif").write_bytes(path.read_bytes()[:-1])
    (tmp_path / "c.tif").write_bytes(b"PNG")
    assert not layout.fits(tmp_path / "b.tif")
    assert not layout.fits(tmp_path / "c.tif")
    assert not layout.fits(tmp_path / "none.tif")
    for strange in (tmp_path / "c.tif", tmp_path / "none.tif", tmp_path):
        assert layout_of(strange) is None
    assert layout_of(write(tmp_path / "stack.tif", np.stack([SLICE, SLICE]))) is None
    assert layout_of(write(tmp_path / "big.tif", bigtiff=True)) is None


def test_a_folder_with_one_odd_slice_is_read_or_refused_as_before(tmp_path):
    images = [SLICE + np.uint16(number) for number in range(4)]
    for number, image in enumerate(images):
        write(tmp_path / f"s{number}.tif", image)
    write(tmp_path / "s2.tif", images[2], rowsperstrip=5, software="another program")
    with open_volume(tmp_path) as volume:
        np.testing.assert_array_equal(volume.read(0, 4), np.stack(images))
    write(tmp_path / "s2.tif", images[2].T.copy())
    with pytest.raises(ScanError, match=r"s2\.tif"):
        open_volume(tmp_path)
    os.truncate(tmp_path / "s3.tif", 700)
    with pytest.raises(ScanError, match=r"s3\.tif"):
        open_volume(tmp_path)
