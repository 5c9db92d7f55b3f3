"""Run one task inside Avizo: progress bar, Stop, log, errors, and tidying up.

In:  a task that takes a progress.
Out: its result, or None; what went wrong stands in one message box, in the panel and in the console.
Avizo's window waits meanwhile: it repaints, and Stop is noticed, whenever the progress is called.
"""

from __future__ import annotations

import collections
import gc
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..durations import estimated
from ..errors import BoneError, Cancelled
from .host import Host

STEPS = 1000
LOOK_S = 0.05  # between two looks at Stop
TEXT_S = 0.25  # between two texts of the bar
FIGURES = {"loss": "loss", "best_val_iou": "best IoU", "val_iou": "IoU"}


class Pace:
    """How long a task will still take, from how it went so far; begins anew when the task counts anew."""

    def __init__(self) -> None:
        self._steps = -1
        self._first = 0
        self._last = 0
        self._began = 0.0

    def seconds_left(self, step: int, steps: int, now: float) -> float | None:
        """None while nothing can be said."""
        if steps != self._steps or step < self._last:
            self._steps, self._first, self._began = steps, step, now
        self._last = step
        done, passed = step - self._first, now - self._began
        if passed < 2 or done < 1:
            return None
        return passed * (steps - step) / done


def bar_text(message: str, figures: Mapping[str, float], left: float | None) -> str:
    """One line for the progress bar: what is done, loss and IoU, time left."""
    told = [f"{FIGURES[name]} {value:.3f}" for name, value in figures.items() if name in FIGURES]
    parts = [message, ", ".join(told), "" if left is None else f"{estimated(left)} left"]
    return " | ".join(part for part in parts if part)


class HostProgress:
    """The progress of a task, on Avizo's bar; raises Cancelled after Stop. Does nothing in other threads."""

    def __init__(self, host: Host, bar: Any, log: ConsoleLog):
        self._host, self._bar, self._log = host, bar, log
        self._thread = threading.get_ident()
        self._pace = Pace()
        self._figures: dict[str, float] = {}
        self._looked = self._told = 0.0
        self._text = ""

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        if threading.get_ident() != self._thread:
            return
        self._log.flush()
        self._figures.update(figures or {})
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        left = self._pace.seconds_left(step, steps, now)
        self._bar.current_step = min(STEPS, STEPS * int(step) // max(int(steps), 1))
        if now - self._told >= TEXT_S:
            self._told = now
            text = bar_text(message, self._figures, left)
            if text != self._text:
                self._host.bar_text(text)
                self._text = text
        is_stopped = bool(self._bar.interrupted)
        self._looked = time.monotonic()
        if is_stopped:
            raise Cancelled(message)


class ConsoleLog(logging.Handler):
    """Prints the log to Avizo's console; lines of other threads wait until this one speaks."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._thread = threading.get_ident()
        self._waiting: collections.deque[str] = collections.deque()

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(record.getMessage())
        if threading.get_ident() == self._thread:
            self.flush()

    def flush(self) -> None:
        """Print what waits."""
        if threading.get_ident() != self._thread:
            return
        while self._waiting:
            print(self._waiting.popleft())

    def __enter__(self) -> ConsoleLog:
        logger = logging.getLogger("bone")
        self._level = logger.level
        logger.addHandler(self)
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
        return self

    def __exit__(self, *_: object) -> None:
        logger = logging.getLogger("bone")
        logger.removeHandler(self)
        logger.setLevel(self._level)
        self.flush()


@dataclass
class Outcome:
    """How a task ended: one of result, stopped (with what was reached, if anything), faults in words."""

    result: dict[str, Any] | None = None
    is_stopped: bool = False
    faults: Sequence[str] = ()


def run(host: Host, title: str, task: Callable[[HostProgress], dict[str, Any]]) -> Outcome:
    """Run a task to its end, whatever end that is. Shows no message; the console gets the log."""
    with ConsoleLog() as log:
        try:
            with host.bar(STEPS, title) as bar:
                outcome = Outcome(result=task(HostProgress(host, bar, log)))
        except Cancelled as stop:
            outcome = Outcome(result=stop.result, is_stopped=True)
        except BoneError as error:
            outcome = Outcome(faults=error.faults)
        except MemoryError:
            told = "The machine's memory does not suffice. Close other programs or data, and try again."
            outcome = Outcome(faults=[told])
        except Exception as error:
            traceback.print_exc(file=sys.stdout)
            told = f"BONe has met a fault of its own: {type(error).__name__}: {error}. "
            outcome = Outcome(faults=[told + "The console has the details; please send them to us."])
    release_memory()
    return outcome


def release_memory() -> None:
    """Give the GPU's memory back that PyTorch keeps for a next time."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
