"""What the host writes into a job folder, and what it reads there.

In:  a command, its options and arrays; the worker's events, result and log.
Out: job.json and *.npy; progress and log lines told on; the worker's answer.
The whole agreement is docs/job_folder.md. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files.makers import Maker, this_process
from ..files.whole import write_text
from ..progress import Progress, picture_taker
from .picture import MOST_BYTES

PROTOCOL = 1
REPEAT_S = 0.2  # a silent worker's last report is told again this often, so that a stop is noticed meanwhile
LOG_LINES = 15
ARRAY_MARK = "array:"
PREFIX = "bone-job-"
WORKER, RESULT = "worker.mark", "result.json"
LEFT = "left.json"  # there where the worker goes on without its host
LEFT_DAYS = 14.0  # for which the result of such a one is kept

LOG = logging.getLogger("bone.worker")


def write_job(
    folder: Path,
    command: str,
    *,
    options: Mapping[str, Any],
    patience_s: float,
    keep_folder: bool,
    processes: int = 1,
    working_folder: Path | None = None,
    has_pictures: bool = False,
) -> None:
    """Write job.json. The text "array:NAME" anywhere in the options becomes the path of NAME.npy."""
    job = {
        "protocol": PROTOCOL,
        "command": command,
        "options": _with_array_paths(dict(options), folder),
        "host": os.getpid(),
        "patience_s": patience_s,
        "log_level": LOG.getEffectiveLevel(),
        "keep_folder": keep_folder,
        "processes": processes,
        "working_folder": None if working_folder is None else str(working_folder),
        "pictures": has_pictures,
    }
    write_text(folder / "job.json", json.dumps(job, indent=1))


def _with_array_paths(value: Any, folder: Path) -> Any:
    if isinstance(value, str) and value.startswith(ARRAY_MARK):
        return str(folder / f"{value[len(ARRAY_MARK) :]}.npy")
    if isinstance(value, Mapping):
        return {key: _with_array_paths(inner, folder) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_array_paths(inner, folder) for inner in value]
    return value


def make_folder() -> Path:
    """A new job folder; those that killed hosts have left behind are removed first."""
    folder = Path(tempfile.gettempdir())
    remove_left_over(folder)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{this_process().mark}-", dir=folder))


def note_worker(folder: Path, pid: int) -> None:
    """Write down which process works in the folder, for `remove_left_over`."""
    with contextlib.suppress(OutputError):
        write_text(folder / WORKER, Maker.of_pid(pid).mark)


def remove_left_over(folder: Path) -> None:
    """Remove folders of this machine whose maker and worker have both ended, and that nobody wants kept."""
    for job in folder.glob(f"{PREFIX}*"):
        host = Maker.of_mark(job.name)
        if host is None or not host.has_ended:
            continue
        try:
            worker = Maker.of_mark((job / WORKER).read_text(encoding="ascii"))
        except (OSError, ValueError):
            worker = None  # the host was killed before it started one
        if (worker is None or worker.has_ended) and not _is_kept(job):
            shutil.rmtree(job, ignore_errors=True)


def _is_kept(job: Path) -> bool:
    try:
        if (job / LEFT).exists():
            return time.time() - job.stat().st_mtime < LEFT_DAYS * 86400
        return bool(json.loads((job / "job.json").read_text(encoding="utf-8")).get("keep_folder"))
    except (OSError, ValueError, AttributeError):
        return False


def write_arrays(folder: Path, arrays: Mapping[str, Any], progress: Progress) -> None:
    """Write each numpy array, of any memory order, as NAME.npy, one slice at a time."""
    for name, array in arrays.items():
        try:
            with (folder / f"{name}.npy").open("wb") as file:
                file.write(_npy_header(array))
                for z in range(array.shape[0]):
                    progress(z, array.shape[0], f"Handing {name} to the worker")
                    file.write(array[z].tobytes())  # in C order, whatever the order of the whole
        except OSError as fault:
            raise OutputError(
                f"{folder.parent}: no room to hand {name} to the worker ({fault.strerror or fault}). "
                "Free some space, or set TMPDIR (Windows: TEMP) to a folder on a larger disk."
            ) from fault


def _npy_header(array: Any) -> bytes:
    """Header of the .npy format, version 1.0, padded to 64 bytes (numpy.lib.format); made without numpy."""
    shape = tuple(int(n) for n in array.shape)
    text = repr({"descr": array.dtype.str, "fortran_order": False, "shape": shape}).encode("ascii")
    size = len(text) + 1 + -(10 + len(text) + 1) % 64
    return b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + text.ljust(size - 1) + b"\n"


class Events:
    """The worker's events, told on: progress to a progress, log lines and warnings to "bone.worker"."""

    def __init__(self, folder: Path):
        self._path = folder / "events.jsonl"
        self._offset = 0
        self._last: tuple[int, int, str] = (0, 1, "Starting the worker")
        self._told_at = 0.0

    def tell(self, progress: Progress, *, repeat: bool) -> None:
        """Tell what is new; with `repeat`, also the last report again from time to time.

        Whatever `progress` raises goes up, and the events behind it are told by the next call.
        """
        for event in self._new():
            if event["kind"] == "progress":
                self._last = (event["step"], event["steps"], event["message"])
                self._told_at = time.monotonic()
                progress(*self._last, event.get("figures"))
            elif event["kind"] == "picture":
                self._hand_on(event, progress)
            else:
                level = logging.WARNING if event["kind"] == "warning" else event["level"]
                LOG.log(level, "%s", event["message"])
        if repeat and time.monotonic() - self._told_at >= REPEAT_S:
            self._told_at = time.monotonic()
            progress(*self._last)

    def _hand_on(self, event: Mapping[str, Any], progress: Progress) -> None:
        """A picture, from its file, to a progress that takes any."""
        take, path = picture_taker(progress), self._path.with_name(event["file"])
        if take is None:
            return
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as fault:
            LOG.debug("a picture that cannot be read: %s", fault)
            return
        take(event["epoch"], content)

    def _new(self):
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole, newline, _ = file.read().rpartition(b"\n")  # the rest is a line still being written
        except OSError:
            return  # not there yet
        for line in (whole + newline).splitlines(keepends=True):
            self._offset += len(line)
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = None
            if _is_event(event):
                yield event
            else:
                LOG.debug("an event that cannot be read: %r", line[:200])


def _is_event(event: Any) -> bool:
    """Whether a line of events.jsonl is one of docs/job_folder.md."""
    kinds: dict[str, dict[str, type]] = {
        "progress": {"step": int, "steps": int, "message": str},
        "log": {"level": int, "message": str},
        "warning": {"message": str},
        "picture": {"epoch": int, "file": str},
    }
    if not isinstance(event, dict) or not isinstance(event.get("kind"), str) or event["kind"] not in kinds:
        return False
    if event["kind"] == "picture" and event.get("file") != Path(str(event.get("file"))).name:
        return False  # only files of the job folder itself
    has_figures = event.get("figures") is None or isinstance(event["figures"], dict)
    return has_figures and all(isinstance(event.get(k), t) for k, t in kinds[event["kind"]].items())


def read_answer(folder: Path) -> dict[str, Any] | None:
    """result.json, or None when there is none; ValueError when it cannot be read."""
    try:
        answer = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except OSError:
        return None
    except RecursionError as fault:
        raise ValueError("its values are nested too deeply") from fault
    if not isinstance(answer, dict) or answer.get("status") not in ("done", "failed", "cancelled"):
        raise ValueError("it has no status")
    error, result = answer.get("error"), answer.get("result")
    if answer["status"] == "failed":
        if not _is_fault(error):
            raise ValueError("it does not say what failed")
    elif not isinstance(result, dict) and (answer["status"] == "done" or result is not None):
        raise ValueError("it has no result")
    return answer


def _is_fault(error: Any) -> bool:
    """Whether it is what `errors.as_plain` gives."""
    if not isinstance(error, dict) or not all(isinstance(error.get(k), str) for k in ("kind", "message")):
        return False
    faults = error.get("faults") or []
    return isinstance(faults, list) and all(
        isinstance(fault, list) and fault and all(isinstance(part, str) for part in fault) for fault in faults
    )


def log_tail(folder: Path) -> str:
    """The last lines of worker.log, as the end of a message."""
    try:
        text = (folder / "worker.log").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        text = ""
    lines = text.splitlines()[-LOG_LINES:]
    return " The last lines of its log:\n" + "\n".join(lines) if lines else " Its log is empty."


def remove(folder: Path) -> None:
    """Remove the job folder; where that fails, say so in the log."""
    for wait_s in (0.0, 0.1, 0.3, 1.0, 2.0):  # Windows: files stay locked for a moment after their process
        time.sleep(wait_s)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    LOG.warning("the job folder %s could not be removed", folder)
