"""One process at a time: whoever works on an output holds its lock until the end.

In:  the path of the lock, and what is being done.
Out: the lock, held, or OutputError that says who holds it.
The system's own lock (flock; LockFileEx) tells the living from the dead, since it ends with its process, also
after kill -9. What is written in the file is for people, for file systems without such locks, and for those
where each machine sees its own locks only: there a maker that gives no sign for SILENT_S counts as ended.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..errors import OutputError
from .makers import Maker, this_process

ASK_S = 1.0  # somebody may only have looked who holds it
BEAT_S = 10.0  # between two signs of life
SILENT_S = 60.0  # without a sign from another machine
LONG_S = 600.0  # a last sign as old as this needs no waiting
_BYTE = 1 << 30  # what is locked on Windows, where nobody can read what is locked
_MODE = 0o666

log = logging.getLogger("bone.output")


@dataclass(frozen=True)
class Holder:
    """Who holds a lock. doing: "a fit" ...; since: UTC, ISO."""

    doing: str
    host: str
    since: str
    pid: int
    place: str
    start: str

    @property
    def maker(self) -> Maker:
        """The process."""
        return Maker(self.pid, self.place, self.start)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextlib.contextmanager
def held(
    path: Path, *, doing: str, refusal: Callable[[str, str], str], look: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock `path`, a file that is there no longer than this.

    refusal: from what the holder does and who it is to the message. look: called while another machine's sign
    of life is waited for; may raise Cancelled. Raises OutputError where somebody else holds it; OSError where
    the file cannot be made.
    """
    file = _acquire(path, doing, refusal, look)
    maker, over = this_process(), threading.Event()
    beating = threading.Thread(target=_beat, args=(path, over), name="bone-lock", daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        if this_process() == maker:  # else a fork, whose parent goes on
            _release(file, path)


def holder(path: Path) -> Holder | None:
    """Who holds the lock now, as far as can be told at once; None: nobody of this machine."""
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        got = _lock(file)
        found = _read(path)
    finally:
        os.close(file)
    if got is False:
        return found or Holder("a run", "this machine", "a moment ago", 0, "", "")
    is_alive = got is None and found is not None and found.maker.is_of_here and not found.maker.has_ended
    return found if is_alive else None


def _acquire(path: Path, doing: str, refusal: Callable[[str, str], str], look: Callable[[], None]) -> int:
    deadline = time.monotonic() + ASK_S
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, _MODE)
        try:
            got = _lock(file)
            if got is not False and _is_at(path, file):
                before = _read(path)
                if before is None or _has_ended(before, path, got, look):
                    _write(file, doing)
                    if got or _is_mine_still(path):
                        return file
                got = False
            if got is False and time.monotonic() > deadline:
                found = _read(path)
                told = (found.doing, str(found)) if found else ("another run", "it has only begun")
                raise OutputError(refusal(*told))
        except BaseException:
            os.close(file)
            raise
        os.close(file)
        time.sleep(0.05)


def _has_ended(before: Holder, path: Path, got: bool | None, look: Callable[[], None]) -> bool:
    """Whether the one who wrote itself into a lock that could be had has ended."""
    if before.maker.is_of_here:
        return bool(got) or before.maker.has_ended
    sign = path.stat().st_mtime_ns
    if _now_there(path) - sign / 1e9 > LONG_S:
        return True
    log.info("Waiting up to %.0f s for a sign of %s there (%s).", SILENT_S, before.doing, before)
    deadline = time.monotonic() + SILENT_S
    while time.monotonic() < deadline:
        look()
        time.sleep(min(0.5, SILENT_S / 10))
        # opened anew, so that a network file system asks its server; gone where it has ended just now
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime_ns != sign:
                return False
    return True


def _now_there(path: Path) -> float:
    """The time of the machine that keeps the files, s."""
    probe = path.with_name(f"{path.name}.{this_process().mark}.time")
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _is_mine_still(path: Path) -> bool:
    """Where the system has no locks: whether what was written stays for a moment."""
    time.sleep(0.2)
    found = _read(path)
    return found is not None and found.maker == this_process()


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # nothing yet, or not ours


def _write(file: int, doing: str) -> None:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    maker = this_process()
    told = Holder(doing, socket.gethostname(), since, maker.pid, maker.place, maker.start)
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
        os.write(file, json.dumps(asdict(told)).encode())


def _release(file: int, path: Path) -> None:
    with contextlib.suppress(OSError):
        if sys.platform != "win32" and _is_at(path, file):
            path.unlink()
    os.close(file)
    if sys.platform == "win32":  # where an open file stays
        with contextlib.suppress(OSError):
            path.unlink()


def _is_at(path: Path, file: int) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _lock(file: int) -> bool | None:
    """Ask the system for the lock: True got it, False another has it, None it has no locks there."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(file, _BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as fault:
        is_taken = fault.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
        return False if is_taken else None
