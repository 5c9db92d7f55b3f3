"""The queue of runs: fits and predictions, one after the other; knows no Qt.

In:  runs as they are asked for, and how each ended.
Out: which is next. One that fails does not stop the rest; after a stop those that wait are held until they
are let go on, as are those that an earlier window has kept. One that is started meanwhile begins at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bone_backend.options.fields import Options

from .task import Outcome

WAITS, RUNS, DONE, STOPPED, FAILED = "waits", "runs", "done", "stopped", "failed"


@dataclass(eq=False)
class Run:
    """One run. what: in words. told: how it ended, in words. has_waited: it did not begin at once.

    is_held: it does not begin before a person says so. options: None of one that is not understood any more.
    """

    command: str
    options: Options | None
    what: str
    state: str = WAITS
    told: str = ""
    has_waited: bool = False
    is_held: bool = False
    result: dict[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        return self.state in (DONE, STOPPED, FAILED)


class Runs:
    """Rows in the order in which they run."""

    def __init__(self) -> None:
        self.rows: list[Run] = []
        self.is_closed = False  # nothing begins any more

    @property
    def running(self) -> Run | None:
        return next((run for run in self.rows if run.state == RUNS), None)

    @property
    def waiting(self) -> list[Run]:
        return [run for run in self.rows if run.state == WAITS]

    @property
    def held(self) -> list[Run]:
        return [run for run in self.waiting if run.is_held]

    @property
    def is_busy(self) -> bool:
        """Whether one that is added now has to wait."""
        return self.running is not None or len(self.waiting) > len(self.held)

    def add(self, run: Run) -> Run:
        """To the end of the queue."""
        run.has_waited = self.is_busy or run.is_held
        self.rows.append(run)
        return run

    def fail(self, run: Run, told: str) -> None:
        """Show one that cannot begin, e.g. since its scan cannot be read."""
        run.state, run.told = FAILED, told
        if run not in self.rows:
            self.rows.append(run)

    def begin_next(self) -> Run | None:
        """The one that is to begin now, if any."""
        if self.running is not None or self.is_closed:
            return None
        run = next((run for run in self.waiting if not run.is_held), None)
        if run is not None:
            run.state, run.told = RUNS, ""
        return run

    def end(self, outcome: Outcome, told: str) -> Run | None:
        """Note how the running one ended. After a stop by hand those that wait are held."""
        run = self.running
        if run is None:
            return None
        run.state = DONE if outcome.is_done else STOPPED if outcome.is_stopped else FAILED
        run.told, run.result = told, outcome.result
        if outcome.is_stopped:
            for waiting in self.waiting:
                waiting.is_held = True
        return run

    def go_on(self) -> None:
        """Let those that are held begin, one after the other."""
        for run in self.held:
            run.is_held, run.has_waited = False, True

    def remove(self, run: Run) -> bool:
        """Take one out that does not run; whether it was."""
        if run.state == RUNS or run not in self.rows:
            return False
        self.rows.remove(run)
        return True

    def move_up(self, run: Run) -> bool:
        """Before the one that waits before it; whether there is one."""
        waiting = self.waiting
        if run not in waiting or run is waiting[0]:
            return False
        here, there = self.rows.index(run), self.rows.index(waiting[waiting.index(run) - 1])
        self.rows[here], self.rows[there] = self.rows[there], self.rows[here]
        return True

    def forget_over(self) -> None:
        """Take out those that have ended."""
        self.rows = [run for run in self.rows if not run.is_over]

    def outputs(self) -> set[str]:
        """Where runs that go on or wait will write."""
        return {str(getattr(run.options, "output", "")) for run in self.rows if not run.is_over}

    def in_words(self) -> str:
        """
        >>> Runs().in_words()
        'Nothing waits.'
        """
        waiting = len(self.waiting)
        told = f"{waiting} wait{'s' * (waiting == 1)}" if waiting else "Nothing waits"
        held = len(self.held)
        if held:
            told += ", held" if held == waiting else f", {held} of them held"
        failed = sum(run.state == FAILED for run in self.rows)
        return told + (f"; {failed} failed." if failed else ".")
