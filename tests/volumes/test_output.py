"""Outputs that appear when they are whole, made by one at a time; a killed one's rest goes with the next."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import OutputError
from bone_backend.files.outputs import check_output
from bone_backend.files.whole import remove_left_over, temporary_path, write_text
from bone_backend.volumes.amira.writing import write_labels
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.output import claim
from bone_backend.volumes.volume import create, open_volume, save

ROOT = Path(__file__).resolve().parents[2]
LABELS = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
WRITE_HALF = """
import os, signal, sys
import numpy as np
from pathlib import Path
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.output import claim
from bone_backend.volumes.volume import create
path = Path(sys.argv[1])
with claim(path, doing="a prediction"):
    with create(path, ArrayVolume(np.zeros((4, 8, 8), np.uint8)).header, overwrite=True) as writer:
        writer.write(np.zeros((2, 8, 8), np.uint8))
        print("half", flush=True)
        sys.stdin.read()
"""


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["labels.tif", "labels", "labels.npy"])
def test_what_a_killed_prediction_left_is_removed_by_the_next(tmp_path, name):
    path = tmp_path / "new" / name
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_HALF, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    told = rf"a prediction is writing this just now \(process {process.pid} on"
    with pytest.raises(OutputError, match=told), claim(path, doing="a prediction"):
        pass
    with pytest.raises(OutputError, match=told):
        check_output(path, overwrite=True)
    remove_left_over(path.parent)  # while it lives, nothing is touched
    assert len([found for found in contents(path.parent) if found.endswith(".part")]) == 1
    process.kill()
    process.communicate()
    with claim(path, doing="a prediction"):
        save(path, LABELS)
    assert contents(path.parent) == [name]


def test_a_claim_that_comes_to_nothing_leaves_no_folder(tmp_path):
    with claim(tmp_path / "a" / "b" / "labels", doing="a prediction"):
        assert contents(tmp_path) == ["a"]
    assert contents(tmp_path) == []


def test_long_names_leave_room_for_temporary_ones(tmp_path):
    for name in ("n" * 250, "ü" * 120 + ".tif"):
        path = tmp_path / name
        with claim(path, doing="a prediction"):
            write_text(path, "whole")
        assert contents(tmp_path) == [name]
        path.unlink()
    assert temporary_path(tmp_path / ("n" * 250)) != temporary_path(tmp_path / ("n" * 249 + "m"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_every_file_has_the_mode_that_the_user_is_used_to(tmp_path, mask):
    before = os.umask(mask)
    try:
        save(tmp_path / "labels", LABELS)
        save(tmp_path / "labels.tif", LABELS)
        save(tmp_path / "packed.tif", LABELS, compression="zlib")
        save(tmp_path / "labels.npy", LABELS)
        write_text(tmp_path / "log.json", "{}")
        volume = ArrayVolume(LABELS, name="labels")
        write_labels(tmp_path / "labels.am", volume, box=((0, 0, 0), (3, 2, 1)), classes=[])
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 7
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~mask}


def test_two_writers_of_one_output_do_not_mix(tmp_path):
    """Also where no claim was made: the last one is whole."""
    header = ArrayVolume(LABELS, name="labels").header
    with create(tmp_path / "l.tif", header, overwrite=True) as one:
        with create(tmp_path / "l.tif", header, overwrite=True) as other:
            one.write(LABELS[:1])
            other.write(LABELS + 100)
        one.write(LABELS[1:])
    with open_volume(tmp_path / "l.tif") as found:
        assert np.array_equal(found.read(0, 2), LABELS)
