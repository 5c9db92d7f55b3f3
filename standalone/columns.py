"""Text in columns, and numbers as people write them.

In:  names with their values, or a table of words.
Out: lines that fit the terminal; single words are never broken, paths in sentences behind a slash only.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

WIDEST = 120
Row = tuple[str, str | None]
GAP = "  "


def width() -> int:
    """Characters of a line: those of the terminal but one, since a full line makes some consoles wrap."""
    return max(min(shutil.get_terminal_size().columns, WIDEST) - 1, 40)


def rows(facts: Sequence[Row]) -> list[str]:
    """Names on the left, values beside them; those without a value are left out."""
    known = [(name, text) for name, text in facts if text]
    column = max((len(name) for name, _ in known), default=0) + len(GAP)
    lines = []
    for name, text in known:
        # a fact may have several lines of its own
        parts = [
            part
            for line in text.split("\n")
            for part in textwrap.wrap(
                line, width() - column, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
            )
            or [""]
        ]
        lines.append(name.ljust(column) + parts[0])
        lines += [" " * column + part for part in parts[1:]]
    return lines


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """Names in the first column, numbers to the right; a name that does not fit is cut."""
    sizes = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    room = width() - sum(sizes[1:]) - len(GAP) * (len(sizes) - 1)
    sizes[0] = min(sizes[0], max(room, 12))
    return [
        GAP.join(
            [
                _cut(line[0], sizes[0]).ljust(sizes[0]),
                *(word.rjust(size) for word, size in zip(line[1:], sizes[1:], strict=True)),
            ]
        ).rstrip()
        for line in [heads, *lines]
    ]


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "\N{HORIZONTAL ELLIPSIS}"


def value(item: Any) -> str:
    """A value of a file or a result, in one line."""
    if isinstance(item, bool) or item is None:
        return {True: "yes", False: "no", None: "none"}[item]
    if isinstance(item, int):
        return f"{item:,}"
    if isinstance(item, float):
        return f"{item:,.6g}"
    if isinstance(item, dict):
        return ", ".join(f"{value(name)}: {value(inner)}" for name, inner in item.items())
    if isinstance(item, (list, tuple)):
        return ", ".join(value(inner) for inner in item)
    return printable(str(item))


def sentence(text: str) -> str:
    """A sentence in lines of whole words for a terminal, a longer path broken behind a slash; in one line
    where it is piped.
    """
    if sys.stdout is None or not sys.stdout.isatty():
        return text
    lines = textwrap.wrap(text, width(), break_long_words=False, break_on_hyphens=False)
    return "\n".join(at_slashes(line, width()) for line in lines)


def at_slashes(text: str, room: int) -> str:
    """A text whose paths are broken behind a slash where they do not fit into a line.

    >>> at_slashes("in scans/of_the_second/batch", 20).split("\\n")
    ['in scans/of_the_second/', 'batch']
    """
    words = []
    for word in text.split(" "):
        lines = [""]
        for part in re.findall(r"[^/]*/|[^/]+", word) if len(word) > room else [word]:
            if lines[-1] and len(lines[-1] + part) > room:
                lines.append("")
            lines[-1] += part
        words.append("\n".join(lines))
    return " ".join(words)


def printable(text: str) -> str:
    """Text of a file with U+FFFD for control characters, also those that turn the direction of writing."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def score(number: float | None, *, none: str = "absent") -> str:
    """A share of 1 with four digits."""
    return none if number is None else f"{number:.4f}"


def short(number: float | None) -> str:
    """A measured number with four digits.

    >>> short(0.123456), short(123456.7), short(12.0), short(None)
    ('0.1235', '123,457', '12', 'none')
    """
    if number is None:
        return "none"
    return f"{number:,.0f}" if abs(number) >= 1000 or number == int(number) else f"{number:.4g}"


def percent(share: float) -> str:
    """With two digits; what is there is never told as 0.

    >>> percent(0.25), percent(0.00001), percent(0)
    ('25.00 %', '< 0.01 %', '0 %')
    """
    if share == 0:
        return "0 %"
    return "< 0.01 %" if share < 5e-5 else f"{share * 100:.2f} %"


def size(number: int) -> str:
    """Bytes as disks and file managers tell them.

    >>> size(532), size(5635840), size(3 * 10**9)
    ('532 bytes', '5.6 MB', '3.0 GB')
    """
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} bytes"
