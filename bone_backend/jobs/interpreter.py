"""The worker's Python: where it is, whether it fits, and in which surroundings it starts.

In:  the environment, external_worker/python.txt, the checkout's .venv-worker.
Out: the path of a Python of at least MINIMUM, or a WorkerError that names the installing command.
Inside Avizo `sys.executable` is Avizo itself and is never used.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from ..errors import WorkerError

INSTALL_COMMAND = "python3 install/bootstrap.py worker"
MINIMUM = (3, 11)
CHECKOUT = Path(__file__).resolve().parents[2]
# Lists of folders in which a host such as Avizo names its own libraries before all others.
_PATH_LISTS = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def find_worker_python(
    environment: Mapping[str, str] = os.environ, *, checkout: Path = CHECKOUT, executable: str | None = None
) -> Path:
    """Path of the worker's Python; WorkerError when a place names a missing one, or no place has one.

    In this order: $BONE_WORKER_PYTHON; external_worker/python.txt (the installer writes it); .venv-worker of
    the checkout; the running Python, unless the host is another program with a Python inside.
    """
    named = environment.get("BONE_WORKER_PYTHON", "").strip()
    if named:
        return _existing(Path(named), "the environment variable BONE_WORKER_PYTHON")
    note = checkout / "external_worker" / "python.txt"
    if note.is_file():
        return _existing(checkout / note.read_text(encoding="utf-8").strip(), str(note))
    for inside in ("bin/python", "Scripts/python.exe"):
        if (checkout / ".venv-worker" / inside).is_file():
            return checkout / ".venv-worker" / inside
    running = Path(sys.executable or "") if executable is None else Path(executable)
    if is_plain_python(running):
        return running
    raise WorkerError(f"The worker's Python was not found. Install it with: {INSTALL_COMMAND}")


def _existing(path: Path, told_by: str) -> Path:
    if path.is_file():
        return path
    raise WorkerError(
        f"The worker's Python {path}, named by {told_by}, is missing. Install it with: {INSTALL_COMMAND}"
    )


def is_plain_python(executable: Path) -> bool:
    """Whether this is Python itself, not a program such as Avizo with a Python inside."""
    return executable.name.lower().startswith("python")


def check_worker_python(path: Path) -> str:
    """Version of this Python, e.g. "3.12.1"; WorkerError when it cannot be run or is older than MINIMUM.

    The Python is started once per path and date of the file.
    """
    try:
        return _version(str(path), path.stat().st_mtime_ns)
    except OSError as fault:
        raise WorkerError(
            f"The worker's Python {path} cannot be started ({fault.strerror or fault}). "
            f"Install the worker with: {INSTALL_COMMAND}"
        ) from fault


@lru_cache(maxsize=16)
def _version(path: str, _changed_ns: int) -> str:
    question = "import sys; print('%d.%d.%d' % tuple(sys.version_info)[:3])"
    try:
        answer = subprocess.run(
            [path, "-I", "-c", question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
            encoding="utf-8",
            env=worker_environment(os.environ),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        ).stdout.strip()
        version = tuple(int(number) for number in answer.split("."))
    except (subprocess.SubprocessError, ValueError) as fault:
        raise WorkerError(
            f"{path} is not a working Python ({fault}). Install one with: {INSTALL_COMMAND}"
        ) from fault
    if version < MINIMUM:
        raise WorkerError(
            f"The worker's Python {path} is {answer}; BONe needs at least {MINIMUM[0]}.{MINIMUM[1]}. "
            f"Install one with: {INSTALL_COMMAND}"
        )
    return answer


def worker_environment(environment: Mapping[str, str], *, executable: str | None = None) -> dict[str, str]:
    """The host's environment without what would lead another Python astray.

    PYTHONHOME, PYTHONPATH and their kin go; where the host is another program, its own folders leave the
    lists of library folders: a Python that meets Avizo's libraries first does not start or crashes.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith("PYTHON") and name not in ("__PYVENV_LAUNCHER__", "VIRTUAL_ENV")
    }
    host = Path(sys.executable or "") if executable is None else Path(executable)
    if is_plain_python(host) or not host.name:
        return kept
    folder = host.resolve().parent  # e.g. C:\Program Files\Avizo\bin\arch-Win64VC14-Optimize
    root = next((above for above in (folder, *folder.parents) if above.name == "bin"), folder)
    for name in [name for name in kept if name.upper() in _PATH_LISTS]:
        entries = [entry for entry in kept[name].split(os.pathsep) if not _is_below(entry, root)]
        kept[name] = os.pathsep.join(entries)
    return kept


def _is_below(entry: str, root: Path) -> bool:
    if not entry or root == Path(root.anchor) / "usr" / "bin":
        return False  # a program installed among the system's own does not own that folder
    return Path(entry).resolve().is_relative_to(root.parent if root.name == "bin" else root)
