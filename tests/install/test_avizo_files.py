"""Modules in an Avizo: a made directory tree with blanks in its path, installed twice, checked, taken out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import avizo_files
import bootstrap
import pytest
from running import InstallError


@pytest.fixture
def avizo(tmp_path) -> Path:
    """An Avizo as far as its folders go, with a script and a Python module of somebody else."""
    folder = tmp_path / "Thermo Scientific Amira-Avizo3D 2024.2"
    for inner in ("share/python_script_objects", "share/python_modules/vendor", "bin"):
        (folder / inner).mkdir(parents=True)
    (folder / "share/python_script_objects/Other.pyscro").write_text("class Other: pass\n", encoding="utf-8")
    (folder / "share/python_modules/vendor/__init__.py").touch()
    return folder


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A small copy of BONe."""
    folder = tmp_path / "a checkout"
    for module in avizo_files.MODULES:
        (folder / "avizo_modules" / module).mkdir(parents=True)
        for suffix in (".pyscro", ".rc", ".xml", ".html"):
            (folder / "avizo_modules" / module / f"{module}{suffix}").write_text(
                f"{module}\n", encoding="utf-8"
            )
    for name in (
        "bone_backend/__init__.py",
        "bone_backend/volumes/tiff/reading.py",
        "bone_backend/report/templates/page.html",
        "external_worker/worker.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x = 1\n", encoding="utf-8")
    (folder / "bone_backend/__pycache__").mkdir()
    (folder / "bone_backend/__pycache__/a.cpython-312.pyc").touch()
    (folder / "install").mkdir()
    source = avizo_files.CHECKOUT / "install" / "requirements-avizo.txt"
    (folder / "install" / source.name).write_bytes(source.read_bytes())
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def install(avizo: Path, checkout: Path) -> int:
    return avizo_files.install(avizo, worker=Path(sys.executable), checkout=checkout)


def test_each_file_goes_to_its_place(avizo, checkout):
    assert install(avizo, checkout) == 0
    share = avizo / "share"
    for module in avizo_files.MODULES:
        assert (share / "python_script_objects" / f"{module}.pyscro").is_file()
        assert (share / "python_script_objects" / f"{module}.rc").is_file()
        assert (share / "xml" / f"{module}.xml").is_file()
    assert (share / "python_modules/bone_backend/volumes/tiff/reading.py").is_file()
    assert (share / "python_modules/bone_backend/report/templates/page.html").is_file()
    note = share / "python_modules/external_worker/python.txt"
    assert note.read_text(encoding="utf-8").strip() == sys.executable
    assert not list(share.rglob("*.pyc"))


def test_twice_in_a_row_changes_nothing(avizo, checkout, capsys):
    install(avizo, checkout)
    before = {p: p.stat().st_mtime_ns for p in avizo.rglob("*.pyscro")}
    contents = files_of(avizo)
    install(avizo, checkout)
    assert "0 of them new or changed" in capsys.readouterr().out
    assert files_of(avizo) == contents
    assert {p: p.stat().st_mtime_ns for p in avizo.rglob("*.pyscro")} == before


def test_a_newer_version_replaces_the_older_and_clears_what_it_no_longer_has(avizo, checkout):
    install(avizo, checkout)
    (checkout / "bone_backend/volumes/tiff/reading.py").unlink()
    (checkout / "bone_backend/new.py").write_text("y = 2\n", encoding="utf-8")
    install(avizo, checkout)
    modules = avizo / "share/python_modules"
    assert not (modules / "bone_backend/volumes").exists()
    assert (modules / "bone_backend/new.py").is_file()


def test_uninstalling_leaves_the_tree_as_it_was(avizo, checkout, capsys):
    before = files_of(avizo)
    install(avizo, checkout)
    compiled = avizo / "share/python_modules/bone_backend/__pycache__/__init__.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.touch()
    assert avizo_files.uninstall(avizo) == 0
    assert files_of(avizo) == before
    assert not (avizo / "share/python_modules/bone_backend").exists()
    assert avizo_files.uninstall(avizo) == 0
    assert "not installed" in capsys.readouterr().out


def test_check_tells_what_is_missing_changed_or_does_not_run(avizo, checkout, capsys):
    assert avizo_files.check(avizo, checkout=checkout) == 1
    assert "not installed" in capsys.readouterr().out
    install(avizo, checkout)
    assert avizo_files.check(avizo, checkout=checkout) == 0
    capsys.readouterr()
    (avizo / "share/xml/BONe_IoU.xml").unlink()
    (avizo / "share/python_modules/bone_backend/__init__.py").write_text("changed\n", encoding="utf-8")
    (avizo / avizo_files.WORKER_NOTE).write_text("/not/there/python\n", encoding="utf-8")
    assert avizo_files.check(avizo, checkout=checkout) == 1
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 4  # and a line that sums up
    assert any("BONe_IoU.xml: missing" in line for line in told)
    assert any("differs" in line for line in told)
    assert any("/not/there/python does not run" in line for line in told)


def test_the_commands_for_avizos_python_are_told_with_quoted_paths(avizo, checkout, capsys):
    install(avizo, checkout)
    told = capsys.readouterr().out
    needs = avizo / "share/python_modules/bone-requirements.txt"
    assert f'run -e bone -- pip install -r "{needs}"' in told
    assert "Create Python Environment" in told
    lines = needs.read_text(encoding="utf-8").splitlines()
    assert any(line.startswith("torch==") for line in lines)
    assert not any(line.startswith("numpy") for line in lines)


def test_a_folder_that_is_no_avizo_is_refused(tmp_path, checkout):
    with pytest.raises(InstallError, match="has no folder 'share'"):
        install(tmp_path, checkout)


def test_without_the_right_to_write_nothing_is_begun_and_a_hint_is_given(avizo, checkout):
    """A file stands where the folder would have to be: refused even to an administrator."""
    (avizo / "share/xml").write_text("in the way\n", encoding="utf-8")
    before = files_of(avizo)
    with pytest.raises(InstallError, match="administrator"):
        install(avizo, checkout)
    assert files_of(avizo) == before


def test_a_copy_of_bone_without_its_modules_is_refused(avizo, checkout):
    (checkout / "avizo_modules/BONe_IoU/BONe_IoU.pyscro").unlink()
    with pytest.raises(InstallError, match="BONe_IoU"):
        install(avizo, checkout)


def test_the_command_installs_checks_and_uninstalls(avizo, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "make_worker", lambda _: Path(sys.executable))
    calls = []
    for name in ("install", "check", "uninstall"):
        monkeypatch.setattr(avizo_files, name, lambda folder, name=name, **_: calls.append(name) or 0)
    for flags in ([], ["--check"], ["--uninstall"]):
        assert bootstrap.main(["avizo", "--avizo-dir", str(avizo), *flags]) == 0
    assert calls == ["install", "check", "uninstall"]


def test_a_record_from_somebody_else_names_no_files_outside_of_the_folder(tmp_path):
    place = tmp_path / avizo_files.RECORD
    place.parent.mkdir(parents=True, exist_ok=True)
    files = {
        "share/a.pyscro": "1",
        "../x": "1",
        "/etc/x": "1",
        "a/../../x": "1",
        "C:x": "1",
        "..\\x": "1",
        "b": 2,
    }
    place.write_text(json.dumps({"files": files}), encoding="utf-8")
    assert avizo_files.read_record(tmp_path) == {"share/a.pyscro": "1"}
    for text in ("[]", '{"files": []}', "[" * 100_000, '{"files": 3}'):
        place.write_text(text, encoding="utf-8")
        assert avizo_files.read_record(tmp_path) == {}
