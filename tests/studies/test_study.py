"""A study from its file to its report: what is done stays done, what fails is told, changes are redone."""

from __future__ import annotations

import logging
import os
import time

import psutil
import pytest

from bone_backend.errors import Cancelled, FittingError, OutputError
from bone_backend.information.describe import describe
from bone_backend.progress import Recorder, silent
from bone_backend.studies import states
from bone_backend.studies.inputs import read_known
from bone_backend.studies.plan import make_plan
from bone_backend.study import study
from bone_backend.volumes.volume import open_volume, save
from standalone.cards import card

from .studies import BASE, WORK, options, rows, table, write_study

TWO = '[[rows]]\nname = "good"\n[[rows]]\nname = "bad one"\nepochs = 3'


def ended(folder):
    """When each run was done."""
    return {path.parent: path.stat().st_mtime_ns for path in folder.rglob("run.json")}


def test_every_run_is_done_once_and_its_scores_are_in_the_table(tmp_path, ten):
    path = write_study(tmp_path / "s.toml", table(ten), top="folds = 5\nseeds = [1, 2]")
    told = study(options(path, tmp_path / "out"), work=WORK)
    assert told["runs"] == 10
    found = rows(tmp_path / "out")
    assert len(found) == 2 * 10
    assert {(row["scan"], row["seed"]) for row in found} == {
        (f"scan_{n}", seed) for n in range(10) for seed in ("1", "2")
    }
    before = ended(tmp_path / "out")
    assert study(options(path, tmp_path / "out"), work=WORK)["ranking"] == told["ranking"]
    assert ended(tmp_path / "out") == before
    assert rows(tmp_path / "out") == found


def test_a_failed_run_stops_no_other_is_told_with_its_cause_and_tried_again_when_asked(tmp_path, ten):
    path = write_study(tmp_path / "s.toml", table(ten), more=TWO)
    for _ in range(2):  # the second time it is only told
        with pytest.raises(FittingError) as fault:
            study(options(path, tmp_path / "out"), work=WORK)
        assert fault.value.faults[0] == "bad one, fold 1, seed 42: The loss is no number any more."
        assert "2 of 4 runs failed" in str(fault.value)
    assert {row["configuration"] for row in rows(tmp_path / "out")} == {"good"}
    known = describe(tmp_path / "out")
    assert (known["runs"], known["done"], known["waiting"], known["started"]) == (4, 2, 0, [])
    assert list(known["failed"]) == ["bad one, fold 1, seed 42", "bad one, fold 2, seed 42"]
    assert "Runs     2 of 4 done, 0 to do" in card(known)
    page = (tmp_path / "out" / "study.html").read_text(encoding="utf-8")
    assert "2 runs failed" in page
    assert "The loss is no number any more." in page
    before = {run: when for run, when in ended(tmp_path / "out").items() if run.parent.name == "good"}
    (tmp_path / "mended").touch()
    study(options(path, tmp_path / "out", retry_failed=True), work=WORK)
    assert {row["configuration"] for row in rows(tmp_path / "out")} == {"good", "bad one"}
    assert before.items() <= ended(tmp_path / "out").items()


def test_a_stopped_study_goes_on_and_ends_as_an_unbroken_one(tmp_path, ten):
    path = write_study(tmp_path / "s.toml", table(ten), top="folds = 5")
    study(options(path, tmp_path / "whole"), work=WORK)

    def stop_in_third(step, steps, message, figures=None, /):
        if message.startswith("Run 3 of 5: ") and "Making up" in message:
            raise Cancelled(message)

    with pytest.raises(Cancelled) as stop:
        study(options(path, tmp_path / "out"), work=WORK, progress=stop_in_third)
    assert stop.value.result == {"study_folder": str(tmp_path / "out"), "done": 2, "runs": 5}
    before = ended(tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 4
    study(options(path, tmp_path / "out"), work=WORK)
    assert rows(tmp_path / "out") == rows(tmp_path / "whole")
    now = ended(tmp_path / "out")
    assert sum(now[run] == when for run, when in before.items()) == 2


def test_a_changed_scan_and_changed_options_are_told_and_their_runs_done_again(tmp_path, ten, caplog):
    pairs = [tuple(str(tmp_path / "data" / f"{kind}_{n}") for kind in ("scan", "mask")) for n in range(4)]
    for pair, source in zip(pairs, ten, strict=False):
        for path, old in zip(pair, source, strict=True):
            with open_volume(old) as volume:
                save(path, volume.read(0, volume.header.shape[0]))
    text = table(pairs, {"pool": ["training", "training", "test", "test"]})
    more = '[[rows]]\nname = "one"\n[[rows]]\nname = "two"\ntraining_scans = 1\nvalidation = "slabs"'
    path = write_study(tmp_path / "s.toml", text, top="", more=more)
    study(options(path, tmp_path / "out"), work=WORK)
    plan = make_plan(options(path, tmp_path / "out"), known={}, progress=silent)
    (only,) = next(run for run in plan.runs if run.configuration.name == "two").fold.fitted
    before = ended(tmp_path / "out")

    number = 1 - int(only[-1])  # the other training scan, which "two" does not use
    with open_volume(pairs[number][0]) as volume:
        voxels = volume.read(0, volume.header.shape[0]).copy()
    voxels[0, 0, 0] ^= 1
    save(pairs[number][0], voxels, overwrite=True)
    with caplog.at_level(logging.WARNING, "bone.study"):
        study(options(path, tmp_path / "out"), work=WORK)
    assert f"scan_{number} changed: 1 run to be done again (one, fold pools, seed 42)" in caplog.text
    now = ended(tmp_path / "out")
    assert [run.parent.name for run in now if now[run] != before[run]] == ["one"]

    caplog.clear()
    write_study(tmp_path / "s.toml", text, top="", base=BASE.replace("0.005", "0.004"), more=more)
    with caplog.at_level(logging.WARNING, "bone.study"):
        study(options(path, tmp_path / "out"), work=WORK)
    assert "options, folds or scans in the study file changed: 2 runs to be done again" in caplog.text
    assert {row["learning_rate"] for row in rows(tmp_path / "out")} == {"0.004"}


def test_a_date_alone_changes_nothing_and_unchanged_files_are_not_read_again(tmp_path, ten):
    path = write_study(tmp_path / "s.toml", table(ten))
    plan = make_plan(options(path, tmp_path / "out"), known={}, progress=silent)
    recorder = Recorder()
    again = make_plan(options(path, tmp_path / "out"), known=plan.inputs, progress=recorder)
    assert recorder.reports == []
    assert [run.key for run in again.runs] == [run.key for run in plan.runs]
    files = list(os.scandir(ten[0][0]))
    os.utime(files[0].path)
    later = make_plan(options(path, tmp_path / "out"), known=plan.inputs, progress=recorder)
    assert recorder.reports
    assert [run.key for run in later.runs] == [run.key for run in plan.runs]


def test_what_says_where_and_not_what_keeps_runs_done(tmp_path, ten):
    one = write_study(tmp_path / "a" / "s.toml", table(ten))
    other = write_study(
        tmp_path / "b" / "s.toml", table(ten), base=f'{BASE}\ndevice = "cpu"\nloader_threads = 1'
    )
    plans = [make_plan(options(path, tmp_path / "out"), known={}, progress=silent) for path in (one, other)]
    assert [run.key for run in plans[0].runs] == [run.key for run in plans[1].runs]


def test_two_programs_on_one_folder_are_one_too_many(tmp_path, ten):
    path = write_study(tmp_path / "s.toml", table(ten))
    with (
        states.held(tmp_path / "out", doing="a study"),
        pytest.raises(OutputError, match="a study is at work there"),
    ):
        study(options(path, tmp_path / "out"), work=WORK)


def test_damaged_states_and_inputs_are_as_none(tmp_path, ten):
    path = write_study(tmp_path / "s.toml", table(ten))
    study(options(path, tmp_path / "out"), work=WORK)
    found = rows(tmp_path / "out")
    damaged, *_ = (tmp_path / "out").rglob("run.json")
    damaged.write_text('{"state": "done", "key"', encoding="utf-8")
    (tmp_path / "out" / "inputs.json").write_text("[]", encoding="utf-8")
    assert read_known(tmp_path / "out") == {}
    study(options(path, tmp_path / "out"), work=WORK)
    assert states.read_state(damaged.parent).state == states.DONE
    assert rows(tmp_path / "out") == found


def test_subjects_on_both_sides_are_warned_of_and_measured_with_folds_of_their_own(tmp_path, ten, caplog):
    columns = {"fold": ["1", "2"] * 5, "subject": ["rat 1", "rat 1", *(f"rat {n}" for n in range(2, 10))]}
    path = write_study(tmp_path / "s.toml", table(ten, columns), top="split_by_subject = true")
    with caplog.at_level(logging.WARNING, "bone.study"):
        study(options(path, tmp_path / "out"), work=WORK)
    assert "fitted on and tested in one run: rat 1 (scan_0, scan_1)" in caplog.text
    page = (tmp_path / "out" / "study.html").read_text(encoding="utf-8")
    assert "Scans of one subject stand on both sides of a fold (rat 1: scan_0, scan_1)" in page
    assert "With folds by subject base has 0." in page
    assert "<th>by subject</th>" in page
    assert {row["fold"] for row in rows(tmp_path / "out")} == {"1", "2", "by subject 1", "by subject 2"}


def test_batches_in_pieces_are_marked_since_they_differ(tmp_path, ten):
    more = '[[rows]]\nname = "large patches"\n[[rows]]\nname = "small patches"\nepochs = 3'
    path = write_study(tmp_path / "s.toml", table(ten), more=more)
    study(options(path, tmp_path / "out"), work=WORK)
    page = (tmp_path / "out" / "study.html").read_text(encoding="utf-8")
    assert "were taken in pieces: large patches (up to 4)." in page
    assert {row["configuration"]: row["pieces"] for row in rows(tmp_path / "out")} == {
        "large patches": "4",
        "small patches": "1",
    }


@pytest.mark.slow
def test_a_thousand_runs_take_seconds_and_little_memory_to_keep(tmp_path, ten):
    seeds = list(range(100))
    more = "[vary]\nlearning_rate = [0.001, 0.002]"
    path = write_study(tmp_path / "s.toml", table(ten), top=f"folds = 5\nseeds = {seeds}", more=more)
    memory, before = psutil.Process().memory_info().rss, time.process_time()
    told = study(options(path, tmp_path / "out"), work=WORK)
    assert time.process_time() - before < 10
    assert psutil.Process().memory_info().rss - memory < 200e6
    assert told["runs"] == 1000
    assert len(rows(tmp_path / "out")) == 2000
