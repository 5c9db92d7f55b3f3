"""How a long task tells where it is, and how it learns that it should stop.

In:  step and number of steps, a message, and figures such as {"loss": 0.21}.
Out: nothing; a progress raises Cancelled when the user has asked to stop.
Every story and long loop takes a `progress` and calls it between pieces of work that take well under 2 s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .errors import Cancelled


class Progress(Protocol):
    """Called as progress(step, steps, message, figures); raises Cancelled when a stop was asked for."""

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None: ...


def picture_taker(progress: Progress) -> Callable[[int, bytes], None] | None:
    """Who takes the pictures of a fit: picture(epoch, content), where a progress has it; else None.

    content: a file as of jobs/picture.py. Who has no use for pictures, such as Avizo and the command line,
    has no such method, and then none is made.
    """
    found: Callable[[int, bytes], None] | None = getattr(progress, "picture", None)
    return found


def tell_begun(progress: Progress, folder: Path, process: int) -> None:
    """Tell a progress that has a method `begun` which job folder and process a worker has."""
    begun: Callable[[Path, int], None] | None = getattr(progress, "begun", None)
    if begun is not None:
        begun(folder, process)


def silent(step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /) -> None:
    """Say nothing, never stop."""


@dataclass(frozen=True)
class Report:
    """One call of a progress."""

    step: int
    steps: int
    message: str
    figures: Mapping[str, float]


@dataclass
class Recorder:
    """Keep every report; ask to stop after `stop_after` reports (None: never)."""

    stop_after: int | None = None
    reports: list[Report] = field(default_factory=list)

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        self.reports.append(Report(step, steps, message, dict(figures or {})))
        if self.stop_after is not None and len(self.reports) >= self.stop_after:
            raise Cancelled(message)


@dataclass(frozen=True)
class Part:
    """One part of a longer task, seen by the whole as steps `first` to `first + share` of `steps`.

    >>> recorder = Recorder()
    >>> Part(recorder, first=50, share=50, steps=100)(1, 2, "second half")
    >>> recorder.reports[0].step
    75
    """

    whole: Progress
    first: int
    share: int
    steps: int

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        done = self.first + self.share * step // max(steps, 1)
        self.whole(done, self.steps, message, figures)
