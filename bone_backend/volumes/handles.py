"""Read bytes at a position from many files without running out of open files.

In:  file, offset, and a buffer to fill.
Out: the filled buffer; ScanError with the file's name when it is gone or shorter than it was.
At most `limit` files are open at a time in the whole process; the longest unused is closed first. Any thread
may read. Files are not memory-mapped: a mapped file that disappears from a network drive ends the process,
while a read raises an error.
"""

from __future__ import annotations

import io
import itertools
import os
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ScanError


class PositionalFile:
    """One open file, read by position (`os.pread`); any number of threads share its handle. Linux, macOS."""

    shared_by_threads = True

    def __init__(self, path: Path):
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def read_some(self, buffer: memoryview, offset: int) -> int:
        """Fill the buffer from offset as far as one system call goes; returns the number of bytes."""
        if hasattr(os, "preadv"):
            return os.preadv(self._handle, [buffer], offset)
        data = os.pread(self._handle, len(buffer), offset)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        os.close(self._handle)


class SeekingFile:
    """The same by seek and read, one handle per thread, where the system has no `pread` (Windows)."""

    shared_by_threads = False

    def __init__(self, path: Path):
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._file = io.FileIO(self._handle, closefd=False)

    def read_some(self, buffer: memoryview, offset: int) -> int:
        """Fill the buffer from offset as far as one system call goes; returns the number of bytes."""
        self._file.seek(offset)
        return self._file.readinto(buffer) or 0

    def close(self) -> None:
        os.close(self._handle)


class Handles:
    """A bounded set of open files, the longest unused closed first.

    limit: how many files may be open (more only while more threads than that read at the same moment).
    """

    def __init__(self, limit: int = 256, file_class: type[PositionalFile] | type[SeekingFile] | None = None):
        self.limit = limit
        self._class = file_class or (PositionalFile if hasattr(os, "pread") else SeekingFile)
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[int, int, int], list[Any]] = OrderedDict()  # key -> [file, users]
        self._left: deque[int] = deque()  # owners that are gone

    def __len__(self) -> int:
        return len(self._open)

    def read(self, owner: int, number: int, path: Path, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` with the bytes at `offset`; `owner` and `number` name the file within the process."""
        entry = None
        try:
            entry = self._take(
                (owner, number, 0 if self._class.shared_by_threads else threading.get_ident()), path
            )
            done = 0
            while done < len(buffer):
                count = entry[0].read_some(buffer[done:] if done else buffer, offset + done)
                if count == 0:
                    raise ScanError(
                        f"{path}: ends after {offset + done} bytes, but {offset + len(buffer)} are expected. "
                        "It is truncated, or it was changed while being read; copy it again."
                    )
                done += count
        except OSError as fault:
            raise ScanError(f"{path}: cannot be read any more ({fault.strerror or fault}).") from fault
        finally:
            if entry is not None:
                with self._lock:
                    entry[1] -= 1

    def _take(self, key: tuple[int, int, int], path: Path) -> list[Any]:
        with self._lock:
            entry = self._open.get(key)
            if entry is not None:
                self._open.move_to_end(key)
                entry[1] += 1
                return entry
        file = self._class(path)
        with self._lock:
            entry = self._open.setdefault(key, [file, 0])
            entry[1] += 1
            unused = [file] if entry[0] is not file else []
            while len(self._open) > self.limit:
                idle = next((k for k, (_, users) in self._open.items() if users == 0), None)
                if idle is None:
                    break
                unused.append(self._open.pop(idle)[0])
        for old_file in unused:
            old_file.close()
        while self._left:
            self.forget(self._left.popleft())
        return entry

    def forget(self, owner: int) -> None:
        """Close the files of an owner that no thread is reading."""
        with self._lock:
            keys = [key for key, (_, users) in self._open.items() if key[0] == owner and users == 0]
            files = [self._open.pop(key)[0] for key in keys]
        for file in files:
            file.close()

    def leave(self, owner: int) -> None:
        """Note that an owner is gone; takes no lock, since the garbage collector may call it any time."""
        self._left.append(owner)


def _allowed() -> int:
    """256 open files, or a quarter of what the system allows a process (Linux 1,024, macOS often 256)."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 256
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 256 if soft < 0 else max(16, min(256, soft // 4))


HANDLES = Handles(_allowed())
_owners = itertools.count()


class PositionalReader:
    """Reads bytes from a fixed list of files through the handles that the whole process shares."""

    def __init__(self, paths: Sequence[Path], handles: Handles = HANDLES):
        self.paths = list(paths)
        self._handles = handles
        self._owner = next(_owners)
        weakref.finalize(self, handles.leave, self._owner)

    def read(self, number: int, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from file `number` at `offset`. Raises ScanError with the file's name."""
        self._handles.read(self._owner, number, self.paths[number], offset, buffer)

    def close(self) -> None:
        """Give the open files back."""
        self._handles.forget(self._owner)
