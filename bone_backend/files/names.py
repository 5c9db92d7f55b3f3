"""Names of files as text that can be shown, written and sent anywhere.

In:  a name or path as the system gives it; on POSIX it is bytes, which need not be UTF-8.
Out: text that is UTF-8 and stays on one line (files are opened by the name as it was given, never by this);
and paths in full.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Any

_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def readable(text: str) -> str:
    r"""The text with bytes that are no UTF-8, and control characters, as \xNN.

    >>> print(readable("Sch\udce4del.tif"))  # the byte E4, as os.fsdecode tells it
    Sch\xe4del.tif
    """
    return _HIDDEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    number = ord(found[0])
    is_byte = number < 256 or 0xDC80 <= number <= 0xDCFF
    return f"\\x{number & 0xFF:02x}" if is_byte else f"\\u{number:04x}"


def all_readable(value: Any) -> Any:
    """The same for every text in plain values (dicts, lists, tuples)."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {all_readable(key): all_readable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(all_readable(inner) for inner in value)
    return value


def from_home(path: Path | str) -> Path:
    """The path with the home folder in place of ~; as it is where that is not known, and never a fault."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises without a home folder)


def in_full(path: Path | str) -> Path:
    """The absolute path without "." and ".."; links stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links)


def real(path: Path | str) -> Path:
    """One path for one file, however it is named: links are followed. Never a fault."""
    return Path(os.path.realpath(path))


def near(path: Path) -> str:
    """What may be meant by a path that is not there, as a further sentence; "" where nothing is like it."""
    try:
        there = sorted(entry.name for entry in os.scandir(path.parent) if not entry.name.startswith("."))
    except OSError:
        return ""
    if meant := difflib.get_close_matches(path.name, there, n=1, cutoff=0.7):
        return f" Did you mean {readable(str(path.parent / meant[0]))}?"
    return ""
