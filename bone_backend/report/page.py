"""The report of a fit as one page of HTML that needs nothing from outside.

In:  the record of the run, and the review of its validation scans, if there is one.
Out: the text of the page.
Everything that a user has named is escaped; numbers are those of record.json, rounded only for the eye.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..options import catalogue
from ..scores import metrics
from ..volumes.classes import MEAN, TRAINING, VALIDATION, wrong_colour
from .charts import Line, line_chart
from .pictures import NOT_COUNTED, panels
from .scores import in_words, scores_section, swatch
from .style import STYLE
from .tables import repeat_section, time_section, words_for_time

if TYPE_CHECKING:
    from .review import Example, Review

MOST_POINTS = 250  # epochs in charts and table; of more, every n-th is shown

Record = Mapping[str, Any]


def page(record: Record, *, review: Review | None, left_out: str = "") -> str:
    """The whole page.

    record: as in record.json. left_out: why there is no review, as the end of a sentence ("because ...").
    """
    name = escape(str(record["options"]["name"]))
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{name}: fit report</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body><main>",
        _head(record, name),
        _curves(record),
        scores_section(record, review, left_out),
        _examples(record, review, left_out),
        time_section(record),
        repeat_section(record),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _head(record: Record, name: str) -> str:
    result, options = record["result"], record["options"]
    epochs, asked = result["epochs"], options["epochs"]
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
        tiles.append(
            _tile(
                "Validation mIoU", f"{result['best_val_iou']:.4f}", f"best, in epoch {result['best_epoch']}"
            )
        )
        for item in record["classes"]:
            value = _of_class(result["val_iou_per_class"], item["value"])
            tiles.append(_tile(f"IoU {swatch(item)}", in_words(value), escape(item["name"])))
    tiles.append(_tile("Time", words_for_time(record["seconds_in_all"]), f"{epochs} epochs"))
    model = escape(str(result["model"]).replace("\\", "/").rsplit("/", 1)[-1]) if result["model"] else "none"
    return "\n".join(
        [
            f"<header><p class=kind>BONe fit report</p><h1>{name}</h1>",
            f"<p>{escape(catalogue.in_words(options['architecture'], options['backbone']))}, {mode}, "
            f"{record['parameters'] / 1e6:.1f} million parameters, on {escape(record['device_name'])}. "
            f"{outcomes[result['outcome']]}</p>",
            f"<p>Best model: <code>{model}</code>. Written "
            f"{escape(record['written'][:16].replace('T', ' '))} UTC.</p>",
            f"<div class=tiles>{''.join(tiles)}</div></header>",
        ]
    )


def _tile(title: str, value: str, note: str) -> str:
    return (
        f"<div class=tile><div class=label>{title}</div><div class=value>{value}</div><div "
        f"class=note>{note}</div></div>"
    )


def _of_class(scores: Mapping[Any, Any], value: int) -> float | None:
    """Keys are text after a way through JSON."""
    return scores.get(str(value), scores.get(value))


def _curves(record: Record) -> str:
    rows = _thinned(record["scores"], record["result"]["best_epoch"])
    if not rows:
        return "<section><h2>Learning curves</h2><p>No epoch was finished.</p></section>"
    epochs = [row["epoch"] for row in rows]
    best = record["result"]["best_epoch"] or None

    def column(name: str) -> list[float | None]:
        return [row.get(name) for row in rows]

    classes = [
        Line(item["name"], column(f"val_iou_{item['value']}"), item["colour"]) for item in record["classes"]
    ]
    shown = [value for line in classes for value in line.values if value is not None]
    lowest = np.floor(min(shown, default=0.0) * 10) / 10
    charts = [
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
    note = (
        ""
        if len(rows) == len(record["scores"])
        else f" {len(rows)} of {len(record['scores'])} epochs are shown."
    )
    return (
        "<section><h2>Learning curves</h2><div class=charts>"
        + "\n".join(f"<div>{chart}</div>" for chart in charts)
        + f"</div>{_epoch_table(record, rows)}<p class=note>All numbers are in <code>scores.csv</code>.{note}"
        "</p></section>"
    )


def _thinned(rows: Sequence[Record], best: int) -> list[Record]:
    """At most about MOST_POINTS rows, the best and the last among them."""
    step = -(-len(rows) // MOST_POINTS)
    return [row for row in rows if step == 1 or row["epoch"] % step == 0 or row["epoch"] in (best, len(rows))]


def _epoch_table(record: Record, rows: Sequence[Record]) -> str:
    names = {
        "epoch": "epoch",
        "train_loss": "training loss",
        "val_loss": "validation loss",
        "train_miou": "training mIoU",
        "val_miou": "validation mIoU",
        **{f"val_iou_{item['value']}": f"IoU {item['name']}" for item in record["classes"]},
    }
    head = "".join(f"<th>{escape(name)}</th>" for name in names.values())
    best = record["result"]["best_epoch"]
    body = "".join(
        f"<tr{' class=best' if row['epoch'] == best else ''}>"
        + "".join(f"<td>{row[key] if key == 'epoch' else in_words(row.get(key))}</td>" for key in names)
        + "</tr>"
        for row in rows
    )
    return (
        "<details><summary>Every epoch as a table</summary><div class=wide><table class=numbers>"
        f"<tr>{head}</tr>{body}</table></div></details>"
    )


def _examples(record: Record, review: Review | None, left_out: str) -> str:
    if review is None:
        if not record["result"]["best_epoch"]:
            return ""
        return (
            f"<section><h2>Examples</h2><p class=missing>Examples were left out, {escape(left_out)}.</p>"
            "</section>"
        )
    titles = {
        "slice": "Whole slices, labelled in overlapping windows as in a prediction",
        "worst": "Worst patches: the most wrong voxels",
        "typical": "Typical patches: the median IoU of each validation scan",
    }
    colours = [item["colour"] for item in record["classes"]]
    shown = [f"{swatch(item)}&nbsp;{escape(item['name'])}" for item in record["classes"] if item["value"]]
    shown.append(f"{swatch({'colour': wrong_colour(colours)})} wrong")
    if any((example.reference == NOT_COUNTED).any() for example in review.examples):
        shown.append(swatch({"colour": "#dddddd"}) + " not annotated")
    legend = " &ensp;".join(f"<span>{item}</span>" for item in shown)
    parts = [f"<section class=examples><h2>Examples from the validation scans</h2><p>{legend}</p>"]
    for kind, title in titles.items():
        found = [(i, example) for i, example in enumerate(review.examples) if example.kind == kind]
        if found:
            parts.append(f"<h3>{title}</h3>")
            parts += [_example(record, number, example) for number, example in found]
        elif kind == "worst":
            parts.append(f"<h3>{title}</h3><p>None: no voxel of the validation patches is wrong.</p>")
    return "\n".join([*parts, "</section>"])


def _example(record: Record, number: int, example: Example) -> str:
    z, y, x = example.place
    scores = ", ".join(
        f"{item['name']} {score:.3f}"
        for item, score in zip(record["classes"], example.iou, strict=True)
        if not np.isnan(score)
    )
    place = f"{example.scan}, slice {z + 1}" + ("" if example.kind == "slice" else f", at x {x}, y {y}")
    share = example.wrong_voxels / max(example.counted_voxels, 1)
    told = f"{place}. {example.wrong_voxels:,} voxels are wrong ({share:.2%})."
    if scores:
        told += f" IoU: {scores}; mean {metrics.mean(example.iou):.3f}."
    if example.step > 1:
        told += f" One pixel stands for {example.step} × {example.step} voxels."
    drawing = panels(
        f"example{number}",
        example.grey,
        reference=example.reference,
        prediction=example.prediction,
        wrong=example.wrong,
        colours=[item["colour"] for item in record["classes"]],
        label=told,
    )
    return f"<figure>{drawing}<figcaption>{escape(told)}</figcaption></figure>"
