"""Run one job folder in a Python of its own, apart from the host: python -I -X utf8 worker.py JOBFOLDER

In:  JOBFOLDER/job.json     protocol, command, options; host (a process), patience_s, log_level, keep_folder
     JOBFOLDER/cancel       appears when the host wants a stop; looked at between pieces of work
Out: JOBFOLDER/events.jsonl one line each: {"kind": "progress", step, steps, message, figures}
                            {"kind": "log", level, name, message}   {"kind": "warning", message}
     JOBFOLDER/result.json  last, by rename: {"status": "done"|"failed"|"cancelled", "result", "error"}
The agreement is docs/job_folder.md. No result.json is a crash. The worker never outlives its host.

The top of this file needs the standard library only, and an old Python must be able to read all of it, so
that the worker itself can say that the Python is too old: no syntax younger than Python 3.6.
"""

import faulthandler
import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

PROTOCOL = 1
MINIMUM = (3, 11)
CANCEL_LOOK_S = 0.1  # between two looks at the cancel file
REPORT_S = 0.05  # reports without figures are told at most this often
HOST_LOOK_S = 0.25
INSTALL = "Install one that fits with: python3 install/bootstrap.py worker"


class Events:
    """events.jsonl: appended line by line, flushed, from any thread."""

    def __init__(self, folder):
        self.file = (folder / "events.jsonl").open("a", encoding="utf-8", newline="\n")
        self.lock = threading.Lock()

    def tell(self, kind, **content):
        line = json.dumps(dict(kind=kind, **content), ensure_ascii=False, default=plain)
        with self.lock:
            self.file.write(line + "\n")
            self.file.flush()


class JobProgress:
    """The progress that a command calls: writes events; raises Cancelled once the cancel file is there."""

    def __init__(self, folder, events, cancelled):
        self.cancel_file = folder / "cancel"
        self.events = events
        self.cancelled = cancelled  # the exception's class
        self.looked_at = 0.0
        self.told_at = 0.0

    def __call__(self, step, steps, message, figures=None):
        now = time.monotonic()
        if now - self.looked_at >= CANCEL_LOOK_S:
            self.looked_at = now
            if self.cancel_file.exists():
                raise self.cancelled(message)
        if figures or step >= steps or now - self.told_at >= REPORT_S:
            self.told_at = now
            figures = dict(figures or {})
            self.events.tell("progress", step=step, steps=steps, message=message, figures=figures)


class EventLog(logging.Handler):
    """Log lines of BONe as events."""

    def __init__(self, events):
        logging.Handler.__init__(self)
        self.events = events

    def emit(self, record):
        self.events.tell("log", level=record.levelno, name=record.name, message=self.format(record))


def plain(value):
    """Numbers and arrays of numpy, and paths, as JSON has them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__fspath__"):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be handed to the host as JSON")


def write_result(folder, status, result=None, error=None):
    """Write result.json under another name and rename it, so that the host never reads half of it."""
    part = folder / "result.json.part"
    with part.open("w", encoding="utf-8") as file:
        json.dump(
            {"status": status, "result": result, "error": error}, file, ensure_ascii=False, default=plain
        )
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / "result.json")


def write_fault(folder, kind, message, **more):
    write_result(folder, "failed", error=dict(kind=kind, message=message, **more))


def read_job(folder):
    """The job, or None after writing in words why it cannot be run."""
    if tuple(sys.version_info[:2]) < MINIMUM:
        found, wanted = [".".join(str(n) for n in version) for version in (sys.version_info[:3], MINIMUM)]
        message = f"The worker's Python {sys.executable} is {found}; BONe needs at least {wanted}. {INSTALL}"
        return write_fault(folder, "WorkerError", message)
    try:
        with (folder / "job.json").open(encoding="utf-8") as file:
            job = json.load(file)
        if job["protocol"] != PROTOCOL:
            message = f"The host speaks protocol {job['protocol']}, the worker {PROTOCOL}: not the same BONe."
            return write_fault(folder, "WorkerError", message)
        job["command"], job["options"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        message = f"The job cannot be read from job.json ({type(fault).__name__}: {fault})."
        return write_fault(folder, "WorkerError", message)
    return job


def host_is_there(host, parent):
    """Whether the host still runs. parent: os.getppid() at the start; another one means that it has ended."""
    if os.getppid() != parent:
        return False
    if parent == host:
        return True
    try:
        os.kill(host, 0)  # a launcher stands between host and worker: ask for the host itself
    except ProcessLookupError:
        return False
    except OSError:
        return True  # not ours to signal, yet there
    return True


def wait_for_host_end(host):
    """Return when the host has ended."""
    if os.name == "nt":
        import ctypes

        synchronize = 0x00100000
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        access_denied = 5
        handle = kernel.OpenProcess(synchronize, False, host)
        if handle:
            kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0xFFFFFFFF)
        elif ctypes.get_last_error() == access_denied:
            threading.Event().wait()  # a host that may not be watched: only its cancel file ends the job
        return
    parent = os.getppid()
    while host_is_there(host, parent):
        time.sleep(HOST_LOOK_S)


def end_with_host(folder, job, host_has_ended):
    """When the host has ended: ask the command to stop, wait as the host would have, end everything."""
    wait_for_host_end(job["host"])
    host_has_ended.set()
    try:
        (folder / "cancel").touch()
        deadline = time.monotonic() + job.get("patience_s", 10.0)
        while time.monotonic() < deadline and not (folder / "result.json").exists():
            time.sleep(HOST_LOOK_S)
    except OSError:
        pass  # the folder is gone: nothing can be saved there
    if not job.get("keep_folder"):
        os.chdir(str(folder.parent))
        shutil.rmtree(str(folder), ignore_errors=True)
    if os.name != "nt" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def connect_logs(events, level):
    """BONe's log lines and Python's warnings go to the host, besides worker.log."""
    logger = logging.getLogger("bone")
    logger.setLevel(level)
    logger.addHandler(EventLog(events))
    logger.addHandler(logging.StreamHandler(sys.stderr))
    logger.propagate = False

    def show(message, category, filename, lineno, file=None, line=None):
        events.tell("warning", message=f"{category.__name__}: {message}")
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))

    warnings.showwarning = show


def run(folder, job):
    """Run the job's command and write its result, whatever happens."""
    events = Events(folder)
    connect_logs(events, job.get("log_level", logging.INFO))
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    os.environ["BONE_IS_WORKER"] = "1"  # says that processes may be started
    from bone_backend.errors import BoneError, Cancelled
    from bone_backend.jobs import run_here

    progress = JobProgress(folder, events, Cancelled)
    try:
        write_result(folder, "done", run_here(job["command"], job["options"], progress=progress))
    except Cancelled as stop:
        write_result(folder, "cancelled", getattr(stop, "result", None))
    except BoneError as fault:
        write_fault(folder, type(fault).__name__, str(fault), faults=getattr(fault, "faults", None))
    except ModuleNotFoundError as fault:
        traceback.print_exc()
        message = f"The worker's Python {sys.executable} lacks the package {fault.name}. {INSTALL}"
        write_fault(folder, "PackageError", message)
    except BaseException as fault:
        traceback.print_exc()
        sys.stderr.flush()
        line = traceback.format_exception_only(type(fault), fault)[-1].strip()
        write_fault(folder, "WorkerError", f"The worker failed: {line}", unexpected=True)


def main(arguments):
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -I -X utf8 worker.py JOBFOLDER\n")
        return 2
    faulthandler.enable()
    folder = Path(arguments[0]).resolve()
    job = read_job(folder)
    if job is not None:
        if "host" in job:
            host_has_ended = threading.Event()
            watch = threading.Thread(target=end_with_host, args=(folder, job, host_has_ended), daemon=True)
            watch.start()
        run(folder, job)
        if "host" in job and host_has_ended.is_set():
            watch.join()  # it tidies up and ends this process
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
