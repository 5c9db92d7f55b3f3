"""Leave a worker running when its host ends, and find it again from the next host.

In:  job folders among the temporary files.
Out: what a host has left behind: the command, its options, whether it still works; a process to wait for.
A job is left by the file left.json, which also says who follows it now. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import WorkerError
from ..files.makers import Maker, this_process
from ..files.whole import write_text
from .folder import LEFT, PREFIX, RESULT, WORKER

LOOK_S = 0.05


class Left(Exception):  # noqa: N818 (it is no error)
    """Raised by a progress: the host ends, and the worker is to go on without it."""


@dataclass(frozen=True)
class LeftJob:
    """A job that somebody has left. began: of time.time(). is_running: whether its worker still works."""

    folder: Path
    command: str
    options: dict[str, Any]
    began: float
    is_running: bool


class Adopted:
    """The worker of another host, as far as one waits for it and ends it. Nobody learns its exit code."""

    def __init__(self, maker: Maker):
        self._maker, self.pid = maker, maker.pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """0 once it has ended."""
        if self.returncode is None and self._maker.has_ended:
            self.returncode = 0
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(LOOK_S)
        return 0

    def kill(self) -> None:
        if self.poll() is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def leave(folder: Path) -> None:
    """Let the worker go on when this host ends; nobody follows it."""
    write_text(folder / LEFT, json.dumps({"follower": None}))


def adopt(folder: Path) -> Adopted:
    """Follow a job that was left. Raises WorkerError where it cannot be known which process works there."""
    try:
        maker = Maker.of_mark((folder / WORKER).read_text(encoding="ascii"))
    except (OSError, ValueError):
        maker = None
    if maker is None:
        raise WorkerError(f"{folder}: the run that was left there cannot be found again. See its run folder.")
    write_text(folder / LEFT, json.dumps({"follower": this_process().mark}))
    return Adopted(maker)


def left_jobs() -> list[LeftJob]:
    """Jobs that were left and that nobody follows, the oldest first."""
    found = []
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            follower = json.loads((folder / LEFT).read_text(encoding="utf-8"))["follower"]
            other = None if follower is None else Maker.of_mark(follower)
            if other is not None and not other.has_ended:
                continue
            job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
            worker = Maker.of_mark((folder / WORKER).read_text(encoding="ascii"))
            is_running = worker is not None and not worker.has_ended and not (folder / RESULT).exists()
            began = (folder / "job.json").stat().st_mtime
            found.append(LeftJob(folder, str(job["command"]), dict(job["options"]), began, is_running))
    return sorted(found, key=lambda job: job.began)
