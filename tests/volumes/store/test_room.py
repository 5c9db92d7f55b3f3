"""The cache: its limit, what goes first, and two programs that share it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import OptionError
from bone_backend.inference.backends import remembered
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.store import room, use
from bone_backend.volumes.volume import open_volume, save
from standalone import command

SCAN = np.random.default_rng(1).integers(0, 9, (16, 100, 100), np.uint8)
SIZE = SCAN.nbytes


def packed(folder, count):
    """Compressed stacks."""
    for number in range(count):
        save(folder / f"scan_{number}.tif", np.roll(SCAN, number), compression="zlib")
    return [folder / f"scan_{number}.tif" for number in range(count)]


def unpack(path, store):
    """Open and close; gives the file in the store."""
    before = set(store.glob("*.npy"))
    open_source(open_volume(path), folder=store).close()
    (made,) = set(store.glob("*.npy")) - before
    return made


def grow_old(path, hours):
    then = time.time() - hours * 3600
    os.utime(path, (then, then))


@pytest.mark.parametrize(
    ("told", "limit"),
    [("50 GB", 50 * 10**9), ("1,5 GiB", 3 * 2**29), ("300kB", 300_000), ("0.5 tb", 5 * 10**11)],
)
def test_the_limit_is_what_the_variable_says(tmp_path, monkeypatch, told, limit):
    monkeypatch.setenv("BONE_CACHE_LIMIT", told)
    assert room.limit_bytes(tmp_path / "not" / "there") == limit


def test_without_the_variable_it_is_a_fifth_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.delenv("BONE_CACHE_LIMIT", raising=False)
    fifth = room.limit_bytes(tmp_path)
    monkeypatch.setenv("BONE_CACHE_LIMIT", "100 %")
    assert fifth == pytest.approx(room.limit_bytes(tmp_path) / 5, rel=1e-6)


@pytest.mark.parametrize("told", ["much", "20", "-3 GB", "%", "1e3 GB"])
def test_a_limit_that_is_none_is_refused(tmp_path, monkeypatch, told):
    monkeypatch.setenv("BONE_CACHE_LIMIT", told)
    with pytest.raises(OptionError, match=r"BONE_CACHE_LIMIT is .*write it as 50 GB, or as 20 %"):
        room.limit_bytes(tmp_path)


def test_what_was_used_longest_ago_goes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("BONE_CACHE_LIMIT", f"{3.5 * SIZE / 1000} kB")
    paths, store = packed(tmp_path, 4), tmp_path / "store"
    made = [unpack(path, store) for path in paths[:3]]
    for file, hours in zip(made, (2, 9, 5), strict=True):
        grow_old(file, hours)
    open_source(open_volume(paths[1]), folder=store).close()  # the oldest is used again
    newest = unpack(paths[3], store)
    assert set(store.iterdir()) == {made[0], made[1], newest}


def test_a_volume_larger_than_the_limit_is_unpacked_all_the_same(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("BONE_CACHE_LIMIT", "1 kB")
    (path,) = packed(tmp_path, 1)
    caplog.set_level("INFO")
    assert unpack(path, tmp_path / "store").exists()
    assert "takes more than the limit of the cache" in caplog.text


USER = """
import sys
from pathlib import Path
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import open_volume
source = open_source(open_volume(Path(sys.argv[1])), folder=Path(sys.argv[2]))
print("open", flush=True)
sys.stdin.readline()
print(int(source.read_slice(15).sum()), flush=True)
source.close()
"""


@pytest.fixture
def other(tmp_path):
    """Another program, which has the first scan open. Gives it, the paths and the store."""
    paths, store = packed(tmp_path, 3), tmp_path / "store"
    words = [sys.executable, "-c", USER, str(paths[0]), str(store)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        yield process, paths, store
        process.kill()


def test_what_another_program_uses_is_never_removed(other, monkeypatch):
    process, paths, store = other
    monkeypatch.setenv("BONE_CACHE_LIMIT", f"{1.5 * SIZE / 1000} kB")
    (theirs,) = store.glob("*.npy")
    grow_old(theirs, 24 * 90)
    unpack(paths[1], store)
    assert theirs.exists()
    removed, left = room.clear(store)
    assert [entry.path for entry in left] == [theirs]
    assert len(removed) == 1
    process.stdin.write("\n")
    process.stdin.flush()
    assert int(process.stdout.readline()) == int(SCAN[15].sum())
    process.wait()
    assert room.clear(store)[1] == []
    assert [*store.iterdir()] == []


def test_the_mark_of_a_killed_program_holds_nothing(other):
    process, _, store = other
    (theirs,) = store.glob("*.npy")
    assert use.is_used(theirs)
    process.kill()
    process.wait()
    assert not use.is_used(theirs)
    assert use.remove_unused(theirs)
    assert [*store.iterdir()] == []


MANY = """
import sys, os
from pathlib import Path
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import open_volume
for turn in range(25):
    for path in sys.argv[2:]:
        source = open_source(open_volume(Path(path)), folder=Path(sys.argv[1]))
        print(int(source.read_slice(3).sum()))
        source.close()
"""


def test_two_programs_that_drive_each_other_out_read_what_is_right(tmp_path):
    paths, store = packed(tmp_path, 3), tmp_path / "store"
    environment = os.environ | {"BONE_CACHE_LIMIT": f"{1.2 * SIZE / 1000} kB"}
    ways = ([0, 1, 2], [2, 1, 0])
    words = [[sys.executable, "-c", MANY, str(store), *(str(paths[n]) for n in way)] for way in ways]
    running = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True, env=environment) for one in words]
    sums = [int(np.roll(SCAN, n)[3].sum()) for n in range(3)]
    for process, way in zip(running, ways, strict=True):
        told = process.communicate(timeout=120)[0].split()
        assert process.returncode == 0
        assert [int(one) for one in told] == [sums[n] for n in way] * 25


def test_the_command_shows_the_cache_and_clears_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BONE_CACHE_LIMIT", "30 MB")
    (path,) = packed(tmp_path, 1)
    source = open_source(open_volume(path), folder=tmp_path / "cache" / "store")
    foreign = tmp_path / "cache" / "store" / "mine.npy"
    foreign.write_bytes(b"x")
    assert command.main(["cache", "--quiet"]) == 0
    out = capsys.readouterr().out
    for told in (
        str(tmp_path / "cache"),
        "30.0 MB (30 MB; BONE_CACHE_LIMIT",
        "1 volume, 160.",
        "1 of them in use",
    ):
        assert told in out
    assert command.main(["cache", "--clear", "--quiet"]) == 0
    assert "what is in use stays" in capsys.readouterr().out
    source.close()
    assert command.main(["cache", "--clear", "--quiet"]) == 0
    assert "Removed" in capsys.readouterr().out
    assert [*(tmp_path / "cache" / "store").iterdir()] == [foreign]


def test_speeds_of_openvino_are_told_and_forgotten(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    for threads in (1, 2):
        assert remembered.keep({"threads": threads}, remembered.Seconds(1.0, 0.5, 0.7))
    assert command.main(["cache", "--quiet"]) == 0
    assert "Speeds      of OpenVINO and torch, 2 measurements\n" in capsys.readouterr().out
    assert command.main(["cache", "--clear", "--quiet"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "statistics of 0 scans, 2 measurements of speed" in told
    assert "Speeds" not in told
    assert remembered.read({"threads": 1}) is None


def test_a_cache_that_is_not_there_yet_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "not" / "yet"))
    assert command.main(["cache", "--quiet"]) == 0
    assert "0 volumes, 0 bytes" in capsys.readouterr().out
    assert not Path(tmp_path / "not").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files")
def test_a_cache_that_cannot_be_written_is_told_with_the_variable_that_moves_it(monkeypatch, capsys):
    monkeypatch.setenv("BONE_CACHE", "/proc/nothing")
    assert command.main(["cache", "--quiet"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "/proc/nothing (as BONE_CACHE says) cannot be written. Set the environment variable BONE_CACHE" in out
    )
