"""The command: what is passed on, what counts as a failure, and that everything ends in words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import bootstrap
import environments
import pytest
import running

CHECKOUT = Path(__file__).resolve().parents[2]


def file_of_tests(folder: Path, text: str) -> list[str]:
    file = folder / "test_one.py"
    file.write_text(text, encoding="utf-8")
    return [str(file), f"--rootdir={folder}", "-c", os.devnull, "-q"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def test_a(): pass\ndef test_b(): pass\n", (0, 2)),
        ("def test_a(): assert False\n", (1, 1)),
        ("import pytest\n@pytest.mark.skip\ndef test_a(): pass\n", (0, 0)),
        ("x = 1\n", (5, 0)),
        ("import nothing_like_this\n", (2, 1)),
    ],
)
def test_tests_that_ran_are_counted_and_skipped_ones_are_not(tmp_path, text, expected):
    assert bootstrap.run_tests(Path(sys.executable), file_of_tests(tmp_path, text)) == expected


@pytest.fixture
def suites(monkeypatch):
    """The command `test` with stand-ins for pytest and the environments; gives outcomes and records calls."""
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # else the command would leave its own
    calls, outcomes = [], {}

    def run_tests(python, arguments, words=None):
        calls.append((str(python), arguments))
        return outcomes.get(str(python), (0, 3))

    monkeypatch.setattr(bootstrap, "run_tests", run_tests)
    monkeypatch.setattr(bootstrap, "make_app", lambda _, with_tests: Path("app"))
    monkeypatch.setattr(bootstrap, "make_worker", lambda _: Path("worker"))
    monkeypatch.setattr(bootstrap, "make_avizo_stand_in", lambda _: Path("avizo"))
    return calls, outcomes


@pytest.mark.parametrize("flags", [[], ["--in-turn"]])
def test_both_sides_are_tested_and_succeed(suites, flags):
    assert bootstrap.main(["test", *flags]) == 0
    assert {python for python, _ in suites[0]} == {"app", "avizo"}


def test_every_test_runs_on_one_side_at_least(suites, monkeypatch):
    monkeypatch.setattr(bootstrap.os, "cpu_count", lambda: 2)
    assert bootstrap.main(["test"]) == 0
    moved = [arguments for python, arguments in suites[0] if python == "app"]
    left_out = {word.removeprefix("--ignore=") for words in moved for word in words if "--ignore=" in word}
    taken = {word for words in moved for word in words if not word.startswith("-")}
    assert taken == {path for paths in bootstrap.APART.values() for path in paths}
    assert left_out == taken | set(bootstrap.AVIZO_TESTS)
    there = {path for path in bootstrap.AVIZO_TESTS if (bootstrap.CHECKOUT / path).exists()}
    avizo = [arguments for python, arguments in suites[0] if python == "avizo"]
    assert not any(f"--ignore={path}" in words for words in avizo for path in there)  # quick and slow alike
    assert there <= {word for words in avizo if words[:2] == ["-m", "slow"] for word in words}
    assert all((bootstrap.CHECKOUT / path).exists() for path in taken)


def test_suites_run_side_by_side_and_what_each_said_stands_together(monkeypatch, suites, capfd):
    at_work, most = [], []

    def run_tests(python, _, words):
        at_work.append(python)
        most.append(len(at_work))
        code = f"import time; print('said by {python}', flush=True); time.sleep(0.3); print('its end')"
        found = bootstrap.run_in([sys.executable, "-c", code], words), 1
        at_work.remove(python)
        return found

    monkeypatch.setattr(bootstrap, "run_tests", run_tests)
    monkeypatch.setattr(bootstrap.os, "cpu_count", lambda: 2)
    assert bootstrap.main(["test"]) == 0
    told = capfd.readouterr().out
    assert max(most) == bootstrap.AT_ONCE
    assert told.count("said by app\nits end\n") == 1 + len(bootstrap.APART)
    assert told.count("== Begun: ") == told.count("its end") == told.count("passed: 1 tests in ")
    assert told.index("== Begun: the app's environment\n") < told.index("said by")
    assert "passed: 1 tests in the app's environment\n" in told


@pytest.mark.parametrize("outcome", [(1, 3), (5, 0), (0, 0), (2, 0), (3, 0), (-11, 0)])
@pytest.mark.parametrize("side", ["app", "avizo"])
def test_a_side_that_fails_crashes_or_runs_nothing_fails_the_whole(suites, side, outcome):
    suites[1][side] = outcome
    assert bootstrap.main(["test"]) == 1


def test_arguments_reach_pytest_and_one_side_may_then_have_nothing(suites):
    suites[1]["avizo"] = (5, 0)
    assert bootstrap.main(["test", "--", "-k", "windows"]) == 0
    assert ("app", ["-k", "windows"]) in suites[0]
    suites[1]["app"] = (5, 0)
    assert bootstrap.main(["test", "--", "-k", "windows"]) == 1


def test_the_avizo_side_can_be_left_out(suites):
    assert bootstrap.main(["test", "--without-avizo"]) == 0
    assert [python for python, _ in suites[0]] == ["app"]


def test_demo_passes_its_options_on(monkeypatch):
    ran = []
    monkeypatch.setattr(bootstrap, "make_app", lambda _: Path("x y/bin/python"))
    monkeypatch.setattr(bootstrap, "make_worker", lambda _: None)
    monkeypatch.setattr(bootstrap, "run_in", lambda command: ran.append(command) or 7)
    assert bootstrap.main(["demo", "--data", "my scans"]) == 7
    assert ran[0][1:] == ["demo", "--data", "my scans"]
    assert Path(ran[0][0]).stem == "bone"


def test_the_window_gets_its_packages_and_its_place_in_the_menu(monkeypatch, tmp_path, capsys):
    made = []
    monkeypatch.setattr(environments, "make", lambda one: made.append(one) or tmp_path / "my venv/bin/python")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(bootstrap.desktop.sys, "platform", "linux")
    assert bootstrap.main(["app"]) == 0
    assert not (tmp_path / "share").exists()
    assert bootstrap.main(["app", "--window"]) == 0
    assert bootstrap.main(["app", "--cluster"]) == 0
    assert bootstrap.main(["app", "--openvino"]) == 0
    assert bootstrap.main(["app", "--int8"]) == 0
    layers = [[layer.name for layer in one.layers] for one in made]
    more = [[], *([f"requirements-{name}.txt"] for name in ("window", "cluster", "openvino"))]
    more.append(["requirements-openvino.txt", "requirements-int8.txt"])
    assert layers == [["requirements-app.txt", *one] for one in more]
    entry = (tmp_path / "share/applications/bone-window.desktop").read_text(encoding="utf-8")
    command = tmp_path / "my venv/bin/bone-window"
    assert f'Exec="{command}"\n' in entry
    assert f'"{command}"' in capsys.readouterr().out
    monkeypatch.setattr(bootstrap.desktop.sys, "platform", "win32")
    assert bootstrap.desktop.write(command) is None


def test_the_workers_python_is_noted_where_the_host_looks(monkeypatch, tmp_path):
    monkeypatch.setattr(bootstrap, "CHECKOUT", tmp_path)
    (tmp_path / "external_worker").mkdir()
    python = tmp_path / "a b" / "python"
    made = []
    monkeypatch.setattr(environments, "make", lambda environment: made.append(environment) or python)
    options = bootstrap.read_arguments(["worker", "--torch", "cpu", "--folder", str(tmp_path)])
    assert bootstrap.make_worker(options) == python
    note = tmp_path / "external_worker" / "python.txt"
    assert note.read_text(encoding="utf-8") == f"{python}\n"
    assert [layer.name for layer in made[0].layers] == ["requirements-worker.txt"]
    assert made[0].source.torch is None
    bootstrap.make_worker(bootstrap.read_arguments(["worker", "--openvino", "--folder", str(tmp_path)]))
    more = [f"requirements-{name}.txt" for name in ("worker", "app", "openvino", "int8")]
    assert [layer.name for layer in made[1].layers] == more[:-1]
    bootstrap.make_worker(bootstrap.read_arguments(["worker", "--int8", "--folder", str(tmp_path)]))
    assert [layer.name for layer in made[2].layers] == more
    before = note.stat().st_mtime_ns
    bootstrap.make_worker(options)
    assert note.stat().st_mtime_ns == before


def test_faults_are_told_without_a_traceback(monkeypatch, capsys):
    def fail(_):
        raise running.InstallError("no room on the disk")

    monkeypatch.setitem(bootstrap.COMMANDS, "app", fail)
    assert bootstrap.main(["app"]) == 1
    assert capsys.readouterr().err == "no room on the disk\n"


def test_a_stop_is_told_and_ends_with_130(monkeypatch, capsys):
    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(bootstrap.COMMANDS, "app", stop)
    assert bootstrap.main(["app"]) == 130
    assert "again" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["app", "--nonsense"], ["app", "--wheels", "/not/there"], ["fly"]])
def test_wrong_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        bootstrap.main(arguments)
    assert ended.value.code == 2
    assert "bootstrap.py" in capsys.readouterr().err


def test_it_starts_from_any_folder_with_the_standard_library_alone(tmp_path):
    command = [sys.executable, "-S", str(CHECKOUT / "install" / "bootstrap.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "demo" in done.stdout


def test_ci_runs_the_test_command():
    script = CHECKOUT / ".ci" / "run"
    assert "install/bootstrap.py test" in script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
