"""A fit under way: what it is, and what it has reached.

In:  the data and the learner of a fit; the counts of each validation.
Out: a FitState that is ready for its first step, or for the next one after a resumption.
Nothing is written here: the keeper writes it, metadata and report read it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..dataset import coverage
from ..machine.device import describe
from ..machine.monitor import Monitor
from ..networks.complexity import complexity
from ..scores import metrics
from ..training import threads
from ..training.budget import Pace, Spent, Term, goes_on, in_words, steps_now
from ..training.learner import Learner
from ..training.opening import FitData
from ..training.optimization import learning_rate
from ..volumes.classes import describe_classes
from .files import best_name

SUMS = ("loss_sum", "counted", "patches", "skipped")
PEAKS = ("peak_ram_gib", "peak_gpu_gib")


@dataclass
class Position:
    """How far a fit has come. batches: done in this epoch. sums, counts: of this epoch. history: a row for
    each epoch.

    best_score: validation mIoU of the best epoch. best_choice: its score in the choice of the best
    (metrics.choice). best_counts: confusion counts of the validation in the best epoch, rows reference.
    seconds: of the run. epoch_seconds, epoch_waiting: of the epoch under way; epoch_steps: those planned for
    it, 0 for a pass over all tiles. round: of a fit that goes on until it stops improving; round_before: the
    best score when it began. step_s, validation_s: seconds of a step and of the validation, of the
    last epoch. peaks: of memory, GiB.
    """

    epoch: int = 0
    batches: int = 0
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMS, 0.0))
    counts: list[list[int]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -1.0
    best_choice: float = -1.0
    best_file: str = ""
    best_counts: list[list[int]] = field(default_factory=list)
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    epoch_waiting: float = 0.0
    epoch_steps: int = 0
    round: int = 0
    round_before: float = -1.0
    step_s: float = 0.0
    validation_s: float = 0.0
    peaks: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.best_epoch and self.best_choice < 0:  # from a version that chose by the validation mIoU
            self.best_choice = self.best_score


class FitState:
    """A fit that is ready for its first step.

    options: those of the data, with absolute paths, so that the records hold from any current folder.
    position: how far it has come. pace: as measured, where the fit has a time. began: by time.monotonic().
    most_threads: that may compute.
    """

    def __init__(
        self,
        data: FitData,
        learner: Learner,
        monitor: Monitor,
        *,
        pace: Pace | None = None,
        began: float | None = None,
        most_threads: int = 1,
    ):
        self.data, self.learner, self.monitor = data, learner, monitor
        self.options = data.options.with_paths(Path.absolute)
        self.spec, self.training = learner.spec, learner.training
        self.step, self.world = self.training.step, self.training.world
        self.complexity = complexity(self.spec, tuple(self.training.layout.grey_shape(1)))
        self.position = Position()
        self._is_trained = coverage.held_classes(
            data.sides.learnt, coverage.taught(data.training, data.options.scan_weights)
        )
        self.pace, self._most_threads = pace, most_threads
        self._term: Term | None = None  # of the epoch under way
        self._began = time.monotonic() if began is None else began
        self._seconds_before, self._peaks_before = 0.0, dict[str, float]()

    @property
    def network(self) -> torch.nn.Module:
        """The network that learns."""
        return self.step.network

    @cached_property
    def classes(self) -> list[dict[str, Any]]:
        """Value, name and colour of every class."""
        return describe_classes(self.data.labels.values, self.options.class_names)

    @cached_property
    def split(self) -> dict[str, Any]:
        """Who trains and who validates, by name, and with how many patches an epoch."""
        names = self.data.names
        slabs = {names[i]: list(slab) for i, slab in enumerate(self.data.sides.slabs) if slab}
        return {
            "training": [names[i] for i in self.data.training],
            "validation": [names[i] for i in self.data.validation],
            **({"validation_slices": slabs} if slabs else {}),
            "training_patches": len(self.training.plan(0)),
            "validation_patches": len(self.training.validation_plan),
        }

    def told(self) -> list[str]:
        """What this fit is about to do, in words."""
        spec, split = self.spec, self.split
        device = describe(self.training.device, self.step.precision)
        if self.training.device.type == "cpu":
            number = torch.get_num_threads()
            device += f", {number} thread{'s' * (number > 1)}"
        if self.world.size > 1:
            device = f"{self.world.size} processes, the first on {device}"
        counts = self.data.labels.counts
        shares = counts.sum(axis=0) / max(counts.sum(), 1)
        classes = [f"{c['value']} {c['name']} {s:.2%}" for c, s in zip(self.classes, shares, strict=True)]
        return [
            *self.learner.beginnings,
            f"{spec.words}, {spec.mode}, on {device}.",
            f"{self.complexity.parameters / 1e6:.2f} million parameters, "
            f"{self.complexity.multiply_adds / 1e9:.2f} G multiply-adds for one patch.",
            f"Training on {', '.join(split['training'])} ({split['training_patches']} patches an epoch).",
            f"Validation on {', '.join(split['validation'])} ({split['validation_patches']} patches).",
            *self.data.notes,
            *([in_words(self.options, self.training.train_batches)] if self.pace else []),
            f"Classes: {', '.join(classes)}.",
        ]

    def figures(self) -> dict[str, Any]:
        """Those of the monitor, the peaks of earlier parts of the run included."""
        figures, before = self.monitor.figures(), self._peaks_before
        return figures | {
            name: max(figures.get(name) or 0.0, before[name]) for name in PEAKS if before.get(name)
        }

    def seconds(self) -> float:
        """Since this call of the fit began."""
        return time.monotonic() - self._began

    def seconds_in_all(self) -> float:
        """Since the first start of the run, without the time between a stop and a resumption."""
        return self._seconds_before + self.seconds()

    def sums(self) -> dict[str, float]:
        """Those of the epoch so far, of all processes. Steps are skipped by all or none."""
        sums = self.step.sums()
        if self.world.size == 1:
            return sums
        names = [name for name in sums if name != "skipped"]
        summed = self.world.sum(torch.tensor([sums[name] for name in names], dtype=torch.float64)).tolist()
        return dict(zip(names, summed, strict=True)) | {"skipped": sums["skipped"]}

    def go_on_from(self, position: Position) -> None:
        """Take over the position of a checkpoint; network and step are restored by restore()."""
        self.position = position
        # an epoch that is under way ends with the steps that it began with, also where a time is given anew
        self.training.epoch_steps = position.epoch_steps or self.options.epoch_steps
        if self.world.is_first:
            self.training.counts.matrix += torch.tensor(position.counts, device=self.training.device)
        self._seconds_before, self._peaks_before = position.seconds, position.peaks

    @property
    def epochs(self) -> int:
        """Those that are planned, until the end of the round."""
        return self.options.round_epochs(self.position.round)

    def goes_on(self) -> bool:
        """Begin another round where it is worth its time; whether it is. All epochs planned are done."""
        position = self.position
        is_worth = goes_on(
            self.options,
            number=position.round,
            best=position.best_choice,
            best_before=position.round_before,
        )
        if is_worth:
            position.round, position.round_before = position.round + 1, position.best_choice
        return is_worth

    def plan_epoch(self) -> None:
        """Settle the steps of the epoch that begins, where the fit has a time; all processes must call."""
        self._term = None
        if self.pace is None or self.options.epoch_steps or self.position.batches:
            return
        if self.position.epoch:
            threads.settle(self.options, self.training, most=self._most_threads)
        spent = Spent(self.position.step_s, self.position.validation_s)
        gone_s = self.seconds_in_all()
        steps = steps_now(
            self.options,
            self.pace,
            spent,
            epoch=self.position.epoch,
            gone_s=gone_s,
            number=self.position.round,
        )
        self.position.epoch_steps = self.training.epoch_steps = self.world.gather(steps)[0]
        self._term = Term(gone_s, gone_s + steps * (spent.step_s or self.pace.step_s))

    def hold_time(self) -> None:
        """Shorten the epoch under way where it falls far behind its time.

        Several processes keep to their plan, and an epoch that was broken off ends as it began.
        """
        if self._term is None or self.world.size > 1:
            return
        self.position.epoch_steps = self.training.epoch_steps = self._term.hold(
            self.position.epoch_steps,
            done=self.position.batches,
            gone_s=self.seconds_in_all(),
            accumulate=self.options.accumulate,
        )

    def add_epoch(self, counts: np.ndarray, validation_loss: float, *, seconds: float) -> float:
        """Take the scores of a finished epoch into the history, and begin new sums.

        counts: of its validation, int64 (class, class), rows reference. seconds: that it took. Gives its
        score in the choice of the best (metrics.choice). Of several processes all must call.
        """
        position, waiting = self.position, self.training.timing.waiting
        rate = learning_rate(self.options, position.epoch + 1 - 1 / self.training.train_batches)
        position.epoch, position.batches = position.epoch + 1, 0
        scores = metrics.iou(counts)
        sums, learnt = self.sums(), self.world.sum(self.training.counts.matrix).cpu().numpy()
        position.history.append(
            {
                "epoch": position.epoch,
                "learning_rate": rate,
                "train_loss": sums["loss_sum"] / sums["counted"] if sums["counted"] else None,
                "val_loss": _number(validation_loss),
                "train_miou": _number(metrics.mean(metrics.iou(learnt))),
                "val_miou": _number(metrics.mean(scores)) or 0.0,
                **{
                    f"val_iou_{value}": _number(score)
                    for value, score in zip(self.data.labels.values, scores, strict=True)
                },
                "skipped_steps": int(sums["skipped"]),
                "seconds": round(seconds, 3),
                "patches_per_s": round(sums["patches"] / max(seconds, 1e-9), 2),
                "waiting_share": round(waiting / max(seconds, 1e-9), 4),
            }
        )
        self.step.clear()
        self.training.counts.matrix.zero_()
        return _number(metrics.choice(counts, learnt, self._is_trained)) or 0.0

    def call_best(self, counts: np.ndarray, choice: float) -> None:
        """The epoch that was added last is the best so far, with these counts of its validation."""
        position = self.position
        position.best_epoch, position.best_choice = position.epoch, choice
        position.best_score = position.history[-1]["val_miou"]
        position.best_counts = counts.tolist()
        position.best_file = best_name(self.options.name, epoch=position.epoch, score=position.best_score)


def _number(value: float) -> float | None:
    """A plain float, None for nan, so that tables and JSON can hold it."""
    return None if np.isnan(value) else float(value)
