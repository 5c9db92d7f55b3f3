"""What is written is what is read: every format, dtype, order, voxel size and origin."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.volumes.tiff.writing import TiffFileWriter
from bone_backend.volumes.volume import ArrayVolume, Header, create, open_volume, peek, save

DTYPES = ["uint8", "uint16", "int16", "float32", "int32", "float64"]
LENGTH = st.floats(1e-4, 1e5, allow_nan=False, allow_infinity=False)


def numbers(shape, dtype, seed=0):
    """An array of which every voxel differs from its neighbours."""
    values = np.random.default_rng(seed).integers(0, 2**31, shape)
    return values.astype(dtype) if np.dtype(dtype).kind != "f" else (values / 7).astype(dtype)


@st.composite
def volumes(draw):
    """An array (z, y, x), voxel size, unit and origin."""
    shape = draw(st.tuples(st.integers(2, 13), st.integers(2, 9), st.integers(2, 11)))
    array = numbers(shape, draw(st.sampled_from(DTYPES)), draw(st.integers(0, 99)))
    size = draw(st.none() | st.tuples(LENGTH, LENGTH, LENGTH))
    origin = draw(st.tuples(*[st.floats(-1e4, 1e4)] * 3)) if size else (0.0, 0.0, 0.0)
    return array, size, draw(st.sampled_from(["nm", "um", "mm", "cm", "m", "inch"])), origin


def assert_like(header, array, size, unit, origin):
    assert header.shape == array.shape
    assert header.dtype == array.dtype
    if size is None:
        assert header.voxel_size is None
        return
    assert header.unit == unit
    assert header.voxel_size == pytest.approx(size, rel=1e-6)
    assert header.origin == pytest.approx(origin, rel=1e-6, abs=1e-6 * max(size))


@settings(max_examples=60, deadline=None)
@given(volumes(), st.sampled_from(["folder", "a.tif", "a.TIFF", "big.tif"]), st.sampled_from([None, "zlib"]))
def test_a_tiff_gives_back_voxels_order_dtype_voxel_size_and_origin(volume, name, compression):
    array, size, unit, origin = volume
    header = Header("scan", array.shape, array.dtype, size, unit, origin)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        if name == "big.tif":
            writer = TiffFileWriter(path, header, compression=compression, bigtiff=True)
        else:
            writer = create(path, header, compression=compression)
        with writer:
            writer.write(array[:1])
            writer.write(array[1:])
        assert_like(peek(path), array, size, unit, origin)
        with open_volume(path) as found:
            assert_like(found.header, array, size, unit, origin)
            assert (found.slices is not None) == (compression is None)
            np.testing.assert_array_equal(found.read(0, len(array)), array)
            np.testing.assert_array_equal(found.read(1, 2), array[1:2])
        assert [p.name for p in Path(folder).iterdir()] == [name]


@settings(max_examples=20, deadline=None)
@given(volumes())
def test_tifffile_reads_what_was_written(volume):
    array, size, unit, _ = volume
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "a.tif", array, voxel_size=size, unit=unit)
        np.testing.assert_array_equal(tifffile.imread(Path(folder) / "a.tif"), array)
        save(Path(folder) / "slices", array, voxel_size=size, unit=unit)
        files = sorted((Path(folder) / "slices").iterdir())
        np.testing.assert_array_equal(tifffile.imread(files), array)


@settings(max_examples=20, deadline=None)
@given(volumes(), st.booleans(), st.booleans())
def test_npy_gives_back_voxels_in_native_order(volume, fortran, swapped):
    array = volume[0]
    stored = np.asarray(array, order="F" if fortran else "C")
    stored = stored.astype(array.dtype.newbyteorder()) if swapped else stored
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npy"
        np.save(path, stored)
        assert peek(path).shape == array.shape
        found = open_volume(path)
        assert found.header.voxel_size is None
        slab = found.read(0, len(array))
        assert slab.dtype.isnative
        assert slab.flags.c_contiguous
        np.testing.assert_array_equal(slab, array)
        found.close()


def test_slabs_cover_every_slice_once_within_the_budget():
    volume = ArrayVolume(np.zeros((10, 4, 5), np.uint16))  # 40 bytes a slice
    assert list(volume.slabs(130)) == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert list(volume.slabs(1)) == [(z, z + 1) for z in range(10)]


def test_one_buffer_serves_all_slabs(tmp_path):
    array = numbers((6, 5, 4), "uint16")
    save(tmp_path / "scan", array)
    volume = open_volume(tmp_path / "scan")
    buffer = np.empty((2, 5, 4), np.uint16)
    for z in (0, 2, 4):
        assert volume.read(z, z + 2, out=buffer) is buffer
        np.testing.assert_array_equal(buffer, array[z : z + 2])
    with pytest.raises(ValueError, match="expected contiguous uint16"):
        volume.read(0, 2, out=np.empty((2, 5, 4), np.int16))
    with pytest.raises(IndexError, match="slices 5 to 7 of 6"):
        volume.read(5, 7)


def test_what_is_read_from_an_array_is_a_copy():
    array = numbers((3, 2, 2), "uint8")
    slab = ArrayVolume(array).read(0, 1)
    slab[:] = 0
    assert array[0].any()


def test_a_bool_array_is_read_as_zero_and_one(tmp_path):
    mask = numbers((3, 4, 5), "uint8") > 100
    np.save(tmp_path / "mask.npy", mask)
    for volume in (ArrayVolume(mask), open_volume(tmp_path / "mask.npy")):
        assert volume.header.dtype == np.uint8
        np.testing.assert_array_equal(volume.read(0, 3), mask.astype(np.uint8))


def test_voxel_size_in_micrometres():
    def header(size, unit):
        return Header("scan", (2, 2, 2), np.dtype("u1"), size, unit)

    assert header((0.002, 0.001, 0.001), "mm").voxel_size_um == pytest.approx((2, 1, 1))
    assert header((1, 1, 1), "inch").voxel_size_um == (25400, 25400, 25400)
    assert header((1, 1, 1), "").voxel_size_um is None
    assert header(None, "um").voxel_size_um is None
    assert header(None, "um").voxels == 8
