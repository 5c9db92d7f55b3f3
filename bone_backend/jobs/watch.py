"""End a worker with its host, and the processes beside it with the first of them.

In:  the process to watch; the job folder, in which the command is asked to stop.
Out: this process ends, with all that it has started, when the one that is watched has ended.
Standard library only.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOOK_S = 0.25
LEFT = "left.json"  # as in folder.py, which is not loaded here


def end_with_host(folder: Path, job: Mapping[str, Any], host_has_ended: threading.Event) -> None:
    """When the host has ended: ask the command to stop, wait as the host would have, end everything.

    A job that its host has left (leaving.py) goes on.
    """
    _wait_for_end(job["host"])
    if (folder / LEFT).exists():  # it goes on alone, until its end or its cancel file
        return
    host_has_ended.set()
    try:
        (folder / "cancel").touch()
        deadline = time.monotonic() + job.get("patience_s", 10.0)
        while time.monotonic() < deadline and not (folder / "result.json").exists():
            time.sleep(LOOK_S)
    except OSError:
        pass  # the folder is gone: nothing can be saved there
    if not job.get("keep_folder"):
        os.chdir(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def end_with_first(process: int) -> None:
    """End this process as soon as the first one has ended."""
    _wait_for_end(process)
    os._exit(1)


def _wait_for_end(process: int) -> None:
    """Return when a process has ended that is this one's parent, or stands above it."""
    if sys.platform == "win32":
        import ctypes

        synchronize, access_denied = 0x00100000, 5
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(synchronize, False, process)
        if handle:
            kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0xFFFFFFFF)
        elif ctypes.get_last_error() == access_denied:
            threading.Event().wait()  # a host that may not be watched: only its cancel file ends the job
        return
    parent = os.getppid()
    while _is_there(process, parent):
        time.sleep(LOOK_S)


def _is_there(process: int, parent: int) -> bool:
    """Whether it still runs. parent: os.getppid() at the start; another one means that it has ended."""
    if os.getppid() != parent:
        return False
    if parent == process:
        return True
    try:
        os.kill(process, 0)  # a launcher stands between host and worker: ask for the host itself
    except ProcessLookupError:
        return False
    except OSError:
        return True  # not ours to signal, yet there
    return True
