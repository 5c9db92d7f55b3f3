"""Run a command by its name: in this process, or in the external worker.

In:  a command's name and its options as plain JSON values (paths as text), and a progress.
Out: the command's result as a dict. A fault arrives as the same BoneError either way, a stop as Cancelled.
The host's half of the agreement in docs/job_folder.md; the other half is external_worker/worker.py.
Standard library only.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import Cancelled, OptionError, WorkerError, from_plain
from ..progress import Progress, picture_taker, silent, tell_begun
from .commands import find
from .folder import (
    LOG,
    PROTOCOL,
    RESULT,
    Events,
    log_tail,
    make_folder,
    note_worker,
    read_answer,
    remove,
    write_arrays,
    write_job,
)
from .interpreter import INSTALL_COMMAND, check_worker_python, find_worker_python, worker_environment
from .leaving import Adopted, Left, adopt, leave
from .process_tree import Process, end_tree, start_apart, words_for_exit

__all__ = ["PROTOCOL", "check_worker_python", "find_worker_python", "follow", "run_here", "run_in_worker"]

POLL_S = 0.03
EXIT_S = 5.0  # from the written result to the end of the process


def run_here(command: str, options: Mapping[str, Any], *, progress: Progress = silent) -> dict[str, Any]:
    """Run a command in this process.

    command: a name in the table of commands, or "module:function" with function(options, progress) -> dict.
    """
    return find(command).run(options, progress)


def run_in_worker(
    command: str,
    options: Mapping[str, Any],
    *,
    progress: Progress = silent,
    arrays: Mapping[str, Any] | None = None,
    python: Path | None = None,
    patience_s: float | None = None,
    keep_folder: bool = False,
    processes: int = 1,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a command in the external worker and wait for it; call it from any thread.

    arrays: numpy arrays that only the host holds; each is written slice by slice as NAME.npy into the job
        folder, and the text "array:NAME" anywhere in the options becomes the path of that file.
    python: the worker's interpreter; None: find_worker_python().
    patience_s: how long the worker may take to save what it has after a stop; None: as its row says.
    keep_folder: leave the job folder where it is, and log where.
    processes: how many run the command side by side; the first speaks for all, and when one fails all end.
    folder: the command's working folder, for relative paths in its options; None: the job folder.
    environment: variables beside those of this process.

    Raises Cancelled when `progress` does, with the worker's result so far in its attribute `result` (a dict,
    or None); a BoneError of the command as the same class; WorkerError when the worker cannot start, crashes,
    or is of the wrong version; ProgramFault for any other exception. Other exceptions of `progress`, and
    Ctrl-C, stop the worker too and go up; Left leaves it running for a later `follow`.
    """
    row = find(command)
    if not row.in_worker:
        raise OptionError(f"The worker does not do {command!r}; run it with: bone {command}")
    interpreter = find_worker_python() if python is None else python
    patience_s = row.patience_s if patience_s is None else patience_s
    job, is_left = make_folder(), False
    try:
        write_job(
            job,
            command,
            options=options,
            patience_s=patience_s,
            keep_folder=keep_folder,
            processes=processes,
            working_folder=folder,
            has_pictures=picture_taker(progress) is not None,
        )
        write_arrays(job, arrays or {}, progress)
        process = _start(interpreter, job, environment or {})
        return _attend(job, process, progress=progress, patience_s=patience_s)
    except Left:
        is_left = True
        raise
    finally:
        if is_left:
            LOG.info("left running; its job folder is %s", job)
        elif keep_folder:
            LOG.info("job folder kept: %s", job)
        else:
            remove(job)


def follow(job: Path, *, progress: Progress = silent) -> dict[str, Any]:
    """Wait for a job that an earlier host has left, as run_in_worker waits for its own; tell its events anew.

    Gives and raises the same; the job folder is removed unless `progress` raises Left.
    """
    process = adopt(job)
    try:
        command = json.loads((job / "job.json").read_text(encoding="utf-8"))["command"]
        found = _attend(job, process, progress=progress, patience_s=find(command).patience_s)
    except Left:
        raise
    except BaseException:
        remove(job)
        raise
    remove(job)
    return found


def _attend(folder: Path, process: Process, *, progress: Progress, patience_s: float) -> dict[str, Any]:
    events = Events(folder)
    tell_begun(progress, folder, process.pid)
    stop: Cancelled | None = None
    is_left = False
    try:
        try:
            _wait(process, folder, events=events, progress=progress)
        except Left:
            leave(folder)
            process.returncode = 0  # nobody waits for it any more, and its Popen is not to complain of that
            is_left = True
            raise
        except (
            BaseException
        ) as reason:  # a stop, Ctrl-C, a fault in the host's progress: the worker may save first
            (folder / "cancel").touch()
            _wait(process, folder, events=events, progress=silent, timeout_s=patience_s)
            if not isinstance(reason, Cancelled):
                raise
            stop = reason
    finally:
        if not is_left:
            end_tree(process)
    return _outcome(folder, process, stop=stop)


def _start(interpreter: Path, folder: Path, more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    root = Path(__file__).resolve().parents[2]
    scripts = [root / name / "worker.py" for name in ("external_worker", "bone_external_worker")]
    script = next((script for script in scripts if script.is_file()), None)  # in a checkout; installed
    if script is None:
        raise WorkerError(f"The worker's script {scripts[0]} is missing. Install BONe again.")
    from ..volumes.cache import cache_folder  # here, since this floor lies below the volumes

    environment = worker_environment(os.environ) | {"BONE_CACHE": str(cache_folder()), **more}
    with (folder / "worker.log").open("wb") as log:
        try:
            process = start_apart(
                [str(interpreter), "-I", "-X", "utf8", str(script), str(folder)],
                folder=folder,
                environment=environment,
                log=log,
            )
            note_worker(folder, process.pid)
            return process
        except OSError as fault:
            raise WorkerError(
                f"The worker's Python {interpreter} cannot be started ({fault.strerror or fault}). "
                f"Install the worker with: {INSTALL_COMMAND}"
            ) from fault


def _wait(
    process: Process,
    folder: Path,
    *,
    events: Events,
    progress: Progress,
    timeout_s: float = float("inf"),
) -> None:
    """Until the process has ended, its result has been there for EXIT_S, or the time is over."""
    deadline = time.monotonic() + timeout_s
    is_answered = False
    while time.monotonic() < deadline:
        has_ended = process.poll() is not None  # asked first, so that the last events are read after it
        if not is_answered and (folder / RESULT).exists():
            is_answered = True
            deadline = min(deadline, time.monotonic() + EXIT_S)
        events.tell(progress, repeat=not is_answered and not has_ended)
        if has_ended:
            return
        time.sleep(POLL_S)


def _outcome(folder: Path, process: Process, *, stop: Cancelled | None) -> dict[str, Any]:
    """The worker's result, or the exception that stands for it."""
    exit_code = process.returncode
    is_unseen = isinstance(process, Adopted)
    ended = "ended without saying why" if is_unseen else words_for_exit(exit_code)
    try:
        answer = read_answer(folder)
    except ValueError as fault:
        raise WorkerError(f"The worker's result cannot be read: {fault}.{log_tail(folder)}") from fault
    if answer is None and stop is None:
        raise WorkerError(f"The worker gave no result: it {ended}.{log_tail(folder)}")
    if answer is None:
        LOG.warning("the worker did not save anything after the stop: it %s", ended)
        answer = {"status": "cancelled", "result": None}
    if answer["status"] == "failed":
        raise _fault(answer["error"], folder)
    if stop is not None or answer["status"] == "cancelled":
        cancelled = stop or Cancelled("The worker was stopped.")
        vars(cancelled)["result"] = answer.get("result")
        raise cancelled
    if exit_code:
        LOG.warning("the worker did its work, but then it %s", ended)
    return answer["result"]


def _fault(error: Mapping[str, Any], folder: Path) -> Exception:
    more = {"message": error["message"] + log_tail(folder)} if error.get("unexpected") else {}
    return from_plain({**error, **more})
