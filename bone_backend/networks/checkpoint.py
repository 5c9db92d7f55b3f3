"""Where a fit stands, on disk, so that it can go on as if it had never stopped.

In:  network, optimizer, scaler, position in the plan, sums of the epoch, scores so far.
Out: one file, replaced whole; reading it back gives bit for bit the state that was written.
"""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import OutputError
from ..volumes.output import output_fault, put_in_place, remove, temporary_path
from .distributed import World
from .replica import random_state, restore_random_state
from .step import Step

log = logging.getLogger("bone.fitting")

SUMS = ("loss_sum", "counted", "patches", "skipped")


@dataclass
class Position:
    """How far a fit has come. batches: done in this epoch. sums, counts: of this epoch. history: a row for
    each epoch.

    best_score: validation mIoU of the best epoch. best_choice: its score in the choice of the best
    (metrics.choice). best_counts: confusion counts of the validation in the best epoch, rows reference.
    seconds: of the run. epoch_seconds, epoch_waiting: of the epoch under way. peaks: of memory, GiB.
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
    peaks: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.best_epoch and self.best_choice < 0:  # from a version that chose by the validation mIoU
            self.best_choice = self.best_score


def save_checkpoint(
    path: Path, *, network: torch.nn.Module, step: Step, position: Position, world: World | None = None
) -> None:
    """Write the state, whole or not at all. Raises OutputError, e.g. on a full disk.

    world: of several processes, all of which must call; the first writes.
    """
    randoms = world.gather(random_state(step.device)) if world and world.size > 1 else []
    if world and not world.is_first:
        return
    state = {
        "network": network.state_dict(),
        "optimizer": step.optimizer.state_dict(),
        "scaler": step.scaler.state_dict(),
        "pieces": step.pieces,
        "gathered": step.gathered(),
        "position": asdict(position),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(step.device) if step.device.type == "cuda" else None,
        "randoms": randoms,  # of every process, where there are several
    }
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except (OSError, RuntimeError) as error:  # torch tells of a full disk with a RuntimeError
        remove(temporary)
        fault = error if isinstance(error, OSError) else OSError(28, str(error))
        raise output_fault(path, fault) from error


def load_checkpoint(
    path: Path, *, network: torch.nn.Module, step: Step, world: World | None = None
) -> Position:
    """Bring network and step to the written state; gives the position. Raises OutputError where it does not
    fit.

    world: of several processes, all of which must call; only the first takes the sums of the epoch so far.
    """
    world = World() if world is None else world
    if not path.is_file():
        raise OutputError(f"{path.parent} holds no checkpoint ({path.name}); this run cannot be resumed.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        step.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # empty after a part in another precision, which needs none
            step.scaler.load_state_dict(state["scaler"])
        position = Position(**state["position"])
        _restore_random(state, step.device, world)
    except Exception as error:
        raise OutputError(
            f"checkpoint {path} is damaged or of another network: {type(error).__name__}: {error}"
        ) from error
    # several processes must all go back through the network equally often
    step.pieces = int(state["pieces"]) if world.size == 1 else 1
    step.restore_gathered(state.get("gathered", {}))
    own = (
        position.sums if world.is_first else dict.fromkeys(SUMS, 0.0) | {"skipped": position.sums["skipped"]}
    )
    step.restore_sums(own)
    return position


def _restore_random(state: dict[str, Any], device: torch.device, world: World) -> None:
    """Random states as they were; of processes that were not there before, as they began."""
    randoms = state.get("randoms", [])
    before = max(len(randoms), 1)
    if before != world.size and world.is_first:
        log.warning(
            "This run had %d %s and goes on with %d: as well, but not bit for bit as it would have been.",
            before,
            "process" if before == 1 else "processes",
            world.size,
        )
    if before == world.size > 1:
        restore_random_state(randoms[world.rank.number], device)
    elif world.is_first:
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None and device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"], device)
