"""Where runs go on at the same time on this machine: one for each GPU, or one on the CPU.

In:  the jobs of runs, and how many may run side by side.
Out: each job's result or fault, told as it ends. Each has a process of its own, which sees one GPU; what
crashes there ends that run alone.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import Cancelled
from ..jobs import run as jobs
from ..jobs.interpreter import is_plain_python
from ..progress import Progress

log = logging.getLogger("bone.study")

LOOK_S = 0.2
VISIBLE = "CUDA_VISIBLE_DEVICES"

Job = Mapping[str, Any]
Ended = Callable[[Job, "dict[str, Any] | BaseException"], None]


def surroundings(at_once: int | None, gpus: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """For each run at a time the variables that it sees. gpus: that this process sees.

    >>> surroundings(None, 2, {"CUDA_VISIBLE_DEVICES": "4,7"})
    [{'CUDA_VISIBLE_DEVICES': '4'}, {'CUDA_VISIBLE_DEVICES': '7'}]
    >>> surroundings(None, 0, {}), surroundings(2, 1, {})
    ([{}], [{'CUDA_VISIBLE_DEVICES': '0'}, {'CUDA_VISIBLE_DEVICES': '0'}])
    """
    seen = [name.strip() for name in environment.get(VISIBLE, "").split(",") if name.strip()]
    names = seen[:gpus] if len(seen) >= gpus else [str(number) for number in range(gpus)]
    count = at_once or max(gpus, 1)
    return [{VISIBLE: names[i % gpus]} if gpus else {} for i in range(count)]


def run_here(todo: Sequence[Job], *, ended: Ended, progress: Progress, work: str) -> None:
    """One after the other in this process. ended: told of each. work: a command. Raises Cancelled."""
    for number, job in enumerate(todo):
        part = Numbered(progress, number, todo)
        part.begin()
        try:
            result: dict[str, Any] | BaseException = jobs.run_here(work, job, progress=part)
        except Cancelled:
            raise
        except Exception as fault:  # whatever it is, the others go on
            result = fault
        ended(job, result)


def run_apart(
    todo: Sequence[Job],
    places: Sequence[Mapping[str, str]],
    *,
    ended: Ended,
    progress: Progress,
    work: str,
) -> None:
    """Each in a process of its own, as many at a time as there are places. Raises Cancelled."""
    free: queue.Queue[Mapping[str, str]] = queue.Queue()
    for place in places:
        free.put(place)
    board = _Board(todo)
    running = Path(sys.executable or "")
    python = running if is_plain_python(running) else None

    def do(number: int) -> dict[str, Any]:
        board.check()
        place = free.get()
        Numbered(progress, number, todo).begin()
        try:
            return jobs.run_in_worker(
                work,
                todo[number],
                progress=lambda *told: board.tell(number, *told),
                python=python,
                patience_s=60.0,
                environment=place,
            )
        finally:
            free.put(place)

    with ThreadPoolExecutor(len(places), thread_name_prefix="bone-study") as threads:
        open_ones: dict[Future[dict[str, Any]], int] = {threads.submit(do, n): n for n in range(len(todo))}
        try:
            while open_ones:
                for future in wait(open_ones, timeout=LOOK_S, return_when="FIRST_COMPLETED").done:
                    number = open_ones.pop(future)
                    board.done(number)
                    fault = future.exception()
                    if not isinstance(fault, Cancelled):
                        ended(todo[number], fault or future.result())
                progress(*board.state())
        except BaseException:
            board.stop()
            for future in open_ones:
                future.cancel()
            raise


@dataclass(frozen=True)
class Numbered:
    """The progress of one run, in words that say which it is."""

    whole: Progress
    number: int
    todo: Sequence[Job]

    def begin(self) -> None:
        """Say what the run is."""
        log.info("Run %d of %d: %s", self.number + 1, len(self.todo), self.todo[self.number]["words"])

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        count = len(self.todo)
        done = 1000 * self.number + 1000 * step // max(steps, 1)
        self.whole(done, 1000 * count, f"Run {self.number + 1} of {count}: {message}", figures)


class _Board:
    """How far each run is; threads write, the main thread reads."""

    def __init__(self, todo: Sequence[Job]):
        self._todo, self._shares, self._lock = todo, dict[int, float](), threading.Lock()
        self._last: tuple[str, Mapping[str, float] | None] = ("Starting", None)
        self._finished, self._stop = 0, threading.Event()
        self._turn = time.monotonic()

    def check(self) -> None:
        """Raises Cancelled after `stop`."""
        if self._stop.is_set():
            raise Cancelled("stopped")

    def tell(
        self, number: int, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None
    ) -> None:
        self.check()
        with self._lock:
            self._shares[number] = step / max(steps, 1)
            if len(self._shares) == 1 or time.monotonic() - self._turn > 2.0:  # of several, each for a while
                self._turn = time.monotonic()
                self._last = f"Run {number + 1} of {len(self._todo)}: {message}", figures

    def done(self, number: int) -> None:
        with self._lock:
            self._shares.pop(number, None)
            self._finished += 1

    def stop(self) -> None:
        self._stop.set()

    def state(self) -> tuple[int, int, str, Mapping[str, float] | None]:
        """Arguments of a progress."""
        with self._lock:
            step = round(1000 * (self._finished + sum(self._shares.values())))
            return step, 1000 * len(self._todo), *self._last


def gpus_of_this_machine(device: str) -> int:
    """That fits with this option `device` can use, each for itself."""
    if device == "cpu":
        return 0
    import torch

    if not torch.cuda.is_available():
        return 0
    return 1 if ":" in device else torch.cuda.device_count()
