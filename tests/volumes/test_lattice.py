"""Fields of Avizo and volumes: axes, boxes of voxel centres, and no second copy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.errors import Cancelled, ScanError
from bone_backend.progress import Recorder
from bone_backend.volumes.array import NpyWriter
from bone_backend.volumes.lattice import box_of, geometry_of, read_xyz, volume_of
from bone_backend.volumes.volume import open_volume, peek

SIZES = st.floats(1e-3, 1e3)
SHAPES = st.tuples(*[st.integers(1, 60)] * 3)


def test_axes_are_turned_and_voxels_are_centres():
    array = np.asfortranarray(np.arange(24, dtype=np.uint16).reshape(2, 3, 4))  # x, y, z
    box = ((10.0, 20.0, 30.0), (10.5, 22.0, 39.0))  # voxels 0.5, 1, 3
    volume = volume_of(array, box, name="tibia", unit="mm")
    assert volume.header.shape == (4, 3, 2)
    assert volume.header.voxel_size == (3.0, 1.0, 0.5)
    assert volume.header.voxel_size_um == (3000.0, 1000.0, 500.0)
    assert volume.header.origin == (30.0, 20.0, 10.0)
    assert volume.read(3, 4)[0, 2, 1] == array[1, 2, 3]


def test_a_field_of_avizo_becomes_a_volume_without_a_copy():
    array = np.zeros((5, 6, 7), np.uint8, order="F")
    volume = volume_of(array, ((0, 0, 0), (4, 5, 6)), name="scan")
    assert np.shares_memory(volume.array, array)
    assert volume.array.flags.c_contiguous
    assert volume.header.voxel_size == (1.0, 1.0, 1.0)
    assert volume.header.voxel_size_um is None  # no unit is known


def test_a_scale_turns_coordinates_into_micrometres():
    assert geometry_of((3, 3, 3), ((1, 2, 3), (1.02, 2.02, 3.02)), scale=1000)[0] == pytest.approx((10,) * 3)
    assert geometry_of((3, 3, 3), ((1, 2, 3), (1.02, 2.02, 3.02)), scale=1000)[1] == (3000.0, 2000.0, 1000.0)


@given(shape=SHAPES, voxel_size=st.tuples(SIZES, SIZES, SIZES), origin=st.tuples(*[st.floats(-1e3, 1e3)] * 3))
def test_voxel_size_and_origin_travel_both_ways(shape, voxel_size, origin):
    box = box_of(shape, voxel_size, origin=origin)
    found, start = geometry_of(shape[::-1], box)
    assert start == origin
    assert found == pytest.approx(voxel_size, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("box", [((0, 0, 0), (0, 1, 1)), ((0, 0, 0), (float("nan"), 1, 1))])
def test_a_box_without_extent_gives_no_voxel_size(box):
    assert geometry_of((4, 4, 4), box)[0] is None


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4)])
def test_what_is_no_volume_is_refused(shape):
    with pytest.raises(ScanError, match="skull: its lattice"):
        volume_of(np.zeros(shape, np.uint8), ((0, 0, 0), (1, 1, 1)), name="skull")


def test_a_volume_is_read_back_in_the_order_of_avizo():
    array = np.asfortranarray(np.random.default_rng(1).integers(0, 9, (5, 6, 700)).astype(np.uint8))
    volume = volume_of(array, ((0, 0, 0), (4, 5, 6)), name="labels")
    found = read_xyz(volume)
    np.testing.assert_array_equal(found, array)
    assert found.flags.f_contiguous
    assert not np.shares_memory(found, array)
    with pytest.raises(Cancelled):
        read_xyz(volume, progress=Recorder(stop_after=1))


def test_a_npy_file_can_tell_its_voxel_size(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = volume_of(array.T, ((1, 2, 3), (4, 4, 4)), name="scan", unit="mm")
    with NpyWriter(tmp_path / "scan.npy", volume.header, keeps_geometry=True) as writer:
        writer.write(volume.read(0, 2))
    for header in (peek(tmp_path / "scan.npy"), open_volume(tmp_path / "scan.npy").header):
        assert (header.voxel_size, header.unit, header.origin) == ((1.0, 1.0, 1.0), "mm", (3.0, 2.0, 1.0))
    np.save(tmp_path / "scan.npy", np.asfortranarray(array))
    assert open_volume(tmp_path / "scan.npy").header.voxel_size == (1.0, 1.0, 1.0)
    np.save(tmp_path / "scan.npy", array[:1])  # another array: what stands beside it is not about it
    assert peek(tmp_path / "scan.npy").voxel_size is None


def test_a_npy_that_is_replaced_loses_the_voxel_size_of_the_old_one(tmp_path):
    volume = volume_of(np.zeros((4, 3, 2), np.uint8), ((0, 0, 0), (3, 2, 1)), name="scan")
    for keeps in (True, False):
        with NpyWriter(tmp_path / "a.npy", volume.header, overwrite=True, keeps_geometry=keeps) as writer:
            writer.write(volume.read(0, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"shape": [1, 1, 1], "voxel_size": [0, 1, 1], "unit": "mm", "origin": [0, 0, 0]}']
)
def test_a_damaged_geometry_is_told(tmp_path, text):
    np.save(tmp_path / "a.npy", np.zeros((1, 1, 1), np.uint8))
    (tmp_path / "a.npy.json").write_text(text)
    with pytest.raises(ScanError, match=r"a\.npy\.json: should tell the voxel size"):
        open_volume(tmp_path / "a.npy")
