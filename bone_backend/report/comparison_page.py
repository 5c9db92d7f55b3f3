"""The scores of a comparison as one page of HTML that needs nothing from outside.

In:  a comparison as plain values, as `Comparison.to_dict` and the command "iou" give them.
Out: the text of the page: scores and confusion of the classes, their IoU over the slices, the worst slices.
Numbers are those of the comparison, rounded only for the eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from ..scores.slices import SliceScores
from ..scores.tables import classes_of
from ..volumes.classes import MEAN
from .charts import Line, line_chart
from .rendering import rendered
from .scores import confusion_cell, in_words

MOST_WORST = 10
MOST_CONFUSED = 12  # classes; a larger table is read by nobody

Found = Mapping[str, Any]


def page(found: Found) -> str:
    """The whole page."""
    classes = classes_of(found)
    by_value = {item["value"]: item for item in classes}
    sides = ("iou", "dice"), ("reference_voxels", "predicted_voxels", "intersection_voxels")
    scores: list[dict[str, Any]] = [
        {
            "item": by_value[int(value)],
            "cells": [
                *(in_words(told[name]) for name in sides[0]),
                *(f"{told[name]:,}" for name in sides[1]),
            ],
        }
        for value, told in found["classes"].items()
    ]
    means = [in_words(found["mean_iou"]), in_words(found["mean_dice"]), "", "", ""]
    met = [by_value[value] for value in found["values"]]
    text = rendered(
        "comparison.html",
        name=PurePath(found["prediction"]).name,
        tiles=_tiles(found, classes),
        warnings=found["warnings"],
        scores=[*scores, {"item": None, "cells": means}],
        classes=met,
        confusion=_confusion(found, met),
        slices=_slices(found, met),
        told=_told(found),
    )
    return str(text)


def _tiles(found: Found, classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    tiles: list[dict[str, Any]] = [
        {"title": "Mean IoU", "colour": "", "value": in_words(found["mean_iou"]), "note": "of the classes"}
    ]
    for item in classes[:6]:
        told = found["classes"].get(str(item["value"]))
        if told is not None:
            value = in_words(told["iou"])
            tiles.append({"title": "IoU", "colour": item["colour"], "value": value, "note": item["name"]})
    return tiles


def _confusion(found: Found, met: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(met) > MOST_CONFUSED:
        return []
    return [
        {"item": item, "cells": [confusion_cell(count, sum(row)) for count in row]}
        for item, row in zip(met, found["confusion"], strict=True)
    ]


def _slices(found: Found, met: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The curve over the slices and the worst of them; None where slices were not counted."""
    if not found.get("slices"):
        return None
    scores = SliceScores.from_dict(found["slices"])
    iou, mean = scores.iou, scores.mean_iou
    inside = [item for item in met if item["value"]]  # background is 1 nearly everywhere
    shown = inside[:MOST_CONFUSED]
    lines = [
        Line(item["name"], iou[:, scores.values.index(item["value"])].tolist(), item["colour"])
        for item in shown
    ]
    low = np.nanmin([0.9, *mean, *(value for line in lines for value in line.values)])
    chart = line_chart(
        "IoU of each slice",
        [*lines, Line("mean", mean.tolist(), MEAN, dashed=True)],
        x=range(1, len(mean) + 1),
        low=float(np.floor(low * 10) / 10),
        high=1.0,
        x_label="slice along z",
    )
    worst = [
        {
            "slice": f"{z + 1:,}",
            "cells": [
                in_words(mean[z]),
                *(in_words(iou[z, scores.values.index(item["value"])]) for item in shown),
                f"{scores.wrong_voxels[z]:,}",
            ],
        }
        for z in scores.worst(MOST_WORST)
    ]
    return {"chart": chart, "classes": shown, "worst": worst}


def _told(found: Found) -> list[tuple[str, str]]:
    mapped = ", ".join(f"{old} to {new}" for old, new in found["map_labels"])
    rows = [
        ("Reference", found["reference"]),
        ("Prediction", found["prediction"]),
        ("Voxels", f"{found['voxels']:,}"),
        ("Not counted", f"{found['ignored_voxels']:,} voxels" if found["ignored_voxels"] else ""),
        ("Mapped", mapped),
        ("Taken from", found["labels_from"]),
    ]
    return [(name, told) for name, told in rows if told]
