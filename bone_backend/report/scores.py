"""Scores in the report: which class became which, and how good each validation scan is.

In:  the record of the run, and the review of its validation scans, if there is one.
Out: a section of HTML.
Counts are integers; shares and scores are rounded only for the eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..scores import metrics

if TYPE_CHECKING:
    from .review import Review

Record = Mapping[str, Any]


def swatch(item: Record) -> str:
    """A small square in the colour of a class."""
    return f'<span class=swatch style="background:{escape(item["colour"])}"></span>'


def in_words(value: float | None) -> str:
    """A score with four digits; "absent" for a class that is in neither."""
    return "absent" if value is None or np.isnan(value) else f"{value:.4f}"


def scores_section(record: Record, review: Review | None, left_out: str) -> str:
    """Confusion and the scores of each validation scan; left_out: why there are none, as in the page."""
    counts = np.asarray(record["confusion"], np.int64) if record.get("confusion") else None
    if review is not None:
        counts = review.counts.sum(axis=0)
    if counts is None:
        return ""
    told = (
        _scan_table(record, review)
        if review is not None
        else f"<p class=missing>The scores of the single scans were left out, {escape(left_out)}.</p>"
    )
    return (
        "<section><h2>Scores of the best model</h2>"
        f"<p>On the {record['split']['validation_patches']:,} validation patches, which are the same in "
        "every epoch.</p>"
        f"<div class=scores><div><h3>Confusion</h3>{_confusion(record, counts)}</div><div><h3>Validation "
        f"scans</h3>{told}"
        "</div></div></section>"
    )


def _confusion(record: Record, counts: np.ndarray) -> str:
    classes = record["classes"]
    head = "".join(f"<th>{swatch(item)}&nbsp;{escape(item['name'])}</th>" for item in classes)
    rows = []
    for item, row in zip(classes, counts, strict=True):
        total = int(row.sum())
        cells = "".join(_confusion_cell(int(count), total) for count in row)
        rows.append(f"<tr><th class=row>{swatch(item)}&nbsp;{escape(item['name'])}</th>{cells}</tr>")
    return (
        f"<table class=confusion><tr><td></td><th colspan={len(classes)} class=over>predicted as</th></tr>"
        f"<tr><th class=row>reference</th>{head}</tr>{''.join(rows)}</table>"
        "<p class=note>Share of each reference class; below it, voxels.</p>"
    )


def _confusion_cell(count: int, total: int) -> str:
    if not total:
        return "<td>none</td>"
    share = count / total
    red, green, blue = (round(255 + (dark - 255) * share) for dark in (33, 102, 172))
    ink = "#ffffff" if share > 0.55 else "#222222"
    return (
        f'<td style="background:rgb({red},{green},{blue});color:{ink}"><b>{share:.2%}</b><br>'
        f"<small>{count:,}</small></td>"
    )


def _scan_table(record: Record, review: Review) -> str:
    head = "".join(f"<th>{swatch(item)}&nbsp;{escape(item['name'])}</th>" for item in record["classes"])
    rows = []
    every = [*zip(review.scans, review.patches, review.counts, strict=True)]
    if len(every) > 1:
        every.append(("all", review.patches.sum(), review.counts.sum(axis=0)))
    for number, (scan, patches, counts) in enumerate(every):
        scores = metrics.iou(counts)
        cells = "".join(f"<td>{in_words(score)}</td>" for score in scores)
        kind = " class=best" if number == len(review.scans) else ""
        rows.append(
            f"<tr{kind}><th class=row>{escape(scan)}</th><td>{patches:,}</td>{cells}"
            f"<td>{in_words(metrics.mean(scores))}</td></tr>"
        )
    return (
        f"<table class=numbers><tr><th class=row>scan</th><th>patches</th>{head}<th>mean</th>"
        f"</tr>{''.join(rows)}</table>"
        "<p class=note>IoU of each class.</p>"
    )
