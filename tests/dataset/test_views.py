"""Slices along y and x are read and chosen as those of a turned copy would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bone_backend.dataset import views
from bone_backend.dataset.checks import count_labels
from bone_backend.dataset.contents import ContentsMaker
from bone_backend.dataset.slabs import Slab
from bone_backend.dataset.views import View, seen
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import Header, open_volume, save

SHAPE = (12, 20, 30)


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60000, SHAPE).astype(np.uint16)


@pytest.fixture(params=["memory", "file"])
def source(request, tmp_path: Path):
    if request.param == "memory":
        opened = ArrayVolume(volume(), name="scan")
    else:
        save(tmp_path / "scan.tif", volume())
        opened = open_volume(tmp_path / "scan.tif")
    with open_source(opened, folder=tmp_path / "cache") as made:
        yield made


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_patches_are_those_of_a_turned_copy(source, axis):
    copy = np.moveaxis(volume(), axis, 0)
    turned = seen(source, View(0, axis))
    assert turned.header.shape == copy.shape
    patch = turned.read_patch(3, 2, 5, out=np.empty((7, 6), np.uint16))
    assert (patch == copy[3, 2:9, 5:11]).all()
    slab = turned.read_patch(1, 0, 1, out=np.empty((4, 5, 9), np.uint16))
    assert (slab == copy[1:5, 0:5, 1:10]).all()
    with pytest.raises(IndexError):
        turned.read_patch(copy.shape[0], 0, 0, out=np.empty((1, 1), np.uint16))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("patch", [(1, 25, 40), (16, 8, 8), (40, 61, 33)])
def test_with_less_room_than_a_patch_a_scan_is_reflected_at_its_far_ends(source, axis, patch):
    copy = np.moveaxis(volume(), axis, 0)
    more = [(0, max(0, wanted - size)) for size, wanted in zip(copy.shape, patch, strict=True)]
    whole = np.pad(copy, more, mode="reflect")
    widened = seen(source, View(0, axis), patch)
    assert widened.header.shape == whole.shape
    assert (widened.read_patch(0, 0, 0, out=np.empty(whole.shape, np.uint16)) == whole).all()
    last = tuple(size - wanted for size, wanted in zip(whole.shape, patch, strict=True))
    block = widened.read_patch(*last, out=np.empty(patch, np.float32))
    assert (
        block == whole[tuple(slice(first, first + n) for first, n in zip(last, patch, strict=True))]
    ).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_patches_of_a_part_are_those_of_a_cropped_and_turned_copy(source, axis):
    view = View(0, axis, (3, 10))
    copy = np.moveaxis(volume()[3:10], axis, 0)
    part = seen(source, view)
    assert part.header.shape == views.shape_of(view, SHAPE) == copy.shape
    last = tuple(n - size for n, size in zip(copy.shape, (1, 5, 6), strict=True))
    for z, y, x in ((0, 0, 0), (2, 1, 3), last):
        patch = part.read_patch(z, y, x, out=np.empty((5, 6), np.uint16))
        assert (patch == copy[z, y : y + 5, x : x + 6]).all()
    block = part.read_patch(1, 1, 2, out=np.empty((4, 3, 5), np.uint16))
    assert (block == copy[1:5, 1:4, 2:7]).all()
    for beyond in ((copy.shape[0], 0, 0), (0, copy.shape[1] - 4, 0), (0, 0, copy.shape[2] - 5)):
        with pytest.raises(IndexError):
            part.read_patch(*beyond, out=np.empty((5, 6), np.uint16))


def test_all_of_a_scan_along_z_is_the_source_itself(source):
    assert seen(source, View(0, 0)) is source


def contents(mask: np.ndarray, *, with_places: bool = True):
    """Of the slices along z, and along y and x, with the classes 0, 1, 2."""
    maker = ContentsMaker(with_places=with_places, of_others=True)
    count_labels(ArrayVolume(mask, name="mask"), contents=maker)
    return maker.by_class(np.array([0, 1, 2]), 3, slices=mask.shape[0])


@pytest.fixture(scope="module")
def mask():
    """Bone all over, and pores in slices 2 to 5 only."""
    made = (volume() % 5 == 0).astype(np.uint8)
    made[2:6][volume()[2:6] % 7 == 0] = 2
    return made


@pytest.mark.parametrize("part", [(0, 12), (0, 4), (3, 10), (7, 12)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_contents_of_a_part_are_those_of_a_cropped_and_turned_copy(mask, axis, part):
    (found,) = views.contents_of([contents(mask)], [View(0, axis, part)])
    copy = np.moveaxis(mask[slice(*part)], axis, 0)
    counts = np.array([[np.sum(plane == value) for value in range(3)] for plane in copy])
    if axis == 0:
        assert (found.counts == counts).all()
    else:  # what is known of a part along y and x are the places that were kept
        assert (found.counts[:, 1:][counts[:, 1:] == 0] == 0).all()
        assert found.counts[:, 1].sum() == pytest.approx(counts[:, 1].sum(), rel=0.25)
    for number, plane in enumerate(copy):
        for value in (1, 2):
            if found.counts[number, value]:
                a, b = found.places[number, value].T
                assert (plane[a, b] == value).all()


def test_contents_of_a_part_that_is_all_are_those_of_all(mask):
    whole = contents(mask)
    for axis in (1, 2):
        (found,) = views.contents_of([whole], [View(0, axis, (0, 12))])
        assert (found.counts == whole.others[axis - 1].counts).all()
        assert (found.places == whole.others[axis - 1].places).all()


def test_without_places_a_part_along_y_counts_as_all_of_it(mask):
    whole = contents(mask, with_places=False)
    (found,) = views.contents_of([whole], [View(0, 1, (3, 10))])
    assert found is whole.others[0]


@pytest.mark.parametrize("axis", [1, 2])
def test_contents_of_slices_along_y_and_x_are_those_of_a_turned_copy(axis):
    mask = (volume() % 7 == 0).astype(np.uint8)
    mask[:, 4] = mask[:, :, 9] = 0
    maker = ContentsMaker(with_places=True, of_others=True)
    count_labels(ArrayVolume(mask, name="mask"), contents=maker)
    found = maker.by_class(np.array([0, 1]), 2, slices=SHAPE[0]).others[axis - 1]
    copy = np.moveaxis(mask, axis, 0)
    assert (found.counts == [[np.sum(s == 0), np.sum(s == 1)] for s in copy]).all()
    for number, plane in enumerate(copy):
        if plane.any():
            a, b = found.places[number, 1].T
            assert plane[a, b].all()
            assert len(set(zip(a, b, strict=True))) > 4, "drawn from all of them, not from the first few"


def test_places_are_drawn_evenly_from_all_slices():
    mask = np.zeros((40, 3, 25), np.uint8)
    mask[:, 1] = 1
    maker = ContentsMaker(with_places=True, of_others=True)
    count_labels(ArrayVolume(mask, name="mask"), contents=maker)
    along_y, along_x = maker.by_class(np.array([0, 1]), 2, slices=40).others
    z = np.concatenate([along_y.places[1, 1, :, 0], *along_x.places[:, 1, :, 0]])
    assert 15 < z.mean() < 24  # of 0 to 39
    assert 8 < along_y.places[1, 1, :, 1].mean() < 16  # of 0 to 24


def header(shape=(40, 40, 40), voxel_size=(5.0, 5.0, 5.0)) -> Header:
    return Header("scan", shape, np.dtype(np.uint16), voxel_size=voxel_size, unit="um")


def test_each_pair_is_seen_along_all_axes_where_that_means_something():
    headers = [header(), header((16, 99, 99)), header(voxel_size=(20.0, 5.0, 5.0)), header(voxel_size=None)]
    names = ["a", "flat", "long", "d"]
    found, told = views.with_all_axes(views.along_z(4), names, headers, patch=32)
    assert found == [*(View(n, 0) for n in range(4)), View(0, 1), View(0, 2), View(3, 1), View(3, 2)]
    assert told == [
        "flat: slices along z only; those along y and x are narrower than a patch (32 px).",
        "long: slices along z only; the voxels are no cubes.",
    ]


def test_what_validates_is_seen_along_z_only():
    validating = views.along_z(2, validation=(1,))
    assert validating == [View(0, 0), View(1, 0, validates=True)]
    found, told = views.with_all_axes(validating, ["a", "b"], [header(), header((16, 99, 99))], patch=32)
    assert found == [*validating, View(0, 1), View(0, 2)]
    assert told == []


def test_of_a_scan_with_a_slab_both_parts_train_and_the_slab_validates():
    slab = Slab(50, 60, before=(0, 48), after=(62, 100))
    at_the_end = Slab(90, 100, before=(0, 88), after=(0, 0))
    assert views.in_slabs([slab, None, at_the_end]) == [
        View(0, 0, (0, 48)),
        View(0, 0, (62, 100)),
        View(0, 0, (50, 60), validates=True),
        View(1, 0),
        View(2, 0, (0, 88)),
        View(2, 0, (90, 100), validates=True),
    ]


def test_a_part_that_is_thinner_than_a_patch_is_left_out_in_words_only_where_no_part_is_thick_enough():
    slabs = [Slab(50, 60, (0, 48), (62, 80)), Slab(10, 20, (0, 0), (22, 40))]
    headers = [header((80, 60, 60)), header((40, 60, 60))]
    found, told = views.with_all_axes(views.in_slabs(slabs), ["thick", "thin"], headers, patch=32)
    assert [view for view in found if view.axis] == [View(0, 1, (0, 48)), View(0, 2, (0, 48))]
    assert told == ["thin: slices along z only; those along y and x are narrower than a patch (32 px)."]
