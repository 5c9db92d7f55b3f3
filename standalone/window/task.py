"""One run in the worker's process, as the window sees it; knows no Qt.

In:  a command and its options; Stop.
Out: how far it is, log lines, and at the end a result, a stop, or faults in words. `poll` gives what is new
and never waits: the run itself is waited for in a thread, and computes in a process of its own.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bone_backend.durations import estimated, measured
from bone_backend.errors import BoneError, Cancelled, Fault, ProgramFault, WorkerError
from bone_backend.jobs import run as jobs
from bone_backend.jobs.interpreter import is_plain_python
from bone_backend.jobs.leaving import Left

from ..console import Clock, figures_in_words
from .gauges import Gauge, Gauges

Runner = Callable[..., dict[str, Any]]  # as run_in_worker


@dataclass(frozen=True)
class Outcome:
    """How a run ended. result: also of a stop, where something was kept. faults: as errors.py gives them.

    is_ours: a fault of BONe's own or a crash, whose text belongs into the log. is_left: it runs on
    without us.
    """

    result: dict[str, Any] | None = None
    is_stopped: bool = False
    faults: tuple[Fault, ...] = ()
    is_ours: bool = False
    is_left: bool = False

    @property
    def is_done(self) -> bool:
        return not (self.is_stopped or self.faults or self.is_left)


@dataclass
class News:
    """What is new since the last poll."""

    lines: list[str] = field(default_factory=list)
    figures: list[tuple[int, int, dict[str, float]]] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)  # of a fit, one an epoch
    outcome: Outcome | None = None


def worker_python() -> Path | None:
    """The Python of the runs: the one that is named, else the window's own, which has torch beside it."""
    if os.environ.get("BONE_WORKER_PYTHON", "").strip():
        return None  # run_in_worker finds it
    running = Path(sys.executable or "")
    if running.name.lower() == "pythonw.exe":  # of the window without a console, on Windows
        running = running.with_name("python.exe")
    return running if is_plain_python(running) else None


def follower(folder: Path) -> Runner:
    """A runner that waits for a job which an earlier window has left."""

    def run(command: str, options: Mapping[str, Any], *, progress: Any, python: Any) -> dict[str, Any]:
        return jobs.follow(folder, progress=progress)

    return run


class Task:
    """A run: begun when it is made.

    runner: what runs it, `run_in_worker` but in tests. gone_s: seconds since it began, of one that an earlier
    window has left.
    """

    def __init__(
        self,
        command: str,
        options: Mapping[str, Any],
        *,
        runner: Runner = jobs.run_in_worker,
        gone_s: float = 0.0,
    ):
        self.command, self.options = command, dict(options)
        self.step, self.steps, self.message = 0, 1, "Starting"
        self.figures: dict[str, float] = {}
        self.outcome: Outcome | None = None
        self.is_stopping = False
        self.folder: Path | None = None  # the job folder and the process, once the worker has begun
        self.process: int | None = None
        self._gauges: Gauges | None = None
        self._runner, self._clock, self._gone_s = runner, Clock(), gone_s
        self._queue: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._stop, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"bone {command}", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self.outcome is None

    @property
    def is_left(self) -> bool:
        """Whether it was asked to run on by itself."""
        return self._leave.is_set()

    def stop(self) -> None:
        """Ask it to stop; what it has reached is kept."""
        self.is_stopping = True
        self._stop.set()

    def leave(self) -> None:
        """Let it run on when the window ends; the next window finds it."""
        self._leave.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end, e.g. before the program ends; whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def poll(self) -> News:
        """What is new; call it from one thread."""
        news = News()
        while True:
            try:
                kind, told = self._queue.get_nowait()
            except queue.Empty:
                return news
            if kind == "progress":
                self.step, self.steps, self.message, figures = told
                self._clock.tick(self.step, self.steps)
                if figures:
                    self.figures.update(figures)
                    news.figures.append((self.step, self.steps, figures))
            elif kind == "picture":
                news.pictures.append(told)
            elif kind == "begun":
                self.folder, self.process = told
                self._gauges = Gauges(told[1])
            elif kind == "line":
                news.lines.append(told)
            else:
                self.outcome = news.outcome = told
                if self._gauges:
                    self._gauges.end()

    @property
    def share(self) -> float:
        """0 to 1."""
        return min(max(self.step / max(self.steps, 1), 0.0), 1.0)

    def in_words(self) -> str:
        """Where it is, e.g. "Epoch 2 of 25, training 40 % · loss 0.21 · 3 min left"."""
        if self.is_stopping and self.is_running:
            return "Stopping; what was reached is kept"
        left = self._clock.left_s()
        parts = [self.message, *figures_in_words(self.figures)]
        parts += [f"{measured(self._gone_s + self._clock.elapsed_s(), steady=True)} gone"]
        parts += [] if left is None else [f"{estimated(left)} left"]
        return "  ·  ".join(parts)

    def gauges(self) -> list[Gauge]:
        """What it takes of the machine; empty before anything is known, and at its end."""
        reading = self._gauges.reading if self._gauges and self.is_running else None
        return reading.gauges() if reading else []

    def _work(self) -> None:
        handler = _Lines(self._queue, threading.get_ident())
        logger = logging.getLogger("bone")
        logger.addHandler(handler)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)
        try:
            progress = _Progress(self._queue, self._stop, self._leave)
            result = self._runner(self.command, self.options, progress=progress, python=worker_python())
            outcome = Outcome(result=result)
        except Cancelled as stop:
            outcome = Outcome(result=stop.result, is_stopped=True)
        except Left:
            outcome = Outcome(is_left=True)
        except WorkerError as error:
            outcome = Outcome(faults=tuple(error.faults), is_ours=True)
        except BoneError as error:
            outcome = Outcome(faults=tuple(error.faults))
        except ProgramFault as error:
            outcome = Outcome(faults=(Fault(str(error)),), is_ours=True)
        except Exception as error:
            outcome = Outcome(faults=(Fault(f"{type(error).__name__}: {error}"),), is_ours=True)
        finally:
            logger.removeHandler(handler)
        self._queue.put(("end", outcome))


class _Progress:
    """What the runner tells, into the queue of a task; takes pictures too."""

    def __init__(
        self, into: queue.SimpleQueue[tuple[str, Any]], stop: threading.Event, leave: threading.Event
    ):
        self._queue, self._stop, self._leave = into, stop, leave

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        self._queue.put(("progress", (step, steps, message, dict(figures or {}))))
        if self._stop.is_set():
            raise Cancelled(message)
        if self._leave.is_set():
            raise Left(message)

    def picture(self, epoch: int, content: bytes) -> None:
        self._queue.put(("picture", content))

    def begun(self, folder: Path, process: int) -> None:
        self._queue.put(("begun", (folder, process)))


class _Lines(logging.Handler):
    """Log lines of one thread, into its queue."""

    def __init__(self, into: queue.SimpleQueue[tuple[str, Any]], thread: int):
        super().__init__(logging.INFO)
        self._queue, self._of = into, thread

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._of:
            stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
            word = "" if record.levelno < logging.WARNING else "warning: "
            self._queue.put(("line", f"{stamp}  {word}{record.getMessage()}"))
