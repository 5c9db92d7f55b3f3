"""What a fit keeps: the best model, the last state, checkpoints, scores and the record.

In:  the fit under way and the integer counts of each validation.
Out: files in the run folder, each whole; a FitResult.
The best model is written when it is best, so nothing that happens later can change or lose it.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..dataset import coverage
from ..dataset.checks import Labels
from ..dataset.pairs import OpenPair
from ..errors import OutputError, ScanError
from ..intensity.statistics import Statistics
from ..machine.monitor import Monitor
from ..model_files import model_file
from ..networks.complexity import complexity
from ..networks.spec import NetworkSpec
from ..options.programs import FitOptions
from ..scores import metrics
from ..training.loop import Timing, Training
from ..training.optimization import learning_rate
from ..volumes.output import put_in_place, remove
from .checkpoint import Checkpoint, Position, load_position, read_newest, restore, save_checkpoint
from .files import CHECKPOINT, CHECKPOINT_BEFORE, CHECKPOINTS
from .folder import INPUTS, RECORD, SPLIT, RunFolder
from .metadata import changed_inputs, classes, inputs, metadata, own_metadata, record
from .records import read_inputs
from .tensorboard import ScalarLog

log = logging.getLogger("bone.fitting")

PEAKS = ("peak_ram_gib", "peak_gpu_gib")


@dataclass(frozen=True)
class FitResult:
    """What a fit reached.

    model: the best model file, None if no epoch was finished; seconds: of this call.
    """

    model: Path | None
    best_epoch: int
    best_val_iou: float | None
    val_iou_per_class: dict[int, float | None]
    run_folder: Path
    epochs: int
    seconds: float
    peak_ram_gib: float
    train_scans: tuple[str, ...]
    validation_scans: tuple[str, ...]
    outcome: str  # "done", "stopped", "stopped early" or "failed"
    class_names: dict[int, str] = field(default_factory=dict)  # by label value

    def plain(self) -> dict[str, Any]:
        """As JSON values, paths as text."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }


class Keeper:
    """Keeps what one fit reaches; `position` says how far it has come."""

    def __init__(
        self,
        options: FitOptions,
        folder: RunFolder,
        training: Training,
        *,
        pairs: list[OpenPair],
        labels: Labels,
        statistics: list[Statistics],
        spec: NetworkSpec,
        monitor: Monitor,
        concerns: Sequence[str] = (),
        notes: Sequence[str] = (),
    ):
        self.options, self.folder, self.training = options, folder, training
        self.pairs, self.labels, self.statistics = pairs, labels, statistics
        self.spec, self.monitor = spec, monitor
        self.concerns = tuple(concerns)  # about the split, in words
        self.notes = tuple(notes)  # of what was chosen for the user, in words
        self._is_trained = coverage.held_classes(
            labels, coverage.taught(training.training_scans, options.scan_weights)
        )
        self.position = Position()
        self.complexity = complexity(spec, tuple(training.layout.grey_shape(1)))
        self._began = self._saved = self._epoch_began = time.monotonic()
        self._seconds_before, self._peaks_before = 0.0, dict[str, float]()
        self._result: FitResult | None = None
        self._resumed_from = ""  # name of the checkpoint
        self._best_saved, self._best_before = "", ""  # best models of the last checkpoint and the one before
        self.split: dict[str, Any] = {}
        self._scalars: ScalarLog | None = None
        self.world = training.world

    @property
    def network(self) -> torch.nn.Module:
        """The network that learns."""
        return self.training.step.network

    def check_inputs(self) -> None:
        """Raise ScanError where a run that is to be resumed began with other voxels than there are now."""
        earlier = self.options.resume
        if earlier is None or not (earlier / INPUTS).is_file():
            return
        before, now = read_inputs(earlier / INPUTS), inputs(self)
        if len(before) != len(now):
            raise OutputError(
                f"{earlier / INPUTS} has {len(before)} pairs, but options.json beside it has {len(now)}: "
                "they are not of one run. Put back a copy of the run folder, or start a new run."
            )
        if changed := changed_inputs(before, now):
            raise ScanError(
                f"{', '.join(changed)} changed since the run in {earlier} began. A resumed run needs the "
                "same voxels: put the old files back, or start a new run."
            )

    def log_start(self, device: str) -> None:
        """Say what this fit is about to do, and write inputs and split."""
        self.folder.write_json(INPUTS, {"pairs": inputs(self)})
        names = [pair.name for pair in self.pairs]
        split = self.split = {
            "training": [names[i] for i in self.training.training_scans],
            "validation": [names[i] for i in self.training.validation_scans],
            "training_patches": len(self.training.plan(0)),
            "validation_patches": len(self.training.validation_plan),
        }
        self.folder.write_json(SPLIT, split)
        log.info("%s, %s, on %s.", self.spec.words, self.spec.mode, device)
        log.info(
            "%.2f million parameters, %.2f G multiply-adds for one patch (fvcore).",
            self.complexity.parameters / 1e6,
            self.complexity.multiply_adds / 1e9,
        )
        log.info(
            "Training on %s (%d patches an epoch).", ", ".join(split["training"]), split["training_patches"]
        )
        log.info(
            "Validation on %s (%d patches).", ", ".join(split["validation"]), split["validation_patches"]
        )
        for note in self.notes:
            log.info("%s", note)
        shares = self.labels.counts.sum(axis=0) / max(self.labels.counts.sum(), 1)
        log.info(
            "Classes: %s.",
            ", ".join(
                f"{c['value']} {c['name']} {s:.2%}" for c, s in zip(classes(self), shares, strict=True)
            ),
        )

    def resume_if_asked(self) -> None:
        """Go on from the checkpoint of the run folder, or from the start if there is none yet."""
        if not self.options.resume:
            return
        with self.world.together():
            self._resume(self.options.resume)
        place = f"{self.position.epoch}, {self.position.batches}"
        if len(set(self.world.gather(place))) > 1:
            raise OutputError(
                f"{self.options.resume} is not the same folder on all machines; put the run where all can "
                "read it."
            )
        if self.world.is_first and self._resumed_from:
            self._tidy()

    def _resume(self, run: Path) -> None:
        found = read_newest([run / name for name in CHECKPOINTS])
        if found is None:
            log.warning("The run in %s has no checkpoint yet; it starts again.", run)
            return
        self._check_position(found)
        self.position = restore(found, network=self.network, step=self.training.step, world=self.world)
        if self.world.is_first:
            self.training.counts.matrix += torch.tensor(self.position.counts, device=self.training.device)
        self._seconds_before, self._peaks_before = self.position.seconds, self.position.peaks
        self._resumed_from, best = found.path.name, self.position.best_file
        if best and not (run / best).is_file():
            log.warning(
                "The best model so far, %s, is not in %s any more; that of the next epoch takes its place.",
                best,
                run,
            )
            self.position.best_file, self.position.best_score, self.position.best_choice = "", -1.0, -1.0
        log.info("Resumed after epoch %d, batch %d.", self.position.epoch, self.position.batches)

    def _check_position(self, found: Checkpoint) -> None:
        """Raise OutputError where a checkpoint is not of a fit with these options and masks."""
        position, classes = found.position, self.labels.num_classes
        batches = self.training.train_batches
        tables = {"counts": position.counts, "best_counts": position.best_counts}
        wrong = [name for name, table in tables.items() if len(table) not in (0, classes)]
        if len(position.counts) != classes or wrong or position.batches > batches:
            seen = f"{len(position.counts)} classes and is at batch {position.batches}"
            raise OutputError(
                f"checkpoint {found.path} is of another fit: it has {seen}, where this run has {classes} and "
                f"{batches}. Put back a copy of the run folder, or start a new run."
            )

    def _tidy(self) -> None:
        """After a resumption: drop what the run was replacing when it broke off."""
        folder, position = self.folder.path, self.position
        if self._resumed_from == CHECKPOINT_BEFORE and (folder / CHECKPOINT_BEFORE).is_file():
            put_in_place(folder / CHECKPOINT_BEFORE, folder / CHECKPOINT)  # in place of the damaged one
        self._best_before, self._best_saved = "", position.best_file
        if (folder / CHECKPOINT_BEFORE).is_file():
            with contextlib.suppress(OutputError):  # it is damaged, and the next one takes its place
                self._best_before = load_position(folder / CHECKPOINT_BEFORE).best_file
        if not position.best_file:  # it is lost: perhaps one of those that are there is the next best
            return
        kept = {self._best_saved, self._best_before}
        for path in folder.glob(f"{glob.escape(self.options.name)}_best_epoch_*.pth"):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def begin_epoch(self) -> None:
        """Count the time of an epoch, or of the rest of one."""
        self._epoch_began = time.monotonic() - self.position.epoch_seconds
        self.training.timing = Timing(waiting=self.position.epoch_waiting)

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint when checkpoint_minutes have gone by since the last."""
        is_due = time.monotonic() - self._saved > 60 * self.options.checkpoint_minutes
        if self.world.any(is_due and self.world.is_first):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write where the fit stands."""
        step, position = self.training.step, self.position
        position.sums = self._sums()
        position.counts = self.world.sum(self.training.counts.matrix).tolist()
        position.seconds = self.seconds_in_all()
        is_amid = position.batches > 0
        position.epoch_seconds = time.monotonic() - self._epoch_began if is_amid else 0.0
        position.epoch_waiting = self.training.timing.waiting if is_amid else 0.0
        position.peaks = {name: value for name, value in self.figures().items() if name in PEAKS and value}
        path, before = (self.folder.path / name for name in CHECKPOINTS)
        save_checkpoint(
            path, network=self.network, step=step, position=position, world=self.world, before=before
        )
        self._saved = time.monotonic()
        unused = self._best_before
        self._best_before, self._best_saved = self._best_saved, position.best_file
        self._drop_model(unused)

    def _drop_model(self, name: str) -> None:
        """Remove a best model that no checkpoint goes on from."""
        if name and name not in (self._best_saved, self._best_before) and self.world.is_first:
            (self.folder.path / name).unlink(missing_ok=True)

    def end_epoch(self, counts: np.ndarray, validation_loss: float) -> None:
        """Score the epoch, keep the model if it is the best so far, write table and checkpoint."""
        position, step, timing = self.position, self.training.step, self.training.timing
        seconds = time.monotonic() - self._epoch_began
        rate = learning_rate(self.options, position.epoch + 1 - 1 / self.training.train_batches)
        position.epoch, position.batches = position.epoch + 1, 0
        scores = metrics.iou(counts)
        score = _number(metrics.mean(scores)) or 0.0
        sums, learnt = self._sums(), self.world.sum(self.training.counts.matrix).cpu().numpy()
        choice = _number(metrics.choice(counts, learnt, self._is_trained)) or 0.0
        if position.epoch == 1:
            for concern in coverage.check_seen(counts, self.labels, self.training.validation_scans):
                log.warning("%s", concern)
        if self.world.size > 1:
            self.world.check_same(model_file.weights_sha256(self.network.state_dict()), what="weights")
        position.history.append(
            {
                "epoch": position.epoch,
                "learning_rate": rate,
                "train_loss": sums["loss_sum"] / sums["counted"] if sums["counted"] else None,
                "val_loss": _number(validation_loss),
                "train_miou": _number(metrics.mean(metrics.iou(learnt))),
                "val_miou": score,
                **{
                    f"val_iou_{value}": _number(found)
                    for value, found in zip(self.labels.values, scores, strict=True)
                },
                "skipped_steps": int(sums["skipped"]),
                "seconds": round(seconds, 3),
                "patches_per_s": round(sums["patches"] / max(seconds, 1e-9), 2),
                "waiting_share": round(timing.waiting / max(seconds, 1e-9), 4),
            }
        )
        if choice > position.best_choice:
            position.best_epoch, position.best_score, position.best_choice = position.epoch, score, choice
            position.best_counts = counts.tolist()
            position.best_file = model_file.model_name(self.options.name, epoch=position.epoch, score=score)
            self._save_model(position.best_file)
        step.clear()
        self.training.counts.matrix.zero_()
        self.checkpoint()
        try:
            self.folder.write_scores(position.history, classes(self))
        except OutputError as fault:
            if not isinstance(fault.__cause__, PermissionError):
                raise
            log.warning("%s It is written again after the next epoch.", fault)  # Windows: open in Excel
        if self.options.tensorboard and self.world.is_first:
            self._scalars = self._scalars or ScalarLog(
                self.folder.path, classes(self), after=position.epoch - 1
            )
            self._scalars.add(position.history[-1])
        log.info(
            "Epoch %d: training loss %s, validation loss %.4f, validation mIoU %.4f (%s)%s%s",
            position.epoch,
            _four_digits(position.history[-1]["train_loss"]),
            validation_loss,
            score,
            ", ".join(f"{c['name']} {s:.4f}" for c, s in zip(classes(self), scores, strict=True)),
            "" if choice == score else f", {choice:.4f} for the choice of the best",
            ", best so far" if position.best_epoch == position.epoch else "",
        )

    def finish(self, outcome: str) -> FitResult:
        """Write what is left to write, once.

        Last model, final figures in the best model, record. Gives the result.
        """
        if self._result:
            return self._result
        position, figures = self.position, self.figures()
        if self._scalars:
            self._scalars.close()
        best = self.folder.path / position.best_file if position.best_file else None
        if (
            outcome == "stopped"
        ):  # quickly: the checkpoint is the last state; after a fault the last good one stays
            self.checkpoint()
        elif outcome != "failed" and best and self.world.is_first:
            self._save_model(self._last_name())
            self._complete(best)
            remove(self.folder.path / CHECKPOINT_BEFORE)  # all that it was for is done
            unused, self._best_before = self._best_before, ""
            self._drop_model(unused)
        names = [pair.name for pair in self.pairs]
        row = position.history[position.best_epoch - 1] if position.best_epoch else {}
        self._result = FitResult(
            model=best,
            best_epoch=position.best_epoch,
            best_val_iou=position.best_score if position.best_file else None,
            val_iou_per_class={value: row.get(f"val_iou_{value}") for value in self.labels.values},
            run_folder=self.folder.path,
            epochs=position.epoch,
            seconds=round(time.monotonic() - self._began, 3),
            peak_ram_gib=figures["peak_ram_gib"],
            train_scans=tuple(names[i] for i in self.training.training_scans),
            validation_scans=tuple(names[i] for i in self.training.validation_scans),
            outcome=outcome,
            class_names={item["value"]: item["name"] for item in classes(self)},
        )
        try:
            self.folder.write_json(RECORD, record(self, self._result, figures))
        except OutputError as fault:
            if outcome != "failed":
                raise
            log.error("The record is missing: %s", fault)  # what went wrong before is told by itself
        log.info("%s", _ending(outcome, position))
        return self._result

    def tidy(self) -> None:
        """Remove what a finished fit does not need any more; a stopped or failed one keeps all."""
        self.folder.finish(keep_checkpoint=self.options.keep_checkpoint, last=self._last_name())

    def _last_name(self) -> str:
        return f"{self.options.name}_last_epoch_{self.position.epoch}.pth"

    def figures(self) -> dict[str, Any]:
        """Those of the monitor, the peaks of earlier parts of the run included."""
        figures, before = self.monitor.figures(), self._peaks_before
        return figures | {
            name: max(figures.get(name) or 0.0, before[name]) for name in PEAKS if before.get(name)
        }

    def _complete(self, best: Path) -> None:
        """Write the figures of the whole run into the best model; weights and scores stay as they are."""
        header = model_file.read_header(best)
        self._save_model(best.name, state=model_file.load_state(best, header), earlier=header)

    def _sums(self) -> dict[str, float]:
        """Of all processes. Steps are skipped by all or none."""
        sums = self.training.step.sums()
        if self.world.size == 1:
            return sums
        names = [name for name in sums if name != "skipped"]
        summed = self.world.sum(torch.tensor([sums[name] for name in names], dtype=torch.float64)).tolist()
        return dict(zip(names, summed, strict=True)) | {"skipped": sums["skipped"]}

    def seconds_in_all(self) -> float:
        """Since the first start of the run, without the time between a stop and a resumption."""
        return self._seconds_before + time.monotonic() - self._began

    def _save_model(
        self, name: str, *, state: dict[str, torch.Tensor] | None = None, earlier: Any = None
    ) -> None:
        if not self.world.is_first:
            return
        published, bone = metadata(self), own_metadata(self)
        if earlier is not None:  # the scores stay those of the moment when it was best
            bone["scores"] = earlier.bone["scores"]
        model_file.save_model(
            self.folder.path / name, state=state or self.network.state_dict(), metadata=published, bone=bone
        )


ENDINGS = {"done": "is done", "stopped": "was stopped", "stopped early": "stopped early", "failed": "failed"}


def _ending(outcome: str, position: Position) -> str:
    """How the fit ended, in a sentence."""
    after = "1 epoch" if position.epoch == 1 else f"{position.epoch} epochs"
    best = f"the best was epoch {position.best_epoch}" if position.best_epoch else "there is no model yet"
    return f"The fit {ENDINGS[outcome]} after {after}; {best}."


def _four_digits(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _number(value: float) -> float | None:
    """A plain float, None for nan, so that tables and JSON can hold it."""
    return None if np.isnan(value) else float(value)
