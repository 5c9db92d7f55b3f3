"""Write files so that they appear only when they are whole, and say in words why they could not.

In:  the path that a result shall have.
Out: a temporary path beside it, to be renamed; OutputError for a full disk, no right, or a result in the way.
Temporary names tell who made them, so that what a killed process has left is known and removed by the next.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ..errors import OutputError
from ..files import locks
from ..files.makers import MARK, Maker, this_process
from ..files.outputs import in_work, lock_of, short

GIB = 2**30
PATIENCE_S = 5.0


def output_fault(path: Path, fault: OSError) -> OutputError:
    """An OSError of writing `path`, in words."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = "unknown"
        with contextlib.suppress(OSError):
            free = f"{shutil.disk_usage(path.parent).free / GIB:.1f} GiB"
        return OutputError(
            f"{path}: the disk is full, or your quota or the largest allowed file is reached (free: {free}). "
            "Free some space or choose another folder; this was not kept."
        )
    if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            f"{path}: cannot be written ({fault.strerror}). Choose a folder in which you may write."
        )
    return OutputError(f"{path}: cannot be written ({fault.strerror or fault}).")


def temporary_path(path: Path, *, ending: str = "part") -> Path:
    """A hidden name of its own in the folder of `path`, which says who made it."""
    return path.with_name(f".{short(path.name)}.{this_process().mark}-{secrets.token_hex(2)}.{ending}")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which gets its name and replaces what is there when it is whole and on the disk.

    Raises OutputError; after any exception all is as it was.
    """
    temporary = temporary_path(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except OSError as fault:
        raise output_fault(path, fault) from fault
    finally:
        remove(temporary)


@contextlib.contextmanager
def claim(path: Path, *, doing: str, look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only one that makes `path`, whose folder is made too; what killed ones have left is removed.

    doing: "a prediction" ... Raises OutputError while somebody else makes it. A folder that was made and
    stays empty is removed again.
    """

    def refusal(other: str, who: str) -> str:
        return in_work(path, other, who)

    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(made_folder(path.parent))
            stack.enter_context(locks.held(lock_of(path), doing=doing, refusal=refusal, look=look))
        except OSError as fault:
            raise output_fault(path, fault) from fault
        remove_left_over(path.parent, name=path.name)
        yield


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Have a folder; those that had to be made are removed again where they stay empty. Raises OSError."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for place in made:
            with contextlib.suppress(OSError):  # it is in use
                place.rmdir()


def remove_left_over(folder: Path, *, name: str | None = None, older_than_s: float = 24 * 3600.0) -> None:
    """Remove what processes that have ended have left half-written in a folder.

    name: of the result, None for all. Of other machines nothing is known but the age. A result that was moved
    away in the moment of the kill is put back.
    """
    begin = r"\.(?P<name>.+)" if name is None else rf"\.(?P<name>{re.escape(short(name))})"
    ours = re.compile(rf"{begin}\.{MARK}-[0-9a-f]{{4}}\.(?P<ending>part|old)")
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        found = ours.fullmatch(entry.name)
        if found is None:
            continue
        maker, path = Maker(int(found["pid"]), found["place"], found["start"]), Path(entry.path)
        if not (maker.has_ended if maker.is_of_here else _age_s(path) > older_than_s):
            continue
        place = path.with_name(found["name"])
        if found["ending"] == "old" and not os.path.lexists(place):
            with contextlib.suppress(OSError):
                path.rename(place)
        else:
            remove(path)


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def prepare(path: Path, *, overwrite: bool, needed_bytes: int) -> None:
    """Make the folder that `path` goes into, and refuse what cannot end well before the work starts.

    Raises OutputError when something of that name is there and overwrite is False, or when space is short.
    """
    if os.path.lexists(path) and not overwrite:
        raise OutputError(f"{path}: is already there. Choose another name, or allow it with --overwrite.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
    except OSError as fault:
        raise output_fault(path, fault) from fault
    if free < needed_bytes:
        raise OutputError(
            f"{path}: needs {_in_words(needed_bytes)}, but only {_in_words(free)} are free there. "
            "Free some space or choose another folder."
        )


def _in_words(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.2f} MiB"


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a whole file to its name, replacing what is there. Raises OSError.

    On Windows a virus scanner or a viewer may hold the old file for a moment; that is waited for.
    """
    deadline = time.monotonic() + (PATIENCE_S if os.name == "nt" else 0.0)
    while True:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.1)


def sync(path: Path) -> None:
    """Have the system put a file's content on the disk."""
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there; never raises OSError."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; bytes of names that are no text stand as \\udcNN.

    Raises OutputError.
    """
    with whole_file(path) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))
