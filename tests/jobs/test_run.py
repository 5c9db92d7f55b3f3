"""Commands in a real worker process: however a job ends, the host gets the right outcome."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bone_backend.errors import (
    BoneError,
    Cancelled,
    OptionError,
    OutputError,
    PackageError,
    ProgramFault,
    ScanError,
    WorkerError,
)
from bone_backend.files.makers import Maker, this_process
from bone_backend.jobs.folder import PREFIX, WORKER, Events, remove_left_over
from bone_backend.jobs.leaving import left_jobs
from bone_backend.jobs.run import follow, run_here, run_in_worker
from bone_backend.progress import Recorder
from mocks.pythons import python_of_version

PYTHON = Path(sys.executable)
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    """Job folders lie here, in a folder with blanks and umlauts; none may be left at the end of a test."""
    folder = tmp_path / "Übungen am Röntgen-CT"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.glob("bone-job-*")) == []


def run(name: str, options=None, **more):
    return run_in_worker(f"mocks.jobs:{name}", options or {}, python=PYTHON, **more)


def note_of(path: Path) -> list[int]:
    """Process numbers, once they are written."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and path.read_text(encoding="utf-8"):
            return [int(number) for number in path.read_text(encoding="utf-8").split()]
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


def is_running(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_end(processes: list[int], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and any(is_running(process) for process in processes):
        time.sleep(0.05)
    return not any(is_running(process) for process in processes)


def test_a_picture_comes_back_where_the_host_takes_any_and_is_not_made_elsewhere():
    class Taker(Recorder):
        def __init__(self):
            super().__init__()
            self.pictures, self.jobs = [], []

        def picture(self, epoch, content):
            self.pictures.append((epoch, content))

        def begun(self, folder, process):
            self.jobs.append((folder, process))

    taker = Taker()
    assert run("paint", progress=taker) == {"is_taken": True}
    assert taker.pictures == [(3, b"what is seen")]
    ((folder, process),) = taker.jobs
    assert folder.name.startswith(PREFIX)
    assert process not in (0, os.getpid())
    assert run("paint", progress=Recorder()) == {"is_taken": False}


def test_a_picture_that_is_no_file_of_the_job_folder_is_not_read(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "secret").write_bytes(b"of somebody else")
    lines = [{"kind": "picture", "epoch": 1, "file": "../secret"}, {"kind": "smell", "of": "roses"}]
    lines.append({"kind": "picture", "epoch": 2, "file": "not_there.npz"})
    lines.append({"kind": "progress", "step": 1, "steps": 2, "message": "still read"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "job" / "events.jsonl").write_text(text, encoding="utf-8")

    class Taker(Recorder):
        def picture(self, epoch, content):
            raise AssertionError((epoch, content))

    taker = Taker()
    Events(tmp_path / "job").tell(taker, repeat=False)
    assert [report.message for report in taker.reports] == ["still read"]


# ---- success


def test_options_reach_the_worker_and_its_result_comes_back():
    options = {"path": "C:\\Röntgen\\a b.tif", "numbers": [1, 2.5, None], "is_good": True}
    result = run("echo", options)
    assert result["options"] == options
    assert result["process"] != os.getpid()


def test_the_same_command_runs_here_or_in_the_worker():
    recorder = Recorder()
    result = run_here("mocks.jobs:echo", {"a": 1}, progress=recorder)
    assert result["options"] == {"a": 1}
    assert result["process"] == os.getpid()
    assert [report.step for report in recorder.reports] == [1, 2]


def test_progress_with_figures_arrives_once_and_in_order():
    recorder = Recorder()
    run("echo", progress=recorder)
    told = [(r.step, r.steps, r.message, r.figures) for r in recorder.reports]
    assert told[-2:] == [(1, 2, "halfway", {"loss": 0.5}), (2, 2, "all of it", {})]
    assert {message for _, _, message, _ in told[:-2]} <= {"Starting the worker"}


def test_log_lines_and_warnings_come_out_of_the_logger_of_the_worker(caplog):
    with caplog.at_level(logging.INFO, logger="bone.worker"):
        run("speak")
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert (logging.INFO, "a line with umlauts: Röntgen") in told
    assert (logging.WARNING, "UserWarning: the scan looks odd") in told
    assert not any("nobody asked for" in message for _, message in told)


def test_the_worker_is_isolated_from_the_environment_of_the_host(monkeypatch, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('a json of the host')", encoding="utf-8")
    monkeypatch.setenv("PYTHONHOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    result = run("echo")
    assert result["python"] == []
    assert (result["isolated"], result["utf8"], result["is_stdin_empty"]) == (1, 1, True)


def test_the_worker_works_in_its_job_folder(temporary_folder):
    result = run("echo")
    assert Path(result["folder"]).parent.samefile(temporary_folder)
    files = set(result["files"]) - {"worker.mark"}  # which the host writes meanwhile
    assert files == {"job.json", "events.jsonl", "worker.log"}


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">i2", "f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_the_host_are_memory_mapped_by_the_worker(dtype, order):
    array = np.asarray(np.arange(24).reshape(4, 3, 2).astype(dtype), order=order).transpose(2, 1, 0)
    result = run("load", {"scan": {"path": "array:scan"}}, arrays={"scan": array})
    assert result == {"shape": [2, 3, 4], "dtype": str(array.dtype), "sum": 276}


def test_a_kept_folder_holds_the_whole_agreement(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run("echo", keep_folder=True)
    (folder,) = tmp_path.glob("bone-job-*")
    assert {path.name for path in folder.iterdir()} == {
        "job.json",
        "events.jsonl",
        "worker.log",
        "worker.mark",
        "result.json",
    }


def test_several_jobs_run_at_a_time():
    results = []
    threads = [threading.Thread(target=lambda: results.append(run("echo"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result["process"] for result in results}) == 3


# ---- faults


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("scan", ScanError, "skull_07.tif: truncated"),
        ("options", OptionError, "patch_size is 250\nepochs is -1"),
    ],
)
def test_a_fault_of_the_user_is_the_same_here_and_in_the_worker(how, kind, text):
    for way in (lambda: run("fail", {"how": how}), lambda: run_here("mocks.jobs:fail", {"how": how})):
        with pytest.raises(kind) as caught:
            way()
        assert str(caught.value) == text


def test_several_faults_of_the_options_stay_several():
    with pytest.raises(OptionError) as caught:
        run("fail", {"how": "options"})
    assert caught.value.faults == ["patch_size is 250", "epochs is -1"]


def test_a_fault_of_the_program_tells_its_last_line_and_the_log():
    with pytest.raises(ProgramFault, match=r"failed: ZeroDivisionError: division by zero") as caught:
        run("fail", {"how": "program"})
    assert "Traceback" in str(caught.value)


def test_a_missing_package_is_told_with_the_command_that_installs_it():
    with pytest.raises(PackageError, match=r"a_package_that_is_not_there.*bootstrap\.py worker"):
        run("fail", {"how": "package"})


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("exit", "exit code 3"),
        ("no result", "exit code 0"),
        pytest.param("kill", "SIGKILL", marks=pytest.mark.skipif(os.name == "nt", reason="POSIX signals")),
        pytest.param(
            "segfault", "SIGSEGV|access violation", marks=pytest.mark.skipif(os.name == "nt", reason="POSIX")
        ),
        ("half a result", "result cannot be read"),
    ],
)
def test_a_crash_is_told_with_exit_code_and_the_last_words(how, words):
    with pytest.raises(WorkerError, match=words) as caught:
        run("crash", {"how": how})
    assert "last words" in str(caught.value) or "Current thread" in str(caught.value)


def test_an_unknown_command_is_refused_before_anything_starts():
    with pytest.raises(OptionError, match=r"no command 'fitt'; there are fit, predict"):
        run_in_worker("fitt", {}, python=Path("/nowhere"))


def test_a_missing_interpreter_is_told_with_the_command_that_installs_it(tmp_path):
    with pytest.raises(WorkerError, match=r"cannot be started.*bootstrap\.py worker"):
        run_in_worker("mocks.jobs:echo", {}, python=tmp_path / "python")


def test_a_file_that_is_no_program_is_no_interpreter(tmp_path):
    (tmp_path / "python").write_text("no program", encoding="utf-8")
    with pytest.raises(WorkerError):
        run_in_worker("mocks.jobs:echo", {}, python=tmp_path / "python")


def test_a_python_that_is_too_old_says_so_itself(tmp_path):
    python = python_of_version(tmp_path / "old Python", (3, 9, 18))
    with pytest.raises(WorkerError, match=r"is 3\.9\.18; BONe needs at least 3\.11.*bootstrap\.py worker"):
        run_in_worker("mocks.jobs:echo", {}, python=python)


def test_a_full_disk_while_arrays_are_handed_over_is_a_fault_in_words():
    class Array:
        dtype, shape = np.dtype(np.uint8), (2, 2, 2)

        def __getitem__(self, z):
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"no room to hand scan to the worker \(No space left"):
        run("load", {"scan": {"path": "array:scan"}}, arrays={"scan": Array()})


# ---- stopping


def stop_when_noted(note: Path):
    """A progress that asks to stop once the command is at work."""

    def progress(step, steps, message, figures=None, /):
        if note.exists():
            raise Cancelled("asked to stop")

    return progress


def test_a_stop_keeps_what_the_command_has_saved(tmp_path):
    note = tmp_path / "note"
    start = time.monotonic()
    with pytest.raises(Cancelled, match="asked to stop") as caught:
        run("wait", {"seconds": 60, "note": str(note), "saving_s": 0.5}, progress=stop_when_noted(note))
    assert caught.value.result == {"best_epoch": 7}
    assert time.monotonic() - start < 10
    assert all_end(note_of(note))


def test_a_worker_that_does_not_listen_is_ended_with_its_children(tmp_path, caplog):
    note = tmp_path / "note"
    options = {"seconds": 60, "note": str(note), "deaf": True, "child": True}
    with pytest.raises(Cancelled) as caught:
        run("wait", options, progress=stop_when_noted(note), patience_s=0.5)
    assert caught.value.result is None
    assert "did not save anything" in caplog.text
    assert len(note_of(note)) == 2
    assert all_end(note_of(note))


def test_a_stop_before_the_worker_says_anything_is_noticed(tmp_path):
    with pytest.raises(Cancelled):
        run("wait", {"seconds": 60, "note": str(tmp_path / "note")}, progress=Recorder(stop_after=1))


def test_a_stop_while_arrays_are_handed_over_starts_nothing():
    with pytest.raises(Cancelled):
        run("load", {}, arrays={"scan": np.zeros((3, 2, 2))}, progress=Recorder(stop_after=2))


@pytest.mark.parametrize("reason", [KeyboardInterrupt, RuntimeError])
def test_any_other_exception_in_the_host_stops_the_worker_and_goes_up(tmp_path, reason):
    note = tmp_path / "note"

    def progress(step, steps, message, figures=None, /):
        if note.exists():
            raise reason

    with pytest.raises(reason):
        run("wait", {"seconds": 60, "note": str(note)}, progress=progress)
    assert all_end(note_of(note))


def kill_host(tmp_path: Path, options: dict) -> None:
    """Start a host that runs the command `wait`, and kill it at once when the command is at work."""
    code = (
        "import sys, tempfile\n"
        "from pathlib import Path\n"
        f"sys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from bone_backend.jobs.run import run_in_worker\n"
        f"tempfile.tempdir = {tempfile.tempdir!r}\n"
        f"run_in_worker('mocks.jobs:wait', {options!r}, python=Path(sys.executable), patience_s=1)\n"
    )
    host = subprocess.Popen([sys.executable, "-c", code])
    try:
        note_of(Path(options["note"]))
    finally:
        host.kill()
        host.wait()


@pytest.mark.parametrize("is_deaf", [False, True])
def test_the_worker_ends_with_its_host_and_removes_the_job_folder(tmp_path, temporary_folder, is_deaf):
    note = tmp_path / "note"
    kill_host(tmp_path, {"seconds": 60, "note": str(note), "deaf": is_deaf, "child": os.name != "nt"})
    assert all_end(note_of(note))
    deadline = time.monotonic() + 5
    while list(temporary_folder.glob("bone-job-*")) and time.monotonic() < deadline:
        time.sleep(0.05)


# ---- processes of the worker


def test_processes_of_the_worker_work_side_by_side(tmp_path):
    result = run("crowd", {"notes": str(tmp_path), "how": "return"})
    assert len(result["processes"]) == 2


def test_a_process_of_the_worker_that_dies_is_told(tmp_path):
    with pytest.raises(WorkerError, match="A process of the worker ended unexpectedly"):
        run("crowd", {"notes": str(tmp_path), "how": "die"})


def test_processes_of_a_killed_worker_end_too(tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()

    def progress(step, steps, message, figures=None, /):
        numbers = [int(path.name) for path in notes.iterdir()]
        if len(numbers) == 2:
            psutil.Process(numbers[0]).parent().kill()

    with pytest.raises((WorkerError, psutil.NoSuchProcess, AttributeError)):
        run("crowd", {"notes": str(notes), "how": "linger"}, progress=progress)
    assert all_end([int(path.name) for path in notes.iterdir()])


def test_every_bone_error_can_come_back_from_the_worker():
    for kind in BoneError.__subclasses__():
        assert str(kind("in words")) == "in words"


def test_job_folders_of_killed_hosts_are_removed_once_their_workers_have_ended(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    dead = Maker.of_pid(ended.pid)
    ended.wait()
    alive = this_process()

    def make(name: str, worker: Maker | None, job: str = "{}") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "job.json").write_text(job, encoding="utf-8")
        if worker:
            (folder / WORKER).write_text(worker.mark, encoding="ascii")
        return folder

    gone = [
        make(f"{PREFIX}{dead.mark}-a", dead),
        make(f"{PREFIX}{dead.mark}-b", None),
    ]
    stays = [
        make(f"{PREFIX}{dead.mark}-d", alive),  # it saves what it has, then removes the folder itself
        make(f"{PREFIX}{alive.mark}-e", dead),
        make(f"{PREFIX}{dead.mark}-f", dead, '{"keep_folder": true}'),
        make(f"{PREFIX}old-name", dead),
    ]
    remove_left_over(tmp_path)
    assert [path for path in gone if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []


# ---- leaving


HOST = """
import sys
from pathlib import Path
from bone_backend.jobs.leaving import Left
from bone_backend.jobs.run import run_in_worker
def progress(step, steps, message, figures=None):
    if step:
        raise Left
try:
    run_in_worker("mocks.jobs:wait", {"note": sys.argv[1], "seconds": float(sys.argv[2])}, progress=progress)
except Left:
    print("left")
"""


def leave_one(tmp_path, folder, seconds):
    """A job whose host has left it and ended; gives its worker."""
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        "TEMP": str(folder),
        "BONE_WORKER_PYTHON": str(PYTHON),
    }
    command = [sys.executable, "-c", HOST, str(tmp_path / "note"), str(seconds)]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "left\n"
    (process,) = note_of(tmp_path / "note")
    return process


def test_a_worker_that_was_left_goes_on_and_the_next_host_hears_all_and_can_stop_it(
    tmp_path, temporary_folder
):
    process = leave_one(tmp_path, temporary_folder, 60)
    time.sleep(0.8)  # the worker looks for its host every 0.25 s
    assert is_running(process)
    (job,) = left_jobs()
    assert (job.command, job.is_running) == ("mocks.jobs:wait", True)
    assert job.options["seconds"] == 60
    heard = Recorder(stop_after=5)
    with pytest.raises(Cancelled) as stop:
        follow(job.folder, progress=heard)
    assert stop.value.result == {"best_epoch": 7}
    assert heard.reports[0].step == 1  # what was told before is told again
    assert all_end([process])
    assert left_jobs() == []


def test_the_result_of_a_worker_that_was_left_waits_for_the_next_host(tmp_path, temporary_folder):
    process = leave_one(tmp_path, temporary_folder, 0.6)
    assert all_end([process])
    remove_left_over(temporary_folder)
    (job,) = left_jobs()
    assert not job.is_running
    assert follow(job.folder)["steps"] > 10


def test_a_worker_that_was_left_and_killed_is_told_and_an_old_one_is_removed(tmp_path, temporary_folder):
    process = leave_one(tmp_path, temporary_folder, 60)
    psutil.Process(process).kill()
    assert all_end([process])
    (job,) = left_jobs()
    with pytest.raises(WorkerError, match="it ended without saying why"):
        follow(job.folder)
    old = temporary_folder / job.folder.name
    old.mkdir()
    (old / "left.json").write_text("{}", encoding="utf-8")
    remove_left_over(temporary_folder)
    assert old.exists()
    os.utime(old, (0, 0))
    remove_left_over(temporary_folder)
    assert not old.exists()
