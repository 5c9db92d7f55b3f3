"""results.csv: a row for each run and each scan that it was tested on, with all that can be asked of it.

In:  the plan, and the states of its runs.
Out: rows in the order of the plan, whatever the order in which the runs ended; the file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files.whole import write_text
from ..volumes.classes import columns
from .folds import SUBJECTS
from .plan import Plan, Run
from .states import DONE, State

FILE = "results.csv"
TIMES = ("fit_seconds", "predict_seconds", "peak_ram_gib", "predict_ram_gib", "peak_gpu_gib", "gpu_percent")
OF_RUN = (
    *(
        "epochs_done",
        "best_epoch",
        "best_val_iou",
        "fit_seconds",
        "peak_ram_gib",
        "peak_gpu_gib",
        "gpu_percent",
    ),
    *("parameters", "multiply_adds", "pieces", "device_name"),
)
NO_COLUMN = ("output", "name", "resume", "overwrite", "dry_run", "validation_pairs", "scan_weights", "seed")


@dataclass(frozen=True)
class Score:
    """One run on one scan."""

    run: Run
    result: Mapping[str, Any]
    scan: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the scan."""
        return str(self.scan["scan"])

    @property
    def iou(self) -> float:
        """Mean over the classes that are there."""
        value = self.scan["mean_iou"]
        return float("nan") if value is None else float(value)

    @property
    def is_mended(self) -> bool:
        """Whether it is of a fold that was made so that no subject is in two."""
        return self.run.fold.name.startswith(SUBJECTS)


def scores(plan: Plan, found: Mapping[str, State]) -> Iterator[Score]:
    """Of all runs that are done with the options and scans of the plan."""
    for run in plan.runs:
        state = found.get(run.name)
        if state is None or state.state != DONE or state.key != run.key or state.result is None:
            continue
        for scan in state.result["scans"]:
            yield Score(run, state.result, scan)


def write(folder: Path, found: Sequence[Score], plan: Plan) -> Path:
    """The table, whole or not at all. Raises OutputError."""
    classes: dict[int, str] = {}
    options: dict[str, None] = {}
    for score in found:
        classes |= {int(item["value"]): str(item["name"]) for item in score.result["classes"]}
        options |= dict.fromkeys(key for key in score.result["options"] if key not in NO_COLUMN)
    known = [{"value": value, "name": name} for value, name in sorted(classes.items())]
    of_iou, of_dice = columns(known, prefix="iou_"), columns(known, prefix="dice_")
    head = ["configuration", "fold", "seed", "scan", "subject", "mean_iou", "mean_dice", *of_iou.values()]
    head += [*of_dice.values(), "predict_seconds", "predict_ram_gib", *OF_RUN, "run", "model", *options]
    subjects = {scan.name: scan.subject or "" for scan in plan.scans}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    for score in found:
        run, result, scan = score.run, score.result, score.scan
        table.writerow(
            [
                *(run.configuration.name, run.fold.name, run.seed, score.name, subjects.get(score.name, "")),
                *(scan["mean_iou"], scan["mean_dice"]),
                *(scan["iou"].get(str(value)) for value in of_iou),
                *(scan["dice"].get(str(value)) for value in of_dice),
                *(scan["predict_seconds"], scan.get("predict_ram_gib")),
                *(result.get(key) for key in OF_RUN),
                *(run.name, result["model"]),
                *(_cell(result["options"].get(key)) for key in options),
            ]
        )
    write_text(folder / FILE, text.getvalue())
    return folder / FILE


def _cell(value: Any) -> Any:
    """Lists in one cell."""
    return " ".join(map(str, value)) if isinstance(value, list) else value
