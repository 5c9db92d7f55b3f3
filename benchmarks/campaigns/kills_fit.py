"""Kill a small fit again and again, resume it each time, and see that it ends as if it had never been killed.

In:  --count (kills), --minutes, --seed, --cold. Run as: python -m benchmarks.campaigns.kills_fit
Out: a table. Lost is a run that cannot go on, that ends with another weight, score (times aside) or best
epoch than an undisturbed one, that leaves files behind, or whose best model cannot be loaded after a kill.
SIGKILL comes at a random moment of a life, uniform over the time that the undisturbed fit takes; a life
that ends before goes on to the comparison, and the next fit begins. Importing torch and
segmentation_models_pytorch takes 8 s of a processor, so a warm parent has imported everything, has started
no thread, and forks a child for each life: two to four seconds for a kill. --cold starts the command itself
each time instead, as a user does; kills then come during the imports too.
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

import torch

from bone_backend.errors import BoneError
from bone_backend.model_files import model_file

from . import child, small
from .campaign import Campaign, parser
from .child import Child

MOST_LIVES = 50  # of one fit; then it is let run to its end


class Fits:
    """The fits of one campaign, one after the other."""

    def __init__(self, campaign: Campaign, folder: Path, *, is_cold: bool):
        self.campaign, self.folder, self.is_cold = campaign, folder, is_cold
        self.pairs = small.write_pairs(folder)
        self.number = 0
        os.environ["BONE_CACHE"] = str(folder / "cache")
        self.expected: dict[str, Any] = {}
        self.whole_s = 0.0

    def undisturbed(self) -> None:
        """What every fit must end with, and how long one takes."""
        run = self.folder / "undisturbed"
        for _ in range(2):  # the second time as warm as all others
            shutil.rmtree(run, ignore_errors=True)
            began = time.monotonic()
            life = self.begin(run)
            found = life.end()
            if found.kind != child.DONE:
                raise SystemExit(f"The undisturbed fit failed: {found.text}")
            small.import_all((found.value or {}).get("modules", []))
            self.whole_s = time.monotonic() - began
        self.expected = small.ending(run)

    def begin(self, run: Path) -> Child:
        """A life of the fit: its first, or one that resumes it."""
        is_begun = (run / "options.json").exists()
        if self.is_cold:
            return Child(functools.partial(small.exec_command, *self._words(run, is_begun)), is_command=True)
        values = {"resume": str(run)} if is_begun else small.fit_values(self.pairs, run)
        return Child(lambda: {"best": small.fit_here(values), "modules": sorted(sys.modules)})

    def _words(self, run: Path, is_begun: bool) -> list[str]:
        if is_begun:
            return ["fit", "--resume", str(run)]
        values = small.fit_values(self.pairs, run)
        words = ["fit", "--reproducible", "--keep-checkpoint"]
        for scan, mask in values.pop("pairs"):
            words += ["--pair", scan, mask]
        del values["reproducible"], values["keep_checkpoint"]
        return words + [
            w for name, value in values.items() for w in (f"--{name.replace('_', '-')}", str(value))
        ]

    def one(self, rng: random.Random, kills: int) -> int:
        """A fit that is killed at most so many times; gives how many times it was."""
        self.number += 1
        run = self.folder / f"run_{self.number}"
        if rng.random() < 0.3:  # conversions and statistics are made anew, and killed too
            shutil.rmtree(self.folder / "cache", ignore_errors=True)
        killed, had_best = 0, False
        while True:
            life = self.begin(run)
            if killed < min(kills, MOST_LIVES) and life.is_running_for(rng.uniform(0, self.whole_s)):
                life.kill()
                found = life.end(killed=True)
            else:
                found = life.end()
            if found.kind == child.DONE:
                break
            if found.kind != child.KILLED:
                self._lose(run, f"a life that was not killed: {found.kind}: {found.text}")
                return killed
            killed += 1
            try:
                had_best = self._check_best(run, had_best)
            except (BoneError, LookupError) as fault:
                self._lose(run, f"the best model after a kill: {fault}")
                return killed
            self.campaign.count("kill", "best model whole" if had_best else "before the first model")
        self._compare(run)
        return killed

    def _check_best(self, run: Path, had_best: bool) -> bool:
        """Load every best model; raises BoneError, or LookupError where there was one and is none."""
        found = list(run.glob("*_best_epoch_*.pth"))
        for path in found:
            model_file.load_state(path)
        if had_best and not found:
            raise LookupError("it is gone")
        return bool(found)

    def _compare(self, run: Path) -> None:
        found = small.ending(run)
        other = [name for name, value in self.expected.items() if found[name] != value]
        if other:
            told = "; ".join(f"{name} is {found[name]}, not {self.expected[name]}" for name in other)
            return self._lose(run, f"the end is another: {told}")
        shutil.rmtree(run)
        return self.campaign.count("fit that was killed", "ends bit-equal")

    def _lose(self, run: Path, text: str) -> None:
        self.campaign.lose("fit that was killed", text, keep=[run])
        shutil.rmtree(run, ignore_errors=True)


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    torch.set_num_threads(1)
    campaign = Campaign("kills_fit", asked)
    fits = Fits(campaign, folder, is_cold=asked.cold)
    fits.undisturbed()
    kills = 0
    while kills < asked.count and campaign.minutes < asked.minutes:
        campaign.number = fits.number
        kills += fits.one(campaign.generator(fits.number), asked.count - kills)
    print(f"{kills} kills of a fit that takes {fits.whole_s:.1f} s undisturbed")
    return campaign.end("torch", "segmentation_models_pytorch")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=100)
    made.add_argument("--cold", action="store_true", help="Start the command itself for each life.")
    asked = made.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        return run(asked, Path(place))


if __name__ == "__main__":
    sys.exit(main())
