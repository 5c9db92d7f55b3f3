"""A run as the window sees it: progress, log lines, and every way in which it can end."""

import logging
import threading
import time

import pytest

from bone_backend.errors import Cancelled, OptionError, ProgramFault, WorkerError, called
from standalone.window.task import Outcome, Task


def ended(task: Task) -> Outcome:
    deadline = time.monotonic() + 20
    while task.outcome is None:
        assert time.monotonic() < deadline
        task.poll()
        time.sleep(0.005)
    return task.outcome


def runs(what):
    """A runner that does `what` with the progress."""
    return lambda command, options, *, progress, python: what(progress)


def test_progress_and_log_lines_arrive_in_order():
    def work(progress):
        progress(1, 4, "Epoch 1", {"loss": 0.5})
        logging.getLogger("bone.worker").info("a line")
        logging.getLogger("bone.worker").warning("a warning")
        return {"model": "m.pth"}

    task = Task("fit", {}, runner=runs(work))
    assert task.wait(20)
    news = task.poll()
    assert news.outcome == Outcome(result={"model": "m.pth"})
    assert news.figures == [(1, 4, {"loss": 0.5})]
    assert [line[10:] for line in news.lines] == ["a line", "warning: a warning"]
    assert task.share == 0.25
    assert task.in_words().startswith("Epoch 1  ·  loss 0.5000")


def test_lines_of_another_run_do_not_mix_in():
    go, gone = threading.Event(), threading.Event()

    def first(progress):
        go.wait(20)
        return {}

    def second(progress):
        logging.getLogger("bone.worker").info("of the second")
        return {}

    one = Task("fit", {}, runner=runs(first))
    assert Task("predict", {}, runner=runs(second)).wait(20)
    go.set()
    assert one.wait(20)
    assert one.poll().lines == []
    assert not gone.is_set()


def test_a_stop_reaches_the_run_and_what_it_kept_comes_back():
    def work(progress):
        try:
            while True:
                progress(0, 1, "Working")
                time.sleep(0.005)
        except Cancelled as stop:
            stop.result = {"model": "best.pth"}
            raise

    task = Task("fit", {}, runner=runs(work))
    task.stop()
    assert task.in_words() == "Stopping; what was reached is kept"
    assert ended(task) == Outcome(result={"model": "best.pth"}, is_stopped=True)


@pytest.mark.parametrize(
    ("error", "is_ours"),
    [
        (OptionError(f"{called('epochs')} is 0."), False),
        (WorkerError("The worker gave no result: it was killed."), True),
        (ProgramFault("ZeroDivisionError"), True),
        (ZeroDivisionError("by zero"), True),
    ],
)
def test_faults_arrive_in_words_and_a_crash_is_told_apart(error, is_ours):
    def work(progress):
        raise error

    outcome = ended(Task("fit", {}, runner=runs(work)))
    assert (outcome.is_ours, outcome.is_done, outcome.result) == (is_ours, False, None)
    assert str(error) in outcome.faults[0]
    if not is_ours:
        assert outcome.faults[0].names == ("epochs",)


def test_a_run_in_the_worker_is_stopped_within_two_seconds_and_a_killed_one_is_told(tmp_path):
    task = Task("mocks.jobs:wait", {"note": str(tmp_path / "note"), "seconds": 60})
    deadline = time.monotonic() + 60
    while task.step < 3:
        assert time.monotonic() < deadline
        task.poll()
        time.sleep(0.01)
    task.stop()
    began = time.monotonic()
    outcome = ended(task)
    assert outcome == Outcome(result={"best_epoch": 7}, is_stopped=True)
    assert time.monotonic() - began < 2
    killed = ended(Task("mocks.jobs:crash", {"how": "exit"}))
    assert killed.is_ours
    assert killed.faults[0].startswith("The worker gave no result: it ended with exit code 3")
