"""The scores of a run while it goes on: the table that a fit writes after each epoch; knows no Qt.

In:  a run folder.
Out: columns of numbers by name. A row that is being written, or a cell that is no number, is left out.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path

from bone_backend.runs.files import SCORES

CLASS = "val_iou_"


@dataclass
class Curves:
    """epochs: their numbers. losses, scores: name -> a value for each, nan where there is none."""

    epochs: list[int] = field(default_factory=list)
    losses: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[str, list[float]] = field(default_factory=dict)


def read_curves(folder: Path) -> Curves:
    """What is there; nothing before the first epoch has ended."""
    try:
        text = (folder / SCORES).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return Curves()
    rows = [row for row in csv.DictReader(io.StringIO(text)) if _number(row.get("epoch")) > 0]
    names = list(rows[0]) if rows else []
    return Curves(
        [int(_number(row["epoch"])) for row in rows],
        {
            words: [_number(row.get(name)) for row in rows]
            for name, words in (("train_loss", "training"), ("val_loss", "validation"))
            if name in names
        },
        {
            name.removeprefix(CLASS).replace("_", " "): [_number(row.get(name)) for row in rows]
            for name in names
            if name.startswith(CLASS)
        }
        | ({"mean": [_number(row.get("val_miou")) for row in rows]} if "val_miou" in names else {}),
    )


def _number(text: str | None) -> float:
    """
    >>> _number("0.5"), _number("")
    (0.5, nan)
    """
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
