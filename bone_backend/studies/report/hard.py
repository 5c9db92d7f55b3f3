"""The section of a study's report on the scans that are hardest to label.

In:  the scores of all runs.
Out: every scan with its mean score, worst first; pictures of the worst few, labelled by the best
configuration.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ...errors import BoneError
from ...report.pictures import panels
from ...volumes.classes import wrong_colour
from ..evaluation.summary import Comparison, hardest
from ..plan import Plan
from ..results import Score
from ..states import LABELS
from . import words
from .pictures import worst_slice

MOST_PICTURES = 4
log = logging.getLogger("bone.study")


def hard_section(plan: Plan, found: Comparison, scores: Sequence[Score]) -> dict[str, Any]:
    """Rows and pictures."""
    ranked = hardest(scores)
    subjects = {scan.name: scan.subject or words.NONE for scan in plan.scans}
    best = [one for one in scores if one.run.configuration.name == found.best.name and not one.is_mended]
    pictures: list[dict[str, Any]] = []
    legend: list[Any] = []
    for name, _, _ in ranked[:MOST_PICTURES]:
        chosen = min((one for one in best if one.name == name), key=lambda one: one.iou, default=None)
        if chosen is None:
            continue
        legend = [item for item in chosen.result["classes"] if item["value"]]
        pictures.append(_picture(plan, chosen, len(pictures)))
    return {
        "rows": [
            {
                "name": name,
                "subject": subjects.get(name, words.NONE),
                "miou": words.number(mean),
                "best": words.number(found.best.by_scan.get(name)),
                "count": count,
            }
            for name, mean, count in ranked
        ],
        "best": found.best.name,
        "pictures": pictures,
        "legend": legend,
        "wrong": wrong_colour([item["colour"] for item in legend]),
    }


def _picture(plan: Plan, score: Score, number: int) -> dict[str, Any]:
    scan = plan.by_name[score.name]
    try:
        example = worst_slice(score, scan, plan.folder / score.run.name / LABELS / scan.folder)
    except BoneError as error:
        log.warning("The report has no picture of %s: %s", score.name, error)
        return {"picture": "", "told": f"{score.name}: no picture, because of a fault: {error}"}
    share = example.wrong_voxels / max(example.counted_voxels, 1)
    told = (
        f"{score.name}, slice {example.place[0] + 1}, which has the most wrong voxels: "
        f"{example.wrong_voxels:,} ({share:.2%}). The whole scan has a mean IoU of "
        f"{words.number(score.iou)} ({score.run.words})."
    )
    if example.step > 1:
        told += f" One pixel stands for {example.step} × {example.step} voxels."
    picture = panels(
        f"hard{number}",
        example.grey,
        reference=example.reference,
        prediction=example.prediction,
        wrong=example.wrong,
        colours=[item["colour"] for item in score.result["classes"]],
        label=told,
    )
    return {"picture": picture, "told": told}
