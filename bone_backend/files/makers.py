"""Which process made a file, and whether it has ended.

In:  nothing, or the mark in the name of a file.
Out: a Maker. Its mark goes into names of temporary files and folders, so that a later run knows those that a
killed one has left behind.
Numbers of processes are used again, so the moment of the start belongs to the mark; those of another machine
or container mean nothing here, so its place does too. Standard library; psutil where there is no /proc.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

MARK = r"(?P<pid>\d+)-(?P<place>[0-9a-f]{8})-(?P<start>[0-9a-f]{8})"
_UNKNOWN = "0" * 8


@dataclass(frozen=True)
class Maker:
    """A process. place: of its machine (and container); start: of its first moment; both 8 hex digits."""

    pid: int
    place: str
    start: str

    @property
    def mark(self) -> str:
        """As it stands in names; MARK finds it again."""
        return f"{self.pid}-{self.place}-{self.start}"

    @classmethod
    def of_mark(cls, text: str) -> Maker | None:
        """The maker in a name, or None.

        >>> Maker.of_mark("labels.tif.4242-00c0ffee-0000beef")
        Maker(pid=4242, place='00c0ffee', start='0000beef')
        """
        found = re.search(MARK, text)
        return cls(int(found["pid"]), found["place"], found["start"]) if found else None

    @classmethod
    def of_pid(cls, pid: int) -> Maker:
        """A process of this machine."""
        return cls(pid, place(), _start_of(pid) or _UNKNOWN)

    @property
    def is_of_here(self) -> bool:
        """Whether it is of this machine (and container), so that its number means something."""
        return self.place == place()

    @property
    def has_ended(self) -> bool:
        """Whether that is certain; False also where it cannot be known."""
        if not self.is_of_here:
            return False
        now = _start_of(self.pid)
        return now is None or (_UNKNOWN not in (now, self.start) and now != self.start)


def this_process() -> Maker:
    """The maker that this process is; another one after a fork."""
    return _of(os.getpid())


@functools.lru_cache(maxsize=4)
def _of(pid: int) -> Maker:
    return Maker.of_pid(pid)


@functools.lru_cache(maxsize=1)
def place() -> str:
    """This machine; a container with process numbers of its own is another place."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    return _hex(f"{socket.gethostname()} {numbers}")


def _start_of(pid: int) -> str | None:
    """When a process of this machine began; _UNKNOWN where that cannot be read, None where it has ended."""
    if sys.platform == "linux":
        try:
            told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            return None if _is_free(pid) else _UNKNOWN  # /proc may hide the processes of other users
        except OSError:
            return _UNKNOWN
        state, *fields = told.rpartition(")")[2].split()
        return None if state in "ZX" else _hex(f"{boot.strip()} {fields[18]}")  # Z: it waits for its parent
    try:
        import psutil
    except ImportError:
        return _UNKNOWN
    try:
        process = psutil.Process(pid)
        is_over = process.status() == psutil.STATUS_ZOMBIE
        return None if is_over else _hex(f"{process.create_time():.0f}")
    except psutil.NoSuchProcess:
        return None
    except (psutil.Error, OSError):
        return _UNKNOWN


def boot() -> str:
    """By which it is known whether the machine was started anew; "" where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _is_free(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _hex(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
