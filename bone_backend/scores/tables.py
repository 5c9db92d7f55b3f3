"""The scores of a comparison as text for machines: CSV, a row for each class, or for each slice.

In:  a comparison as plain values, as `Comparison.to_dict` and the command "iou" give them.
Out: the text of a table; numbers in full, empty where there is none.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..files.whole import whole_file
from ..volumes.classes import class_colour, class_name, columns
from .slices import SIDES, SliceScores

CLASS_COLUMNS = ("iou", "dice", *SIDES)


def classes_table(found: Mapping[str, Any]) -> str:
    """A row for each class, with its name at the end, and one for the mean."""
    names = {str(item["value"]): item["name"] for item in classes_of(found)}
    rows = [
        [value, *(told[name] for name in CLASS_COLUMNS), names[value]]
        for value, told in found["classes"].items()
    ]
    mean = ["mean", found["mean_iou"], found["mean_dice"], "", "", "", ""]
    return _text([["class", *CLASS_COLUMNS, "name"], *rows, mean])


def slices_table(found: Mapping[str, Any]) -> str:
    """A row for each slice: its z from 0, mean IoU, voxels that count, wrong ones, IoU of classes."""
    scores = SliceScores.from_dict(found["slices"])
    names = columns(classes_of(found), prefix="iou_")
    rows = [
        [z, _number(mean), int(counted), int(wrong), *(_number(value) for value in ious)]
        for z, (mean, counted, wrong, ious) in enumerate(
            zip(
                scores.mean_iou,
                scores.reference_voxels.sum(axis=1),
                scores.wrong_voxels,
                scores.iou,
                strict=True,
            )
        )
    ]
    head = ["z", "mean_iou", "counted_voxels", "wrong_voxels", *(names[v] for v in scores.values)]
    return _text([head, *rows])


def classes_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """{"value", "name", "colour"} of every label value that occurs, and of every class that is scored."""
    names, colours = found.get("names") or {}, found.get("colours") or {}
    values = sorted({*found["values"], *(int(value) for value in found["classes"])})
    return [
        {
            "value": value,
            "name": names.get(str(value)) or class_name(value),
            "colour": colours.get(str(value)) or class_colour(value),
        }
        for value in values
    ]


def write_table(path: Path, text: str) -> None:
    """Write it whole or not at all. Raises OutputError."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))


def _text(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
