"""Whether a mask lies some voxels beside its scan, from the middle of a pair that is open."""

import numpy as np
import pytest
from scipy import ndimage

from bone_backend.options.programs import FitOptions
from bone_backend.progress import silent
from bone_backend.training.distributed import World
from bone_backend.training.opening import open_data
from bone_backend.training.placement import shift
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.patch_source import ArraySource
from bone_backend.volumes.volume import save
from tests.conftest import fit_values

SHAPE = (40, 50, 60)


def phantom():
    random = np.random.default_rng(5)
    field = ndimage.gaussian_filter(random.normal(size=SHAPE), 3)
    mask = (field > 0).astype(np.uint8) + (field > np.quantile(field, 0.85))
    return (100 + 70.0 * mask + random.normal(0, 15, SHAPE)).astype(np.uint16), mask.astype(np.uint8)


SCAN, MASK = phantom()


def look(mask, scan=SCAN):
    volumes = (ArrayVolume(np.ascontiguousarray(array), name="x") for array in (scan, mask))
    return shift.look(*map(ArraySource, volumes))


def test_of_a_mask_in_its_place_nothing_is_said():
    assert look(MASK) is None


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("by", [-3, -1, 2])
def test_a_moved_mask_is_told_with_the_way_back(axis, by):
    found = look(np.roll(MASK, by, axis))
    assert (found.axis, found.voxels) == ("zyx"[axis], -by)
    words = f"{abs(by)} voxel{'s' * (abs(by) > 1)} beside the scan along {'zyx'[axis]}: moved by {-by:+d}, "
    assert words in found.in_words()


def test_only_the_middle_is_read_and_does(monkeypatch):
    """What lies around it may be anything."""
    monkeypatch.setattr(shift, "FEW", 30)
    moved = np.roll(MASK, 2, 2)
    mask = np.zeros_like(moved)
    mask[:, 10:40, 15:45] = moved[:, 10:40, 15:45]
    found = look(mask)
    assert (found.axis, found.voxels) == ("x", -2)


def test_too_few_slices_or_edges_say_nothing():
    thin = SCAN[:3], np.roll(MASK, 2, 0)[:3]
    assert look(thin[1], thin[0]) is None  # y and x are in place
    dot = np.zeros_like(MASK)
    dot[20, 20, 20] = 1
    assert look(dot) is None


def test_a_fit_warns_of_it_in_the_words_of_the_check(tmp_path):
    """Of every door, since all fits begin with the same look."""
    volumes = {"scan": SCAN, "mask": np.ascontiguousarray(np.roll(MASK, 2, 2))}
    for name, array in volumes.items():
        save(tmp_path / f"{name}.tif", array, voxel_size=(20.0,) * 3)
    pair = [str(tmp_path / "scan.tif"), str(tmp_path / "mask.tif")]
    options = FitOptions.parse(fit_values([pair], tmp_path / "run", validation="slabs"))
    data = open_data(options, World(), progress=silent)
    told = [text for text in data.concerns if "seems to" in text]
    assert len(told) == 1
    assert told[0].startswith(
        "Scan scan: its mask seems to lie 2 voxels beside the scan along x: moved by -2, "
    )
