"""Start a program apart from the host, and end it with everything that it has started.

In:  arguments, folder, environment, a log file.
Out: a process whose own children end with it; in words, how it ended.
POSIX: the program leads a process group of its own. Windows: no console window; `taskkill /T` walks the tree.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

TERMINATE_S = 2.0  # between a polite end and one by force
_WINDOWS_CODES = {
    0xC0000005: "access violation",
    0xC0000017: "out of memory",
    0xC000013A: "Ctrl-C",
    0xC0000135: "a DLL was not found",
    0xC0000142: "a DLL could not start",
    0xC0000409: "stack overrun",
}


def start_apart(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a program in `folder`, stdin closed, stdout and stderr into `log`; OSError when it cannot."""
    creation_flags = 0
    if sys.platform == "win32":
        creation_flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,  # a piped stdin can hang `import numpy` on Windows (numpy#24290)
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=dict(environment),
        start_new_session=True,
        creationflags=creation_flags,
        close_fds=True,
    )


class Process(Protocol):
    """What is asked of a program: a Popen, or one that another host has started (leaving.py)."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...


def end_tree(process: Process) -> None:
    """End the program and all that it has started: politely, then by force. Returns when it has ended."""
    if process.poll() is None:
        _signal_tree(process, by_force=False)
        try:
            process.wait(TERMINATE_S)
        except subprocess.TimeoutExpired:
            pass
    if process.poll() is None or process.returncode != 0:  # after a crash its children may still be there
        _signal_tree(process, by_force=True)
    process.wait()


def _signal_tree(process: Process, *, by_force: bool) -> None:
    if sys.platform == "win32":
        if process.poll() is None:
            force = ["/F"] if by_force else []
            subprocess.run(
                ["taskkill", "/PID", str(process.pid), "/T", *force],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                creationflags=subprocess.CREATE_NO_WINDOW,
                check=False,
            )
            if by_force:
                process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL if by_force else signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        pass  # all have ended already (macOS answers "no permission" for a group of the dead)


def words_for_exit(code: int | None) -> str:
    """How a process ended, as the end of a sentence: "ended with exit code 3", "was killed by ..."."""
    if code is None:
        return "has not ended"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = "; perhaps the memory did not suffice" if name == "SIGKILL" else ""
        return f"was killed by {name} (exit code {code}){hint}"
    reason = _WINDOWS_CODES.get(code)
    return f"ended with exit code {code:#x} ({reason})" if reason else f"ended with exit code {code}"
