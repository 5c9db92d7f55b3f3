"""Scores in the report: which class became which, and how good each validation scan is.

In:  the record of the run, and the review of its validation scans, if there is one.
Out: the values of the section of scores.
Counts are integers; shares and scores are rounded only for the eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..scores import metrics

if TYPE_CHECKING:
    from .review import Review

Record = Mapping[str, Any]


def in_words(value: float | None) -> str:
    """A score with four digits; "absent" for a class that is in neither."""
    return "absent" if value is None or np.isnan(value) else f"{value:.4f}"


def scores_section(record: Record, review: Review | None) -> dict[str, Any] | None:
    """Confusion and the scores of each validation scan, if reviewed; None where there is neither."""
    counts = np.asarray(record["confusion"], np.int64) if record.get("confusion") else None
    if review is not None:
        counts = review.counts.sum(axis=0)
    if counts is None:
        return None
    return {
        "patches": f"{record['split']['validation_patches']:,}",
        "confusion": [
            {"item": item, "cells": [confusion_cell(int(count), int(row.sum())) for count in row]}
            for item, row in zip(record["classes"], counts, strict=True)
        ],
        "scans": _scans(review) if review is not None else [],
    }


def confusion_cell(count: int, total: int) -> dict[str, str]:
    """Share and count in a colour as strong as the share; an empty share where the class does not occur."""
    if not total:
        return {"share": ""}
    share = count / total
    red, green, blue = (round(255 + (dark - 255) * share) for dark in (33, 102, 172))
    return {
        "share": f"{share:.2%}",
        "count": f"{count:,}",
        "colour": f"rgb({red},{green},{blue})",
        "ink": "#ffffff" if share > 0.55 else "#222222",
    }


def _scans(review: Review) -> list[dict[str, Any]]:
    """IoU of each class and their mean, of each scan and of all."""
    every = [*zip(review.scans, review.patches, review.counts, strict=True)]
    if len(every) > 1:
        every.append(("all", review.patches.sum(), review.counts.sum(axis=0)))
    rows = []
    for number, (scan, patches, counts) in enumerate(every):
        scores = metrics.iou(counts)
        cells = [in_words(score) for score in (*scores, metrics.mean(scores))]
        is_all = number == len(review.scans)
        rows.append({"name": scan, "patches": f"{patches:,}", "cells": cells, "is_all": is_all})
    return rows
