"""Files that appear when they are whole; what killed processes leave half-written is removed by the next."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bone_backend.errors import OutputError
from bone_backend.files.makers import Maker, this_process
from bone_backend.files.whole import Whole, remove_left_over, whole_file, write_text


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dead() -> Maker:
    """A process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    maker = Maker.of_pid(process.pid)
    process.wait()
    return maker


def test_only_what_dead_processes_left_is_removed(tmp_path):
    old, mine, gone = time.time() - 2 * 24 * 3600, this_process().mark, dead().mark
    elsewhere = Maker(1, "0000aaaa", "0000bbbb").mark
    for name in (f".a.{gone}-0000.part", f".a.tif.{gone}-0001.part", f".a.{elsewhere}-0002.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.tif").touch()
    stays = [
        f".a.{mine}-0003.part",
        ".a.part",
        f"a.{gone}-0004.part",
        f".a.{elsewhere}-0005.part",
        ".a.x.part",
    ]
    for name in stays:
        (tmp_path / name).touch()
    os.utime(tmp_path / f".a.{elsewhere}-0002.part", (old, old))
    remove_left_over(tmp_path, name="a")
    assert contents(tmp_path) == sorted([*stays, f".a.tif.{gone}-0001.part"])
    remove_left_over(tmp_path)
    assert contents(tmp_path) == sorted(stays)


def test_labels_that_were_moved_away_in_the_moment_of_a_kill_come_back(tmp_path):
    gone = dead().mark
    (tmp_path / f".labels.{gone}-0000.old").mkdir()
    (tmp_path / f".labels.{gone}-0001.part").mkdir()
    remove_left_over(tmp_path)
    assert contents(tmp_path) == ["labels"]
    (tmp_path / f".labels.{gone}-0000.old").mkdir()
    remove_left_over(tmp_path)  # the new ones were in place already
    assert contents(tmp_path) == ["labels"]


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("old", encoding="utf-8")
    with contextlib.suppress(KeyboardInterrupt), whole_file(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert (contents(tmp_path), path.read_text(encoding="utf-8")) == (["scores.csv"], "old")
    with pytest.raises(OutputError, match="cannot be written"), whole_file(tmp_path / "none" / "x") as file:
        pass


def test_a_folder_takes_the_place_of_an_older_one_when_it_is_whole(tmp_path):
    path = tmp_path / "labels"
    for text in ("old", "new"):
        with Whole(path) as temporary:
            temporary.mkdir()
            (temporary / "0.tif").write_text(text, encoding="utf-8")
            assert contents(tmp_path) == sorted([temporary.name, *(["labels"] if text == "new" else [])])
        assert (path / "0.tif").read_text(encoding="utf-8") == text
    with contextlib.suppress(KeyboardInterrupt), Whole(path) as temporary:
        temporary.mkdir()
        raise KeyboardInterrupt
    assert contents(tmp_path) == ["labels"]
    assert (path / "0.tif").read_text(encoding="utf-8") == "new"


def test_the_file_that_is_replaced_can_stay_under_another_name(tmp_path):
    for text in ("1", "2", "3"):
        with whole_file(tmp_path / "now", before=tmp_path / "before") as file:
            file.write(text.encode())
    assert contents(tmp_path) == ["before", "now"]
    assert [(tmp_path / name).read_text() for name in ("before", "now")] == ["2", "3"]


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """A loss of power must not leave a name with nothing behind it: fsync comes before the rename."""
    done, sync, replace = [], os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append(("sync", os.fstat(handle).st_ino))
        sync(handle)

    def replaced(self: Path, target: Path) -> Path:
        done.append(("name", self.stat().st_ino))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_text(tmp_path / "a.json", "{}")
    number = (tmp_path / "a.json").stat().st_ino
    assert done == [("sync", number), ("name", number)]
