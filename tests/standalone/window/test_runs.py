"""The queue of runs, runs that outlive the window, and runs of before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import Cancelled, ScanError, WorkerError
from bone_backend.files.makers import Maker
from bone_backend.jobs.leaving import Left, LeftJob
from bone_backend.options.programs import IoUOptions
from bone_backend.volumes.volume import save
from standalone.window.memory import Memory, state_folder
from standalone.window.runs import DONE, FAILED, RUNS, STOPPED, WAITS, Run, Runs
from standalone.window.task import Outcome

from .test_window import fill, make_pairs

OPTIONS = IoUOptions.model_construct()


class Turns:
    """Runs jobs that each end when the test says so, as it says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict]] = []
        self.left = 0
        self._turn = threading.Event()
        self._answer: object = {}

    def __call__(self, command, options, *, progress, python):
        self.asked.append((command, options))
        progress.picture(1, b"no picture")
        while not self._turn.wait(0.01):
            try:
                progress(1, 10, "Epoch 1 of 10, training 10 %", {"loss": 0.5})
            except Cancelled as stop:
                stop.result = None
                raise
            except Left:
                self.left += 1
                raise
        self._turn.clear()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def end(self, answer) -> None:
        """The running job ends so."""
        self._answer = answer
        self._turn.set()


@pytest.fixture
def turns():
    made = Turns()
    yield made
    made.end(ScanError("the test is over"))


@pytest.fixture
def driver(make_driver, turns):
    return make_driver(runner=turns)


def fit_result(folder):
    return {
        "model": str(folder / "m.pth"), "run_folder": str(folder), "best_epoch": 1, "epochs": 2,
        "best_val_iou": 0.75, "val_iou_per_class": {"1": 0.7}, "seconds": 3.0, "peak_ram_gib": 0.5,
    }  # fmt: skip


def prediction(output, **more):
    return {
        "output": str(output), "slices": 5, "voxels": {}, "seconds": 1.0, "peak_ram_gib": 0.1,
        "confidence": {"mean": 0.9, "per_class": {}, "uncertain_voxels": 0, "uncertain_share": 0.0}, **more,
    }  # fmt: skip


def states(driver):
    return [run.state for run in driver.window.dock.runs.rows]


# ---- the queue by itself


def test_one_runs_at_a_time_in_the_order_asked_for_and_a_failure_stops_nobody():
    runs = Runs()
    a, b, c = (runs.add(Run("predict", OPTIONS, name)) for name in "abc")
    assert runs.begin_next() is a
    assert runs.begin_next() is None
    assert not runs.move_up(b)  # nothing that waits stands before it
    assert runs.move_up(c)
    assert not runs.remove(a)
    runs.end(Outcome(faults=("broken",)), "broken")
    assert (a.state, a.told, runs.begin_next()) == (FAILED, "broken", c)
    runs.end(Outcome(result={}), "done")
    assert runs.begin_next() is b
    assert [run.state for run in runs.rows] == [FAILED, DONE, RUNS]
    assert runs.in_words() == "Nothing waits; 1 failed."
    runs.forget_over()
    assert runs.rows == [b]


def test_after_a_stop_the_rest_waits_until_it_is_let_go_on():
    runs = Runs()
    a, b = (runs.add(Run("fit", OPTIONS, name)) for name in "ab")
    runs.begin_next()
    runs.end(Outcome(is_stopped=True), "stopped")
    assert (a.state, b.state, runs.begin_next()) == (STOPPED, WAITS, None)
    assert runs.in_words() == "1 waits, held."
    c = runs.add(Run("fit", OPTIONS, "c"))  # started by hand meanwhile
    assert (c.has_waited, runs.in_words()) == (False, "2 wait, 1 of them held.")
    assert runs.begin_next() is c
    assert runs.begin_next() is None
    runs.end(Outcome(result={}), "done")
    assert runs.begin_next() is None  # still held
    runs.go_on()
    assert runs.begin_next() is b
    assert b.has_waited
    runs.end(Outcome(is_stopped=True), "stopped")
    assert runs.held == []  # nothing is left to hold


# ---- the queue in the window


def test_a_second_fit_waits_for_the_first_in_a_folder_of_its_own(driver, turns, tmp_path):
    make_pairs(tmp_path)
    tab, dock = fill(driver, [(str(tmp_path / "femur_0.tif"), "")]), driver.window.dock
    driver.click(tab.run_bar.start)
    driver.click(tab.run_bar.start)  # a double click is one start
    driver.wait(lambda: turns.asked)
    assert states(driver) == [RUNS]
    assert tab.run_bar.start.text() == driver.window.predict.run_bar.start.text() == "Add to queue"
    assert not dock.isVisible()
    tab.run_bar._quiet_until = 0
    driver.click(tab.run_bar.start)
    assert dock.isVisible()
    texts = [[dock.table.item(row, column).text() for column in range(2)] for row in range(2)]
    assert texts == [["Fit into bone_run (2 pairs)", "runs"], ["Fit into bone_run_2 (2 pairs)", "waits"]]
    turns.end(fit_result(tmp_path))
    driver.wait(lambda: len(turns.asked) == 2)
    assert [Path(options["output"]).name for _, options in turns.asked] == ["bone_run", "bone_run_2"]
    assert dock.table.item(0, 2).text().startswith("Done: the best model is that of epoch 1")
    driver.wait(lambda: "Epoch 1" in tab.run_bar.told.text())
    tab.run_bar._quiet_until = 0
    driver.type_into(tab, "output", f"{tmp_path}/./bone_run_2")  # not the one that BONe suggests
    driver.click(tab.run_bar.start)
    fault = tab.panel.rows["output"].fault.text()
    assert "a run in the queue writes there" in fault
    assert states(driver) == [DONE, RUNS]
    turns.end(ScanError("femur_0.tif: truncated"))
    driver.wait(lambda: states(driver) == [DONE, FAILED])
    assert tab.run_bar.start.text() == "Start fit"


def test_many_scans_become_a_queue_and_one_that_fails_does_not_stop_the_rest(driver, turns, tmp_path):
    from tests.prediction_models import make_model  # loads torch

    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.npy", np.zeros((5, 8, 8), np.uint8))
        save(tmp_path / f"{name}_labels.npy", np.zeros((5, 8, 8), np.uint8))
    (tmp_path / "d.npy").write_text("no scan", encoding="utf-8")
    tab, dock = driver.window.predict, driver.window.dock
    driver.window.tabs.setCurrentWidget(tab)
    tab.scan.take_all([str(tmp_path / f"{name}.npy") for name in ("a", "b", "c", "d")])
    assert tab.queue.text().startswith("Then 3 more, each with its labels beside it: b.npy, c.npy, d.npy")
    tab.set_model(str(make_model(tmp_path / "model.pth", is_plain=True)))
    driver.click(tab.run_bar.start)
    driver.wait(lambda: turns.asked)
    assert states(driver) == [RUNS, WAITS, WAITS, FAILED]
    assert "d.npy" in dock.table.item(3, 2).text()
    dock.table.selectRow(2)
    driver.click(dock.buttons["Move up"])
    assert [run.what for run in dock.runs.waiting] == [
        "Label c.npy with model.pth",
        "Label b.npy with model.pth",
    ]
    assert dock.chosen is dock.runs.rows[1]
    turns.end(ScanError("a.npy: truncated"))
    driver.wait(lambda: len(turns.asked) == 2)
    turns.end(prediction(tmp_path / "c_labels.npy", warnings=["it is darker."]))
    driver.wait(lambda: len(turns.asked) == 3)
    assert dock.table.item(1, 2).text() == (
        "Done: 5 slices labelled, mean confidence 0.900. c: it is darker."
    )
    assert dock.table.item(0, 2).text() == "a.npy: truncated"
    asked = [Path(options["scan"]).name + " " + Path(options["output"]).name for _, options in turns.asked]
    assert asked == ["a.npy a_labels.tif", "c.npy c_labels.tif", "b.npy b_labels.tif"]
    turns.end(prediction(tmp_path / "b_labels.npy", warnings=["it is darker."]))
    driver.wait(lambda: states(driver) == [FAILED, DONE, DONE, FAILED])
    assert tab.run_bar.told.text().startswith("Done: 5 slices")
    assert tab.run_bar.told.property("kind") == "doubt"  # and not red: nothing failed
    driver.click(dock.buttons["Clear finished"])
    assert (dock.runs.rows, dock.isVisible()) == ([], False)


def test_a_stop_holds_the_queue_and_a_run_is_taken_out(driver, turns, tmp_path):
    make_pairs(tmp_path)
    tab, dock = fill(driver, [(str(tmp_path / "femur_0.tif"), "")]), driver.window.dock
    for _ in range(3):
        tab.run_bar._quiet_until = 0
        driver.click(tab.run_bar.start)
    driver.wait(lambda: turns.asked)
    assert states(driver) == [RUNS, WAITS, WAITS]
    driver.click(tab.run_bar.stop)
    driver.wait(lambda: states(driver) == [STOPPED, WAITS, WAITS])
    assert dock.table.item(1, 1).text() == "held"
    dock.table.selectRow(1)
    driver.click(dock.buttons["Remove"])
    assert len(turns.asked) == 1
    driver.click(dock.buttons["Start held runs"])
    driver.wait(lambda: len(turns.asked) == 2)
    assert states(driver) == [STOPPED, RUNS]
    assert turns.asked[1][1]["output"].endswith("bone_run_3")


# ---- runs that wait, from one window to the next


def test_what_waited_is_offered_by_the_next_window_and_never_begins_unasked(make_driver, turns, tmp_path):
    make_pairs(tmp_path)
    first = make_driver(runner=turns)
    tab = fill(first, [(str(tmp_path / "femur_0.tif"), "")])
    for _ in range(3):
        tab.run_bar._quiet_until = 0
        first.click(tab.run_bar.start)
    first.wait(lambda: len(turns.asked) == 1)
    other = make_driver(runner=turns)  # a second window, while the first one is open
    other.window.dock.take_kept()
    assert states(other) == []
    first.window.ask_to_close = lambda: "leave"
    assert first.window.close()
    assert len(list((tmp_path / "memory").glob("waiting-*.json"))) == 1
    other.window.dock.take_kept()
    dock = other.window.dock
    assert dock.isVisible()
    texts = [[dock.table.item(row, column).text() for column in range(3)] for row in range(2)]
    assert texts == [
        [f"Fit into bone_run_{n} (2 pairs)", "held", "Was waiting when the window was closed"] for n in (2, 3)
    ]
    assert dock.told.text() == "2 wait, held."
    assert other.window.fit.run_bar.start.text() == "Start fit"  # a run of now need not wait for them
    other.wait(lambda: turns.left == 1)
    assert len(turns.asked) == 1
    other.click(dock.buttons["Start held runs"])
    other.wait(lambda: len(turns.asked) == 2)
    assert turns.asked[1][1]["output"].endswith("bone_run_2")
    turns.end(fit_result(tmp_path))
    other.wait(lambda: len(turns.asked) == 3)
    assert list((tmp_path / "memory").glob("waiting-*.json")) == []  # nothing waits any more


def test_what_a_killed_window_has_kept_is_found_and_what_is_not_understood_is_told(driver, tmp_path):
    memory = tmp_path / "memory"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    mark = Maker.of_pid(gone.pid).mark
    gone.wait()
    runs = [{"command": "fit", "what": "Fit into x", "options": {"epochs": "many"}}, {"command": "fit"}]
    (memory / "waiting-1.json").write_text(json.dumps({"window": mark, "runs": runs}), encoding="utf-8")
    (memory / "waiting-2.json").write_text("{ cut off", encoding="utf-8")
    dock = driver.window.dock
    dock.take_kept()
    assert states(driver) == [FAILED]
    assert "is not understood any more: " in dock.table.item(0, 2).text()
    dock.table.selectRow(0)
    assert not dock.buttons["Show result"].isEnabled()
    assert not (memory / "waiting-1.json").exists()
    assert (memory / "waiting-2.json").exists()  # nobody knows what it was


# ---- a run that outlives the window


def test_a_run_is_left_running_when_the_window_is_closed_so(driver, turns, tmp_path):
    make_pairs(tmp_path)
    tab = fill(driver, [(str(tmp_path / "femur_0.tif"), "")])
    driver.click(tab.run_bar.start)
    driver.wait(lambda: turns.asked)
    driver.window.ask_to_close = lambda: "leave"
    assert driver.window.close()
    assert turns.left == 1
    assert not tab.task.is_stopping


def test_the_next_window_shows_a_run_that_was_left(driver, turns, tmp_path, monkeypatch):
    from standalone.window import main
    from standalone.window import tab as tabs

    pairs = make_pairs(tmp_path)
    options = {
        "pairs": [{"scan": scan, "mask": mask, "subject": None} for scan, mask in pairs],
        "output": str(tmp_path / "left_run"), "minutes": 3.0,
    }  # fmt: skip
    job = LeftJob(tmp_path / "job", "fit", options, began=0.0, is_running=True)
    monkeypatch.setattr(main, "left_jobs", lambda: [job])
    followed = []
    monkeypatch.setattr(tabs, "follower", lambda folder: followed.append(folder) or turns)
    driver.window.find_left()
    tab = driver.window.fit
    driver.wait(lambda: "Epoch 1 of 10" in tab.run_bar.told.text())
    assert followed == [tmp_path / "job"]
    assert tab.pages.currentWidget() is tab.curves_place
    assert states(driver) == [RUNS]
    assert tab.form.value("minutes") == 3.0
    assert "gone" in tab.run_bar.told.text()
    assert " h " in tab.run_bar.told.text()  # since it began, not since the window did
    turns.end(fit_result(tmp_path / "left_run"))
    driver.wait(lambda: states(driver) == [DONE])


def test_a_run_that_was_left_and_is_not_understood_is_told_once(driver, tmp_path, monkeypatch):
    from standalone.window import main

    (tmp_path / "job").mkdir()
    job = LeftJob(tmp_path / "job", "fit", {"epochs": "many"}, began=0.0, is_running=False)
    monkeypatch.setattr(main, "left_jobs", lambda: [job] if job.folder.exists() else [])
    driver.window.find_left()
    assert driver.window.box.text() == "A run that was left running cannot be shown."
    driver.window.box.close()
    driver.window.box = None
    driver.window.find_left()
    assert driver.window.box is None
    assert not driver.window.fit.is_running


def test_a_killed_worker_is_told_with_what_to_do(driver, turns, tmp_path):
    make_pairs(tmp_path)
    tab = fill(driver, [(str(tmp_path / "femur_0.tif"), "")])
    driver.click(tab.run_bar.start)
    driver.wait(lambda: turns.asked)
    turns.end(WorkerError("The worker gave no result: it was killed by SIGKILL (exit code -9)."))
    driver.wait(lambda: tab.task.outcome)
    first, second = tab.run_bar.told.text().split("\n")
    assert first.startswith("The run broke off. The worker gave no result: it was killed by SIGKILL")
    assert (
        second
        == "Start it again. If the memory was full, close other programs first. The log has the details."
    )


# ---- runs of before


def make_run(folder):
    folder.mkdir()
    (folder / "options.json").write_text('{"class_names": ["1:bone"]}', encoding="utf-8")
    (folder / "scores.csv").write_text(
        "epoch,train_loss,val_loss,val_miou,val_iou_bone\n1,0.5,0.6,0.4,0.3\n2,0.4,0.5,0.75,0.7\n",
        encoding="utf-8",
    )
    (folder / "checkpoint.pth").write_bytes(b"")
    (folder / "BONe_best_epoch_2_val_jaccard_0.7500.pth").write_bytes(b"")
    return folder


def test_a_run_folder_is_shown_again_and_can_go_on(driver, tmp_path):
    folder, window = make_run(tmp_path / "femur_run"), driver.window
    assert window.open_run(folder)
    tab = window.fit
    assert tab.run_bar.told.text() == "femur_run: 2 epochs, best mean validation IoU 0.750."
    assert [*tab.run_bar.buttons] == ["Open folder", "Resume", "Label a scan"]
    assert tab.curves._lines["mean"].getData()[1].tolist() == [0.4, 0.75]
    asked = []
    tab.resume = asked.append
    driver.click(tab.run_bar.buttons["Resume"])
    assert asked == [str(folder)]


def test_the_last_runs_stand_in_a_menu_and_one_that_vanished_is_told(driver, tmp_path):
    folder, window = make_run(tmp_path / "femur_run"), driver.window
    window.memory.add_run("fit", str(folder))
    window.memory.add_run("predict", str(tmp_path / "gone.tif"), scan=str(tmp_path / "scan.tif"))
    window._fill_runs()
    words = [action.text() for action in window.recent_runs.actions()]
    assert [text.rpartition(",")[0] for text in words] == [
        f"Labels: {tmp_path.name}/gone.tif", f"Fit: {tmp_path.name}/femur_run",
    ]  # fmt: skip
    window.recent_runs.actions()[0].trigger()
    assert "gone.tif is not there any more" in window.box.informativeText()
    window.box.close()
    assert [entry["command"] for entry in window.memory.runs()] == ["fit"]
    again = Memory(window.memory.path)
    assert again.runs() == window.memory.runs()
    window.open_run(tmp_path / "never_was")
    assert "not there any more. If it was moved" in window.box.informativeText()
    window.box.close()
    (tmp_path / "other").mkdir()
    window.open_run(tmp_path / "other")
    assert "is no run folder" in window.box.informativeText()
    window.box.close()


def test_what_is_remembered_lies_in_the_state_folder_of_the_platform(monkeypatch, tmp_path):
    import platformdirs

    assert state_folder() == Path(os.environ["BONE_CACHE"])  # in tests
    monkeypatch.delenv("BONE_CACHE")
    assert state_folder() == platformdirs.user_state_path("bone", appauthor=False)
