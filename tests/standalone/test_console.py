"""Ctrl-C during a command: when it takes hold, and what a second one does."""

from __future__ import annotations

import signal

import pytest

from bone_backend.errors import Cancelled
from standalone.console import ConsoleProgress


def not_ended():
    raise AssertionError("one Ctrl-C ended the process")


def interrupt():
    signal.raise_signal(signal.SIGINT)


def test_before_the_first_report_ctrl_c_takes_hold_at_once():
    with pytest.raises(KeyboardInterrupt), ConsoleProgress(end=not_ended):
        interrupt()


def wrap():
    try:
        interrupt()
    except KeyboardInterrupt as stop:
        raise ImportError("the import was interrupted") from stop


def test_a_library_that_makes_another_fault_of_it_does_not_hide_the_stop():
    with pytest.raises(KeyboardInterrupt), ConsoleProgress(end=not_ended):
        wrap()


def test_a_library_that_swallows_it_is_stopped_at_the_first_report():
    with ConsoleProgress(end=not_ended) as progress:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        with pytest.raises(Cancelled):
            progress(0, 1, "Fitting")


def test_later_the_next_report_stops_and_a_second_ctrl_c_ends():
    ended = []
    before = signal.getsignal(signal.SIGINT)
    with ConsoleProgress(end=lambda: ended.append(True)) as progress:
        progress(0, 2, "Fitting")
        interrupt()
        assert not ended
        interrupt()
        assert ended == [True]
        with pytest.raises(Cancelled):
            progress(1, 2, "Fitting")
    assert signal.getsignal(signal.SIGINT) == before
