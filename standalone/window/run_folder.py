"""A run folder as the window shows it again: what came of the run, and what can be done with it; knows no Qt.

In:  a folder.
Out: a ShownRun; BoneError in words for one that vanished or is no run folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from bone_backend.errors import BoneError, OutputError
from bone_backend.options.types import NamedClass
from bone_backend.runs.files import CHECKPOINT, REPORT, best_model, check_quiet, stored_options

from .scores import Curves, read_curves


@dataclass(frozen=True)
class ShownRun:
    """told: one sentence. model: the best one. report: where there is one. can_go_on: from its checkpoint."""

    folder: Path
    told: str
    class_names: tuple[Any, ...]
    curves: Curves
    model: Path | None
    report: Path | None
    can_go_on: bool


def look_at_run(folder: Path) -> ShownRun:
    """Raises BoneError."""
    if not folder.exists():
        raise OutputError(
            f"{folder} is not there any more. If it was moved or renamed, open it with File, Open run folder."
        )
    options = stored_options(folder)
    curves = read_curves(folder)
    try:
        model = best_model([folder])
    except ValueError:
        model = None
    try:
        check_quiet(folder)
        is_running = False
    except BoneError:
        is_running = True
    scores = [score for score in curves.scores.get("mean", ()) if score == score]
    told = f"{folder.name}: {len(curves.epochs)} epoch{'s' * (len(curves.epochs) != 1)}"
    told += f", best mean validation IoU {max(scores):.3f}" if scores else ""
    told += ". Another program fits in it just now." if is_running else "."
    report = folder / REPORT
    return ShownRun(
        folder,
        told,
        _class_names(options),
        curves,
        model,
        report if report.exists() else None,
        (folder / CHECKPOINT).exists() and not is_running,
    )


def _class_names(options: dict[str, Any]) -> tuple[Any, ...]:
    """As the options of a fit have them; none where the folder tells none that can be read."""
    try:
        found: tuple[Any, ...] = TypeAdapter(tuple[NamedClass, ...]).validate_python(
            options.get("class_names") or ()
        )
    except ValueError:
        return ()
    return found
