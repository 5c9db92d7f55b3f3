"""What a terminal shows of work under way: log lines, and below them two lines that are redrawn.

In:  log records; a message, the share done, figures and times.
Out: things that rich draws. It is imported only where there is a terminal, since rich takes a while.
Nothing is wider than the terminal: a long log line goes on under its own beginning, of the two lines what
does not fit is left out from the least important on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .columns import at_slashes
from .console import figures_in_words

STYLES = {logging.WARNING: "yellow", logging.ERROR: "red"}


class Lines(logging.Handler):
    """Shows log records: the time of day, and the text beside it.

    drawing: held while something else draws on the console; rich forgets where its lines stand when two
    threads print at a time.
    """

    def __init__(self, console: Console, drawing: AbstractContextManager[object]):
        super().__init__()
        self._console, self._drawing = console, drawing

    def emit(self, record: logging.LogRecord) -> None:
        style = STYLES.get(record.levelno, "")
        with self._drawing:
            stamp = time.strftime("%H:%M:%S")
            told = at_slashes(self.format(record), self._console.width - len(stamp) - 2)
            self._console.print(beside(stamp, Text(told, style=style)))


def beside(stamp: str, text: Text) -> Table:
    """A text that goes on under its own beginning."""
    row = Table.grid(padding=(0, 2))
    row.add_column(no_wrap=True, style="dim")
    row.add_column(overflow="fold")
    row.add_row(stamp, text)
    return row


class Fitting:
    """Words apart by two spaces; from the end on those that do not fit are left out."""

    def __init__(self, *words: str):
        self._words = words

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        words = list(self._words)
        while len(words) > 1 and len("  ".join(words)) > options.max_width:
            words.pop()
        yield Text("  ".join(words)[: options.max_width], no_wrap=True, overflow="crop")


def two_lines(message: str, *, share: float, figures: Mapping[str, float], times: str) -> RenderableType:
    """Message, bar and share of the whole; below, times and figures.

    share: 0 to 1, of all the work.
    """
    first = Table.grid(padding=(0, 2), expand=True)
    first.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    first.add_column(ratio=2)
    first.add_column(no_wrap=True, justify="right", min_width=12)
    bar = ProgressBar(total=1.0, completed=share)
    first.add_row(Text(message), bar, f"{100 * share:.0f} % of all")
    return Group(first, Fitting(times, *figures_in_words(figures)))
