"""The report of a fit as one page of HTML that needs nothing from outside.

In:  the record of the run, and the review of its validation scans, if there is one.
Out: the text of the page.
What stands where is told in templates/; numbers are those of record.json, rounded only for the eye.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..options import catalogue
from ..scores import metrics
from ..volumes.classes import MEAN, TRAINING, VALIDATION, wrong_colour
from .charts import Line, line_chart
from .greys import greys_section
from .pictures import NOT_ANNOTATED_LEGEND, NOT_COUNTED, panels
from .rendering import Markup, rendered
from .scores import in_words, scores_section
from .tables import repeat_section, time_section, words_for_time

if TYPE_CHECKING:
    from .review import Example, Review

MOST_POINTS = 250  # epochs in charts and table; of more, every n-th is shown

Record = Mapping[str, Any]


def page(record: Record, *, review: Review | None, left_out: str = "") -> str:
    """The whole page.

    record: as in record.json. left_out: why there is no review, as the end of a sentence ("because ...").
    """
    text = rendered(
        "page.html",
        head=_head(record),
        classes=record["classes"],
        curves=_curves(record),
        scores=scores_section(record, review),
        examples=_examples(record, review),
        left_out=left_out,
        greys=greys_section(record),
        time=time_section(record),
        repeat=repeat_section(record),
    )
    return str(text)  # no longer a part of a page, whose methods escape


def _head(record: Record) -> dict[str, Any]:
    result, options = record["result"], record["options"]
    epochs, asked = result["epochs"], max(options["epochs"], result["epochs"])
    outcomes = {
        "done": f"{epochs} of {asked} epochs were done." if asked > 1 else "The one epoch was done.",
        "stopped": f"Stopped by the user after {epochs} of {asked} epochs.",
        "stopped early": f"Stopped early after {epochs} of {asked} epochs: the validation score rose no "
        "more.",
        "failed": f"Broke off with a fault after {epochs} of {asked} epochs; log.txt tells which.",
    }
    mode = {"2D": "2D", "2.5D": f"2.5D with {options['slices']} slices", "3D": "3D"}[options["mode"]]
    tiles = []
    if result["best_val_iou"] is not None:
        best = f"best, in epoch {result['best_epoch']}"
        tiles.append({"title": "Validation mIoU", "value": f"{result['best_val_iou']:.4f}", "note": best})
        tiles += [
            {
                "title": "IoU",
                "colour": item["colour"],
                "value": in_words(_of_class(result["val_iou_per_class"], item["value"])),
                "note": item["name"],
            }
            for item in record["classes"]
        ]
    spent = words_for_time(record["seconds_in_all"])
    tiles.append({"title": "Time", "value": spent, "note": f"{epochs} epochs"})
    model = str(result["model"] or "none").replace("\\", "/").rsplit("/", 1)[-1]
    return {
        "name": options["name"],
        "told": f"{catalogue.in_words(options['architecture'], options['backbone'])}, {mode}, "
        f"{record['parameters'] / 1e6:.1f} million parameters, on {record['device_name']}. "
        f"{outcomes[result['outcome']]}",
        "model": model,
        "written": record["written"][:16].replace("T", " "),
        "tiles": [{"colour": None} | tile for tile in tiles],
    }


def _of_class(scores: Mapping[Any, Any], value: int) -> float | None:
    """Keys are text after a way through JSON."""
    return scores.get(str(value), scores.get(value))


def _curves(record: Record) -> dict[str, Any] | None:
    """Charts, and the table of every epoch; None where there is none."""
    rows = _thinned(record["scores"], record["result"]["best_epoch"])
    if not rows:
        return None
    every = len(record["scores"])
    columns = _columns(record)
    return {
        "charts": _charts(record, rows),
        "columns": columns.values(),
        "rows": [
            {
                "is_best": row["epoch"] == record["result"]["best_epoch"],
                "cells": [row[key] if key == "epoch" else in_words(row.get(key)) for key in columns],
            }
            for row in rows
        ],
        "note": "" if len(rows) == every else f" {len(rows)} of {every} epochs are shown.",
    }


def _charts(record: Record, rows: Sequence[Record]) -> list[Markup]:
    """Loss, IoU, learning rate and time of the epochs in `rows`."""
    epochs = [row["epoch"] for row in rows]
    best = record["result"]["best_epoch"] or None

    def column(name: str) -> list[float | None]:
        return [row.get(name) for row in rows]

    classes = [
        Line(item["name"], column(f"val_iou_{item['value']}"), item["colour"]) for item in record["classes"]
    ]
    shown = [value for line in classes for value in line.values if value is not None]
    lowest = np.floor(min(shown, default=0.0) * 10) / 10
    return [
        line_chart(
            "Loss",
            [
                Line("training", column("train_loss"), TRAINING),
                Line("validation", column("val_loss"), VALIDATION),
            ],
            x=epochs,
            mark=best,
        ),
        line_chart(
            "Validation IoU",
            [*classes, Line("mean", column("val_miou"), MEAN, dashed=True)],
            x=epochs,
            low=float(lowest),
            high=1.0,
            mark=best,
        ),
        line_chart(
            "Learning rate",
            [Line("at the end of the epoch", column("learning_rate"), TRAINING)],
            x=epochs,
            low=0.0,
        ),
        line_chart(
            "Seconds an epoch",
            [Line("training and validation", column("seconds"), TRAINING)],
            x=epochs,
            low=0.0,
        ),
    ]


def _thinned(rows: Sequence[Record], best: int) -> list[Record]:
    """At most about MOST_POINTS rows, the best and the last among them."""
    step = -(-len(rows) // MOST_POINTS)
    return [row for row in rows if step == 1 or row["epoch"] % step == 0 or row["epoch"] in (best, len(rows))]


def _columns(record: Record) -> dict[str, str]:
    """The columns of the table of epochs: the key in the record's scores, and its name on the page."""
    return {
        "epoch": "epoch",
        "train_loss": "training loss",
        "val_loss": "validation loss",
        "train_miou": "training mIoU",
        "val_miou": "validation mIoU",
        **{f"val_iou_{item['value']}": f"IoU {item['name']}" for item in record["classes"]},
    }


def _examples(record: Record, review: Review | None) -> dict[str, Any] | None:
    """Groups of pictures, none of them where the review was left out; None where no epoch was finished."""
    if review is None:
        return {"groups": []} if record["result"]["best_epoch"] else None
    titles = {
        "slice": "Whole slices, labelled in overlapping windows as in a prediction",
        "worst": "Worst patches: the most wrong voxels",
        "typical": "Typical patches: the median IoU of each validation scan",
    }
    groups = []
    for kind, title in titles.items():
        found = [(i, example) for i, example in enumerate(review.examples) if example.kind == kind]
        if found or kind == "worst":
            shown = [_example(record, number, example) for number, example in found]
            groups.append({"title": title, "examples": shown})
    has_gaps = any((example.reference == NOT_COUNTED).any() for example in review.examples)
    return {
        "groups": groups,
        "legend": [item for item in record["classes"] if item["value"]],
        "wrong": wrong_colour([item["colour"] for item in record["classes"]]),
        "not_annotated": NOT_ANNOTATED_LEGEND if has_gaps else None,
    }


def _example(record: Record, number: int, example: Example) -> dict[str, Any]:
    z, y, x = example.place
    scores = ", ".join(
        f"{item['name']} {score:.3f}"
        for item, score in zip(record["classes"], example.iou, strict=True)
        if not np.isnan(score)
    )
    place = f"{example.scan}, slice {z + 1}" + ("" if example.kind == "slice" else f", at x {x}, y {y}")
    share = example.wrong_voxels / max(example.counted_voxels, 1)
    wrong = f"{example.wrong_voxels:,} voxel{' is' if example.wrong_voxels == 1 else 's are'}"
    told = f"{place}. {wrong} wrong ({share:.2%})."
    if scores:
        told += f" IoU: {scores}; mean {metrics.mean(example.iou):.3f}."
    if example.step > 1:
        told += f" One pixel stands for {example.step} × {example.step} voxels."
    picture = panels(
        f"example{number}",
        example.grey,
        reference=example.reference,
        prediction=example.prediction,
        wrong=example.wrong,
        colours=[item["colour"] for item in record["classes"]],
        label=told,
    )
    return {"picture": picture, "told": told}
