"""Who uses an unpacked volume, so that no other program removes it.

In:  the path of a file in the cache.
Out: a mark beside it for as long as it is used, and its removal only where nobody has left one.
A mark is an empty file whose name tells its process, so that what a killed one has left is known. Whoever
uses a file marks it first and looks for it then; whoever removes one moves it away first and looks for marks
then: so one of the two sees the other, without a lock that would cost an open file for each volume.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from pathlib import Path

from ...files.makers import Maker, this_process
from ...files.whole import remove, temporary_path

ENDING = ".use"
SILENT_S = 24 * 3600.0  # a mark of another machine that is older belongs to a process that has ended

_marks: Counter[Path] = Counter()
_lock = threading.Lock()


def mark_of(path: Path) -> Path:
    """This process's mark beside a file."""
    return path.with_name(f".{path.name}.{this_process().mark}{ENDING}")


def begin(path: Path) -> Path | None:
    """Mark a file as used; gives what `end` takes, None where no mark can be made (a cache to read only)."""
    mark = mark_of(path)
    with _lock:
        try:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        except OSError:
            return None
        _marks[mark] += 1
    return mark


def end(mark: Path | None) -> None:
    """Use it no more. Never raises OSError."""
    if mark is None:
        return
    with _lock:
        _marks[mark] -= 1
        if _marks[mark] <= 0:
            del _marks[mark]
            with contextlib.suppress(OSError):
                mark.unlink(missing_ok=True)


def is_used(path: Path) -> bool:
    """Whether some process uses a file; marks of those that have ended are removed."""
    found = False
    for mark in path.parent.glob(f".{path.name}.*{ENDING}"):
        maker = Maker.of_mark(mark.name)
        if maker is None:
            continue
        if maker.has_ended if maker.is_of_here else _age_s(mark) > SILENT_S:
            remove(mark)
        else:
            found = True
    return found


def remove_unused(path: Path) -> bool:
    """Remove a file that nobody uses; says whether it is gone."""
    if is_used(path):
        return False
    aside = temporary_path(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return True  # another program was quicker
    except OSError:
        return False  # it is open, on Windows
    if is_used(path) and not os.path.lexists(path):
        with contextlib.suppress(OSError):
            aside.rename(path)
            return False
    remove(aside)
    return True


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
