"""Environments that are made once, known again, mended when broken, and never taken from somebody else.

Nothing is downloaded: the layers hold what every new environment has, pip itself, or a wheel made here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import avizo_files
import environments
import pytest
import pythons
from environments import Environment, Source
from running import InstallError

HERE = sys.version_info[:2]
INSTALL = Path(environments.__file__).parent
ROOT = INSTALL.parent


def wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel with one empty module."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(f"{name}/__init__.py", f'__version__ = "{version}"\n')
        if name == "torch":
            book.writestr("torch/version.py", f"cuda = {None if version.endswith('cpu') else '13.2'!r}\n")
        book.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        book.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        book.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wheels(tmp_path) -> Path:
    folder = tmp_path / "the wheels"
    for name, version in (("spam", "1.0"), ("spam", "2.0"), ("eggs", "3.1")):
        wheel(folder, name, version)
    return folder


@pytest.fixture
def wanted(tmp_path, wheels) -> Environment:
    layer = tmp_path / "requirements-a.txt"
    layer.write_text("# a comment\nspam==1.0\n", encoding="utf-8")
    return Environment(tmp_path / "with blanks" / ".venv", (HERE,), (layer,), source=Source(wheels=wheels))


@pytest.fixture(scope="session")
def quick(tmp_path_factory) -> Path:
    """A stand-in for a Python that makes environments by copying one, in a tenth of the time."""
    if os.name == "nt":
        return Path(sys.executable)
    folder = tmp_path_factory.mktemp("a template")
    subprocess.run([sys.executable, "-I", "-m", "venv", str(folder / "venv")], check=True)
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nmkdir -p "$4" && cp -a "{folder}/venv/." "$4"\n', encoding="utf-8")
    script.chmod(0o755)
    return script


@pytest.fixture
def make(quick):
    def make(environment: Environment) -> Path:
        return environments.make(environment, find=lambda _: pythons.Python(str(quick), sys.version_info[:3]))

    return make


def installed(environment: Environment, name: str) -> str | None:
    return pythons.ask([str(environment.python), "-I", "-c", f"import {name}; print({name}.__version__)"])


def never(*_) -> pythons.Python:
    raise AssertionError("a Python was looked for")


def test_it_is_made_once_and_found_again_at_once(wanted):
    assert environments.make(wanted) == wanted.python
    assert installed(wanted, "spam") == "1.0"
    log = (wanted.folder / environments.LOG).read_text(encoding="utf-8")
    start = time.perf_counter()
    environments.make(wanted, find=never)
    assert time.perf_counter() - start < 3  # alone on a machine: well under 1
    assert (wanted.folder / environments.LOG).read_text(encoding="utf-8") == log


def test_a_changed_requirement_is_brought_in_without_making_it_anew(wanted, make):
    make(wanted)
    (wanted.folder / "kept").touch()
    wanted.layers[0].write_text("spam==2.0\n", encoding="utf-8")
    environments.make(wanted, find=never)
    assert installed(wanted, "spam") == "2.0"
    assert (wanted.folder / "kept").exists()


def test_a_layer_is_added_and_the_smaller_wish_is_then_met_as_well(wanted, tmp_path, make):
    make(wanted)
    more = tmp_path / "requirements-b.txt"
    more.write_text("eggs==3.1\n", encoding="utf-8")
    both = Environment(wanted.folder, wanted.versions, (*wanted.layers, more), source=wanted.source)
    environments.make(both, find=never)
    assert installed(both, "eggs") == "3.1"
    stamp = environments.read_stamp(wanted)
    assert stamp is not None
    assert environments.missing(wanted, stamp) == []


def test_a_half_made_one_is_made_again(wanted, make):
    make(wanted)
    (wanted.folder / environments.UNFINISHED).touch()
    (wanted.folder / "left over").touch()
    make(wanted)
    assert not (wanted.folder / "left over").exists()
    assert not (wanted.folder / environments.UNFINISHED).exists()
    assert installed(wanted, "spam") == "1.0"


def test_one_whose_interpreter_is_gone_is_made_again(wanted, make):
    make(wanted)
    wanted.python.unlink()
    make(wanted)
    assert installed(wanted, "spam") == "1.0"


def test_a_failure_shows_the_logs_tail_and_is_mended_by_the_next_run(wanted, make):
    wanted.layers[0].write_text("spam==7.7\n", encoding="utf-8")
    with pytest.raises(InstallError) as told:
        make(wanted)
    assert "spam==7.7" in str(told.value)
    assert str(wanted.folder / environments.LOG) in str(told.value)
    assert environments.read_stamp(wanted) is None
    wanted.layers[0].write_text("spam==1.0\n", encoding="utf-8")
    make(wanted)
    assert installed(wanted, "spam") == "1.0"


def test_without_a_python_the_old_environment_stays(wanted, make):
    make(wanted)
    (wanted.folder / environments.UNFINISHED).touch()

    def none(_):
        raise pythons.NoPythonError("none")

    with pytest.raises(pythons.NoPythonError):
        environments.make(wanted, find=none)
    assert wanted.python.exists()


def test_a_folder_of_somebody_else_is_refused_and_kept(wanted, make):
    wanted.folder.mkdir(parents=True)
    (wanted.folder / "thesis.txt").touch()
    with pytest.raises(InstallError, match="not made by this program"):
        make(wanted)
    assert (wanted.folder / "thesis.txt").exists()


def test_somebody_elses_environment_with_the_right_packages_is_used_and_never_removed(wanted, make):
    make(wanted)
    (wanted.folder / environments.STAMP).unlink()  # now nobody knows who made it
    environments.make(wanted, find=never)
    assert json.loads((wanted.folder / environments.STAMP).read_text(encoding="utf-8"))["adopted"]
    wanted.python.unlink()
    with pytest.raises(InstallError, match="not made by this program"):
        make(wanted)


def test_another_python_than_wished_for_is_said(wanted, capsys, make):
    later = Environment(wanted.folder, ((3, 99), HERE), wanted.layers, source=wanted.source)
    make(later)
    assert "no Python 3.99 here; Python {}.{}".format(*HERE) in capsys.readouterr().err


def test_of_cpu_the_requirements_name_the_cpu_build_on_linux(monkeypatch, tmp_path):
    monkeypatch.setattr(environments.platform, "system", lambda: "Linux")
    text = "torch==2.0\ntorchvision==1.0\ntorchmetrics==1.9"
    assert environments.of_cpu(text, Source()) == "torch==2.0+cpu\ntorchvision==1.0+cpu\ntorchmetrics==1.9"
    assert environments.of_cpu(text, Source(wheels=tmp_path)) == text
    monkeypatch.setattr(environments.platform, "system", lambda: "Darwin")
    assert environments.of_cpu(text, Source()) == text


def test_without_a_cpu_build_of_torch_it_is_said_where_there_is_one(wanted, wheels, make, monkeypatch):
    monkeypatch.setattr(environments.platform, "system", lambda: "Linux")
    wheel(wheels, "torch", "1.0+cpu")  # of another version
    wanted.layers[0].write_text("torch==2.0\n", encoding="utf-8")
    source = Source(torch="cpu", wheels=wheels)
    with pytest.raises(InstallError, match="--index URL"):
        make(Environment(wanted.folder, (HERE,), wanted.layers, source=source))


@pytest.mark.parametrize(
    ("version", "build"), [("2.0", "cuda"), pytest.param("2.0+cpu", "cpu", marks=pytest.mark.rare)]
)
def test_the_build_of_torch_is_looked_at_and_a_wrong_one_is_refused(wanted, wheels, version, build, make):
    wheel(wheels, "torch", version)
    wanted.layers[0].write_text("torch==2.0\n", encoding="utf-8")
    right = Environment(wanted.folder, (HERE,), wanted.layers, source=Source(torch=build, wheels=wheels))
    make(right)
    assert json.loads((wanted.folder / environments.STAMP).read_text(encoding="utf-8"))["torch"] == build
    environments.make(wanted, find=never)  # no wish: what is there will do
    wrong = Source(torch={"cuda": "cpu", "cpu": "cuda"}[build], wheels=wheels)
    with pytest.raises(InstallError, match="was asked for"):
        make(Environment(wanted.folder, (HERE,), wanted.layers, source=wrong))


def test_pins_knows_that_a_version_can_depend_on_python(tmp_path):
    layer = tmp_path / "layer.txt"
    layer.write_text('# x==1\nA_b==1.0; python_version < "3.12"\nA_b==2.0\nc==3\n', encoding="utf-8")
    assert environments.pins(layer) == {"a-b": ["1.0", "2.0"], "c": ["3"]}


def test_a_later_layer_replaces_the_pins_of_an_earlier_one(tmp_path):
    texts = ['# all\nA_b==1.0; python_version < "3.12"\na-b==2.0\nc==3  # why\n', "d==4\nc==5\n", "A-b==6\n"]
    layers = [tmp_path / f"{number}.txt" for number in range(3)]
    for layer, text in zip(layers, texts, strict=True):
        layer.write_text(text, encoding="utf-8")
    assert environments.joined(layers) == "# all\nd==4\nc==5\nA-b==6"
    assert environments.joined(layers[:1]) == texts[0].rstrip("\n")


@pytest.mark.parametrize("name", ["app", "test", "worker", "avizo", "cluster", "openvino", "int8"])
def test_every_requirement_is_pinned_and_names_no_host(name):
    file = Path(environments.__file__).parent / f"requirements-{name}.txt"
    lines = [one for one in file.read_text(encoding="utf-8").splitlines() if one and not one.startswith("#")]
    assert lines
    for line in lines:
        assert line.count("==") in (1, 2), line
        assert "/" not in line, line
        assert not line.startswith("-"), line


def asked_for() -> tuple[set[str], set[str]]:
    """Names in pyproject.toml: what BONe needs, and what its tests compare with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(wanted: list[str]) -> set[str]:
        return {one.split(">=")[0].replace("_", "-").lower() for one in wanted}

    return names(project["dependencies"]), names(project["optional-dependencies"]["references"])


def test_all_that_the_project_asks_for_is_pinned_on_the_side_where_it_is_needed():
    needed, references = asked_for()
    app, test, avizo = (
        environments.pins(INSTALL / f"requirements-{n}.txt") for n in ("app", "test", "avizo")
    )
    assert needed <= {*app}
    assert references <= {*test} - {*app}
    assert needed | references <= {*avizo}
    assert needed - {"numpy"} <= {*avizo_files.IN_AVIZO}
    assert extra("window") <= {*environments.pins(INSTALL / "requirements-window.txt")}
    assert extra("studies") <= {*app}
    assert extra("formats") <= {*app}
    assert extra("formats") <= {*avizo} & {*avizo_files.IN_AVIZO}
    assert extra("formats") <= {*environments.pins(INSTALL / "requirements-worker.txt")}
    assert extra("cluster") <= {*app, *environments.pins(INSTALL / "requirements-cluster.txt")}
    openvino, int8 = (environments.pins(INSTALL / f"requirements-{n}.txt") for n in ("openvino", "int8"))
    assert extra("openvino") <= {*openvino}
    assert extra("int8") <= {*openvino, *int8}


def extra(name: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {one.split(">=")[0].lower() for one in project["optional-dependencies"][name]}


def test_what_is_only_compared_with_is_never_imported():
    _, references = asked_for()
    assert references == {"torchmetrics", "fvcore", "empatches"}
    for folder in ("bone_backend", "standalone", "external_worker", "avizo_modules"):
        for file in (ROOT / folder).rglob("*.py*"):
            if file.suffix in (".py", ".pyscro"):
                text = file.read_text(encoding="utf-8")
                assert not re.search(rf"^\s*(import|from) ({'|'.join(references)})\b", text, re.MULTILINE), (
                    file
                )
