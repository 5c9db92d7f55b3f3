"""The help pages: what a command is for, one line of usage, an example, and its options in columns.

In:  the entries of a command's parser, and which of them are shown.
Out: text that fits the terminal. The first page has the options that the table in bone_backend marks as often
needed; the page of --help-all has all.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from bone_backend.jobs.commands import COMMANDS

WIDEST = 120  # columns; longer lines are hard to read
NARROW = 60  # below, the text stands under its option, not beside it
SMALL = 12  # a command with so few options shows them all at once


class Entry(NamedTuple):
    """One option on a page. words: as they are typed. often: on the first page too. more: text for the
    page of all options only.
    """

    group: str
    words: str
    text: str
    often: bool = False
    more: str = ""


def page(command: str, summary: str, entries: Sequence[Entry], *, everything: bool = False) -> str:
    """The page of one command. everything: all options, not only those that most people need."""
    width = _width()
    is_short = not everything and len(entries) > SMALL
    shown = [
        entry._replace(text=f"{entry.text} {entry.more}" if entry.more and not is_short else entry.text)
        for entry in entries
        if entry.often or not is_short
    ]
    lines = [
        *_folded(f"bone {command} {COMMANDS[command].usage}", width),
        "",
        *textwrap.wrap(summary, width),
        "",
    ]
    lines += ["Example", *(f"  {line}" for line in COMMANDS[command].examples), ""]
    column = _column(shown, width)
    for group in dict.fromkeys(entry.group for entry in shown):
        lines.append(group)
        for entry in shown:
            lines += _rows(entry, column, width) if entry.group == group else []
        lines.append("")
    if is_short:
        lines.append(f"--help-all shows all {len(entries)} options.")
    return "\n".join(lines).rstrip("\n") + "\n"


def front_page(summaries: dict[str, str]) -> str:
    """The page of `bone` alone."""
    width = _width()
    commands = [Entry("Commands", name, summary) for name, summary in summaries.items()]
    lines = ["bone COMMAND [options]", "", "BONe labels bone in micro-CT.", "", "Commands"]
    column = _column(commands, width)
    for entry in commands:
        lines += _rows(entry, column, width)
    told = (
        "bone demo shows the whole way on made-up scans. bone COMMAND --help has an example and the options "
        "that most people need, --help-all has all; bone --version tells the version."
    )
    return "\n".join([*lines, "", *textwrap.wrap(told, width)]) + "\n"


def _width() -> int:
    return min(shutil.get_terminal_size().columns, WIDEST) - 1  # a full line makes some consoles wrap


def _column(entries: Sequence[Entry], width: int) -> int:
    """Where the texts begin."""
    if width < NARROW:
        return 6
    return min(max(len(entry.words) for entry in entries) + 4, width * 2 // 5)


def _rows(entry: Entry, column: int, width: int) -> list[str]:
    text = textwrap.wrap(entry.text, max(width - column, 20), break_on_hyphens=False)
    first = f"  {entry.words}"
    if len(first) + 2 > column:
        # of alternatives that are longer than a line, each goes on one of its own
        return [*_folded(first, width), *(" " * column + line for line in text)]
    return [first.ljust(column) + text[0], *(" " * column + line for line in text[1:])]


def _folded(words: str, width: int) -> list[str]:
    return textwrap.wrap(words, width, subsequent_indent=" " * 6, break_on_hyphens=False)
