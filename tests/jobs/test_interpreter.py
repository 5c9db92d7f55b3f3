"""Where the worker's Python is looked for, and in which surroundings it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bone_backend.errors import WorkerError
from bone_backend.jobs.interpreter import check_worker_python, find_worker_python, worker_environment
from bone_backend.jobs.process_tree import words_for_exit

AVIZO = "/opt/Avizo3D/bin/arch-Linux64/Avizo3D"


def place_python(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_first_of_four_places_wins(tmp_path):
    named = place_python(tmp_path / "mine" / "python")
    noted = place_python(tmp_path / "noted" / "python")
    made = place_python(tmp_path / ".venv-worker" / "bin" / "python")
    note = place_python(tmp_path / "external_worker" / "python.txt")
    note.write_text(f"{noted}\n", encoding="utf-8")

    def find(environment):
        return find_worker_python(environment, checkout=tmp_path, executable="/usr/bin/python3.12")

    assert find({"BONE_WORKER_PYTHON": str(named)}) == named
    assert find({}) == noted
    note.unlink()
    assert find({"BONE_WORKER_PYTHON": ""}) == made
    made.unlink()
    assert find({}) == Path("/usr/bin/python3.12")


def test_the_installer_may_note_a_path_within_the_checkout(tmp_path):
    made = place_python(tmp_path / "pythons" / "bin" / "python")
    place_python(tmp_path / "external_worker" / "python.txt").write_text(
        "pythons/bin/python", encoding="utf-8"
    )
    assert find_worker_python({}, checkout=tmp_path) == made


def test_a_named_python_that_is_missing_is_never_replaced_by_another(tmp_path):
    with pytest.raises(WorkerError, match=r"BONE_WORKER_PYTHON, is missing.*bootstrap\.py worker"):
        find_worker_python({"BONE_WORKER_PYTHON": str(tmp_path / "python")})
    place_python(tmp_path / "external_worker" / "python.txt").write_text("/gone/python", encoding="utf-8")
    with pytest.raises(WorkerError, match=r"python\.txt, is missing"):
        find_worker_python({}, checkout=tmp_path)


@pytest.mark.parametrize("executable", [AVIZO, "C:/Program Files/Avizo3D/bin/Avizo.exe", ""])
def test_a_program_with_a_python_inside_is_never_taken_for_python(tmp_path, executable):
    with pytest.raises(
        WorkerError, match=r"was not found. Install it with: python3 install/bootstrap\.py worker"
    ):
        find_worker_python({}, checkout=tmp_path, executable=executable)


def test_variables_that_lead_another_python_astray_are_left_out():
    found = worker_environment(
        {
            "PYTHONHOME": "/opt/Avizo3D/python",
            "PYTHONPATH": "/opt/Avizo3D/share/python_modules",
            "PYTHONSTARTUP": "x",
            "PYTHONIOENCODING": "latin-1",
            "__PYVENV_LAUNCHER__": "y",
            "HOME": "/home/ada",
        }
    )
    assert found == {"HOME": "/home/ada"}


@pytest.mark.skipif(os.name == "nt", reason="paths of Linux")
def test_folders_of_the_host_leave_the_lists_of_library_folders():
    environment = {
        "LD_LIBRARY_PATH": "/opt/Avizo3D/lib/arch-Linux64:/usr/local/cuda/lib64:/opt/Avizo3D/python/lib",
        "PATH": "/opt/Avizo3D/bin/arch-Linux64:/usr/bin",
    }
    assert worker_environment(environment, executable=AVIZO) == {
        "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
        "PATH": "/usr/bin",
    }
    assert worker_environment(environment, executable="/usr/bin/python3") == environment
    assert worker_environment(environment, executable="/usr/bin/avizo") == environment


def test_the_running_python_fits():
    assert check_worker_python(Path(sys.executable)) == ".".join(str(n) for n in sys.version_info[:3])


def test_what_is_no_python_is_told(tmp_path):
    with pytest.raises(WorkerError, match="cannot be started"):
        check_worker_python(tmp_path / "python")
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho hello\n", encoding="utf-8")
    other.chmod(0o755)
    with pytest.raises(WorkerError):
        check_worker_python(other)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with exit code 0"),
        (3, "ended with exit code 3"),
        pytest.param(
            -9,
            "was killed by SIGKILL (exit code -9); perhaps the memory did not suffice",
            marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL"),
        ),
        (-250, "was killed by signal 250 (exit code -250)"),
        (0xC0000005, "ended with exit code 0xc0000005 (access violation)"),
        (None, "has not ended"),
    ],
)
def test_exit_codes_in_words(code, words):
    assert words_for_exit(code) == words
