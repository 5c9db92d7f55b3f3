"""One process at a time: of any number that start together one gets in, and the dead hold nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bone_backend.errors import OutputError
from bone_backend.files import locks, makers
from bone_backend.files.locks import held, holder
from bone_backend.files.makers import Maker, this_process

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys, time
from pathlib import Path
from bone_backend.files.locks import held
while not Path(sys.argv[2]).exists():
    time.sleep(0.001)
with held(Path(sys.argv[1]), doing="a fit", refusal=lambda doing, who: f"{doing}: {who}"):
    print("in", flush=True)
    sys.stdin.read()
"""


def start(path: Path, gun: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), str(gun)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def hold(path: Path, doing: str = "a fit"):
    return held(path, doing=doing, refusal=lambda doing, who: f"{doing} is running ({who})")


def test_of_several_that_start_together_one_gets_in(tmp_path):
    path, gun = tmp_path / "lock", tmp_path / "gun"
    started = [start(path, gun) for _ in range(5)]
    time.sleep(1.0)
    gun.touch()
    ended = []
    deadline = time.monotonic() + 60
    while len(ended) < 4 and time.monotonic() < deadline:
        ended = [process for process in started if process.poll() is not None]
        time.sleep(0.05)
    (winner,) = [process for process in started if process not in ended]
    for process in ended:
        assert f"a fit: process {winner.pid} on" in process.communicate()[1]
    assert winner.communicate("")[0] == "in\n"
    assert not path.exists()


def test_a_killed_holder_holds_nothing(tmp_path):
    path, gun = tmp_path / "lock", tmp_path / "gun"
    gun.touch()
    process = start(path, gun)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    found = holder(path)
    assert found is not None
    assert (found.doing, found.pid, found.maker.has_ended) == ("a fit", process.pid, False)
    with pytest.raises(OutputError, match=rf"a fit is running \(process {process.pid} on"), hold(path):
        pass
    process.kill()  # and not waited for yet: a zombie
    deadline = time.monotonic() + 10
    while holder(path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert holder(path) is None
    assert found.maker.has_ended
    assert path.exists()
    with hold(path):
        assert json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid()
    assert not path.exists()
    process.communicate()


def test_a_second_fit_in_the_same_process_is_refused_too(tmp_path):
    with hold(tmp_path / "lock"), pytest.raises(OutputError, match="is running"), hold(tmp_path / "lock"):
        pass
    with hold(tmp_path / "lock"):
        pass


def test_where_the_system_has_no_locks_the_file_says_who_holds_it(tmp_path, monkeypatch):
    """As some network file systems do."""
    monkeypatch.setattr(locks, "_lock", lambda file: None)
    path = tmp_path / "lock"
    with hold(path):
        assert holder(path) is not None
        with pytest.raises(OutputError, match=f"process {os.getpid()} on"), hold(path):
            pass
    write_holder(path, Maker(os.getpid(), this_process().place, "0badcafe"))  # the number is used again
    assert holder(path) is None
    with hold(path):
        pass


def write_holder(path: Path, maker: Maker) -> None:
    told = {"doing": "a fit", "host": "elsewhere", "since": "then", "pid": maker.pid}
    path.write_text(json.dumps({**told, "place": maker.place, "start": maker.start}), encoding="utf-8")


def test_a_holder_on_another_machine_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SILENT_S", 1.5)
    path, looks = tmp_path / "lock", []
    write_holder(path, Maker(1, "0000aaaa", "0000bbbb"))
    began = time.monotonic()
    with held(path, doing="a fit", refusal=str, look=lambda: looks.append(1)):
        assert time.monotonic() - began >= 1.5  # it gave no sign, so it has ended
    assert len(looks) > 3
    write_holder(path, Maker(1, "0000aaaa", "0000bbbb"))
    os.utime(path, (time.time() - 3600,) * 2)
    began = time.monotonic()
    with hold(path):
        assert time.monotonic() - began < 1.0  # silent for an hour


def test_a_living_holder_on_another_machine_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SILENT_S", 5.0)
    path = tmp_path / "lock"
    write_holder(path, Maker(1, "0000aaaa", "0000bbbb"))

    def beat():
        os.utime(path)

    with (
        pytest.raises(OutputError, match="process 1 on elsewhere"),
        held(path, doing="a fit", refusal=lambda doing, who: f"{doing} {who}", look=beat),
    ):
        pass


def test_a_living_holder_gives_signs(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT_S", 0.05)
    path = tmp_path / "lock"
    with hold(path):
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 1000 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > 1000


def test_a_process_is_known_by_its_number_its_place_and_its_start():
    mine = this_process()
    assert Maker.of_mark(f".labels.tif.{mine.mark}-0f0f.part") == mine
    assert not mine.has_ended
    assert Maker.of_pid(os.getpid()) == mine
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = Maker.of_pid(process.pid)
    assert not other.has_ended
    process.communicate(b"\n")
    assert other.has_ended
    assert Maker(mine.pid, mine.place, "0badcafe").has_ended
    assert not Maker(other.pid, "0badcafe", other.start).has_ended  # of another machine nothing is known
    assert not Maker(mine.pid, mine.place, makers._UNKNOWN).has_ended
