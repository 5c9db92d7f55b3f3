"""The worker by itself: job folders good and bad, and what it needs to run."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import Cancelled
from bone_backend.intensity.statistics import Statistics
from bone_backend.jobs import run as jobs
from bone_backend.jobs.interpreter import MINIMUM, check_worker_python
from bone_backend.volumes.volume import save
from external_worker import worker
from mocks.pythons import python_of_version, python_with_packages

SCRIPT = Path(worker.__file__)


def run_worker(folder: Path, python: str | Path = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-I", "-X", "utf8", str(SCRIPT), str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def result_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def write_job(folder: Path, **changed) -> None:
    job = {"protocol": worker.PROTOCOL, "command": "mocks.jobs:echo", "options": {}, **changed}
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")


def test_a_job_folder_written_by_hand_can_be_run(tmp_path):
    write_job(tmp_path, options={"name": "Schädel"})
    assert run_worker(tmp_path).returncode == 0
    assert result_of(tmp_path)["status"] == "done"
    assert result_of(tmp_path)["result"]["options"] == {"name": "Schädel"}
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text("utf-8").splitlines()]
    assert events[0] == {
        "kind": "progress",
        "step": 1,
        "steps": 2,
        "message": "halfway",
        "figures": {"loss": 0.5},
    }


def test_without_a_job_folder_it_says_how_it_is_used(tmp_path):
    answer = run_worker(tmp_path / "none")
    assert answer.returncode == 2
    assert "usage" in answer.stderr


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"protocol": 1}', '{"command": "iou"}'])
def test_a_job_that_cannot_be_read_is_a_fault_in_words(tmp_path, text):
    (tmp_path / "job.json").write_text(text, encoding="utf-8")
    assert run_worker(tmp_path).returncode == 0
    assert result_of(tmp_path)["status"] == "failed"
    assert "job cannot be read from job.json" in result_of(tmp_path)["error"]["message"]


def test_another_protocol_is_refused(tmp_path):
    write_job(tmp_path, protocol=99)
    run_worker(tmp_path)
    assert "protocol 99, the worker 1" in result_of(tmp_path)["error"]["message"]


def test_host_and_worker_agree_on_protocol_and_version():
    assert worker.PROTOCOL == jobs.PROTOCOL
    assert worker.MINIMUM == MINIMUM


def test_a_cancel_file_that_is_there_from_the_start_stops_at_the_first_report(tmp_path):
    write_job(tmp_path)
    (tmp_path / "cancel").touch()
    run_worker(tmp_path)
    assert result_of(tmp_path)["status"] == "cancelled"


def test_reports_are_told_seldom_but_figures_and_the_last_step_always(tmp_path):
    progress = worker.JobProgress(tmp_path, worker.Events(tmp_path), Cancelled)
    for step in range(1, 101):
        progress(step, 100, "counting", {"loss": 0.1} if step == 50 else None)
    progress.events.file.close()
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text("utf-8").splitlines()]
    steps = [event["step"] for event in events]
    assert steps[0] == 1
    assert {50, 100} <= set(steps)
    assert len(steps) < 50


def test_numpy_numbers_and_paths_become_plain_json(tmp_path):
    values = {"a": np.int64(3), "b": np.array([1.5]), "c": Path("x.tif")}
    worker.write_result(tmp_path, "done", values)
    assert result_of(tmp_path)["result"] == {"a": 3, "b": [1.5], "c": "x.tif"}
    with pytest.raises(TypeError, match="object cannot be handed"):
        worker.plain(object())


# ---- Pythons


def test_the_script_can_be_read_by_python_3_6_and_needs_the_standard_library_only():
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 6))
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names] + [
        node.module for node in top if isinstance(node, ast.ImportFrom)
    ]
    assert set(names) <= sys.stdlib_module_names
    assert "__future__" not in names  # `annotations` is not known to Python 3.6


def test_a_python_that_takes_itself_for_an_old_one_is_refused(tmp_path):
    python = python_of_version(tmp_path / "python", (3, 10, 2))
    write_job(tmp_path)
    run_worker(tmp_path, python)
    assert re.search(r"is 3\.10\.2; BONe needs at least 3\.11\.", result_of(tmp_path)["error"]["message"])
    with pytest.raises(jobs.WorkerError, match=r"is 3\.10\.2; BONe needs at least 3\.11"):
        check_worker_python(python)


def old_pythons() -> list[Path]:
    found = [shutil.which(f"python3.{minor}") for minor in range(6, 11)]
    found += sorted(str(path) for path in (Path.home() / ".pyenv" / "versions").glob("3.[6-9].*/bin/python"))
    return [Path(path) for path in found if path and works(Path(path))]


def works(python: Path) -> bool:
    question = "import sys; print(sys.version_info[:2] < (3, 11))"
    answer = subprocess.run([python, "-I", "-c", question], capture_output=True, text=True, check=False)
    return answer.stdout.strip() == "True"


def test_real_old_pythons_say_that_they_are_too_old(tmp_path):
    pythons = old_pythons()
    if not pythons:
        pytest.skip("no Python 3.6 to 3.10 on this machine")
    for number, python in enumerate(pythons):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_job(folder)
        run_worker(folder, python)
        assert "BONe needs at least 3.11" in result_of(folder)["error"]["message"], python


def test_statistics_need_numpy_tifffile_and_psutil_only(tmp_path, monkeypatch):
    """Two scans, one of TIFF, in two processes of a Python that has these three packages and no other."""
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    python = python_with_packages(
        tmp_path / "python", ["numpy", "tifffile", "psutil"], found_in=Path(np.__file__).parents[1]
    )
    for forbidden in ("torch", "pydantic", "PySide6", "rich"):
        code = f"import {forbidden}"
        answer = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
        assert "ModuleNotFoundError: not among the packages" in answer.stderr  # the proof can fail
    scan = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    np.save(tmp_path / "a.npy", scan)
    save(tmp_path / "b", scan)
    paths = [{"path": str(tmp_path / "a.npy")}, {"path": str(tmp_path / "b")}]
    answer = jobs.run_in_worker("measure-greys", {"scans": paths, "processes": 2}, python=python)
    found = [Statistics.from_dict(entry) for entry in answer["scans"]]
    assert found[0] == found[1]
    assert (found[0].count, found[0].mean, found[0].max) == (119, 60.0, 119.0)
