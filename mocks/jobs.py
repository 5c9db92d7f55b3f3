"""Commands for the tests of the worker: each does one thing that a command may do, well or badly.

In:  options as a dict, a progress.
Out: a dict, or whatever goes wrong. Run as "mocks.jobs:NAME".
"""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from bone_backend.errors import Cancelled, OptionError, ScanError
from bone_backend.intensity.pool import run_in_processes
from bone_backend.progress import Progress, picture_taker


def echo(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Give back the options, and what the process sees of its surroundings."""
    progress(1, 2, "halfway", {"loss": 0.5})
    progress(2, 2, "all of it")
    return {
        "options": options,
        "process": os.getpid(),
        "folder": str(Path.cwd()),
        "files": sorted(path.name for path in Path.cwd().iterdir()),
        "python": [name for name in os.environ if name.startswith("PYTHON")],
        "utf8": sys.flags.utf8_mode,
        "isolated": sys.flags.isolated,
        "is_stdin_empty": os.read(0, 1) == b"" if os.environ.get("BONE_IS_WORKER") else None,
    }


def speak(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Say something on every way out."""
    logging.getLogger("bone.mock").info("a line with umlauts: Röntgen")
    logging.getLogger("bone.mock").debug("a line nobody asked for")
    warnings.warn("the scan looks odd", UserWarning, stacklevel=1)
    print("printed to the log")
    return {}


def load(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Load an array and tell its shape, dtype and sum."""
    import numpy as np

    array = np.load(options["scan"]["path"], mmap_mode="r")
    return {"shape": list(array.shape), "dtype": str(array.dtype), "sum": int(array.sum(dtype=np.int64))}


def fail(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Fail as asked: with a fault of the user's, of the options, or of the program."""
    if options["how"] == "scan":
        raise ScanError("skull_07.tif: truncated")
    if options["how"] == "options":
        raise OptionError(["patch_size is 250", "epochs is -1"])
    if options["how"] == "package":
        import a_package_that_is_not_there  # type: ignore[import-not-found] # noqa: F401
    return {"ratio": 1 / 0}


def crash(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """End the process without a word to the host."""
    print("the last words")
    sys.stdout.flush()
    if options["how"] == "exit":
        os._exit(3)
    if options["how"] == "kill":
        os.kill(os.getpid(), 9)
    if options["how"] == "segfault":
        ctypes.string_at(0)
    if options["how"] == "half a result":
        Path("result.json").write_text('{"status": "do', encoding="utf-8")
    os._exit(0)


def wait(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Work for `seconds`; when stopped, save for `saving_s`; `deaf`: never look; `child`: start one too."""
    Path(options["note"]).write_text(str(os.getpid()), encoding="utf-8")
    if options.get("child"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(options["note"]).write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
    end = time.monotonic() + options["seconds"]
    steps = 0
    while time.monotonic() < end:
        time.sleep(0.01)
        steps += 1
        if options.get("deaf"):
            continue
        try:
            progress(steps, 10**6, "waiting")
        except Cancelled as stop:
            time.sleep(options.get("saving_s", 0))
            stop.__dict__["result"] = {"best_epoch": 7}
            raise
    return {"steps": steps}


def crowd(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Start two processes; each notes its number in the folder `notes`, then does as `how` says."""
    tasks = [(options["notes"], options["how"])] * 2
    results = run_in_processes(linger, tasks, processes=2, look=lambda: progress(0, 2, "lingering"))
    return {"processes": [process for _, process in results]}


def linger(notes: str, how: str) -> int:
    """One process of the crowd."""
    (Path(notes) / str(os.getpid())).touch()
    if how == "die":
        os._exit(4)
    time.sleep(60 if how == "linger" else 0.2)
    return os.getpid()


def paint(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Hand out a picture, where anybody takes one."""
    take = picture_taker(progress)
    if take is not None:
        take(3, b"what is seen")
    return {"is_taken": take is not None}
