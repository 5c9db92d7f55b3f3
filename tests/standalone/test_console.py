"""Ctrl-C during a command: when it takes hold, and what a second one does."""

from __future__ import annotations

import io
import logging
import signal
import threading
from types import SimpleNamespace

import pytest

from bone_backend.errors import Cancelled
from standalone.console import Clock, ConsoleProgress, Lasting
from standalone.lines import Lines


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


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals of Unix")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_polite_request_stops_as_ctrl_c_does_and_any_number_of_them_does_no_more(number):
    number = getattr(signal, number)
    before = signal.signal(number, signal.SIG_DFL)  # also where the tests run under nohup
    try:
        with ConsoleProgress(end=not_ended) as progress:
            progress(0, 2, "Fitting")
            signal.raise_signal(number)
            signal.raise_signal(number)
            with pytest.raises(Cancelled):
                progress(1, 2, "Fitting")
    finally:
        signal.signal(number, before)
    assert progress.stop_signal == number


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a signal of Unix")
def test_a_hang_up_that_is_ignored_from_outside_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ConsoleProgress(end=not_ended) as progress:
            signal.raise_signal(signal.SIGHUP)
            progress(0, 1, "Fitting")
            assert progress.stop_signal is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_time_left_follows_the_later_half_of_the_task():
    now = [0.0]
    clock = Clock(lambda: now[0])
    clock.tick(0, 1000)
    assert clock.left_s() is None
    for tenth in range(1, 11):  # a slow start: a step in ten seconds
        now[0] = 10.0 * tenth
        clock.tick(tenth, 1000)
    assert clock.left_s() == pytest.approx(9900)
    for second in range(1, 151):
        now[0] = 100.0 + second
        clock.tick(10 + second, 1000)
    assert clock.left_s() == pytest.approx(840)
    assert clock.elapsed_s() == 250
    clock.tick(0, 7)  # another task
    assert clock.left_s() is None


def test_a_run_that_is_resumed_is_not_taken_for_a_fast_one():
    now = [0.0]
    clock = Clock(lambda: now[0])
    for second in range(31):
        now[0] = float(second)
        clock.tick(500 + second, 1000)
    assert clock.left_s() == pytest.approx(470)


class Pipe:
    """A stream whose reader goes away after some letters."""

    def __init__(self, room):
        self.room, self.tries = room, 0

    def write(self, text):
        self.tries += 1
        if self.room < len(text):
            raise BrokenPipeError(32, "Broken pipe")
        self.room -= len(text)

    def flush(self):
        pass


def test_a_stream_that_closes_is_left_in_peace():
    pipe = Pipe(room=10)
    stream = Lasting(pipe)
    assert stream.write("12345678") == 8
    assert stream.write("12345678") == 8
    assert stream.write("1") == 1
    assert pipe.tries == 2
    assert not stream.isatty()


def test_what_does_not_fit_below_the_bar_is_left_out_from_the_end():
    from rich.console import Console

    from standalone.lines import two_lines

    shown = {}
    for width in (40, 80):
        console = Console(width=width, force_terminal=True, record=True, file=io.StringIO())
        figures = {"loss": 0.5, "best_val_iou": 0.25}
        console.print(
            two_lines("Epoch 1 of 2, training 5 %", share=0.5, figures=figures, times="elapsed 3 s, left 4 s")
        )
        shown[width] = console.export_text().splitlines()
        assert all(len(line) <= width for line in shown[width])
    assert shown[80][1] == "elapsed 3 s, left 4 s  loss 0.5000  best val IoU 0.2500"
    assert shown[40][1] == "elapsed 3 s, left 4 s  loss 0.5000"
    assert shown[80][0].endswith("50 % of all")


def test_what_is_logged_waits_for_the_drawing_to_end():
    """Two threads that print at a time leave half of the bar on the screen."""
    lock, shown = threading.Lock(), []
    console = SimpleNamespace(width=80, print=lambda _line: shown.append(lock.locked()))
    handler = Lines(console, lock)
    lock.acquire()
    thread = threading.Thread(target=handler.emit, args=(logging.makeLogRecord({"msg": "Epoch 1"}),))
    thread.start()
    thread.join(0.1)
    assert shown == []
    lock.release()
    thread.join(5)
    assert shown == [True]
