"""Names that are no UTF-8 go through every command; what is shown and sent is always text."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.errors import OutputError
from bone_backend.files.names import all_readable, from_home, readable
from bone_backend.volumes.cache import cache_folder
from bone_backend.volumes.volume import open_volume
from standalone.command import main

posix = pytest.mark.skipif(sys.platform != "linux", reason="other systems keep names as text")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Schädel", "Schädel"),
        (os.fsdecode(b"Sch\xe4del.tif") if os.name == "posix" else "Sch\udce4del.tif", r"Sch\xe4del.tif"),
        ("a\nb\x1b[31m", r"a\x0ab\x1b[31m"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_is_shown_is_text_on_one_line(name, shown):
    assert readable(name) == shown
    assert all_readable({name: [name, (name, 1)]}) == {shown: [shown, (shown, 1)]}


def test_a_home_folder_that_is_not_known_is_no_fault():
    assert from_home("~no-such-user/x") == Path("~no-such-user/x")


def put(folder: bytes, arrays: np.ndarray) -> None:
    Path(os.fsdecode(folder)).mkdir()
    for z, plane in enumerate(arrays):
        with io.BytesIO() as file:
            tifffile.imwrite(file, plane, photometric="minisblack", metadata=None)
            Path(os.fsdecode(folder + b"/Sch\xe4del_%02d.tif" % z)).write_bytes(file.getvalue())


def bone(*words: object, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A command as a user in a UTF-8 terminal starts it."""
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "LC_ALL": "C.UTF-8", **more}
    kept = {name: value for name, value in environment.items() if value}
    command = [sys.executable, "-m", "standalone.command", *map(str, words)]
    kept["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, errors="replace")


@pytest.mark.slow
@posix
def test_statistics_of_a_scan_whose_names_are_latin_1(tmp_path):
    scan = np.arange(4 * 6 * 6, dtype=np.uint8).reshape(4, 6, 6)
    put(os.fsencode(tmp_path) + b"/Sch\xe4del.1", scan)
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/Sch\xe4del.1")
    assert open_volume(folder).header.name == r"Sch\xe4del.1"
    for words in (["info"], ["statistics"], ["statistics"]):  # the second time from what was kept
        told = bone(*words, folder, "--json", folder=tmp_path, BONE_CACHE=str(tmp_path / "cache"))
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["path"] == folder
    assert (json.loads(told.stdout)["count"], json.loads(told.stdout)["cached"]) == (143, True)
    gone = bone("info", folder + "x", folder=tmp_path)
    assert (gone.returncode, r"Sch\xe4del.1x does not exist" in gone.stderr) == (1, True)


@posix
@pytest.mark.slow
def test_a_fit_on_folders_whose_names_are_latin_1_and_differ_after_a_dot(tmp_path, monkeypatch, capsys):
    """Split, record, statistics and model name two scans, in text; the run can be used again."""
    from bone_backend.model_files.model_file import read_metadata
    from mocks.scans import Phantom

    pairs: list[str] = []
    for number in (1, 2):
        for kind, array in zip((b"", b"_mask"), Phantom(shape=(8, 48, 48), seed=number).whole(), strict=True):
            name = b"Sch\xe4del.%d" % number + kind
            put(os.fsencode(tmp_path) + b"/" + name, array)
            pairs += ["--pair"] * (not kind) + [os.fsdecode(name)]
    monkeypatch.chdir(tmp_path)
    output = os.fsdecode(b"r\xe4n")
    words = ["--output", output, "--patch-size", "32", "--patches-per-tile", "1", "--epochs", "1", "--json"]
    assert main(["fit", *pairs, *words]) == 0
    model = json.loads(capsys.readouterr().out)["model"]
    run = tmp_path / output
    both = {r"Sch\xe4del.1", r"Sch\xe4del.2"}
    split = json.loads((run / "split.json").read_text("utf-8"))
    assert {*split["training"], *split["validation"]} == both
    record = json.loads((run / "record.json").read_text("utf-8"))
    assert [item["name"] for item in record["inputs"]] == sorted(both)
    assert all(Path(item["scan"]).is_dir() for item in record["inputs"])  # the very bytes
    metadata, _ = read_metadata(next(run.glob("*_best_*.pth")))
    assert {*metadata["train_dataset"], *metadata["val_dataset"]} == both
    for name in ("log.txt", "report.html"):
        assert both <= {one for one in both if one in (run / name).read_text("utf-8")}
    words = ["--model", model, "--output", os.fsdecode(b"l\xe4bels"), "--chunk-size", "64", "--quiet"]
    assert main(["predict", os.fsdecode(b"Sch\xe4del.1"), *words]) == 0
    assert open_volume(tmp_path / os.fsdecode(b"l\xe4bels")).header.shape == (8, 48, 48)


@posix
@pytest.mark.parametrize("home", ["", "/proc/nothing"])
def test_without_a_home_that_can_be_written_the_cache_is_a_folder_of_ones_own(tmp_path, monkeypatch, home):
    monkeypatch.delenv("BONE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home or "no/home")  # a relative one is none
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # and the system knows no other
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = cache_folder()
    assert found == cache_folder() == tmp_path / f"bone-cache-{os.getuid()}"
    assert found.stat().st_mode & 0o777 == 0o700
    found.chmod(0o777)  # anybody could put something there
    with pytest.raises(OutputError, match="BONE_CACHE"):
        cache_folder()
    found.rmdir()
    found.symlink_to(tmp_path)
    with pytest.raises(OutputError, match="BONE_CACHE"):
        cache_folder()


@posix
def test_the_cache_that_is_named_is_taken_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BONE_CACHE", "cache")
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("BONE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "bone"


@pytest.mark.slow
@posix
def test_a_scan_is_measured_where_no_cache_can_be_written(tmp_path):
    tifffile.imwrite(
        tmp_path / "scan.tif", np.ones((5, 8, 8), np.uint8), compression="zlib", photometric="minisblack"
    )
    for cache in (
        {"BONE_CACHE": "/proc/nothing"},
        {"BONE_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/proc/nothing"},
    ):
        told = bone("statistics", "scan.tif", "--json", folder=tmp_path, TMPDIR=str(tmp_path), **cache)
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["mean"] == 1
    assert "BONE_CACHE" in " ".join(told.stderr.split())
