"""Where runs go on at the same time: each has one GPU to itself, and what crashes ends alone."""

from __future__ import annotations

import threading

import pytest

from bone_backend.errors import Cancelled, WorkerError
from bone_backend.progress import silent
from bone_backend.side_by_side.slots import VISIBLE, run_apart, surroundings

SEE = "mocks.study_runs:see"


def jobs(*words):
    return [{"words": one, "name": one} for one in words]


def outcomes(todo, places):
    """What became of each run, by its words."""
    found = {}
    run_apart(
        todo, places, ended=lambda job, told: found.update({job["words"]: told}), progress=silent, work=SEE
    )
    return found


def test_each_run_sees_one_gpu_and_two_go_on_at_the_same_time():
    places = surroundings(None, 2, {VISIBLE: "4,7"})
    found = outcomes(jobs("a", "b", "c"), places)
    assert {found["a"]["gpu"], found["b"]["gpu"]} == {"4", "7"}
    assert found["c"]["gpu"] in ("4", "7")
    assert len({one["process"] for one in found.values()}) == 3


def test_a_run_that_crashes_ends_alone():
    found = outcomes(jobs("crash", "b"), [{}])
    assert isinstance(found["crash"], WorkerError)
    assert "ended with exit code 3" in str(found["crash"])
    assert found["b"]["gpu"] is None


def test_a_stop_ends_all_that_is_open():
    ended = []

    def progress(*_):
        raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        run_apart(
            jobs("a", "b", "c"), [{}], ended=lambda job, told: ended.append(job), progress=progress, work=SEE
        )
    assert len(ended) < 3
    assert not [one for one in threading.enumerate() if one.name.startswith("bone-study")]
