"""One run of a study: a fit, the labels of the scans of its fold, and their scores.

In:  the folder of the run, its options and the scans to test, as plain values, so that any process can do it.
Out: what the run has reached, as plain values, in run.json too. Ordinary folders: `bone fit --resume` and
`bone iou` work on them.
A run that was killed goes on from its last checkpoint, and labels that were scored are not made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..comparison import compare
from ..files.json_files import read_json
from ..files.whole import remove, write_text
from ..fitting import fit_job
from ..options.programs import FitOptions, PredictOptions
from ..prediction import predict
from ..progress import Part, Progress
from ..runs.files import BEST, CHECKPOINTS, FINISHED, RECORD, best_model
from ..runs.records import read_record
from ..side_by_side.cluster import Watched
from . import states
from .states import DONE, FIT, LABELS, SCORES, State

FIT_SHARE = 80  # per cent of the progress
NOW = ("device", "precision", "loader_threads", "compile", "gpus")  # of a run that goes on


def run_job(options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Do one run, or what is left of it.

    options: "folder"; "key"; "fit", "predict": options; "tests": [name, folder name, scan, mask] of each;
    "stop": a file that asks for a stop when it appears. Raises BoneError, Cancelled.
    """
    folder = Path(options["folder"])
    progress = Watched(progress, Path(options["stop"])) if options.get("stop") else progress
    with states.held(
        folder, doing="a run of a study", look=lambda: progress(0, 100, "Waiting for the folder")
    ):
        states.begin(folder, options["key"])
        record = _fit(folder / FIT, options["fit"], Part(progress, first=0, share=FIT_SHARE, steps=100))
        tests = options["tests"]
        rest = Part(progress, first=FIT_SHARE, share=100 - FIT_SHARE, steps=100)
        scans = [
            _score(folder, test, options["predict"], Part(rest, first=i, share=1, steps=len(tests)))
            for i, test in enumerate(tests)
        ]
        result = {**_figures(folder / FIT, record), "scans": scans}
        states.write_state(folder, State(DONE, options["key"], result=result))
    return result


def _fit(run: Path, values: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The record of a finished fit, which is begun, gone on with, or there already."""
    if (done := _finished(run)) is not None:
        return done
    if any((run / name).exists() for name in CHECKPOINTS):
        options = FitOptions.parse(
            {"resume": str(run), **{name: values[name] for name in NOW if name in values}}
        )
    else:
        options = FitOptions.parse({**values, "output": str(run), "overwrite": True, "resume": None})
    fit_job(options, progress)
    return read_record(run / RECORD)


def _finished(run: Path) -> dict[str, Any] | None:
    if not (run / RECORD).is_file() or not any(run.glob(BEST)):
        return None
    record = read_record(run / RECORD)
    if record["result"]["outcome"] not in FINISHED:
        return None
    for name in CHECKPOINTS:  # a kill between the record and the end leaves them
        if not record["options"].get("keep_checkpoint"):
            remove(run / name)
    return record


def _score(folder: Path, test: list[str], values: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Label a scan and compare, unless that was done."""
    name, place, scan, mask = test
    kept = folder / SCORES / f"{place}.json"
    if kept.is_file():
        try:
            return dict(read_json(kept))
        except ValueError:
            kept.unlink()
    labels = folder / LABELS / place
    chosen = {
        **values,
        "scan": scan,
        "model": str(best_model([folder / FIT])),
        "output": str(labels),
        "overwrite": True,
    }
    made = predict(PredictOptions.parse(chosen), progress=Part(progress, first=0, share=9, steps=10))
    found = compare(mask, labels, progress=Part(progress, first=9, share=1, steps=10))
    told = found.to_dict()
    score = {
        "scan": name,
        **{
            key: told[key]
            for key in ("mean_iou", "mean_dice", "names", "confusion", "values", "ignored_voxels")
        },
        "iou": {label: one["iou"] for label, one in told["classes"].items()},
        "dice": {label: one["dice"] for label, one in told["classes"].items()},
        "voxels": found.voxels,
        "predict_seconds": round(made.seconds, 3),
        "predict_ram_gib": made.peak_ram_gib,
        "warnings": [*made.warnings, *found.warnings],
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_text(kept, json.dumps(score, indent=1) + "\n")
    return score


def _figures(run: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of a fit in the tables of the study."""
    figures = record["figures"]
    return {
        "model": f"{FIT}/{best_model([run]).name}",
        "options": {key: value for key, value in record["options"].items() if key != "pairs"},
        "classes": record["classes"],
        "epochs_done": record["result"]["epochs"],
        "best_epoch": record["result"]["best_epoch"],
        "best_val_iou": record["result"]["best_val_iou"],
        "curve": [round(row["val_miou"], 6) for row in record["scores"]],
        "fit_seconds": record["seconds_in_all"],
        "peak_ram_gib": figures.get("peak_ram_gib"),
        "peak_gpu_gib": figures.get("peak_gpu_gib"),
        "gpu_percent": figures.get("mean_gpu_percent"),
        "parameters": record["parameters"],
        "multiply_adds": record["multiply_adds"],
        "batch_size": record["options"]["batch_size"],
        "pieces": record.get("pieces", 1),
        "device_name": record["device_name"],
    }
