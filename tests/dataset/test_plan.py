"""Plans: what an epoch takes, drawn from (seed, epoch) alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.dataset.plan import (
    PAPER_2D,
    PAPER_3D,
    Chances,
    Extent,
    PatchShape,
    count_tiles,
    draw_plan,
    joined,
)
from bone_backend.options.transforms import read


def plan(**changes):
    asked = {
        "scans": (0, 1),
        "patches_per_tile": 4,
        "max_overlap": 0.3,
        "seed": 1,
        "epoch": 0,
        "chances": PAPER_2D,
    } | changes
    extents = asked.pop("extents", [Extent(5, 100, 120), Extent(3, 80, 90)])
    return draw_plan(extents, asked.pop("patch", PatchShape(1, 32, 32)), **asked)


def test_every_tile_is_visited_once_and_gives_so_many_patches():
    found = plan()
    tiles = list(zip(found.scan.tolist(), found.z.tolist(), strict=True))
    assert len(found) == (5 + 3) * 4
    assert {tile: tiles.count(tile) for tile in tiles} == dict.fromkeys(
        [(0, z) for z in range(5)] + [(1, z) for z in range(3)], 4
    )


def test_tiles_come_in_random_order_in_training_and_in_order_in_validation():
    scattered, ordered = plan(), plan(shuffle=False)
    assert ordered.scan.tolist() == [0] * 20 + [1] * 12
    assert sorted(scattered.scan.tolist()) == ordered.scan.tolist() != scattered.scan.tolist()


@given(
    st.integers(33, 300),
    st.integers(33, 300),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
    st.integers(0, 1000),
)
def test_every_patch_lies_inside_its_scan(height, width, per_tile, seed, epoch):
    extents = [Extent(4, height, width)]
    found = plan(extents=extents, scans=(0,), patches_per_tile=per_tile, seed=seed, epoch=epoch)
    assert found.y.min() >= 0
    assert found.x.min() >= 0
    assert (found.y + 32).max() <= height
    assert (found.x + 32).max() <= width


def test_patches_of_a_tile_overlap_at_most_as_much_as_allowed_where_there_is_room():
    found = plan(extents=[Extent(200, 200, 200)], scans=(0,), max_overlap=0.3)
    worst = 0.0
    for tile in range(200):
        part = found.part(4 * tile, 4 * tile + 4)
        for i in range(4):
            for j in range(i):
                shared = max(0, 32 - abs(part.y[i] - part.y[j])) * max(0, 32 - abs(part.x[i] - part.x[j]))
                worst = max(worst, shared / 32**2)
    assert 0 < worst <= 0.3


def test_the_same_seed_and_epoch_give_the_same_plan_and_others_another():
    first, again = plan(), plan()
    for name in ("scan", "z", "y", "x", "turn", "brightness", "contrast"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.y, plan(epoch=1).y)
    assert not np.array_equal(first.y, plan(seed=2).y)


def test_turns_come_with_the_papers_probabilities():
    turns = plan(extents=[Extent(20_000, 40, 40)], scans=(0,)).turn
    shares = np.bincount(turns, minlength=6) / len(turns)
    assert shares == pytest.approx([0.168, 0.166, 0.166, 1 / 6, 1 / 6, 1 / 6], abs=0.006)
    turns = plan(
        extents=[Extent(40_000, 40, 40)],
        scans=(0,),
        chances=PAPER_3D,
        patch=PatchShape(2, 32, 32),
        tile_depth=2,
    ).turn
    shares = np.bincount(turns, minlength=7) / len(turns)
    assert shares == pytest.approx([0.167, 0.111, 0.111, 0.111, 1 / 6, 1 / 6, 1 / 6], abs=0.006)


def test_brightness_and_contrast_are_one_value_a_tile_within_the_papers_range():
    found = plan(extents=[Extent(10_000, 40, 40)], scans=(0,))
    brightness, contrast = found.brightness.reshape(-1, 4), found.contrast.reshape(-1, 4)
    assert (brightness == brightness[:, :1]).all()
    assert (contrast == contrast[:, :1]).all()
    assert (brightness[:, 0] != 0).mean() == pytest.approx(0.4, abs=0.02)
    assert (contrast[:, 0] != 1).mean() == pytest.approx(0.4, abs=0.02)
    assert 0.14 < np.abs(brightness).max() <= 0.15
    assert 0.74 < contrast.min() < 0.76
    assert 1.24 < contrast.max() <= 1.25


def test_without_augmentation_patches_stay_as_they_are_but_are_shuffled():
    found = plan(chances=None)
    assert not found.turn.any()
    assert (found.contrast == 1).all()
    assert found.scan.tolist() != sorted(found.scan.tolist())


def test_zero_chances_change_nothing():
    found = plan(chances=Chances(flip=0, turn=0, brightness=0, contrast=0))
    assert not found.turn.any()
    assert not found.brightness.any()
    assert (found.contrast == 1).all()


def test_slabs_of_a_scan_cover_it_and_the_last_ends_flush():
    assert count_tiles(Extent(70, 9, 9), 32) == 3
    found = plan(
        extents=[Extent(70, 40, 40)],
        scans=(0,),
        patch=PatchShape(32, 32, 32),
        tile_depth=32,
        patches_per_tile=1,
        shuffle=False,
    )
    assert found.z.tolist() == [0, 32, 38]


def test_shares_of_several_devices_make_the_whole_plan():
    found = plan()
    parts = [found.every(rank, 3) for rank in range(3)]
    assert sum(len(part) for part in parts) == len(found)
    assert np.array_equal(parts[1].y, found.y[1::3])


@pytest.mark.parametrize("transforms", [None, '{"gamma": 0.5}'])
def test_parts_of_a_plan_joined_are_the_plan_again(transforms):
    whole = plan(transforms=transforms and read(transforms))
    again = joined([whole.part(0, 7), whole.part(7, 7), whole.part(7, 30), whole.part(30, 99)])
    assert len(again) == len(whole) == 32
    for name in ("scan", "z", "y", "x", "turn", "brightness", "contrast", "variation"):
        one, other = getattr(whole, name), getattr(again, name)
        assert (one is None and other is None) or (one.dtype == other.dtype and (one == other).all())
    assert (whole.variation is None) == (transforms is None)
