"""What is drawn for the advanced transforms."""

import numpy as np
import pytest
import torch

from bone_backend.dataset.plan import PAPER_2D, Extent, PatchShape, draw_plan
from bone_backend.dataset.transforms import to_device
from bone_backend.dataset.variation import VARIATION, neutral

GAMMA = {"gamma": {"probability": 0.3, "low": 0.5, "high": 2.0}}
STEP = {"step": {"probability": 0.5, "strength": 0.2}}


def plan(table, *, epoch=0, seed=1, tiles=3000):
    return draw_plan(
        [Extent(tiles, 100, 120)],
        PatchShape(1, 32, 32),
        scans=[0],
        patches_per_tile=4,
        max_overlap=1,
        seed=seed,
        epoch=epoch,
        chances=PAPER_2D,
        transforms=table,
    )


def test_nothing_asked_for_draws_nothing():
    assert plan({}).variation is None
    assert plan(None).variation is None


def test_as_many_patches_change_as_the_probability_says_and_within_the_limits():
    gamma = plan(GAMMA).variation["gamma"]
    touched = gamma[gamma != 1]
    assert len(touched) / len(gamma) == pytest.approx(0.3, abs=0.02)
    assert 0.5 <= touched.min() < 0.52
    assert 1.95 < touched.max() <= 2
    assert np.log(touched).mean() == pytest.approx(0, abs=0.03)  # as often darker as brighter


def test_a_step_is_the_same_for_all_patches_of_a_tile():
    records = plan(STEP).variation.reshape(-1, 4)
    for name in ("gain", "shift", "step_at"):
        assert (records[name] == records[name][:, :1]).all()
    gain = records["gain"][:, 0]
    assert np.mean(gain != 1) == pytest.approx(0.5, abs=0.03)
    assert 0.8 <= gain.min() < gain.max() <= 1.2


def test_adding_a_transform_changes_neither_the_patches_nor_the_other_transforms():
    none, one, two = plan({}), plan(GAMMA), plan({**STEP, **GAMMA})
    for name in ("scan", "z", "y", "x", "turn", "brightness", "contrast"):
        assert np.array_equal(getattr(none, name), getattr(two, name))
    assert np.array_equal(one.variation["gamma"], two.variation["gamma"])
    assert np.array_equal(one.variation["seed"], two.variation["seed"])


def test_seed_and_epoch_decide():
    assert np.array_equal(plan(GAMMA).variation, plan(GAMMA).variation)
    assert not np.array_equal(plan(GAMMA).variation["gamma"], plan(GAMMA, epoch=1).variation["gamma"])
    assert not np.array_equal(plan(GAMMA).variation["gamma"], plan(GAMMA, seed=2).variation["gamma"])


def test_the_rings_centre_is_the_middle_of_the_scan_as_the_patch_sees_it():
    found = plan(GAMMA, tiles=5)
    assert np.allclose(found.variation["centre_y"], 49.5 - found.y)
    assert np.allclose(found.variation["centre_x"], 59.5 - found.x)


def test_parts_and_shares_carry_their_records():
    found = plan(GAMMA, tiles=5)
    assert np.array_equal(found.part(3, 9).variation, found.variation[3:9])
    assert np.array_equal(found.every(1, 3).variation, found.variation[1::3])


def test_a_record_is_whole_numbers_of_its_seed_long_so_that_torch_takes_any_of_them():
    assert VARIATION.isalignedstruct  # also with one column more
    assert torch.equal(
        to_device(neutral(3)[1:2]["seed"], torch.device("cpu")), torch.zeros(1, dtype=torch.int64)
    )


def test_neutral_is_zero_except_for_factors():
    record = neutral(1)[0]
    assert {name: record[name] for name in VARIATION.names if record[name]} == {
        "scaling": 1,
        "shrink": 1,
        "gamma": 1,
        "gain": 1,
    }
