"""Run one job folder in a Python of its own, apart from the host:

     python -I -X utf8 worker.py JOBFOLDER [RANK]

In:  JOBFOLDER/job.json     protocol, command, options; host (a process), patience_s, log_level, keep_folder;
                            processes (side by side: this one starts the others, RANK 1 and up),
                            working_folder, pictures
     JOBFOLDER/cancel       appears when the host wants a stop; looked at between pieces of work
Out: JOBFOLDER/events.jsonl one line each: {"kind": "progress", step, steps, message, figures}
                            {"kind": "log", level, name, message}   {"kind": "warning", message}
                            {"kind": "picture", epoch, file}        file: JOBFOLDER/picture_EPOCH.npz
     JOBFOLDER/result.json  last, by rename: {"status": "done"|"failed"|"cancelled", "result", "error"}
The agreement is docs/job_folder.md. No result.json is a crash. The worker never outlives its host.

The top of this file needs the standard library only, and an old Python must be able to read all of it, so
that the worker itself can say that the Python is too old: no syntax younger than Python 3.6.
"""

import atexit
import faulthandler
import json
import logging
import os
import subprocess
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
SIBLING_LOOK_S = 0.1
SIBLING_END_S = 4.0  # for the other processes after the first has done its work, and the other way round
INSTALL = "Install one that fits with: python3 install/bootstrap.py worker"


class Events:
    """events.jsonl: appended line by line, flushed, from any thread."""

    def __init__(self, folder):
        self.file = (folder / "events.jsonl").open("a", encoding="utf-8", newline="\n")
        self.lock = threading.Lock()

    def tell(self, kind, **content):
        line = json.dumps(dict(kind=kind, **content), default=plain)
        with self.lock:
            self.file.write(line + "\n")
            self.file.flush()


class JobProgress:
    """The progress that a command calls: writes events; raises Cancelled once the cancel file is there."""

    def __init__(self, folder, events, cancelled, has_pictures=False):
        self.folder = folder
        if has_pictures:
            self.picture = self.write_picture  # without it a fit makes none
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

    def write_picture(self, epoch, content):
        """Hand over a picture of an epoch: its file appears whole, then the event. Raises OSError."""
        name = f"picture_{epoch}.npz"
        part = self.folder / (name + ".part")
        part.write_bytes(content)
        part.replace(self.folder / name)
        self.events.tell("picture", epoch=epoch, file=name)


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


def write_result(folder, status, result=None, error=None, name="result.json"):
    """Write result.json, which appears whole, so that the host never reads half of it."""
    from bone_backend.files.whole import write_text

    answer = {"status": status, "result": result, "error": error}
    write_text(folder / name, json.dumps(answer, default=plain))


def write_fault(folder, kind, message, name="result.json", **more):
    write_result(folder, "failed", error=dict(kind=kind, message=message, **more), name=name)


def is_too_old(folder):
    """Whether this Python cannot read BONe's other files; then that is written, by means of this one."""
    if tuple(sys.version_info[:2]) >= MINIMUM:
        return False
    found, wanted = [".".join(str(n) for n in version) for version in (sys.version_info[:3], MINIMUM)]
    message = f"The worker's Python {sys.executable} is {found}; BONe needs at least {wanted}. {INSTALL}"
    answer = {"status": "failed", "result": None, "error": {"kind": "WorkerError", "message": message}}
    part = folder / "result.json.part"
    part.write_text(json.dumps(answer), encoding="utf-8")
    part.replace(folder / "result.json")
    return True


def read_job(folder):
    """The job, or None after writing in words why it cannot be run."""
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


class Siblings:
    """The other processes of a job that several do side by side. They end with this one, the first.

    Each says in fault_RANK.json what went wrong; where it could not, its exit code tells.
    """

    def __init__(self, folder, count):
        self.folder, self.count = folder, count
        self.started = {}
        self.is_over = threading.Event()

    def start(self):
        for rank in range(1, self.count):
            command = [sys.executable, "-I", "-X", "utf8", str(Path(__file__).resolve()), str(self.folder)]
            environment = dict(os.environ, BONE_FIRST_PROCESS=str(os.getpid()), **self.place(rank))
            flags = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
            self.started[rank] = subprocess.Popen(
                [*command, str(rank)], stdin=subprocess.DEVNULL, env=environment, **flags
            )
        os.environ.update(self.place(0))
        if self.started:
            threading.Thread(target=self.watch, daemon=True).start()

    def place(self, rank):
        if self.count == 1:
            return {}
        place = {"RANK": rank, "WORLD_SIZE": self.count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": self.count}
        place["BONE_MEETING_FILE"] = self.folder / "meeting"  # no port: nothing that could be in use
        return {name: str(value) for name, value in place.items()}

    def lost(self):
        """The first one that has failed: (rank, exit code), or None."""
        codes = [(rank, process.poll()) for rank, process in self.started.items()]
        return next((found for found in codes if found[1]), None)

    def fault(self):
        """What a process that failed says, as write_fault takes it, or None. Waits for its end a moment."""
        deadline = time.monotonic() + (1.0 if self.started else 0.0)
        while time.monotonic() < deadline and not self.lost():
            time.sleep(SIBLING_LOOK_S)
        found = self.lost()
        if found is None:
            return None
        rank, code = found
        try:
            with (self.folder / f"fault_{rank}.json").open(encoding="utf-8") as file:
                told = dict(json.load(file)["error"])
                told["message"] = str(told["message"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            told = {"kind": "WorkerError", "unexpected": True, "message": f"it ended with exit code {code}"}
            if code < 0:
                told["message"] = f"it was killed by signal {-code}; perhaps the memory did not suffice"
        message = told.pop("message")
        told["message"] = f"Process {rank + 1} of {self.count}: {message}"
        if told.get("faults"):
            text = f"Process {rank + 1} of {self.count}: "
            told["faults"] = [[text + fault, *names] for fault, *names in told["faults"]]
        return told

    def watch(self):
        """End everything when one has failed and this one does not notice, stuck in an exchange with it."""
        while not self.is_over.wait(SIBLING_LOOK_S):
            if self.lost() and not self.is_over.wait(SIBLING_END_S):
                told = self.fault()
                if told and not (self.folder / "result.json").exists():
                    write_fault(self.folder, **told)
                self.end(0.0)
                os._exit(1)

    def end(self, within_s=SIBLING_END_S):
        """Wait for the others, then end them by force."""
        self.is_over.set()
        deadline = time.monotonic() + within_s
        for process in self.started.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def prepare(job):
    """What a command finds: the right to start processes, its working folder."""
    os.environ["BONE_IS_WORKER"] = "1"  # says that processes may be started
    if job.get("working_folder"):
        os.chdir(job["working_folder"])


def run(folder, job):
    """Run the job's command and write its result, whatever happens."""
    events = Events(folder)
    connect_logs(events, job.get("log_level", logging.INFO))
    prepare(job)
    siblings = Siblings(folder, job.get("processes") or 1)
    try:
        siblings.start()
        attempt(folder, job, events, siblings)
    finally:
        siblings.end()


def attempt(folder, job, events, siblings):
    from bone_backend.errors import BoneError, Cancelled, WorkerError
    from bone_backend.jobs.run import run_here

    progress = JobProgress(folder, events, Cancelled, has_pictures=bool(job.get("pictures")))
    try:
        write_result(folder, "done", run_here(job["command"], job["options"], progress=progress))
    except Cancelled as stop:
        write_result(folder, "cancelled", getattr(stop, "result", None))
    except BoneError as fault:
        told = siblings.fault() if isinstance(fault, WorkerError) else None
        if told:
            told["message"] += f" {fault}"
            if told.get("faults"):
                told["faults"][-1][0] += f" {fault}"
        write_fault(folder, **(told or as_told(fault)))
    except ModuleNotFoundError as fault:
        traceback.print_exc()
        if (fault.name or "").partition(".")[0] == "bone_backend":  # a file of BONe's own
            return write_fault(folder, **as_told(fault))
        message = f"The worker's Python {sys.executable} lacks the package {fault.name}. {INSTALL}"
        write_fault(folder, "PackageError", message)
    except BaseException as fault:
        traceback.print_exc()
        sys.stderr.flush()
        write_fault(folder, **(siblings.fault() or as_told(fault)))


def as_told(fault):
    """An exception as write_fault takes it."""
    from bone_backend.errors import as_plain

    told = as_plain(fault)
    if told["kind"] == "ProgramFault":
        told.update(message=f"The worker failed: {told['message']}", unexpected=True)
    return told


def run_beside(folder, job, rank):
    """Run the job's command as one of several processes, of which the first speaks. Gives the exit code."""
    logger = logging.getLogger("bone")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"[{rank}] %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(job.get("log_level", logging.INFO))
    logger.propagate = False
    prepare(job)
    from bone_backend.errors import BoneError, Cancelled
    from bone_backend.jobs.ranks import Parted
    from bone_backend.jobs.run import run_here

    try:
        run_here(job["command"], job["options"])
    except (Cancelled, Parted):
        pass
    except BaseException as fault:
        if not isinstance(fault, BoneError):
            traceback.print_exc()
        write_fault(folder, name=f"fault_{rank}.json", **as_told(fault))
        return 1
    return 0


def end_now(code):
    """End without giving the memory back piece by piece, for which torch takes seconds."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(arguments):
    if len(arguments) not in (1, 2) or not Path(arguments[0]).is_dir():
        sys.stderr.write("usage: python -I -X utf8 worker.py JOBFOLDER [RANK]\n")
        return 2
    faulthandler.enable()
    folder = Path(arguments[0]).resolve()
    if is_too_old(folder):
        return 0
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # BONe's packages
    from bone_backend.jobs.watch import end_with_first, end_with_host

    job = read_job(folder)
    if len(arguments) == 2:
        first = int(os.environ["BONE_FIRST_PROCESS"])
        threading.Thread(target=end_with_first, args=(first,), daemon=True).start()
        end_now(run_beside(folder, job, int(arguments[1])))
    if job is not None:
        if "host" in job:
            host_has_ended = threading.Event()
            watch = threading.Thread(target=end_with_host, args=(folder, job, host_has_ended), daemon=True)
            watch.start()
        run(folder, job)
        if "host" in job and host_has_ended.is_set():
            watch.join()  # it tidies up and ends this process
        end_now(0)  # the host waits for it
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
