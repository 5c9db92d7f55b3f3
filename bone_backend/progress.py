"""How a long task tells where it is, and how it learns that it should stop.

In:  step and number of steps, a message, and figures such as {"loss": 0.21}.
Out: nothing; a progress raises Cancelled when the user has asked to stop.
Every story and long loop takes a `progress` and calls it between pieces of work that take well under 2 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from .errors import Cancelled


class Progress(Protocol):
    """Called as progress(step, steps, message, figures); raises Cancelled when a stop was asked for."""

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None: ...


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
