"""Disturb commands that label several scans, again and again, and see that they end as if nothing had been.

In:  --count (of disturbances), --minutes, --seed, --how tmpfs | limit (of the disk, see disk_full).
Run as: python -m benchmarks.campaigns.kills_predict
Out: a table of disturbances by what was done, another of when they came. Lost is a command that cannot go on,
says anything but that the disk is full when it is, shows labels or maps under their names that are not whole,
or ends with other bytes than an undisturbed one; and whatever is left behind at its end: a NAME.unfinished, a
hidden file, a temporary file, sums or scratch in the cache.
Each command labels three phantoms (TIFF, folder of slices, NIfTI): along one axis or three, averaged or not,
with maps, cleaning, both or neither. It is disturbed one to five times, then left alone. A disturbance is
SIGKILL, SIGTERM or Ctrl-C at a random moment of a random phase (labelling along an axis, deciding, cleaning,
writing the labels and maps), or a disk that runs full there. Children are forked from a warm parent; for
SIGTERM and Ctrl-C the command itself runs in a pseudo-terminal.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import pty
import random
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.sidebyside import markdown_table
from bone_backend.errors import BoneError
from bone_backend.inference import labelling
from bone_backend.options.predicting.scans import PredictScansOptions
from bone_backend.predictions import predict_scans
from bone_backend.volumes.volume import save
from mocks.scans import Phantom
from standalone.command import main as bone

from . import child, small
from .campaign import Campaign, parser
from .child import Child
from .disk_full import REST_BYTES, SPEAKS_OF_THE_DISK, Disk, can_mount, small_disk

SCANS = {"a.tif": "a.tif", "b": "b", "c.nii": "c.nii"}  # a scan, and what its labels are called
WAYS: dict[str, dict[str, Any]] = {
    "slices": {},
    "slices, maps, cleaning": {"maps": ["confidence", "probabilities"], "clean": ["1:largest", "1:fill"]},
    "flips": {"average": "flips", "maps": ["entropy"]},
    "three axes": {"axes": "zyx", "clean": ["1:median", "2:islands=20"]},
    "three axes, maps": {"axes": "zyx", "maps": ["confidence", "entropy"]},
    "in place of others": {"overwrite": True, "maps": ["confidence"]},
}
KINDS = ("SIGKILL",) * 5 + ("disk full", "SIGTERM", "Ctrl-C")
LAST = "the labels and maps get their names"
LONGEST_S = 300.0  # of one command in a pseudo-terminal


class Commands:
    """Three scans, one model, and what they give."""

    def __init__(self, folder: Path, disk: Disk):
        self.disk, self.place = disk, disk.folder / "out"
        os.environ["BONE_CACHE"] = str(disk.folder / "cache")
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
        (folder / "tmp").mkdir()
        self.scans = folder / "scans"
        self.scans.mkdir()
        for seed, name in enumerate(SCANS):
            grey = Phantom(shape=(40 + 4 * seed, 64, 72 - 8 * seed), seed=seed).whole()[0]
            save(self.scans / name, grey, voxel_size=(20.0, 20.0, 20.0))
        self.model = small.make_model(folder / "model.pth", is_plain=True)
        self.phase = folder / "phase"
        self.expected: dict[str, dict[str, str]] = {}
        self.lasting: dict[str, dict[str, float]] = {}
        self.whole_s: dict[str, float] = {}

    def values(self, way: str) -> dict[str, Any]:
        first, *others = (str(self.scans / name) for name in SCANS)
        told = {"scan": first, "more_scans": others, "model": str(self.model), "device": "cpu"}
        told |= {"output_dir": str(self.place), "chunk_size": 64, "batch_size": 4, "precision": "fp32"}
        return told | WAYS[way]

    def clear(self, way: str) -> None:
        """An empty place, or one with others' labels in it."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        if WAYS[way].get("overwrite"):
            (self.place / "a.tif").write_bytes(b"older")
            (self.place / "b").mkdir()

    def work(self, way: str) -> Callable[[], dict[str, Any]]:
        """What a child does; it tells its phase in a file."""

        def work() -> dict[str, Any]:
            labelling.LOOK_S = 0.0  # so that each batch is told
            with self.phase.open("wb", buffering=0) as file:

                def tell(_step: int, _steps: int, message: str, _figures: object = None) -> None:
                    with contextlib.suppress(OSError):  # where no file may grow any more
                        file.write(f"{time.monotonic():.4f} {phase_of(message)}\n".encode())

                found = predict_scans(PredictScansOptions.parse(self.values(way)), progress=tell)
                tell(1, 1, "the end")
            failed = [one["error"] for one in found["scans"] if "error" in one]
            if failed:
                raise BoneError(failed)
            return {"modules": sorted(sys.modules)}

        return work

    def words(self, way: str) -> list[str]:
        """The same on the command line."""
        told = ["predict"]
        for name, value in self.values(way).items():
            flag = [] if name in ("scan", "more_scans") else [f"--{name.replace('_', '-')}"]
            told += (
                flag if value is True else [*flag, *map(str, value if isinstance(value, list) else [value])]
            )
        return told

    def undisturbed(self) -> None:
        """What each command must end with, and how long its phases last; the first one twice, to be warm."""
        for number, way in enumerate([next(iter(WAYS)), *WAYS]):
            self.clear(way)
            began = time.monotonic()
            found = child.run(self.work(way))
            if found.kind != child.DONE:
                raise SystemExit(f"The undisturbed command failed: {found.text}")
            if number == 0:
                small.import_all(found.value["modules"])
            self.whole_s[way] = time.monotonic() - began
            self.expected[way] = contents(self.place)
            self.lasting[way] = lasting(self.phase.read_text())

    def now(self) -> str:
        """The phase that the child is in."""
        with contextlib.suppress(OSError):
            lines = self.phase.read_bytes().split(b"\n")[:-1]
            return lines[-1].partition(b" ")[2].decode() if lines else ""
        return ""

    def fault(self, way: str, *, at_end: bool) -> str:
        """What is wrong with what is there, in words; nothing where all is well."""
        found, wanted = contents(self.place), self.expected[way]
        there = {
            name: hashed for name, hashed in found.items() if ".unfinished" not in name and name[0] != "."
        }
        if WAYS[way].get("overwrite"):
            there = {name: hashed for name, hashed in there.items() if hashed != OLDER}
        if at_end:
            if found != wanted:
                other = sorted(n for n in {*found, *wanted} if found.get(n) != wanted.get(n))
                return f"it ends otherwise: {', '.join(other[:5])}"
            cache = [
                p.name
                for p in (self.disk.folder / "cache").rglob("*")
                if re.search(r"bricks|scratch", p.name)
            ]
            left = [*map(str, cache), *small.strangers(Path(os.environ["TMPDIR"]), set())]
            return f"left behind: {', '.join(left[:5])}" if left else ""
        other = sorted(name for name, hashed in there.items() if wanted.get(name) != hashed)
        return f"under its name, but not whole: {', '.join(other[:5])}" if other else ""


OLDER = hashlib.sha256(b"older").hexdigest()


def phase_of(message: str) -> str:
    """A message of the progress without numbers.

    >>> phase_of("Labelling slice 3 of 24 along y, scan 2 of 3"), phase_of("Labelled 24 slices, scan 1 of 3")
    ('Labelling slice along y', 'the labels and maps get their names')
    """
    told = re.sub(r",? scan \d+ of \d+$|( \d+ of \d+)", "", message)
    return LAST if re.match(r"Labelled \d+ slices$", told) else told


def lasting(told: str) -> dict[str, float]:
    """How long each phase lasts at its longest, from the lines "time phase"."""
    lines = [line.split(" ", 1) for line in told.splitlines()]
    found: dict[str, float] = {}
    began = 0.0
    for number, (moment, phase) in enumerate(lines[:-1]):
        if number == 0 or lines[number - 1][1] != phase:
            began = float(moment)
        found[phase] = max(found.get(phase, 0.0), float(lines[number + 1][0]) - began)
    return found


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder; of records, which hold times, that they are there."""
    return {
        str(path.relative_to(folder)): "record"
        if path.name.endswith(".record.json")
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    } | {f"{p.relative_to(folder)}/": "" for p in folder.rglob("*") if p.is_dir()}


class Typed:
    """The command in a pseudo-terminal, forked from this warm process."""

    def __init__(self, words: Sequence[str]):
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            status = 70
            try:
                status = bone(words)
            finally:
                os._exit(status)
        self.said, self.status = "", -1

    def read(self, seconds: float) -> bool:
        """Take what it says for so long; whether it still runs."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._screen], [], [], left)[0]:
                try:
                    part = os.read(self._screen, 1 << 16)
                except OSError:
                    part = b""
                if not part:
                    self._end()
                    return False
                self.said += part.decode(errors="replace")
        return True

    def stop(self, kind: str) -> None:
        """Type Ctrl-C, or send the signal."""
        with contextlib.suppress(OSError):
            if kind == "Ctrl-C":
                os.write(self._screen, b"\x03")
            else:
                os.kill(self.pid, signal.SIGTERM)

    def end(self) -> None:
        """Wait for its end, then for no longer."""
        if self.status < 0 and self.read(LONGEST_S):
            os.kill(self.pid, signal.SIGKILL)
            self._end()

    def _end(self) -> None:
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._screen)


class Trial:
    """One command and its disturbances."""

    def __init__(self, campaign: Campaign, made: Commands, rng: random.Random, when: Counter[str]):
        self.campaign, self.made, self.rng, self.when = campaign, made, rng, when
        self.way = rng.choice(list(WAYS))

    def run(self) -> int:
        """Do it; gives how many disturbances came in time."""
        self.made.clear(self.way)
        if self.rng.random() < 0.3:
            shutil.rmtree(self.made.disk.folder / "cache", ignore_errors=True)
        came = 0
        for _ in range(self.rng.randint(1, 5)):
            kind = self.rng.choice(KINDS)
            in_time, fault = self._typed(kind) if kind in ("SIGTERM", "Ctrl-C") else self._disturbed(kind)
            fault = fault or self.made.fault(self.way, at_end=False)
            came += in_time
            if fault:
                self.campaign.lose(f"{self.way}: {kind}", fault, keep=[self.made.place])
                return came
            self.campaign.count(kind, "came in time" if in_time else "came after the end")
        again = child.run(self.made.work(self.way))
        fault = "" if again.kind == child.DONE else f"it cannot go on: {again.kind}: {again.text}"
        if fault := fault or self.made.fault(self.way, at_end=True):
            self.campaign.lose(self.way, fault, keep=[self.made.place])
        else:
            self.campaign.count(self.way, "ends byte-equal")
        return came

    def _disturbed(self, kind: str) -> tuple[bool, str]:
        phases = self.made.lasting[self.way]
        phase = self.rng.choice(list(phases))
        self.made.phase.unlink(missing_ok=True)
        life = Child(self.made.work(self.way))
        repeats = self.rng.choice((1, 1, 1, 2, 3))  # it comes at most once for each scan
        seen = ""
        is_running = True
        while is_running and repeats:
            is_running = life.is_running_for(0.001)
            now = self.made.now()
            repeats -= now == phase != seen
            seen = now
        is_running = is_running and life.is_running_for(self.rng.uniform(0, phases[phase]))
        if kind == "SIGKILL":
            life.kill()
            found = life.end(killed=True)
            self.when[self.made.now()] += is_running
            is_fair = found.kind in (child.DONE, child.KILLED)
        else:
            self.made.disk.fill(life, self.rng.choice(REST_BYTES))
            found = life.end()
            self.made.disk.free()
            is_fair = found.kind == child.DONE or (
                found.kind == child.REFUSED and bool(SPEAKS_OF_THE_DISK.search(found.text))
            )
        return is_running, "" if is_fair else f"{found.kind}: {found.text}"

    def _typed(self, kind: str) -> tuple[bool, str]:
        life = Typed(self.made.words(self.way))
        is_running = life.read(self.rng.uniform(0, self.made.whole_s[self.way]))
        if is_running:
            life.stop(kind)
        life.end()
        if "Traceback" in life.said:
            return is_running, f"a traceback: {life.said}"
        fair = (0, 130 if kind == "Ctrl-C" else 143)
        if life.status not in fair:
            return is_running, f"its status is {life.status}: {life.said}"
        return is_running and life.status != 0, ""


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    torch.set_num_threads(1)
    campaign, when = Campaign("kills_predict", asked), Counter[str]()
    with small_disk(folder / "disk", asked.how) as disk:
        made = Commands(folder, disk)
        made.undisturbed()
        came = number = 0
        while came < asked.count and campaign.minutes < asked.minutes:
            campaign.number = asked.first + number
            came += Trial(campaign, made, campaign.generator(campaign.number), when).run()
            number += 1
    longest = max(made.whole_s.values())
    print(f"{came} disturbances of {number} commands, which take up to {longest:.1f} s undisturbed\n")
    print(
        markdown_table(["SIGKILL came while", "times"], [[name, times] for name, times in when.most_common()])
    )
    return campaign.end("torch")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=60)
    made.add_argument(
        "--how", choices=("tmpfs", "limit"), default="tmpfs" if can_mount() else "limit", help="See above."
    )
    asked = made.parse_args(words)
    before = tempfile.tempdir, {name: os.environ.get(name) for name in ("TMPDIR", "BONE_CACHE")}
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        try:
            return run(asked, Path(place))
        finally:
            small.restore(*before)


if __name__ == "__main__":
    sys.exit(main())
