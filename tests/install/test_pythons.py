"""Finding a Python: stand-in interpreters that answer as others would."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import pythons

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in interpreters are shell scripts")


def stand_in(path: Path, version: tuple[int, int, int] | None, **facts) -> Path:
    """An executable that answers the installer's question as a Python of this version; None: it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    usual = {"python": str(path), "name": "cpython", "bits": 64, "free": False, "lacks": []}
    answer = json.dumps({**usual, "version": list(version or ()), **facts})
    path.write_text("#!/bin/sh\n" + (f"echo '{answer}'\n" if version else "exit 127\n"), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path, monkeypatch) -> Path:
    """A machine without any Python but the running one: an empty PATH and home, with blanks in its path."""
    home = tmp_path / "a home"
    (home / "bin").mkdir(parents=True)
    for name in (
        "PYENV_ROOT",
        "PYENV",
        "CONDA_PREFIX",
        "CONDA_ROOT",
        "CONDA_EXE",
        "LOCALAPPDATA",
        "ProgramFiles",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(home / "bin"))
    monkeypatch.setattr(pythons, "PLACES", {k: v for k, v in pythons.PLACES.items() if "installers" not in k})
    return home


WANTED = (3, 99)  # no real Python can be in the way


def test_the_running_python_is_taken_when_it_fits():
    found = pythons.find((sys.version_info[:2],))
    assert found.version == sys.version_info[:3]
    assert Path(found.path).resolve() == Path(sys._base_executable).resolve()


def test_a_python_on_path_is_found(bare):
    path = stand_in(bare / "bin" / "python3.99", (3, 99, 2))
    assert pythons.find((WANTED,)) == pythons.Python(str(path), (3, 99, 2))


def test_a_plain_python3_of_the_right_version_is_found(bare):
    path = stand_in(bare / "bin" / "python3", (3, 99, 0))
    assert pythons.find((WANTED,)).path == str(path)


def test_a_shim_that_does_not_run_is_passed_over_for_the_next_on_path(bare, monkeypatch):
    stand_in(bare / "shims" / "python3.99", None)
    right = stand_in(bare / "bin" / "python3.99", (3, 99, 0))
    monkeypatch.setenv("PATH", f"{bare / 'shims'}:{bare / 'bin'}")
    assert pythons.find((WANTED,)).path == str(right)


def test_the_py_launcher_is_asked(bare):
    path = stand_in(bare / "Programs" / "python.exe", (3, 99, 1))
    launcher = bare / "bin" / "py"
    launcher.write_text(f'#!/bin/sh\n[ "$1" = -3.99 ] && echo "{path}"\n', encoding="utf-8")
    launcher.chmod(0o755)
    assert pythons.find((WANTED,)).path == str(path)


def test_the_newest_of_pyenv_is_found(bare):
    stand_in(bare / ".pyenv/versions/3.99.2/bin/python3.99", (3, 99, 2))
    stand_in(bare / ".pyenv/versions/3.99.10/bin/python3.99", (3, 99, 10))
    stand_in(bare / ".pyenv/versions/3.98.1/bin/python3.98", (3, 98, 1))
    assert pythons.find((WANTED,)).version == (3, 99, 10)


def test_pyenv_elsewhere_is_found(bare, monkeypatch, tmp_path):
    stand_in(tmp_path / "else where/versions/3.99.3/bin/python3.99", (3, 99, 3))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "else where"))
    assert pythons.find((WANTED,)).version == (3, 99, 3)


def test_conda_environments_are_found_by_their_record(bare):
    stand_in(bare / "miniforge3/envs/other/bin/python3", (3, 98, 0))
    right = stand_in(bare / "miniforge3/envs/bone/bin/python3.99", (3, 99, 4))
    (bare / "miniforge3/envs/bone/conda-meta").mkdir()
    (bare / "miniforge3/envs/bone/conda-meta/python-3.99.4-h1.json").touch()
    assert pythons.find((WANTED,)).path == str(right)


def test_uv_is_asked(bare):
    path = stand_in(bare / "uv/python", (3, 99, 1))
    uv = bare / "bin" / "uv"
    uv.write_text(f'#!/bin/sh\n[ "$1 $2" = "python find" ] && echo "{path}"\n', encoding="utf-8")
    uv.chmod(0o755)
    assert pythons.find((WANTED,)).path == str(path)


def test_the_first_wish_wins_wherever_it_is(bare):
    stand_in(bare / "bin" / "python3.98", (3, 98, 0))
    stand_in(bare / ".pyenv/versions/3.99.0/bin/python3.99", (3, 99, 0))
    assert pythons.find(((3, 99), (3, 98))).version == (3, 99, 0)
    assert pythons.find(((3, 97), (3, 98))).version == (3, 98, 0)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"name": "pypy"}, "64-bit CPython"),
        ({"bits": 32}, "64-bit CPython"),
        ({"free": True}, "with GIL"),
        ({"lacks": ["ensurepip"]}, "apt install python3.99-venv"),
    ],
)
def test_an_unfit_python_is_refused_with_its_reason(bare, facts, reason):
    path = stand_in(bare / "bin" / "python3.99", (3, 99, 0), **facts)
    with pytest.raises(pythons.NoPythonError) as told:
        pythons.find((WANTED,))
    assert reason in str(told.value)
    assert str(path) in str(told.value)


def test_without_any_the_message_says_where_was_looked_and_how_to_get_one(bare):
    with pytest.raises(pythons.NoPythonError) as told:
        pythons.find((WANTED, (3, 98)))
    text = str(told.value)
    assert "Python 3.99 (3.98 would do too) was not found" in text
    for word in ("PATH", "py launcher", "pyenv", "conda", "uv", "winget", "brew", "apt install"):
        assert word in text


def test_variables_that_mislead_a_python_are_left_out(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("BONE_KEPT", "yes")
    clean = pythons.clean_environment()
    assert "PYTHONHOME" not in clean
    assert "PYTHONPATH" not in clean
    assert clean["BONE_KEPT"] == "yes"
    assert pythons.examine(sys.executable, sys.version_info[:2])[0] is not None
