"""What the command line shows: how far the work is and how long it will take, log lines, one result.

In:  the calls of a progress; log records of "bone".
Out: in a terminal two lines at its lower edge, redrawn; elsewhere one plain line every half minute, as long
as it needs to be. All on standard error; standard output belongs to the result alone.
A stream that closes (an ssh connection drops, `| head` ends) silences the console and never the work.
Stop requests are noticed here: Ctrl-C, and SIGTERM or SIGHUP, which a cluster, `docker stop` or a closed
window send. Before the first call of the progress they raise KeyboardInterrupt, since imports take seconds
and nothing is written by then; later the next call of the progress raises Cancelled. A second Ctrl-C ends the
process at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, TextIO, cast

from bone_backend.durations import measured
from bone_backend.errors import Cancelled
from bone_backend.jobs.ranks import Rank

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

# Seconds between lines where there is no terminal to draw in.
LINE_EVERY_S = 30.0
# The pace is that of the last half of a task, of at least so many seconds, looked at so often.
LEAST_PACE_S = 20.0
TICK_S = 0.5
# What ends a process politely, besides Ctrl-C. Windows has neither, and SIGBREAK for a window that is closed.
POLITE = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


class Clock:
    """Time since the start, and time left from the pace of the later half of the present task."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now, self._began = now, now()
        self._task_began, self._steps = self._began, -1
        self._seen: deque[tuple[float, int]] = deque()

    def tick(self, step: int, steps: int) -> None:
        """The present task has done `step` of `steps`; another number of steps is another task."""
        now = self._now()
        if steps != self._steps or (self._seen and step < self._seen[-1][1]):
            self._seen.clear()
            self._task_began, self._steps = now, steps
        if len(self._seen) > 1 and now - self._seen[-2][0] < TICK_S:
            self._seen.pop()
        self._seen.append((now, step))
        oldest = now - max((now - self._task_began) / 2, LEAST_PACE_S)
        while len(self._seen) > 2 and self._seen[1][0] <= oldest:
            self._seen.popleft()

    def elapsed_s(self) -> float:
        """Seconds since the start of the command."""
        return self._now() - self._began

    def left_s(self) -> float | None:
        """Seconds to the end of the present task; None while nothing can be said."""
        if len(self._seen) < 2:
            return None
        (first, done), (last, step) = self._seen[0], self._seen[-1]
        if step <= done or last - first < 1:
            return None
        return max((last - first) / (step - done) * (self._steps - step) - (self._now() - last), 0.0)


class Lasting:
    """A text stream that may close under our hands: then it takes everything and shows nothing."""

    def __init__(self, stream: TextIO | None):
        self._stream = stream

    def write(self, text: str) -> int:
        self._do(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._do(lambda stream: stream.flush())

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Raises OSError where there is none."""
        if self._stream is None:
            raise OSError("the stream is closed")
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def _do(self, action: Callable[[TextIO], object]) -> None:
        if self._stream is not None:
            try:
                action(self._stream)
            except (OSError, ValueError):  # the other end has gone; or it was closed
                self._stream = None


class ConsoleProgress:
    """A progress on standard error; a context manager that also shows the log and watches for stop requests.

    end: ends the process, for a second Ctrl-C. stop_signal: what asked for a stop, None: nothing has.
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
        self._quiet = quiet
        self._level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
        self.stop_signal: int | None = None
        self._has_begun = False
        self._is_alone = self._rank.of == 1
        self._stream = Lasting(sys.stderr)
        self._clock, self._told = Clock(), time.monotonic()
        self._state: tuple[int, int, str, Mapping[str, float]] = (0, 1, "Starting", {})
        self._live: Live | None = None
        self._handler: logging.Handler | None = None

    def __enter__(self) -> ConsoleProgress:
        self._before = {number: signal.signal(number, self._on_stop) for number in self._stops()}
        logger = logging.getLogger("bone")
        self._logged_before = logger.level, logger.propagate
        if self._stream.isatty():
            self._handler = self._draw()
        else:
            self._handler = logging.StreamHandler(cast(TextIO, self._stream))
            self._handler.setFormatter(
                logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
            )
        self._handler.setLevel(self._level)
        logger.addHandler(self._handler)
        logger.setLevel(min(self._level, logging.INFO))
        logger.propagate = False
        if not self._rank.is_first:
            logger.setLevel(logging.ERROR)
        return self

    def _draw(self) -> logging.Handler:
        """Begin to draw; gives what shows log records above the drawing."""
        from rich.console import Console
        from rich.live import Live

        from .lines import Lines

        console = Console(file=cast(TextIO, self._stream), highlight=False, soft_wrap=False)
        if not self._quiet:
            self._live = Live(
                console=console, transient=True, refresh_per_second=4, get_renderable=self._lines
            )
            self._live.start()
        return Lines(console, self._live._lock if self._live else contextlib.nullcontext())

    def _lines(self) -> RenderableType:
        from .lines import two_lines

        step, steps, message, figures = self._state
        return two_lines(
            message,
            share=step / max(steps, 1),
            figures=figures,
            times=self._times(),
        )

    def _times(self) -> str:
        elapsed, left = self._clock.elapsed_s(), self._clock.left_s()
        told = "?" if left is None else measured(left, steady=True)
        return f"elapsed {measured(elapsed, steady=True)}, left {told}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
        if self._handler:
            logger = logging.getLogger("bone")
            logger.removeHandler(self._handler)
            level, logger.propagate = self._logged_before
            logger.setLevel(level)
        for number, before in self._before.items():
            signal.signal(number, before)
        if self._is_alone and self.stop_signal and not self._has_begun and error is not None:
            # A library that was being imported may have made another exception of it.
            raise KeyboardInterrupt from error

    def _stops(self) -> list[int]:
        """The signals that ask for a stop; not those that are ignored here (nohup)."""
        polite = [number for number in POLITE if signal.getsignal(number) is not signal.SIG_IGN]
        return [signal.SIGINT, *polite]

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        if not self._rank.is_first:
            return  # the first process tells the others at the end of the step
        if self.stop_signal:
            if number == signal.SIGINT and self._is_alone:
                self._end()
            return  # a cluster may send it to all processes, and torchrun once more
        self.stop_signal = int(number)
        if self._is_alone and not self._has_begun:
            raise KeyboardInterrupt
        text = "Stopping; what was reached is kept"
        if number == signal.SIGINT:
            text += " (Ctrl-C again ends at once)"
        if self._live:  # what is written under its hands would be drawn over
            self._state = (*self._state[:2], text, {})
            return
        with contextlib.suppress(OSError, AttributeError):  # print fails where it was itself interrupted
            os.write(sys.stderr.fileno(), f"{text}.\n".encode())

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        self._has_begun = True
        if self.stop_signal:
            raise Cancelled(message)
        self._clock.tick(step, steps)
        self._state = (step, steps, message, dict(figures or {}))
        if not self._live and not self._quiet and time.monotonic() - self._told > LINE_EVERY_S:
            self._told = time.monotonic()
            self._write_line()

    def _write_line(self) -> None:
        step, steps, message, figures = self._state
        shown = [f"{100 * step / max(steps, 1):.0f} % of all", *figures_in_words(figures)]
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S")
        self._stream.write(f"{stamp} {message}: {', '.join([*shown, self._times()])}\n")
        self._stream.flush()


def figures_in_words(figures: Mapping[str, float]) -> list[str]:
    """
    >>> figures_in_words({"loss": 0.21379, "best_val_iou": 0.871})
    ['loss 0.2138', 'best val IoU 0.8710']
    """
    return [f"{name.replace('_', ' ').replace('iou', 'IoU')} {value:.4f}" for name, value in figures.items()]
