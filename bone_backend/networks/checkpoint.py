"""Where a fit stands, on disk, so that it can go on as if it had never stopped.

In:  network, optimizer, scaler, position in the plan, sums of the epoch, scores so far.
Out: one file, replaced whole; reading it back gives bit for bit the state that was written.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import OutputError
from ..volumes.output import output_fault
from .step import Step


@dataclass
class Position:
    """How far a fit has come. batches: done in this epoch. sums, counts: of this epoch. history: a row for each epoch.

    best_counts: confusion counts of the validation in the best epoch, rows reference.
    """

    epoch: int = 0
    batches: int = 0
    sums: dict[str, float] = field(default_factory=lambda: {"loss_sum": 0.0, "patches": 0.0, "skipped": 0.0})
    counts: list[list[int]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -1.0
    best_file: str = ""
    best_counts: list[list[int]] = field(default_factory=list)
    seconds: float = 0.0


def save_checkpoint(path: Path, *, network: torch.nn.Module, step: Step, position: Position) -> None:
    """Write the state, whole or not at all. Raises OutputError, e.g. on a full disk."""
    state = {
        "network": network.state_dict(),
        "optimizer": step.optimizer.state_dict(),
        "scaler": step.scaler.state_dict(),
        "pieces": step.pieces,
        "position": asdict(position),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if step.device.type == "cuda" else [],
    }
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch tells of a full disk with a RuntimeError
        temporary.unlink(missing_ok=True)
        fault = error if isinstance(error, OSError) else OSError(28, str(error))
        raise output_fault(path, fault) from error


def load_checkpoint(path: Path, *, network: torch.nn.Module, step: Step) -> Position:
    """Bring network and step to the written state; gives the position. Raises OutputError where it does not fit."""
    if not path.is_file():
        raise OutputError(f"{path.parent} holds no checkpoint ({path.name}); this run cannot be resumed.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        step.optimizer.load_state_dict(state["optimizer"])
        step.scaler.load_state_dict(state["scaler"])
        position = Position(**state["position"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] and step.device.type == "cuda":
            torch.cuda.set_rng_state_all(state["random_cuda"])
    except Exception as error:
        raise OutputError(
            f"checkpoint {path} is damaged or of another network: {type(error).__name__}: {error}"
        ) from error
    step.pieces = int(state["pieces"])
    step.restore_sums(position.sums)
    return position
