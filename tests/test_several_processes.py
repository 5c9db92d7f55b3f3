"""Fits in several real processes on the CPU: scored, stopped and resumed as one; none is ever left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import torch

from bone_backend.errors import Cancelled, HardwareError, OptionError, ProgramFault, ScanError, WorkerError
from bone_backend.fitting import ready
from bone_backend.jobs.run import run_here, run_in_worker
from bone_backend.model_files import model_file
from bone_backend.options.programs import FitOptions, dump
from bone_backend.progress import Recorder, silent
from bone_backend.training.distributed import World

from .conftest import fit_values

ROOT = Path(__file__).resolve().parents[1]
PYTHON = Path(sys.executable)


@pytest.fixture(scope="module", autouse=True)
def own_temporary_folder(tmp_path_factory):
    """Job folders lie here; none may be left."""
    before, folder = tempfile.tempdir, tmp_path_factory.mktemp("jobs")
    tempfile.tempdir = str(folder)
    yield folder
    tempfile.tempdir = before
    assert list(folder.glob("bone-job-*")) == []


def wait_for(condition, within_s=60.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def are_gone(processes):
    return not any(is_running(process) for process in processes)


def noted(folder, count):
    """The numbers of the processes, once all have noted theirs."""

    def read():
        return [text for path in folder.iterdir() if (text := path.read_text(encoding="utf-8"))]

    wait_for(lambda: len(read()) == count)
    return [int(text) for text in read()]


# ---- the worker starts the others and ends with them (no torch)


def run_waiting(notes, *, progress=silent, processes=3, **how):
    notes.mkdir()
    options = {"notes": str(notes), "how": {name[1:]: value for name, value in how.items()}}
    return run_in_worker(
        "mocks.several:wait", options, progress=progress, python=PYTHON, processes=processes, patience_s=3
    )


def test_the_first_speaks_for_all(tmp_path):
    how = {"_0": "return", "_1": "return", "_2": "return"}
    assert run_waiting(tmp_path / "notes", **how) == {"rank": 0, "of": 3}
    assert are_gone(noted(tmp_path / "notes", 3))


def test_none_outlives_the_first(tmp_path):
    started = time.monotonic()
    assert run_waiting(tmp_path / "notes", processes=2, _0="return")["of"] == 2
    assert time.monotonic() - started < 30
    assert are_gone(noted(tmp_path / "notes", 2))


def test_a_fault_of_another_process_is_told_with_its_number(tmp_path):
    with pytest.raises(ScanError, match=r"^Process 2 of 2: scan_3: truncated$"):
        run_waiting(tmp_path / "notes", processes=2, _1="fail")
    assert are_gone(noted(tmp_path / "notes", 2))


def test_a_crash_of_another_process_is_told_with_the_log(tmp_path):
    with pytest.raises(ProgramFault, match=r"(?s)Process 2 of 2: .*ZeroDivisionError.*last lines of its log"):
        run_waiting(tmp_path / "notes", processes=2, _1="break")


def test_a_stop_ends_all(tmp_path):
    notes = tmp_path / "notes"

    def progress(*_):
        if len(noted(notes, 2)) == 2:
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        run_waiting(notes, progress=progress, processes=2)
    assert are_gone(noted(notes, 2))


def test_all_end_with_the_host(tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    code = (
        f"import sys, tempfile; sys.path.insert(0, {str(ROOT)!r}); tempfile.tempdir = {str(tmp_path)!r}\n"
        "from pathlib import Path\nfrom bone_backend.jobs.run import run_in_worker\n"
        f"run_in_worker('mocks.several:wait', {{'notes': {str(notes)!r}}}, python=Path(sys.executable), "
        "processes=2)\n"
    )
    host = subprocess.Popen([sys.executable, "-c", code])
    processes = noted(notes, 2)
    host.kill()
    host.wait()
    wait_for(lambda: are_gone(processes), within_s=15)
    assert are_gone(processes)


# ---- fits


def options(pairs, output, **changes):
    two = {"epochs": 3, "device": "cpu", "gpus": "2", "checkpoint_minutes": 0.001, "keep_checkpoint": True}
    two["norm_statistics"] = "fixed"  # in the last epoch
    return dump(FitOptions.parse(fit_values(pairs, output, **(two | changes))))


def last_weights(run):
    state = torch.load(Path(run) / "checkpoint.pth", weights_only=True)["network"]
    return model_file.weights_sha256(state)


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """An unbroken run in two processes that others are compared with."""
    run = tmp_path_factory.mktemp("whole") / "run"
    return run, run_here("fit", options(pairs, run), progress=Recorder())


@pytest.mark.slow
def test_two_processes_score_as_one_does_with_the_same_weights(whole):
    run, result = whole
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert (result["outcome"], result["epochs"], record["processes"]) == ("done", 3, 2)
    chosen = FitOptions.parse({"resume": str(run)})
    with ready(chosen, World()) as state:
        state.network.load_state_dict(model_file.load_state(Path(result["model"])))
        counts, _ = state.training.validate(lambda _done, _figures: None)
    assert counts.tolist() == record["confusion"]


@pytest.mark.slow
def test_the_run_folder_is_that_of_one_process(whole):
    run, result = whole
    names = {re.sub(r"_val_jaccard_.*", "", path.name) for path in run.iterdir()}
    best = f"BONe_best_epoch_{result['best_epoch']}"
    wanted = {
        "options.json",
        "inputs.json",
        "split.json",
        "scores.csv",
        "log.txt",
        "record.json",
        "checkpoint.pth",
        "report.html",
    }
    assert names == wanted | {best, "BONe_last_epoch_3.pth"}
    log = (run / "log.txt").read_text(encoding="utf-8")
    assert log.count("Epoch 1: ") == 1
    assert "2 processes" in log
    assert len((run / "scores.csv").read_text(encoding="utf-8").splitlines()) == 4


def stop_in_training(step, steps, message, figures=None, /):
    """Ask to stop in the midst of the second epoch."""
    if message.startswith("Epoch 2 of 3, training"):
        raise Cancelled("asked to stop")


@pytest.mark.slow
@pytest.mark.rare
def test_a_stopped_run_in_two_processes_goes_on_to_the_same_weights(whole, pairs, tmp_path):
    with pytest.raises(Cancelled) as stop:
        run_here("fit", options(pairs, tmp_path / "run"), progress=stop_in_training)
    assert stop.value.result["outcome"] == "stopped"
    assert stop.value.result["epochs"] == 1
    assert Path(stop.value.result["model"]).exists()
    assert last_weights(tmp_path / "run") != last_weights(whole[0])
    run_here("fit", {"resume": str(tmp_path / "run")}, progress=Recorder())
    assert last_weights(tmp_path / "run") == last_weights(whole[0])
    told = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert re.search(r"Resumed after epoch 1, batch [1-9]", told)
    assert "not bit for bit" not in told


@pytest.mark.slow
def test_a_lost_process_ends_the_fit_in_words_and_the_run_can_go_on_with_one(pairs, tmp_path):
    run, killed = tmp_path / "run", []
    earlier = set(psutil.Process().children(recursive=True))  # of other tests

    def progress(step, steps, message, figures=None, /):
        if message.startswith("Epoch 2") and not killed:
            ours = [p for p in psutil.Process().children(recursive=True) if p not in earlier]
            killed.extend(p.pid for p in ours)
            next(p for p in ours if p.cmdline()[-1:] == ["1"]).kill()

    with pytest.raises(WorkerError, match=r"Process 2 of 2: it was killed by signal 9"):
        run_here("fit", options(pairs, run, epochs=40), progress=progress)
    assert len(killed) >= 2
    assert are_gone(killed)
    assert json.loads((run / "record.json").read_text(encoding="utf-8"))["result"]["outcome"] == "failed"
    result = run_here("fit", {"resume": str(run), "gpus": "1", "epochs": 2}, progress=Recorder())
    assert result["epochs"] >= 2
    assert "had 2 processes and goes on with 1: as well, but not bit for bit" in (run / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.rare
def test_torchrun_by_hand_gives_the_same_and_prints_once(whole, pairs, tmp_path):
    chosen = options(pairs, tmp_path / "run", gpus="1")
    (tmp_path / "fit.json").write_text(json.dumps(chosen), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["standalone.command", "fit", "--config", str(tmp_path / "fit.json"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best_val_iou"] == whole[1]["best_val_iou"]
    assert last_weights(tmp_path / "run") == last_weights(whole[0])


def test_faults_come_in_words_before_anything_is_made(pairs, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(OptionError, match="gpus is 7, but batch_size is 6"):
        options(pairs, run, gpus="7")
    with pytest.raises(HardwareError, match="gpus is all, but device is cpu"):
        run_here("fit", options(pairs, run, gpus="all"), progress=silent)
    with pytest.raises(OptionError, match="device names one GPU"):
        options(pairs, run, device="cuda:1")
    if not torch.cuda.is_available():
        with pytest.raises(HardwareError, match="no GPU answers"):
            run_here("fit", options(pairs, run, device="auto"), progress=silent)


def test_one_gpu_is_one_process(pairs, tmp_path):
    assert FitOptions.parse({"pairs": pairs, "output": str(tmp_path / "run")}).gpus == "1"
    assert FitOptions.parse({"pairs": pairs, "output": "run", "gpus": 2}).gpus == "2"
    assert os.environ.get("RANK") is None
