"""Which tiles and patches are taken where the user wants other than every tile once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.dataset.checks import count_labels, read_labels
from bone_backend.dataset.choice import Choice
from bone_backend.dataset.contents import PLACES, ContentsMaker, Holdings
from bone_backend.dataset.plan import PAPER_2D, Extent, PatchShape, draw_plan
from bone_backend.errors import ScanError
from bone_backend.volumes.volume import ArrayVolume


def made_masks():
    """Two masks: slices 0..9 of the first hold a little bone, slice 5 a single pore; the second is empty from
    slice 3 on.
    """
    rng = np.random.default_rng(0)
    first = np.zeros((20, 96, 96), np.uint8)
    first[:10][rng.random((10, 96, 96)) < 0.001] = 1
    first[5, 80, 7] = 2
    second = np.zeros((12, 64, 80), np.uint8)
    second[:3, 10:12, 60:] = 1
    return [first, second]


MASKS = made_masks()
SLICE = PatchShape(1, 32, 32)


def holdings(masks=MASKS, **more):
    makers = [ContentsMaker(with_places=True) for _ in masks]
    found = [
        count_labels(ArrayVolume(mask, name="made"), contents=maker)
        for mask, maker in zip(masks, makers, strict=True)
    ]
    labels = read_labels(found, ["made"] * len(masks), **more)
    pairs = zip(makers, masks, strict=True)
    return Holdings.of(
        tuple(maker.by_class(labels.table, labels.num_classes, slices=len(mask)) for maker, mask in pairs)
    )


def plan(choice, *, epoch=0, masks=MASKS, patch=SLICE, per_tile=3, tile_depth=1, scans=None, **more):
    asked = {"max_overlap": 0.3, "seed": 5, "chances": PAPER_2D} | more
    return draw_plan(
        [Extent(*mask.shape) for mask in masks],
        patch,
        scans=range(len(masks)) if scans is None else scans,
        patches_per_tile=per_tile,
        epoch=epoch,
        choice=choice,
        tile_depth=tile_depth,
        **asked,
    )


def held(found, i, patch=(1, 32, 32), masks=MASKS):
    box = tuple(slice(a, a + n) for a, n in zip((found.z[i], found.y[i], found.x[i]), patch, strict=True))
    crop = masks[found.scan[i]][box]
    assert crop.shape == patch
    return set(np.unique(crop).tolist())


def visits(found, per_tile=3):
    tiles, count = np.unique(np.stack([found.scan, found.z]), axis=1, return_counts=True)
    return {(int(s), int(z)): int(n) // per_tile for (s, z), n in zip(tiles.T, count, strict=True)}


def test_the_contents_of_every_slice_are_counted_exactly():
    found = holdings()
    for scan, mask in enumerate(MASKS):
        for z, plane in enumerate(mask):
            wanted = np.bincount(plane.ravel(), minlength=3)
            assert found.counts[found.first[scan] + z].tolist() == wanted.tolist()
    assert found.places.shape == (32, 3, PLACES, 2)
    assert (found.places[5, 2] == [80, 7]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_kept_places_hold_their_class(dtype):
    masks = [mask.astype(dtype) for mask in MASKS]
    found = holdings(masks)
    for scan, mask in enumerate(masks):
        for z, plane in enumerate(mask):
            if (plane == 1).any():
                y, x = found.places[found.first[scan] + z, 1].T
                assert (plane[y, x] == 1).all()


def test_labels_mapped_to_one_class_share_its_places():
    mask = np.zeros((1, 50, 50), np.uint8)
    mask[0, :5], mask[0, 40:] = 7, 1
    found = holdings([mask, mask], map_labels=[(7, 1)])
    assert found.counts[0].tolist() == [1750, 750]
    y, x = found.places[0, 1].T
    assert set(mask[0, y, x].tolist()) == {1, 7}


def test_ignored_voxels_are_held_by_no_class():
    mask = np.zeros((4, 50, 50), np.uint8)
    mask[0, 3, 3], mask[1] = 1, 9
    found = holdings([mask, mask], ignore_label=9)
    assert found.counts[:4].tolist() == [[2499, 1], [0, 0], [2500, 0], [2500, 0]]
    assert set(visits(plan(Choice(found, skip_empty=True), masks=[mask, mask]))) == {(0, 0), (1, 0)}


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=20, deadline=None)
def test_a_choice_that_wishes_nothing_gives_the_same_plan(epoch, shuffle):
    one, other = (
        plan(None, epoch=epoch, shuffle=shuffle),
        plan(Choice(HOLDINGS), epoch=epoch, shuffle=shuffle),
    )
    for name in ("scan", "z", "y", "x", "turn", "brightness", "contrast"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


HOLDINGS = holdings()


def test_empty_tiles_are_skipped_and_the_others_visited_once():
    wanted = {(s, z): 1 for s, mask in enumerate(MASKS) for z in range(len(mask)) if mask[z].any()}
    assert visits(plan(Choice(HOLDINGS, skip_empty=True))) == wanted


def test_no_tile_left_is_told():
    with pytest.raises(ScanError, match="No tile is left for validation"):
        plan(
            Choice(holdings([MASKS[0], MASKS[1][5:]]), skip_empty=True, purpose="validation"),
            scans=[1],
            masks=[MASKS[0], MASKS[1][5:]],
        )


def test_patches_that_must_hold_foreground_do_wherever_the_tile_has_any():
    found = plan(Choice(HOLDINGS, foreground_share=1.0))
    for i in range(len(found)):
        assert len(held(found, i)) > 1 or not MASKS[found.scan[i]][found.z[i]].any()


def test_half_of_the_patches_must_hold_foreground_and_the_rest_lie_as_before():
    mask = np.zeros((400, 200, 200), np.uint8)
    mask[:, 5, 5] = 1  # a patch at random holds it hardly ever
    found, before = (
        plan(c, masks=[mask, mask], per_tile=2)
        for c in (Choice(holdings([mask, mask]), foreground_share=0.5), None)
    )
    is_held = np.array([held(found, i, masks=[mask, mask]) == {0, 1} for i in range(len(found))])
    assert is_held.mean() == pytest.approx(0.5, abs=0.05)
    moved = (found.y != before.y) | (found.x != before.x)
    assert (is_held[moved]).all()
    assert np.array_equal(found.scan, before.scan)
    assert np.array_equal(found.turn, before.turn)


def test_aimed_patches_keep_their_distance_where_there_is_room():
    mask = np.ones((50, 200, 200), np.uint8)
    found = plan(Choice(holdings([mask, mask]), foreground_share=1.0), masks=[mask, mask], per_tile=3)
    y, x = found.y.reshape(-1, 3), found.x.reshape(-1, 3)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        shared = np.clip(32 - abs(y[:, i] - y[:, j]), 0, None) * np.clip(32 - abs(x[:, i] - x[:, j]), 0, None)
        assert (shared / 32**2).max() <= 0.3


def test_class_balance_gives_every_class_as_many_tiles_and_its_patches_hold_it():
    found = plan(Choice(HOLDINGS, class_balance=1.0))
    assert len(found) == (20 + 12) * 3  # as many patches as without
    pores = [i for i in range(len(found)) if (found.scan[i], found.z[i]) == (0, 5) and 2 in held(found, i)]
    assert len(pores) >= 16 * 3
    assert all(len(held(found, i)) > 1 for i in range(len(found)))
    half = plan(Choice(HOLDINGS, class_balance=0.5))
    assert len(half) == len(found)
    assert len(visits(half)) > len(visits(found))


def test_weights_say_how_often_the_tiles_of_a_scan_are_visited():
    found = visits(plan(Choice(HOLDINGS, weights=(2.0, 0.5))))
    assert all(found[0, z] == 2 for z in range(20))
    assert sum(1 for s, _ in found if s == 1) == 6
    other = visits(plan(Choice(HOLDINGS, weights=(2.0, 0.5)), epoch=1))
    assert {z for s, z in other if s == 1} != {z for s, z in found if s == 1}
    assert {s for s, _ in visits(plan(Choice(HOLDINGS, weights=(0.0, 1.25), class_balance=0.5)))} == {1}


@pytest.mark.parametrize(
    "wishes", [{"class_balance": 0.3, "weights": (1.3, 0.7)}, {"skip_empty": True, "foreground_share": 0.5}]
)
def test_every_epoch_has_as_many_patches_and_is_drawn_from_seed_and_epoch(wishes):
    plans = [plan(Choice(HOLDINGS, **wishes), epoch=epoch) for epoch in (0, 1, 2, 0)]
    assert len({len(found) for found in plans}) == 1
    assert np.array_equal(plans[0].y, plans[3].y)
    assert not np.array_equal(plans[0].y, plans[1].y)


def test_slabs_are_chosen_and_aimed_at_too():
    mask = np.zeros((40, 64, 64), np.uint8)
    mask[17, 50, 50] = 1
    masks, patch = [mask, mask], PatchShape(8, 32, 32)
    choice = Choice(holdings(masks), skip_empty=True, foreground_share=1.0)
    found = plan(choice, masks=masks, patch=patch, tile_depth=16, per_tile=5, max_overlap=1.0)
    assert len(found) == 10
    for i in range(len(found)):
        assert 16 <= found.z[i] <= 24
        assert held(found, i, tuple(patch), masks) == {0, 1}
    assert len(np.unique(found.z)) > 1
