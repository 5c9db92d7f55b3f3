"""Make the place for an output: its folder, the room on its disk, and nobody else who writes it.

In:  the path that a result shall have.
Out: a place in which it can be made; OutputError for a full disk, no right, or a result in the way.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import OutputError
from ..files import locks
from ..files.outputs import in_work, lock_of
from ..files.whole import GIB, output_fault, remove_left_over


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
            f"{path}: needs {size_in_words(needed_bytes)}, but only {size_in_words(free)} are free there. "
            "Free some space or choose another folder."
        )


def size_in_words(size: int) -> str:
    """
    >>> size_in_words(6 * 2**30), size_in_words(2**20)
    ('6.00 GiB', '1.00 MiB')
    """
    return f"{size / GIB:.2f} GiB" if size >= GIB / 10 else f"{size / 2**20:.2f} MiB"


def reserve(path: Path, size: int) -> None:
    """Make a file of that size whose place on the disk is taken; OSError where it is not there.

    A file with holes would end the process without a word when the disk runs full under its map.
    """
    with path.open("xb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        file.truncate(size)
