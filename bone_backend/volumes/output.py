"""Write files so that they appear only when they are whole, and say in words why they could not.

In:  the path that a result shall have.
Out: a temporary path beside it, to be renamed; OutputError for a full disk, no right, or a result in the way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import time
from pathlib import Path

from ..errors import OutputError

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


def temporary_path(path: Path) -> Path:
    """A hidden name of its own in the folder of `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


def prepare(path: Path, *, overwrite: bool, needed_bytes: int) -> None:
    """Make the folder that `path` goes into, and refuse what cannot end well before the work starts.

    Raises OutputError when something of that name is there and overwrite is False, or when space is short.
    """
    if path.exists() and not overwrite:
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
