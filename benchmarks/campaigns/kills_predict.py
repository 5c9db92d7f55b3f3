"""Kill a prediction at a random moment: its output is absent or whole, and the next prediction is as the
first.

In:  --count (kills), --minutes, --seed, --cold. Run as: python -m benchmarks.campaigns.kills_predict
Out: a table by kind of output. Lost is an output that is there but not whole, labels that differ from those
of an undisturbed prediction, a prediction that fails after a kill, and anything that is left behind in the
output's folder after the next prediction, or in the system's folder for temporary files.
SIGKILL comes at a random moment, uniform over the time that the undisturbed prediction takes. Children are
forked from a warm parent as in kills_fit; --cold starts the command itself.
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bone_backend.errors import BoneError
from bone_backend.volumes.volume import save
from mocks.scans import Phantom

from . import child, small
from .campaign import Campaign, parser
from .child import Child

OUTPUTS = {"folder of slices": "labels", "TIFF": "labels.tif", "TIFF in place of another": "labels.tif"}


class Predictions:
    """One scan, one model, and what they give."""

    def __init__(self, folder: Path, *, is_cold: bool):
        self.folder, self.is_cold = folder, is_cold
        os.environ["BONE_CACHE"] = str(folder / "cache")
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "tmp")
        for name in ("tmp", "out"):
            (folder / name).mkdir()
        self.scan = folder / "scan.tif"
        save(self.scan, Phantom(shape=(24, 96, 96), seed=3).whole()[0], compression="zlib")
        self.model = small.make_model(folder / "model.pth")
        self.whole_s, self.expected = 0.0, np.empty(0)

    def undisturbed(self) -> None:
        """What every prediction must give, and how long one takes."""
        for _ in range(2):  # the second time as warm as all others
            began = time.monotonic()
            found = self.begin(self.folder / "undisturbed.tif").end()
            if found.kind != child.DONE:
                raise SystemExit(f"The undisturbed prediction failed: {found.text}")
            small.import_all((found.value or {}).get("modules", []))
            self.whole_s = time.monotonic() - began
        self.expected = small.labels_of(self.folder / "undisturbed.tif")

    def begin(self, output: Path) -> Child:
        values: dict[str, Any] = {
            "scan": str(self.scan), "model": str(self.model), "output": str(output), "chunk_size": 64,
            "batch_size": 2,
        }  # fmt: skip
        if self.is_cold:
            words = ["predict", values.pop("scan"), "--overwrite"]
            words += [
                w for name, value in values.items() for w in (f"--{name.replace('_', '-')}", str(value))
            ]
            return Child(functools.partial(small.exec_command, *words), is_command=True)
        values["overwrite"] = True
        return Child(lambda: {"slices": small.predict_here(values), "modules": sorted(sys.modules)})

    def faults(self, output: Path, *, or_older: np.ndarray | None = None, must_be: bool = False) -> str:
        """What is wrong with an output, in words; nothing where all is well."""
        if not output.exists():
            return "the output is not there" if must_be else ""
        try:
            found = small.labels_of(output)
        except BoneError as fault:
            return f"the output is there, but not whole: {fault}"
        if any(np.array_equal(found, wanted) for wanted in (self.expected, or_older) if wanted is not None):
            return ""
        return "the output's labels are others"


def trial(campaign: Campaign, made: Predictions, rng: random.Random) -> bool:
    """Kill one prediction, and predict again; gives whether it could be killed before its end."""
    kind = rng.choice(list(OUTPUTS))
    place = made.folder / "out"
    shutil.rmtree(place)
    place.mkdir()
    output, older = place / OUTPUTS[kind], None
    if "another" in kind:
        older = np.zeros_like(made.expected)
        save(output, older)
    if rng.random() < 0.3:
        shutil.rmtree(made.folder / "cache", ignore_errors=True)
    life = made.begin(output)
    is_killed = life.is_running_for(rng.uniform(0, made.whole_s))
    life.kill()
    found = life.end(killed=True)
    if found.kind not in (child.KILLED, child.DONE):
        campaign.lose(kind, f"before the kill: {found.kind}: {found.text}", keep=[place])
        return is_killed
    is_there = output.exists() and "another" not in kind
    if fault := made.faults(output, or_older=older):
        campaign.lose(kind, f"after the kill: {fault}", keep=[place])
        return is_killed
    again = made.begin(output).end()
    fault = "" if again.kind == child.DONE else f"{again.kind}: {again.text}"
    fault = fault or made.faults(output, must_be=True)
    if left := small.strangers(place, {output.name, f"{output.name}.record.json"}):
        fault = fault or f"left in the output's folder after the next prediction: {', '.join(left)}"
    if left := small.strangers(made.folder / "tmp", set()):
        fault = fault or f"left in the folder for temporary files: {', '.join(left[:3])} ({len(left)})"
        shutil.rmtree(made.folder / "tmp")
        (made.folder / "tmp").mkdir()
    if fault:
        campaign.lose(kind, fault, keep=[place])
    elif is_killed:
        campaign.count(
            kind, "killed with the output whole" if is_there else "killed before the output appeared"
        )
    else:
        campaign.count(kind, "done before the kill")
    return is_killed


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    torch.set_num_threads(1)
    campaign = Campaign("kills_predict", asked)
    made = Predictions(folder, is_cold=asked.cold)
    made.undisturbed()
    kills = number = 0
    while kills < asked.count and campaign.minutes < asked.minutes:
        campaign.number = asked.first + number
        kills += trial(campaign, made, campaign.generator(campaign.number))
        number += 1
    print(f"{kills} kills of a prediction that takes {made.whole_s:.1f} s undisturbed")
    return campaign.end("torch", "segmentation_models_pytorch")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=50)
    made.add_argument("--cold", action="store_true", help="Start the command itself for each life.")
    asked = made.parse_args(words)
    before = tempfile.tempdir, {name: os.environ.get(name) for name in ("TMPDIR", "BONE_CACHE")}
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        try:
            return run(asked, Path(place))
        finally:
            restore(*before)


def restore(folder: str | None, environment: dict[str, str | None]) -> None:
    """As they were before the campaign."""
    tempfile.tempdir = folder
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


if __name__ == "__main__":
    sys.exit(main())
