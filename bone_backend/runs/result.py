"""What a fit gives to the door that asked for it.

In:  a fit that has ended, and how.
Out: a FitResult, and the same in a sentence.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .state import FitState, Position

# How a fit can end, as the end of a sentence.
ENDINGS = {"done": "is done", "stopped": "was stopped", "stopped early": "stopped early", "failed": "failed"}


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
    outcome: str  # one of ENDINGS
    class_names: dict[int, str] = field(default_factory=dict)  # by label value

    @classmethod
    def of(cls, state: FitState, run: Path, *, outcome: str, figures: dict[str, Any]) -> FitResult:
        """That of a fit in the folder `run`. figures: of the monitor."""
        position = state.position
        row = position.history[position.best_epoch - 1] if position.best_epoch else {}
        return cls(
            model=run / position.best_file if position.best_file else None,
            best_epoch=position.best_epoch,
            best_val_iou=position.best_score if position.best_file else None,
            val_iou_per_class={value: row.get(f"val_iou_{value}") for value in state.data.labels.values},
            run_folder=run,
            epochs=position.epoch,
            seconds=round(state.seconds(), 3),
            peak_ram_gib=figures["peak_ram_gib"],
            train_scans=tuple(state.split["training"]),
            validation_scans=tuple(state.split["validation"]),
            outcome=outcome,
            class_names={item["value"]: item["name"] for item in state.classes},
        )

    def plain(self) -> dict[str, Any]:
        """As JSON values, paths as text."""
        return {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()
        }


def ending(outcome: str, position: Position) -> str:
    """How the fit ended, in a sentence."""
    after = "1 epoch" if position.epoch == 1 else f"{position.epoch} epochs"
    best = f"the best was epoch {position.best_epoch}" if position.best_epoch else "there is no model yet"
    return f"The fit {ENDINGS[outcome]} after {after}; {best}."
