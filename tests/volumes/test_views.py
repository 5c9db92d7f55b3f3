"""Volumes that are cut, turned over, resampled or given other numbers while they are read."""

from contextlib import ExitStack

import numpy as np
import pytest
import scipy.ndimage

from bone_backend.errors import ScanError
from bone_backend.progress import silent
from bone_backend.volumes.abstract import Volume
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.header import Header
from bone_backend.volumes.medical.space import matrix_of
from bone_backend.volumes.views.cut import CutVolume, TurnedVolume
from bone_backend.volumes.views.numbers import NumbersVolume
from bone_backend.volumes.views.resampled import ResampledVolume, area_taps, linear_taps
from bone_backend.volumes.views.unpacked import ScratchVolume, in_any_order
from bone_backend.volumes.volume import create, open_volume

ARRAY = np.random.default_rng(0).integers(0, 255, (9, 8, 7), np.uint8)
TURN = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))


def volume(array=ARRAY, size=(2.0, 1.0, 0.5), direction=None, origin=(5.0, 6.0, 7.0)):
    made = ArrayVolume(array)
    made.header = Header("scan", array.shape, array.dtype, size, "um", origin, direction=direction)
    return made


def place(header, voxel):
    """Where a voxel (z, y, x) lies, as x, y, z."""
    steps, origin = matrix_of(header)
    return origin + steps @ np.array(voxel)[::-1]


def whole(one):
    """Read in two slabs of unequal depth."""
    depth = one.header.shape[0]
    middle = max(1, depth // 3)
    parts = [one.read(0, middle)] + ([one.read(middle, depth)] if middle < depth else [])
    return np.concatenate(parts)


@pytest.mark.parametrize("direction", [None, TURN])
def test_a_cut_holds_its_box_and_every_voxel_stays_in_its_place(direction):
    cut = CutVolume(volume(direction=direction), ((2, 8), (1, 5), (3, 7)))
    np.testing.assert_array_equal(whole(cut), ARRAY[2:8, 1:5, 3:7])
    np.testing.assert_allclose(
        place(cut.header, (1, 2, 3)), place(volume(direction=direction).header, (3, 3, 6))
    )


@pytest.mark.parametrize("axes", ["z", "y", "x", "zyx"])
def test_turned_over_every_voxel_stays_where_it_lies_in_the_patient(axes):
    turned = TurnedVolume(volume(direction=TURN), axes)
    np.testing.assert_array_equal(whole(turned), np.flip(ARRAY, ["zyx".index(axis) for axis in axes]))
    there = [
        n - 1 - v if axis in axes else v for n, v, axis in zip(ARRAY.shape, (1, 2, 3), "zyx", strict=True)
    ]
    np.testing.assert_allclose(place(turned.header, (1, 2, 3)), place(volume(direction=TURN).header, there))


def test_without_a_direction_the_box_stays():
    assert TurnedVolume(volume(), "y").header == volume().header


@pytest.mark.parametrize(("old", "new"), [(9, 3), (9, 4), (10, 3), (7, 7), (5, 1), (3, 9), (1, 4), (101, 17)])
def test_the_shares_of_a_new_voxel_sum_to_1_and_use_every_old_one(old, new):
    for make in (area_taps, linear_taps):
        taps = make(old, new, old / new)
        np.testing.assert_allclose(taps.shares.sum(axis=1), 1)
        assert taps.places.min() >= 0
        assert taps.places.max() < old
    used = np.zeros(old)
    taps = area_taps(old, new, old / new)
    np.add.at(used, taps.places, taps.shares)
    np.testing.assert_allclose(used, new / old)  # no old voxel counts more than another


def test_twice_as_coarse_is_the_mean_of_blocks_and_the_origin_moves():
    array = ARRAY[:8, :8, :6].astype(np.float32)
    coarse = ResampledVolume(volume(array, (1.0, 1.0, 1.0)), (2.0, 2.0, 2.0))
    np.testing.assert_allclose(whole(coarse), array.reshape(4, 2, 4, 2, 3, 2).mean(axis=(1, 3, 5)), rtol=1e-6)
    assert coarse.header.origin == (5.5, 6.5, 7.5)
    assert coarse.header.voxel_size == (2.0, 2.0, 2.0)


def test_finer_is_linear_interpolation_as_scipy_computes_it():
    array = ARRAY.astype(np.float64)
    fine = ResampledVolume(volume(array, (1.0, 1.0, 1.0)), (0.4, 0.5, 0.7))
    centres = [
        (np.arange(n) + 0.5) * step - 0.5 for n, step in zip(fine.header.shape, (0.4, 0.5, 0.7), strict=True)
    ]
    grid = np.meshgrid(*centres, indexing="ij")
    expected = scipy.ndimage.map_coordinates(array, grid, order=1, mode="nearest")
    np.testing.assert_allclose(whole(fine), expected, atol=1e-9)


@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (2.5, 0.3, 1.7), (20.0, 20.0, 20.0), (0.5, 3.0, 0.5)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_what_is_the_same_everywhere_stays_so(size, dtype):
    value = np.iinfo(dtype).max if np.dtype(dtype).kind != "f" else 0.1
    found = whole(ResampledVolume(volume(np.full((9, 8, 7), value, dtype), (1.0, 1.0, 1.0)), size))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, np.full(found.shape, value, dtype), rtol=3e-7)


def by_hand(array, step, tie):
    """The label that fills most of each block of whole voxels; of equals that at the centre."""
    shape = [n // step for n in array.shape]
    found = np.empty(shape, array.dtype)
    for index in np.ndindex(*shape):
        block = array[tuple(slice(i * step, (i + 1) * step) for i in index)]
        values, counts = np.unique(block, return_counts=True)
        best = values[counts == counts.max()]
        found[index] = tie(index) if tie(index) in best else best[0]
    return found


@pytest.mark.parametrize("step", [2, 3])
def test_the_most_frequent_label_is_that_of_a_count_by_hand(step):
    labels = np.random.default_rng(1).choice([0, 3, 200], (6, 12, 6)).astype(np.uint8)
    found = ResampledVolume(volume(labels, (1.0,) * 3), (float(step),) * 3, labels_by="majority")
    near = ResampledVolume(volume(labels, (1.0,) * 3), (float(step),) * 3, labels_by="nearest")
    centre = labels[step // 2 :: step, step // 2 :: step, step // 2 :: step]
    np.testing.assert_array_equal(whole(near), centre)
    np.testing.assert_array_equal(whole(found), by_hand(labels, step, lambda index: centre[index]))


@pytest.mark.parametrize("way", ["majority", "nearest"])
def test_labels_made_finer_and_coarse_again_are_what_they_were(way):
    labels = np.random.default_rng(2).choice([0, 1, 7], (5, 6, 7)).astype(np.uint16)
    fine = ResampledVolume(volume(labels, (3.0,) * 3), (1.0,) * 3, labels_by=way)
    np.testing.assert_array_equal(whole(fine), labels.repeat(3, 0).repeat(3, 1).repeat(3, 2))
    again = ResampledVolume(fine, (3.0,) * 3, labels_by=way)
    np.testing.assert_array_equal(whole(again), labels)
    assert again.header.origin == pytest.approx((5.0, 6.0, 7.0))


def test_too_many_labels_for_the_most_frequent_are_told():
    labels = np.arange(1000, dtype=np.uint16).reshape(10, 10, 10)
    with pytest.raises(ScanError, match=r"more than 64 labels in a slice.*labels_by nearest"):
        whole(ResampledVolume(volume(labels, (1.0,) * 3), (2.0,) * 3, labels_by="majority"))


class Once(Volume):
    """Complains where a slice is read twice or out of order."""

    def __init__(self, source):
        self.header, self._source, self._next, self.read_slices = source.header, source, 0, 0

    def _fill(self, z0, z1, out):
        assert z0 >= self._next
        self._next = z1
        self.read_slices += z1 - z0
        self._source.read(z0, z1, out=out)


@pytest.mark.parametrize("size", [0.3, 0.9, 1.0, 1.4, 2.0, 3.7])
@pytest.mark.parametrize("way", ["", "majority", "nearest"])
def test_the_source_is_read_once_and_in_order(size, way):
    source = volume(ARRAY % 3, (1.0, 1.0, 1.0))
    once = Once(source)
    found = whole(ResampledVolume(once, (size, 1.0, 1.0), labels_by=way))
    free = ResampledVolume(source, (size, 1.0, 1.0), labels_by=way)
    backwards = [free.read(z, z + 1) for z in reversed(range(free.header.shape[0]))]
    np.testing.assert_array_equal(found, np.concatenate(backwards[::-1]))
    asked = [place for z in range(len(found)) for place, _share in free._sources(z)]
    assert once.read_slices == len({*(free._near[0] if way == "nearest" else asked)})
    with pytest.raises(AssertionError):
        once.read(0, 1)


def test_an_unknown_voxel_size_cannot_become_another():
    with pytest.raises(ScanError, match=r"voxel size is unknown.*voxel_size"):
        ResampledVolume(volume(size=None), (1.0, 1.0, 1.0))


def test_a_range_of_greys_is_spread_over_the_type_and_what_is_cut_off_is_counted():
    greys = np.array([[[-2000, -1000, 0, 1000, 3000]]], np.int16)
    spread = NumbersVolume(volume(greys), np.dtype(np.uint8), spread=(-1000, 1000))
    np.testing.assert_array_equal(spread.read(0, 1), [[[0, 0, 128, 255, 255]]])
    assert (spread.below, spread.above, spread.no_number) == (1, 1, 0)
    floats = NumbersVolume(volume(greys.astype("f8")), np.dtype("f4"), spread=(-1000, 1000))
    np.testing.assert_allclose(floats.read(0, 1), [[[-0.5, 0, 0.5, 1, 2]]])
    holes = NumbersVolume(volume(np.array([[[np.nan, 1.0]]])), np.dtype(np.uint16), spread=(0, 1))
    np.testing.assert_array_equal(holes.read(0, 1), [[[0, 65535]]])
    assert holes.no_number == 1


@pytest.mark.parametrize(
    ("value", "dtype"), [(256, "uint8"), (-1, "uint16"), (0.5, "uint8"), (np.nan, "uint8"), (40000, "int16")]
)
def test_a_value_that_a_type_does_not_hold_is_never_cut_off_silently(value, dtype):
    with pytest.raises(ScanError, match=f"which {dtype} cannot hold as it is.*grey_range LOW HIGH"):
        NumbersVolume(volume(np.array([[[1, value]]])), np.dtype(dtype)).read(0, 1)


def test_a_packed_stream_is_copied_once_to_be_read_backwards(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    with create(path, volume().header) as writer:
        writer.write(ARRAY)
    with ExitStack() as opened:
        packed = opened.enter_context(open_volume(path))
        copy = in_any_order(packed, opened, folder=tmp_path / "cache", progress=silent)
        assert isinstance(copy, ScratchVolume)
        np.testing.assert_array_equal(whole(TurnedVolume(copy, "z")), ARRAY[::-1])
        assert in_any_order(volume(), opened, folder=tmp_path, progress=silent).header == volume().header
    assert not any((tmp_path / "cache").iterdir())
