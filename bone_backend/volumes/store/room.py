"""How much the unpacked volumes in the cache may take, and which go first.

In:  the environment: BONE_CACHE_LIMIT, as "50 GB" or "20 %" of the disk; and the folder.
Out: a limit in bytes; room, by removing what was used longest ago and is used by nobody now.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from ...errors import OptionError
from ...files.whole import remove_left_over
from .use import is_used, remove_unused

VARIABLE = "BONE_CACHE_LIMIT"
DEFAULT = "20 %"
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
LEFT_OVER_S = 24 * 3600.0  # a half-written conversion of this age belongs to a run that was killed
UNUSED_S = 30 * 24 * 3600.0  # a conversion that nobody opened for so long is made anew when it is wanted
DIGITS = "[0-9a-f]" * 32  # the names that `fingerprint` gives, and no file of anybody else


class Entry(NamedTuple):
    """An unpacked volume. used: when it was opened last, s since 1970."""

    path: Path
    size: int
    used: float


def limit_bytes(folder: Path) -> int:
    """The most that the volumes in a folder may take. Raises OptionError where it cannot be read."""
    told = os.environ.get(VARIABLE, "").strip() or DEFAULT
    found = re.fullmatch(r"(\d+(?:[.,]\d+)?)\s*(?:(%)|([KMGT]?)(I?)B)", told.upper())
    if found is None:
        raise OptionError(f"{VARIABLE} is {told!r}: write it as 50 GB, or as 20 % of the disk.")
    number = float(found[1].replace(",", "."))
    if found[2]:
        return int(shutil.disk_usage(_there(folder)).total * min(number, 100) / 100)
    factor = 2 ** (10 * [*UNITS].index(found[3])) if found[4] else UNITS[found[3]]
    return int(number * factor)


def _there(folder: Path) -> Path:
    """The folder, or the first one above it that is there."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def entries(folder: Path) -> list[Entry]:
    """All unpacked volumes, the one that was used longest ago first."""
    found = []
    for path in folder.glob(f"{DIGITS}.npy"):
        with contextlib.suppress(OSError):
            state = path.stat()
            found.append(Entry(path, state.st_size, max(state.st_atime, state.st_mtime)))
    return sorted(found, key=lambda entry: entry.used)


def make_room(folder: Path, needed: int) -> list[Entry]:
    """Remove the oldest until `needed` bytes more keep within the limit; what is in use stays. Gives those.

    What killed runs have left goes too, and what nobody has opened for a month. Raises OptionError.
    """
    limit = limit_bytes(folder)
    tidy(folder)
    kept = entries(folder)
    total, removed = sum(entry.size for entry in kept) + needed + _in_the_making(folder), list[Entry]()
    for entry in kept:
        if total <= limit:
            break
        if remove_unused(entry.path):
            total -= entry.size
            removed.append(entry)
    return removed


def clear(folder: Path) -> tuple[list[Entry], list[Entry]]:
    """Remove all that nobody uses: what went, and what is in use."""
    tidy(folder)
    removed, left = list[Entry](), list[Entry]()
    for entry in entries(folder):
        (removed if remove_unused(entry.path) else left).append(entry)
    return removed, left


def tidy(folder: Path) -> None:
    """Remove what a killed run left half-written, and what has long been unused."""
    remove_left_over(folder, older_than_s=LEFT_OVER_S)
    for path in folder.glob(".*.npy.*.part"):
        with contextlib.suppress(OSError):
            state = path.stat()
            if time.time() - max(state.st_atime, state.st_mtime) > LEFT_OVER_S:
                path.unlink()
    for entry in entries(folder):
        if time.time() - entry.used > UNUSED_S:
            remove_unused(entry.path)


def used_now(folder: Path) -> set[Path]:
    """Those that some process uses."""
    return {entry.path for entry in entries(folder) if is_used(entry.path)}


def _in_the_making(folder: Path) -> int:
    """Bytes that other programs are writing just now."""
    total = 0
    for path in folder.glob(".*.npy.*.part"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total
