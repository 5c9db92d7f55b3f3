"""What a run folder holds: how far the fit has come, its best model and score.

In:  a folder that a fit has made.
Out: plain values; what cannot be read is left out, since a run may be looked at while it goes on.
"""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from typing import Any

from ..files.locks import holder
from ..runs.files import BEST, CHECKPOINT, LOCK, LOG, OPTIONS, RECORD, REPORT, SCORES
from ..volumes.classes import columns

WORDS = {
    "done": "finished",
    "stopped early": "finished: stopped early, as asked, since the score no longer rose",
    "stopped": "stopped by the user",
    "failed": "failed",
}
LIVELY_S = 180.0  # between two signs of life of a fit: its log, its scores, its checkpoints


def is_run(path: Path) -> bool:
    """Whether a folder is a run's."""
    return (path / OPTIONS).is_file() and any((path / name).exists() for name in (LOG, RECORD, SCORES))


def facts(path: Path) -> dict[str, Any]:
    """State, epochs, best model, scores by class with their names, and what to do next."""
    record, options = _json(path / RECORD), _json(path / OPTIONS)
    result = _dict(record.get("result"))
    rows = _scores(path / SCORES)
    epochs = len(rows)
    done = result.get("epochs")
    # a record of fewer epochs is that of a run which has been resumed since
    outcome = result.get("outcome") if isinstance(done, int) and epochs <= done else None
    models = sorted(path.glob(BEST), key=lambda file: file.stat().st_mtime)
    best = max(rows, key=lambda row: row.get("val_miou") or -1.0, default={})
    classes = _classes(record.get("classes"))
    values = {column: str(value) for value, column in columns(classes, prefix="val_iou_").items()}
    asked = options.get("epochs")
    return {
        "kind": "run",
        "path": str(path),
        "state": WORDS.get(str(outcome)) or _state(path),
        "outcome": outcome,
        "last_sign_s": _silence(path),
        "epochs": epochs,
        "epochs_asked": asked if isinstance(asked, int) else None,
        "model": str(models[-1]) if models else None,
        "best_epoch": int(best["epoch"] or 0) if best.get("epoch") else None,
        "best_val_iou": best.get("val_miou"),
        "val_iou_per_class": {
            values.get(name, name.removeprefix("val_iou_")): value
            for name, value in best.items()
            if name.startswith("val_iou_")
        },
        "class_names": {str(item["value"]): item["name"] for item in classes},
        "pairs": len(options["pairs"]) if isinstance(options.get("pairs"), list) else None,
        "report": str(path / REPORT) if (path / REPORT).is_file() else None,
        "can_resume": outcome != "done" and (path / CHECKPOINT).is_file(),
    }


def _classes(found: Any) -> list[dict[str, Any]]:
    """Value and name of every class, of what a record holds."""
    return [
        {"value": item["value"], "name": str(item["name"])}
        for item in (found if isinstance(found, list) else [])
        if isinstance(item, dict) and isinstance(item.get("value"), int) and "name" in item
    ]


def _state(path: Path) -> str:
    """Of a run without a record of its end."""
    if at_work := holder(path / LOCK):
        return f"running ({at_work})"
    return "running" if _silence(path) < LIVELY_S else "broken off, or running without a sign"


def _silence(path: Path) -> float:
    """Seconds since the run wrote anything."""
    files = [path / name for name in (LOG, SCORES, CHECKPOINT, RECORD) if (path / name).exists()]
    return max(0.0, time.time() - max(file.stat().st_mtime for file in files)) if files else float("inf")


def _scores(path: Path) -> list[dict[str, float | None]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [{key: _number(text) for key, text in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error):
        return []


def _number(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _json(path: Path) -> dict[str, Any]:
    try:
        return _dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return {}


def _dict(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}
