"""The frame of every campaign: how long it goes on, what it counts, and what it keeps of what failed.

In:  the words of the command line; what became of each trial.
Out: a markdown table by kind of trial; an exit status: 1 if anything was lost.
Each trial draws from a generator made of the seed and its number, so that any of them can be made again
alone.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.sidebyside import machine, markdown_table

LONGEST_TEXT = 2000  # of what is told of one loss


def parser(description: str | None, *, count: int, minutes: float = 480.0) -> argparse.ArgumentParser:
    """The words that all campaigns take."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--count", type=int, default=count, help=f"Trials at most [default {count}].")
    made.add_argument(
        "--minutes", type=float, default=minutes, help=f"Minutes at most [default {minutes:g}]."
    )
    made.add_argument("--seed", type=int, default=1, help="Another seed draws other trials [default 1].")
    made.add_argument("--first", type=int, default=0, help="Number of the first trial [default 0].")
    made.add_argument(
        "--failures",
        type=Path,
        help="Folder for what failed [default failures-NAME, made when something fails].",
    )
    return made


class Loss(NamedTuple):
    """One trial that lost something. number: with --first it is made again alone."""

    number: int
    kind: str
    text: str


class Campaign:
    """Counts the trials of one campaign."""

    def __init__(self, name: str, asked: argparse.Namespace):
        self.name, self.asked = name, asked
        self.folder: Path = asked.failures or Path(f"failures-{name}")
        self.number = asked.first
        self.losses: list[Loss] = []
        self.outcomes: dict[str, Counter[str]] = {}
        self._began = time.monotonic()

    def trials(self) -> Iterator[random.Random]:
        """One generator for each trial, until they are as many as asked for, or the time is over."""
        for number in range(self.asked.first, self.asked.first + self.asked.count):
            if self.minutes >= self.asked.minutes:
                return
            self.number = number
            yield self.generator(number)

    def generator(self, number: int) -> random.Random:
        """What the trial of this number draws from."""
        return random.Random(f"{self.name} {self.asked.seed} {number}")

    @property
    def minutes(self) -> float:
        """Since it began."""
        return (time.monotonic() - self._began) / 60

    def count(self, kind: str, outcome: str) -> None:
        """A trial of this kind ended as it may."""
        self.outcomes.setdefault(kind, Counter())[outcome] += 1

    def lose(self, kind: str, text: str, *, keep: Sequence[Path] = ()) -> None:
        """A trial of this kind lost something; keep: files and folders to look at later."""
        self.count(kind, "lost")
        text = text if len(text) <= LONGEST_TEXT else f"... {text[-LONGEST_TEXT:]}"
        self.losses.append(Loss(self.number, kind, text))
        place = self.folder / f"seed{self.asked.seed}_trial{self.number}"
        place.mkdir(parents=True, exist_ok=True)
        with (place / "what.txt").open("a", encoding="utf-8") as file:
            file.write(f"{kind}\n{text}\n")
        for path in keep:
            if path.is_dir():
                shutil.copytree(path, place / path.name, dirs_exist_ok=True, symlinks=True)
            elif path.exists():
                shutil.copy2(path, place / path.name)
        print(f"trial {self.number}, {kind}: LOST: {text}", file=sys.stderr, flush=True)

    def table(self) -> str:
        """Kinds of trials in rows, how they ended in columns; a last row for all if there are several."""
        names = dict.fromkeys(name for found in self.outcomes.values() for name in found)
        columns = [name for name in names if name != "lost"] + ["lost"]
        lines = dict(self.outcomes)
        if len(lines) > 1:
            lines["all"] = sum(self.outcomes.values(), Counter())
        rows = [[kind, found.total(), *(found[name] for name in columns)] for kind, found in lines.items()]
        return markdown_table([self.name, "tried", *columns], rows)

    def end(self, *packages: str) -> int:
        """Print the table and what was lost; gives the exit status."""
        print(machine(*packages))
        print(f"seed {self.asked.seed}, {self.minutes:.1f} minutes\n")
        print(self.table())
        alike: dict[str, list[Loss]] = {}
        for loss in self.losses:
            alike.setdefault(loss.text.strip().splitlines()[-1], []).append(loss)
        for found in sorted(alike.values(), key=len, reverse=True)[:20]:
            numbers = ", ".join(str(loss.number) for loss in found[:10])
            print(f"\n{len(found)} like this (trials {numbers}), e.g. {found[0].kind}: {found[0].text}")
        if self.losses:
            print(f"\n{len(self.losses)} lost; what failed is in {self.folder}.")
        return 1 if self.losses else 0
