"""Whether a mask belongs to its scan: as it lies, turned, of another scan, and with few labels."""

import numpy as np
import pytest
from scipy import ndimage

from bone_backend.training.placement import belonging
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.patch_source import ArraySource

SHAPE = (40, 50, 50)


def phantom(seed):
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=SHAPE), 3)
    mask = (field > 0).astype(np.uint8) + (field > np.quantile(field, 0.85))
    return (100 + 70.0 * mask + random.normal(0, 15, SHAPE)).astype(np.uint16), mask.astype(np.uint8)


SCAN, MASK = phantom(1)


def look(mask, **settings):
    volumes = (ArrayVolume(array, name="x") for array in (SCAN, np.ascontiguousarray(mask)))
    return belonging.look(*map(ArraySource, volumes), **settings)


def test_a_mask_in_its_place_explains_most_and_nothing_is_said():
    found = look(MASK)
    grey, values = SCAN.astype(float), [SCAN[value == MASK].astype(float) for value in range(3)]
    within = sum(((part - part.mean()) ** 2).sum() for part in values)
    assert found.own == pytest.approx(1 - within / ((grey - grey.mean()) ** 2).sum(), abs=0.02)
    assert found.in_words() is None


@pytest.mark.parametrize(
    ("turned", "told"),
    [
        (MASK[::-1], "turned over along z"),
        (MASK[:, ::-1, ::-1], "turned over along y and x"),
        (MASK.transpose(0, 2, 1), "with the axes y, x exchanged"),
        (MASK.transpose(0, 2, 1)[:, ::-1], "exchanged and turned over along"),
    ],
)
def test_a_mask_that_was_turned_is_told_with_the_way_back(turned, told):
    assert told in look(turned).in_words()


def test_the_mask_of_another_scan_is_told():
    assert "seems to belong to another scan" in look(phantom(2)[1]).in_words()


def test_a_few_labelled_voxels_amid_others_that_do_not_count_are_no_fault():
    sparse = np.full(SHAPE, 255, np.uint8)
    sparse[20:24] = MASK[20:24]
    assert look(sparse, ignore_label=255).in_words() is None
    only = np.zeros(SHAPE, np.uint8)
    only[20:22][MASK[20:22] == 2] = 1  # one structure of many
    found = look(only)
    assert found.own < belonging.FOREIGN
    assert found.in_words() is None


def test_nothing_is_said_where_nothing_can_be_known():
    assert look(np.zeros(SHAPE, np.uint8)) is None
    speck = np.zeros(SHAPE, np.uint8)
    speck[3, 4, 5] = 1
    assert look(speck) is None
