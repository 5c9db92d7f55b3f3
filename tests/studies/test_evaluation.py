"""The numbers of a study: the paper's own table, a ranking by hand, tests beside scipy and definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.studies.evaluation.evidence import holm, interval, paired_p, smallest_p
from bone_backend.studies.evaluation.ranking import MEASURES, SWEEP, rank, sweep
from bone_backend.studies.evaluation.table import dice_of, fold_table

# Table 6 of Lee et al. 2026: the mean of each fold, for three seeds
PAPER = {
    42: (0.9731, 0.8463, 0.9420, 0.8883, 0.9542),
    1701: (0.9738, 0.8533, 0.9301, 0.8913, 0.9264),
    1864: (0.9723, 0.8523, 0.9456, 0.8508, 0.8995),
}


def four(spread):
    return round(spread.mean, 4), round(spread.sd, 4)


def test_the_margins_are_those_of_the_papers_table():
    found = fold_table({(str(f), seed): [cell] for seed, row in PAPER.items() for f, cell in enumerate(row)})
    assert [four(found.by_seed[seed]) for seed in PAPER] == [
        (0.9208, 0.0522),
        (0.9150, 0.0452),
        (0.9041, 0.0546),
    ]
    assert four(found.whole) == (0.9133, 0.0476)


def test_a_cell_is_over_its_scans_and_the_margin_of_a_fold_over_scans_and_seeds():
    found = fold_table({("a", 1): [0.2, 0.4], ("a", 2): [0.6], ("b", 1): [0.8, float("nan")]})
    assert four(found.cells["a", 1]) == (0.3, round(np.std([0.2, 0.4], ddof=1), 4))
    assert four(found.by_fold["a"]) == (0.4, 0.2)
    assert found.cells["b", 1].count == 1
    assert np.isnan(found.cells["b", 1].sd)
    assert round(found.whole.mean, 10) == round((0.3 + 0.6 + 0.8) / 3, 10)


def test_dice_is_converted_of_each_scan_before_the_mean():
    each = [dice_of(0.5), dice_of(1.0)]
    assert np.mean(each) == pytest.approx((2 / 3 + 1) / 2)
    assert np.mean(each) != pytest.approx(dice_of(0.75))


# two good and costly ones, a cheap one; every measure goes from 0 to 1 in steps of a half
THREE = {
    "large": {"miou": 0.9, "batch_size": 64, "gpu_percent": 100, "multiply_adds": 30, "parameters": 30,
              "peak_gpu_gib": 30, "seconds": 300},
    "middle": {"miou": 0.8, "batch_size": 48, "gpu_percent": 75, "multiply_adds": 20, "parameters": 20,
               "peak_gpu_gib": 20, "seconds": 200},
    "small": {"miou": 0.7, "batch_size": 32, "gpu_percent": 50, "multiply_adds": 10, "parameters": 10,
              "peak_gpu_gib": 10, "seconds": 100},
}  # fmt: skip


def test_the_weighted_score_is_that_of_the_hand():
    found = rank(THREE)
    # 0.85 * 1 + 0.025 * (1 + 1 + 0 + 0 + 0 + 0); half of all; 0.85 * 0 + 0.025 * (0 + 0 + 1 + 1 + 1 + 1)
    assert {name: round(score, 10) for name, score in found.scores.items()} == {
        "large": 0.9,
        "middle": 0.5,
        "small": 0.1,
    }
    assert found.ranks == {"large": 1, "middle": 2, "small": 3}
    assert found.left_out == ()
    assert round(sum(found.weights.values()), 10) == 1


def test_the_weights_of_the_sweep_turn_ranks_round():
    two = {
        "good": {**THREE["large"], "miou": 0.9},
        "cheap": {**THREE["small"], "miou": 0.899},
        "bad": THREE["small"],
    }
    found = sweep(two)
    assert list(found) == list(SWEEP)
    assert found[1.0] == {"good": 1, "cheap": 2, "bad": 3}
    # 0.7 * 1 + 0.05 * 2 = 0.8 against 0.7 * 0.995 + 0.05 * 4 = 0.8965
    assert found[0.7]["cheap"] == 1


def test_what_was_not_measured_is_left_out_and_its_weight_shared():
    without = {name: {**row, "gpu_percent": None, "peak_gpu_gib": None} for name, row in THREE.items()}
    found = rank(without)
    assert found.left_out == ("GPU use", "GPU memory")
    assert found.weights["miou"] == 0.85
    assert found.weights["seconds"] == pytest.approx(0.15 / 4)
    assert found.scores["large"] == pytest.approx(0.85 + 0.15 / 4)
    bare = rank({name: {**dict.fromkeys(MEASURES), "miou": row["miou"]} for name, row in THREE.items()})
    assert bare.weights == {"miou": 1.0}
    assert bare.scores == pytest.approx({"large": 1, "middle": 0.5, "small": 0})


def test_equals_share_a_rank():
    assert rank({"a": THREE["large"], "b": THREE["large"], "c": THREE["small"]}).ranks == {
        "a": 1,
        "b": 1,
        "c": 3,
    }


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=7))
def test_holm_is_the_closed_test_of_bonferroni(values):
    """A hypothesis is rejected where every intersection with others is (Marcus, Peritz and Gabriel 1976)."""
    every = range(len(values))
    groups = [group for size in every for group in itertools.combinations(every, size + 1)]
    joint = {group: min(1.0, len(group) * min(values[i] for i in group)) for group in groups}
    assert holm(values) == pytest.approx([max(joint[group] for group in groups if i in group) for i in every])


def test_holm_is_that_of_r():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # p.adjust


def test_wilcoxon_pairs_scans_by_name():
    from scipy.stats import wilcoxon

    drawn = np.random.default_rng(3).random((2, 9))
    one, other = ({f"s{i}": float(v) for i, v in enumerate(row)} for row in drawn)
    turned = dict(reversed(other.items()))
    assert paired_p(one, turned) == pytest.approx(float(wilcoxon(drawn[0], drawn[1]).pvalue))
    assert paired_p({"a": 1.0}, {"b": 1.0}) is None
    assert paired_p(one, one) == 1.0
    higher = {name: value + 0.1 + i / 100 for i, (name, value) in enumerate(one.items())}
    assert paired_p(one, higher) == pytest.approx(smallest_p(9))


def test_an_interval_holds_the_mean_and_repeats():
    values = list(np.random.default_rng(1).normal(0.9, 0.02, 20))
    low, high = interval(values)
    assert low < np.mean(values) < high
    assert interval(values) == (low, high)
    # the normal interval of 20 values, which a bootstrap comes near to
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(20)
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)
    assert interval([0.9]) is None
    assert interval([0.9, 0.9]) == (0.9, 0.9)
