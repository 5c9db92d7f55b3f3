"""Go on with a run: its scans are as they were, and the fit stands where its checkpoint was written.

In:  a fit that is ready for its first step, and the run folder that its options name.
Out: the same fit, ready for the step after the checkpoint; OutputError or ScanError where that cannot be.
Nothing is written.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError, ScanError
from .checkpoint import Checkpoint, read_newest, restore
from .files import CHECKPOINTS, INPUTS
from .metadata import inputs
from .records import read_inputs
from .state import FitState

log = logging.getLogger("bone.fitting")

EXACT = ("count", "mean", "std", "min", "max")  # of the statistics: equal for equal voxels, bit by bit


def check_inputs(state: FitState) -> None:
    """Raise ScanError where a run that is to be resumed began with other voxels than there are now."""
    earlier = state.options.resume
    if earlier is None or not (earlier / INPUTS).is_file():
        return
    before, now = read_inputs(earlier / INPUTS), inputs(state)
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


def changed_inputs(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> list[str]:
    """What is not as it was, in words, for two lists from `metadata.inputs`; empty where all voxels count the
    same.
    """
    changed = []
    for old, new in zip(before, now, strict=True):
        sides = {
            "scan": lambda one: [one["shape"], one["dtype"], *(one["statistics"][name] for name in EXACT)],
            "mask": lambda one: one["voxels_per_class"],
        }
        changed += [f"the {side} of {new['name']}" for side, of in sides.items() if of(old) != of(new)]
    return changed


def resume(state: FitState) -> str:
    """Where the options ask for it, go on from the checkpoint of their run folder; gives its file's name.

    "" where the fit begins, also because that folder has no checkpoint yet. Of several processes all must
    call.
    """
    run, world = state.options.resume, state.world
    if not run:
        return ""
    with world.together():
        name = _resume(state, run)
    place = f"{state.position.epoch}, {state.position.batches}"
    if len(set(world.gather(place))) > 1:
        raise OutputError(f"{run} is not the same folder on all machines; put the run where all can read it.")
    return name


def _resume(state: FitState, run: Path) -> str:
    found = read_newest([run / name for name in CHECKPOINTS])
    if found is None:
        log.warning("The run in %s has no checkpoint yet; it starts again.", run)
        return ""
    _check_position(state, found)
    position = restore(found, network=state.network, step=state.step, world=state.world)
    state.go_on_from(position)
    best = position.best_file
    if best and not (run / best).is_file():
        log.warning(
            "The best model so far, %s, is not in %s any more; that of the next epoch takes its place.",
            best,
            run,
        )
        position.best_file, position.best_score, position.best_choice = "", -1.0, -1.0
    log.info("Resumed after epoch %d, batch %d.", position.epoch, position.batches)
    return found.path.name


def _check_position(state: FitState, found: Checkpoint) -> None:
    """Raise OutputError where a checkpoint is not of a fit with these options and masks."""
    position, classes = found.position, state.data.labels.num_classes
    batches = position.epoch_steps or state.training.train_batches
    tables = {"counts": position.counts, "best_counts": position.best_counts}
    wrong = [name for name, table in tables.items() if len(table) not in (0, classes)]
    if len(position.counts) != classes or wrong or position.batches > batches:
        seen = f"{len(position.counts)} classes and is at batch {position.batches}"
        raise OutputError(
            f"checkpoint {found.path} is of another fit: it has {seen}, where this run has {classes} and "
            f"{batches}. Put back a copy of the run folder, or start a new run."
        )
