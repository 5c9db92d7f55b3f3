"""Kill a study again and again, let its disk run full once, and see that it ends as if nothing had happened.

In:  --count (studies), --kills of each, --minutes, --seed, --how tmpfs | limit (of the disk, see disk_full).
Run as: python -m benchmarks.campaigns.kills_study
Out: a table. Lost is a study that cannot go on, that ends with another results.csv (times aside) or other
weights than an undisturbed one, or that says anything but that the disk is full when it is.
Five folds, two seeds and two configurations on ten small phantoms: 20 runs, bit for bit the same each time.
Kills and the full disk come in a random order, each at a random moment of a part of the study of its own. A
warm parent forks each life, so that a life begins in milliseconds.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bone_backend.model_files import model_file
from bone_backend.studies.options import StudyOptions
from bone_backend.studies.results import TIMES
from bone_backend.study import study
from bone_backend.volumes.volume import save
from mocks.scans import Phantom

from . import child, small
from .campaign import Campaign, parser
from .child import Child
from .disk_full import REST_BYTES, SPEAKS_OF_THE_DISK, Disk, can_mount, small_disk

RUNS_OF_A_FOLD = 4  # two seeds, two configurations
FILE = """
folds = {folds}
seeds = [42, 7]
scans = "scans.csv"
[base]
recipe = "paper"
patch_size = 32
patches_per_tile = 1
batch_size = 6
epochs = 2
architecture = "Plain U-Net"
plain_channels = 8
plain_depth = 3
precision = "fp32"
train_split = 0.6
reproducible = true
checkpoint_minutes = 0.001
[vary]
learning_rate = [0.005, 0.001]
"""


def write_file(folder: Path, folds: int) -> Path:
    """Ten phantoms and the study of them."""
    lines = ["scan,mask"]
    for number in range(10):
        pair = [folder / f"{kind}_{number}" for kind in ("scan", "mask")]
        phantom = Phantom(shape=(8 + number % 3, 48, 48), seed=number)
        for path, array in zip(pair, phantom.whole(), strict=True):
            save(path, array, voxel_size=(20.0, 20.0, 20.0))
        lines.append(",".join(map(str, pair)))
    (folder / "scans.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = folder / "study.toml"
    path.write_text(FILE.replace("{folds}", str(folds)), encoding="utf-8")
    return path


def ending(output: Path) -> dict[str, Any]:
    """What an undisturbed study and one that was disturbed must share."""
    with (output / "results.csv").open(encoding="utf-8", newline="") as file:
        table = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]
    models = sorted(output.glob("*/*/fit/*_best_epoch_*.pth"))
    weights = {
        str(path.relative_to(output)): model_file.weights_sha256(model_file.load_state(path))
        for path in models
    }
    return {"table": table, "weights": weights, "report": (output / "study.html").is_file()}


class Studies:
    """The studies of one campaign, one after the other."""

    def __init__(self, campaign: Campaign, folder: Path, disk: Disk, *, folds: int):
        self.campaign, self.disk = campaign, disk
        self.file, self.output = write_file(folder, folds), disk.folder / "out"
        self.runs = folds * RUNS_OF_A_FOLD
        os.environ["BONE_CACHE"] = str(folder / "cache")
        self.expected: dict[str, Any] = {}
        self.whole_s = 0.0

    def _study(self, **changes: Any) -> dict[str, Any]:
        values = {"study": str(self.file), "output": str(self.output), "one_process": True, **changes}
        return study(StudyOptions.parse(values))

    def undisturbed(self) -> None:
        """What every study must end with, and how long one takes; twice, the second time warm."""
        for _ in range(2):
            shutil.rmtree(self.output, ignore_errors=True)
            began = time.monotonic()
            found = child.run(lambda: [self._study(), sorted(sys.modules)][1])
            if found.kind != child.DONE:
                raise SystemExit(f"The undisturbed study failed: {found.text}")
            small.import_all(found.value)
            self.whole_s = time.monotonic() - began
        self.expected = ending(self.output)

    def one(self, rng: random.Random, kills: int) -> None:
        """A study that is killed so many times and whose disk runs full once, in a random order."""
        shutil.rmtree(self.output, ignore_errors=True)
        disturbances = ["kill"] * kills + ["disk"]
        rng.shuffle(disturbances)
        for number, kind in enumerate(disturbances):
            life = Child(lambda: self._study(retry_failed=True)["runs"])
            is_running = self._wait(life, rng, share=(number + rng.random()) / len(disturbances))
            if kind == "kill":
                life.kill()
                found = life.end(killed=True)
            else:
                self.disk.fill(life, rng.choice(REST_BYTES))
                found = life.end()
                self.disk.free()
            if not self._is_fair(kind, found):
                self.campaign.lose(kind, f"{found.kind}: {found.text}", keep=[self.output])
                return None
            self.campaign.count(kind, found.kind if is_running else "came after the end")
        found = child.run(lambda: self._study(retry_failed=True)["runs"])
        if found.kind != child.DONE:
            return self.campaign.lose(
                "study", f"it cannot go on: {found.kind}: {found.text}", keep=[self.output]
            )
        now = ending(self.output)
        if other := [name for name, value in self.expected.items() if now[name] != value]:
            return self.campaign.lose(
                "study", f"it ends with another {' and '.join(other)}", keep=[self.output]
            )
        return self.campaign.count("study", "ends bit-equal")

    def _wait(self, life: Child, rng: random.Random, *, share: float) -> bool:
        """Until this share of the runs has begun, and up to a run longer; whether the life still runs."""
        while len([*self.output.glob("*/*/run.json")]) < share * self.runs:
            if not life.is_running_for(0.02):
                return False
        return life.is_running_for(rng.uniform(0, self.whole_s / self.runs))

    def _is_fair(self, kind: str, found: child.Ending) -> bool:
        """Whether a life ended as it may."""
        if found.kind == child.DONE or (kind == "kill" and found.kind == child.KILLED):
            return True
        return kind == "disk" and found.kind == child.REFUSED and bool(SPEAKS_OF_THE_DISK.search(found.text))


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    torch.set_num_threads(1)
    campaign = Campaign("kills_study", asked)
    with small_disk(folder / "disk", asked.how) as disk:
        studies = Studies(campaign, folder, disk, folds=asked.folds)
        studies.undisturbed()
        for rng in campaign.trials():
            studies.one(rng, asked.kills)
    print(f"a study takes {studies.whole_s:.1f} s undisturbed")
    return campaign.end("torch")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=10)
    made.add_argument("--kills", type=int, default=5, help="Kills of each study [default 5].")
    made.add_argument("--folds", type=int, default=5, help="Of each study, four runs each [default 5].")
    made.add_argument(
        "--how", choices=("tmpfs", "limit"), default="tmpfs" if can_mount() else "limit", help="See above."
    )
    asked = made.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        return run(asked, Path(place))


if __name__ == "__main__":
    sys.exit(main())
