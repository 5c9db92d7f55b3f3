"""Slices along y and x are read and chosen as those of a turned copy would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bone_backend.dataset import views
from bone_backend.dataset.checks import count_labels
from bone_backend.dataset.contents import ContentsMaker
from bone_backend.dataset.views import View, seen_along
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
    turned = seen_along(source, axis)
    assert turned.header.shape == copy.shape
    patch = turned.read_patch(3, 2, 5, out=np.empty((7, 6), np.uint16))
    assert (patch == copy[3, 2:9, 5:11]).all()
    slab = turned.read_patch(1, 0, 1, out=np.empty((4, 5, 9), np.uint16))
    assert (slab == copy[1:5, 0:5, 1:10]).all()
    with pytest.raises(IndexError):
        turned.read_patch(copy.shape[0], 0, 0, out=np.empty((1, 1), np.uint16))


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
    found, told = views.choose(["a", "flat", "long", "d"], headers, all_axes=True, patch=32)
    assert found == [*(View(n, 0) for n in range(4)), View(0, 1), View(0, 2), View(3, 1), View(3, 2)]
    assert told == [
        "flat: slices along z only; those along y and x are narrower than a patch (32 px).",
        "long: slices along z only; the voxels are no cubes.",
    ]
    assert views.choose(["a"], [header()], all_axes=False, patch=32) == ([View(0, 0)], [])
