"""Keep what a fit reaches: the best model, the last state, checkpoints, scores and the record.

In:  a fit under way and the integer counts of each validation.
Out: files in the run folder, each whole; a FitResult.
The best model is written when it is best, so nothing that happens later can change or lose it.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..dataset import coverage
from ..errors import OutputError
from ..files.whole import put_in_place, remove
from ..model_files import model_file
from ..model_files.header import ModelHeader
from ..options.programs import dump
from ..training.loop import Timing
from .checkpoint import load_position, save_checkpoint
from .files import (
    BEST,
    CHECKPOINT,
    CHECKPOINT_BEFORE,
    CHECKPOINTS,
    INPUTS,
    OPTIONS,
    RECORD,
    SPLIT,
    last_name,
)
from .folder import RunFolder
from .metadata import inputs, metadata, own_metadata, record
from .result import FitResult, ending
from .resuming import resume
from .state import PEAKS, FitState
from .tensorboard import ScalarLog

log = logging.getLogger("bone.fitting")


@contextlib.contextmanager
def kept(state: FitState, folder: RunFolder) -> Iterator[Keeper]:
    """Begin to keep a fit: its options, inputs, split and log are written.

    A new run takes the place of an earlier one in the folder; one that cannot begin leaves nothing there.
    """
    is_new = folder.is_writer and not state.options.resume
    is_begun = False
    with state.world.together():
        if is_new:
            folder.clear()
    with contextlib.ExitStack() as opened:
        opened.callback(lambda: folder.discard() if is_new and not is_begun else None)
        folder.write_json(OPTIONS, dump(state.options) | {"resume": None})  # first: a run is known by it
        opened.enter_context(folder)
        folder.write_json(INPUTS, {"pairs": inputs(state)})
        folder.write_json(SPLIT, state.split)
        for line in state.told():
            log.info("%s", line)
        is_begun = True
        yield Keeper(state, folder)


class Keeper:
    """Writes what one fit is and reaches into its run folder. Of several processes the first writes."""

    def __init__(self, state: FitState, folder: RunFolder):
        self.state, self.folder, self.world = state, folder, state.world
        self._saved = self._epoch_began = time.monotonic()
        self._result: FitResult | None = None
        self._best_saved, self._best_before = "", ""  # best models of the last checkpoint and the one before
        self._scalars: ScalarLog | None = None

    def resume(self) -> None:
        """Where the options ask for it, go on from the checkpoint, and drop what the run was replacing when
        it broke off.
        """
        name = resume(self.state)
        if not name or not self.world.is_first:
            return
        folder, position = self.folder.path, self.state.position
        if name == CHECKPOINT_BEFORE and (folder / CHECKPOINT_BEFORE).is_file():
            put_in_place(folder / CHECKPOINT_BEFORE, folder / CHECKPOINT)  # in place of the damaged one
        self._best_before, self._best_saved = "", position.best_file
        if (folder / CHECKPOINT_BEFORE).is_file():
            with contextlib.suppress(OutputError):  # it is damaged, and the next one takes its place
                self._best_before = load_position(folder / CHECKPOINT_BEFORE).best_file
        if not position.best_file:  # it is lost: perhaps one of those that are there is the next best
            return
        kept = {self._best_saved, self._best_before}
        for path in folder.glob(f"{glob.escape(self.state.options.name)}{BEST[1:]}"):
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def begin_epoch(self) -> None:
        """Count the time of an epoch, or of the rest of one."""
        position = self.state.position
        self._epoch_began = time.monotonic() - position.epoch_seconds
        self.state.training.timing = Timing(waiting=position.epoch_waiting)

    def checkpoint_if_due(self) -> None:
        """Write a checkpoint when checkpoint_minutes have gone by since the last."""
        is_due = time.monotonic() - self._saved > 60 * self.state.options.checkpoint_minutes
        if self.world.any(is_due and self.world.is_first):
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write where the fit stands."""
        state, position = self.state, self.state.position
        position.sums = state.sums()
        position.counts = self.world.sum(state.training.counts.matrix).tolist()
        position.seconds = state.seconds_in_all()
        is_amid = position.batches > 0
        position.epoch_seconds = time.monotonic() - self._epoch_began if is_amid else 0.0
        position.epoch_waiting = state.training.timing.waiting if is_amid else 0.0
        position.peaks = {name: value for name, value in state.figures().items() if name in PEAKS and value}
        path, before = (self.folder.path / name for name in CHECKPOINTS)
        save_checkpoint(
            path, network=state.network, step=state.step, position=position, world=self.world, before=before
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
        state, position, data = self.state, self.state.position, self.state.data
        seconds = time.monotonic() - self._epoch_began
        if self.world.size > 1:
            self.world.check_same(model_file.weights_sha256(state.network.state_dict()), what="weights")
        choice = state.add_epoch(counts, validation_loss, seconds=seconds)
        if position.epoch == 1:
            for concern in coverage.check_seen(counts, data.sides.judged, data.validation):
                log.warning("%s", concern)
        if choice > position.best_choice:
            state.call_best(counts, choice)
            self._save_model(position.best_file)
        self.checkpoint()
        self._write_scores()
        log.info("%s", self._epoch_told(validation_loss, choice))

    def _write_scores(self) -> None:
        """The table of all epochs, and the last one for TensorBoard."""
        history, classes = self.state.position.history, self.state.classes
        try:
            self.folder.write_scores(history, classes)
        except OutputError as fault:
            if not isinstance(fault.__cause__, PermissionError):
                raise
            log.warning("%s It is written again after the next epoch.", fault)  # Windows: open in Excel
        if self.state.options.tensorboard and self.world.is_first:
            self._scalars = self._scalars or ScalarLog(self.folder.path, classes, after=len(history) - 1)
            self._scalars.add(history[-1])

    def _epoch_told(self, validation_loss: float, choice: float) -> str:
        """The epoch that ended last, in words."""
        position, row = self.state.position, self.state.position.history[-1]
        by_class = [(item["name"], row[f"val_iou_{item['value']}"]) for item in self.state.classes]
        scores = [f"{name} {_four_digits(score, none='nan')}" for name, score in by_class]
        is_plain = choice == row["val_miou"]
        return (
            f"Epoch {position.epoch}: training loss {_four_digits(row['train_loss'])}, "
            f"validation loss {validation_loss:.4f}, validation mIoU {row['val_miou']:.4f} "
            f"({', '.join(scores)})"
            + ("" if is_plain else f", {choice:.4f} for the choice of the best")
            + (", best so far" if position.best_epoch == position.epoch else "")
        )

    def finish(self, outcome: str) -> FitResult:
        """Write what is left to write, once.

        Last model, final figures in the best model, record. Gives the result.
        """
        if self._result:
            return self._result
        state, position, figures = self.state, self.state.position, self.state.figures()
        if self._scalars:
            self._scalars.close()
        # quickly after a stop: the checkpoint is the last state; after a fault the last good one stays
        if outcome == "stopped":
            self.checkpoint()
        elif outcome != "failed" and position.best_file and self.world.is_first:
            self._save_model(self._last_name())
            self._complete(self.folder.path / position.best_file)
            remove(self.folder.path / CHECKPOINT_BEFORE)  # all that it was for is done
            unused, self._best_before = self._best_before, ""
            self._drop_model(unused)
        self._result = FitResult.of(state, self.folder.path, outcome=outcome, figures=figures)
        try:
            self.folder.write_json(RECORD, record(state, self._result, figures))
        except OutputError as fault:
            if outcome != "failed":
                raise
            log.error("The record is missing: %s", fault)  # what went wrong before is told by itself
        log.info("%s", ending(outcome, position))
        return self._result

    def tidy(self) -> None:
        """Remove what a finished fit does not need any more; a stopped or failed one keeps all."""
        self.folder.finish(keep_checkpoint=self.state.options.keep_checkpoint, last=self._last_name())

    def _last_name(self) -> str:
        return last_name(self.state.options.name, epoch=self.state.position.epoch)

    def _complete(self, best: Path) -> None:
        """Write the figures of the whole run into the best model; weights and scores stay as they are."""
        header = model_file.read_header(best)
        self._save_model(best.name, weights=model_file.load_state(best, header), earlier=header)

    def _save_model(
        self,
        name: str,
        *,
        weights: dict[str, torch.Tensor] | None = None,
        earlier: ModelHeader | None = None,
    ) -> None:
        """weights: None for those of the network. earlier: header whose scores stay."""
        if not self.world.is_first:
            return
        published, bone = metadata(self.state), own_metadata(self.state)
        if earlier is not None:  # the scores stay those of the moment when it was best
            bone["scores"] = earlier.bone["scores"]
        model_file.save_model(
            self.folder.path / name,
            state=weights or self.state.network.state_dict(),
            metadata=published,
            bone=bone,
        )


def _four_digits(value: float | None, *, none: str = "none") -> str:
    return none if value is None else f"{value:.4f}"
