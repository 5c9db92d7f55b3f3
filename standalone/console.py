"""What the command line shows: a progress bar with time left, log lines, one result.

In:  the calls of a progress; log records of "bone".
Out: a bar on standard error (plain lines where that is no terminal); standard output belongs to the result
alone. Ctrl-C is noticed here: before the first call of the progress it raises KeyboardInterrupt, since
imports take seconds and nothing is written by then; later the next call of the progress raises Cancelled. A
second Ctrl-C ends the process at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bone_backend.errors import Cancelled
from bone_backend.ranks import Rank

# Seconds between lines where there is no terminal to draw a bar in.
LINE_EVERY_S = 30.0


class ConsoleProgress:
    """A progress on standard error; a context manager that also shows the log and watches for Ctrl-C.

    end: ends the process, for a second Ctrl-C.
    """

    def __init__(
        self,
        *,
        end: Callable[[], object],
        quiet: bool = False,
        verbose: bool = False,
        rank: Rank | None = None,
    ):
        self._end = end
        self._rank = Rank() if rank is None else rank
        self.console = Console(stderr=True, highlight=False)
        self._is_bar = self.console.is_terminal and not quiet
        self._quiet, self._level = (
            quiet,
            logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO,
        )
        self._stop, self._has_begun = False, False
        self._is_alone = self._rank.of == 1
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._told = time.monotonic()

    def __enter__(self) -> ConsoleProgress:
        handler = RichHandler(
            console=self.console, show_path=False, show_level=False, markup=False, rich_tracebacks=False
        )
        handler.setLevel(self._level)
        self._handler, logger = handler, logging.getLogger("bone")
        logger.addHandler(handler)
        logger.setLevel(min(self._level, logging.INFO))
        logger.propagate = False
        if not self._rank.is_first:
            logger.setLevel(logging.ERROR)
        self._before = {number: signal.signal(number, self._on_interrupt) for number in self._stops()}
        if self._is_bar:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self.console, transient=True)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        logging.getLogger("bone").removeHandler(self._handler)
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._is_alone and self._stop and not self._has_begun and error is not None:
            # A library that was being imported may have made another exception of it.
            raise KeyboardInterrupt from error

    def _stops(self) -> tuple[signal.Signals, ...]:
        """Ctrl-C; of several processes also what a cluster sends when a job's time is over."""
        return (signal.SIGINT,) if self._is_alone else (signal.SIGINT, signal.SIGTERM)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if not self._rank.is_first:
            return  # the first process tells the others at the end of the step
        if self._stop and not self._is_alone:
            return  # a cluster may send it to all processes, and torchrun once more
        if self._stop:
            self._end()
        self._stop = True
        if self._is_alone and not self._has_begun:
            raise KeyboardInterrupt
        text = "Stopping; what was reached is kept. Press Ctrl-C again to end at once.\n"
        with contextlib.suppress(OSError, AttributeError):  # print fails where it was itself interrupted
            os.write(sys.stderr.fileno(), text.encode())

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        self._has_begun = True
        if self._stop:
            raise Cancelled(message)
        shown = "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in (figures or {}).items())
        if self._bar:
            if self._task is None or self._bar.tasks[self._task].total != steps:
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task(message, total=steps, figures=shown)
            self._bar.update(self._task, completed=step, description=message, figures=shown)
        elif not self._quiet and time.monotonic() - self._told > LINE_EVERY_S:
            self._told = time.monotonic()
            self.console.print(f"{message}: {100 * step / max(steps, 1):.0f} %  {shown}")
