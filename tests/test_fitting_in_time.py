"""A fit that is given a time, and one that validates on slabs: broken off, resumed, with a pair alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bone_backend.errors import Cancelled
from bone_backend.fitting import fit, ready, rescore
from bone_backend.model_files import model_file
from bone_backend.options.programs import FitOptions
from bone_backend.progress import Recorder
from bone_backend.runs.resuming import resume
from bone_backend.training.distributed import World

from .conftest import fit_values

MINUTES = 0.15  # 9 s, of which the start of a fit takes one to three


def options(pairs, output, **changes):
    """Of a short fit in three parts, the steps of which follow from the time."""
    timed = {"minutes": MINUTES, "epochs": 3, "keep_checkpoint": True}
    return FitOptions.parse(fit_values(pairs, output, **timed | changes))


class StopAmid(Recorder):
    """Stops in the training of the second epoch, after some of its steps."""

    def __call__(self, step, steps, message, figures=None, /):
        super().__call__(step, steps, message, figures)
        if message.startswith("Epoch 2 of 3, training") and step % (steps // 3) >= 5:
            raise Cancelled(message)


def stopped(chosen) -> dict:
    """The position in the checkpoint of a fit that was stopped amid its second epoch."""
    with pytest.raises(Cancelled):
        fit(chosen, progress=StopAmid())
    position = torch.load(chosen.output / "checkpoint.pth", weights_only=True)["position"]
    assert position["epoch"] == 1
    assert position["batches"] >= 1
    return position


def written(run: Path, name: str):
    return json.loads((run / name).read_text(encoding="utf-8"))


def last_weights(run: Path) -> str:
    state = torch.load(run / "checkpoint.pth", weights_only=True)["network"]
    return model_file.weights_sha256(state)


@pytest.mark.rare
@pytest.mark.slow
def test_a_reproducible_fit_with_a_time_that_was_broken_off_ends_as_one_with_its_numbers(pairs, tmp_path):
    run, again = tmp_path / "run", tmp_path / "again"
    position = stopped(options(pairs, run))
    planned = written(run, "options.json")
    result = fit(FitOptions.parse({"resume": str(run)}))
    assert written(run, "options.json") == planned
    assert (planned["minutes"], planned["epochs"], result.epochs) == (MINUTES, 3, 3)
    assert position["batches"] < planned["epoch_steps"]
    numbers = {name: planned[name] for name in ("epochs", "epoch_steps", "validation_patches")}
    fit(options(pairs, again, minutes=None, **numbers))
    assert last_weights(again) == last_weights(run)


@pytest.mark.slow
def test_a_fit_that_was_broken_off_goes_on_with_the_same_epoch_and_keeps_to_its_time(pairs, tmp_path):
    run = tmp_path / "run"
    position = stopped(options(pairs, run, reproducible=False))
    with ready(FitOptions.parse({"resume": str(run)}), World()) as state:
        resume(state)
        state.plan_epoch()
        assert state.training.epoch_steps == state.position.epoch_steps == position["epoch_steps"]
        assert state.position.batches == position["batches"]
        assert len(state.training.plan(1)) == 6 * position["epoch_steps"]
    result = fit(FitOptions.parse({"resume": str(run)}))
    record = written(run, "record.json")
    assert (result.outcome, result.epochs) == ("done", 3)
    assert record["seconds_in_all"] > result.seconds + position["seconds"] - 0.1
    assert 0.5 * 60 * MINUTES < record["seconds_in_all"] < 2 * 60 * MINUTES
    row = record["scores"][1]
    assert row["patches_per_s"] * row["seconds"] == pytest.approx(6 * position["epoch_steps"], rel=0.01)


@pytest.mark.slow
def test_a_fit_of_passes_that_was_broken_off_ends_its_epoch_as_it_began_it_when_it_is_given_a_time(
    pairs, tmp_path
):
    run = tmp_path / "run"
    position = stopped(options(pairs, run, minutes=None, reproducible=False))
    assert position["epoch_steps"] == 0
    result = fit(FitOptions.parse({"resume": str(run), "minutes": MINUTES}))
    assert result.outcome == "done"
    rows = written(run, "record.json")["scores"]
    patches = [row["patches_per_s"] * row["seconds"] for row in rows]
    assert patches[1] == pytest.approx(patches[0], rel=0.01), "one pass over all tiles, as it began"
    assert patches[2] != pytest.approx(patches[0], rel=0.01), "as many steps as the time allows"


@pytest.mark.slow
def test_a_pair_alone_trains_and_validates_on_a_slab_of_it(pairs, tmp_path):
    run = tmp_path / "run"
    chosen = options(pairs[2:], run, minutes=None, epochs=2, validation="auto")
    result = fit(chosen)
    assert result.train_scans == result.validation_scans == ("scan_2",)
    split = written(run, "split.json")
    ((first, last),) = split["validation_slices"].values()
    assert last - first == 4  # 40 % of 10 slices; two are left out, four train
    assert (split["training_patches"], split["validation_patches"]) == (2 * 4, 2 * 4)
    log = (run / "log.txt").read_text(encoding="utf-8")
    assert f"for validation a slab of each is left out (slices scan_2 {first + 1}-{last})" in log
    report = (run / "report.html").read_text(encoding="utf-8")
    assert f"training and validation (slices {first + 1}-{last})" in report
    assert rescore(run) == pytest.approx(result.best_val_iou, abs=1e-6)
    assert fit(FitOptions.parse({"resume": str(run), "epochs": 3})).epochs == 3
