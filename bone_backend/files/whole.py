"""Write files so that they appear only when they are whole, and say in words why they could not.

In:  the path that a result shall have.
Out: the result, on the disk, or all as it was before; OutputError for a full disk, no right, or a result in
     the way.
What is written stands under a temporary name beside the path until it is whole. Such names tell who made
them, so that what a killed process has left is known and removed by the next. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import OutputError
from .makers import MARK, Maker, this_process
from .outputs import short

GIB = 2**30
PATIENCE_S = 5.0


def output_fault(path: Path, fault: OSError, *, is_kept: bool = False) -> OutputError:
    """An OSError of writing `path`, in words. is_kept: what is finished stays, and the work goes on there."""
    if fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = "unknown"
        with contextlib.suppress(OSError):
            free = f"{shutil.disk_usage(path.parent).free / GIB:.1f} GiB"
        kept = "and give the same command, which goes on" if is_kept else "or choose another folder"
        return OutputError(
            f"{path}: the disk is full, or your quota or the largest allowed file is reached (free: {free}). "
            f"Free some space {kept}{'' if is_kept else '; this was not kept'}."
        )
    if fault.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(
            f"{path}: cannot be written ({fault.strerror}). Choose a folder in which you may write."
        )
    return OutputError(f"{path}: cannot be written ({fault.strerror or fault}).")


def temporary_path(path: Path, *, ending: str = "part") -> Path:
    """A hidden name of its own in the folder of `path`, which says who made it."""
    return path.with_name(f".{short(path.name)}.{this_process().mark}-{secrets.token_hex(2)}.{ending}")


class Whole:
    """A file, or a folder of files, in the making; it gets its name when it is whole and on the disk.

    with Whole(path) as temporary: what is made at `temporary` replaces what is at `path` at the end; after
    any exception all is as it was. Raises OutputError. before: the name that a file which is replaced gets,
    in the same folder; one of the two is always there. Where the making has no one end of a `with`, keep()
    or discard() is called instead.
    """

    def __init__(self, path: Path, *, before: Path | None = None):
        self.path, self.before, self.temporary = path, before, temporary_path(path)

    def keep(self) -> None:
        """Put it on the disk and in its place. Raises OSError."""
        _sync(self.temporary)
        if self.before is not None and self.path.is_file():
            _set_aside(self.path, self.before)
        if self.temporary.is_dir() and os.path.lexists(self.path):
            _exchange(self.temporary, self.path)
        else:
            put_in_place(self.temporary, self.path)

    def discard(self) -> None:
        """Leave nothing of it; never raises OSError."""
        remove(self.temporary)

    def __enter__(self) -> Path:
        return self.temporary

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if fault is None:
                self.keep()
        except OSError as error:
            raise output_fault(self.path, error) from error
        finally:
            self.discard()
        if isinstance(fault, OSError):
            raise output_fault(self.path, fault) from fault


@contextlib.contextmanager
def whole_file(path: Path, *, before: Path | None = None) -> Iterator[IO[bytes]]:
    """The same for a file that is open for writing."""
    with Whole(path, before=before) as temporary, temporary.open("xb") as file:
        yield file


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; bytes of names that are no text stand as \\udcNN.

    Raises OutputError.
    """
    with whole_file(path) as file:
        file.write(text.encode("utf-8", errors="backslashreplace"))


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


def _sync(path: Path) -> None:
    """Have the system put a file's content on the disk, or that of all files of a folder."""
    if path.is_dir():
        with ThreadPoolExecutor(8) as threads:  # several at a time share one commit of the file system
            list(threads.map(_sync, path.iterdir()))
        return
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _set_aside(path: Path, before: Path) -> None:
    """Give a file a second name in place of the file that had it; the first one stays where the disk can."""
    remove(before)
    with contextlib.suppress(OSError, NotImplementedError):  # e.g. on FAT, which has no hard links
        os.link(path, before)
        return
    put_in_place(path, before)


def _exchange(folder: Path, path: Path) -> None:
    """Put a folder in the place of what is there, which no system does in one step."""
    old = temporary_path(path, ending="old")
    path.rename(old)
    try:
        folder.rename(path)
    except BaseException:  # Ctrl-C too must not take the old result away
        old.rename(path)
        raise
    remove(old)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there; never raises OSError."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
