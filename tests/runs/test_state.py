"""A fit under way: what it has reached is counted and named as it is; nothing is written by it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bone_backend.fitting import ready
from bone_backend.options.programs import FitOptions
from bone_backend.runs.result import FitResult, ending
from bone_backend.runs.state import Position
from bone_backend.training.distributed import World

from ..conftest import fit_values

COUNTS = np.array([[6, 2, 0], [2, 6, 0], [0, 0, 4]])  # IoU 6/10, 6/10 and 1


@pytest.fixture
def state(pairs, tmp_path):
    values = fit_values(pairs, tmp_path / "run", name="femur")
    with ready(FitOptions.parse(values), World()) as state:
        yield state


def test_a_fit_that_is_ready_has_written_nothing_and_says_what_it_will_do(state, tmp_path):
    assert list(tmp_path.iterdir()) == []
    assert state.position == Position()
    assert (len(state.split["training"]), len(state.split["validation"])) == (2, 1)
    told = state.told()
    first = r"Plain U-Net \(8 channels, 3 stages, batch normalisation\), 2D, on CPU, fp32, \d+ threads?\."
    assert re.fullmatch(first, told[0])
    assert told[-1].startswith("Classes: 0 background ")


def test_an_epoch_is_a_row_whose_scores_can_be_checked_by_hand(state, tmp_path):
    state.training.timing.waiting = 2.0
    choice = state.add_epoch(COUNTS, 0.5, seconds=8.0)
    (row,) = state.position.history
    assert [row[f"val_iou_{value}"] for value in (0, 1, 2)] == [0.6, 0.6, 1.0]
    assert row["val_miou"] == choice == pytest.approx(2.2 / 3)
    assert (row["epoch"], row["val_loss"], row["seconds"], row["waiting_share"]) == (1, 0.5, 8.0, 0.25)
    assert row["train_loss"] is None  # no patch was learnt from
    state.call_best(COUNTS, choice)
    assert state.position.best_file == "femur_best_epoch_1_val_jaccard_0.7333.pth"
    result = FitResult.of(state, tmp_path, outcome="done", figures={"peak_ram_gib": 1.5})
    assert result.model == tmp_path / state.position.best_file
    assert (result.best_epoch, result.val_iou_per_class) == (1, {0: 0.6, 1: 0.6, 2: 1.0})


def test_what_earlier_parts_of_a_run_took_counts_too(state):
    before = Position(epoch=0, counts=[[1, 2, 0], [0, 3, 0], [0, 0, 0]], seconds=1000.0)
    before.peaks = {"peak_ram_gib": 99.5}
    state.go_on_from(before)
    assert 1000 <= state.seconds_in_all() < 1000 + 60
    assert state.figures()["peak_ram_gib"] == 99.5
    assert state.training.counts.matrix.tolist() == before.counts


@pytest.mark.parametrize(
    ("outcome", "position", "told"),
    [
        ("done", Position(epoch=1, best_epoch=1), "The fit is done after 1 epoch; the best was epoch 1."),
        ("stopped", Position(), "The fit was stopped after 0 epochs; there is no model yet."),
        ("failed", Position(epoch=3, best_epoch=2), "The fit failed after 3 epochs; the best was epoch 2."),
    ],
)
def test_the_end_of_a_fit_is_a_sentence(outcome, position, told):
    assert ending(outcome, position) == told
