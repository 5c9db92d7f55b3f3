"""Runs of a study that nobody has computed: the bookkeeping without a fit.

In:  the job of a run, as bone_backend/studies/running.py takes it.
Out: scores drawn from the run's key, kept in the run's folder as a real run keeps them.
A configuration that is named "bad ..." fails, until a file "mended" lies beside the folder of the study; one
that is named "large ..." had to take its batches in four pieces.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bone_backend.errors import FittingError
from bone_backend.progress import Progress
from bone_backend.studies import states

CLASSES = [
    {"value": 0, "name": "background", "colour": "#000000"},
    {"value": 1, "name": "bone", "colour": "#e69f00"},
]
EPOCHS = 25


def run_job(options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """A run in no time. Raises FittingError for a bad one."""
    folder = Path(options["folder"])
    states.begin(folder, options["key"])
    progress(1, 2, "Making up scores")
    is_mended = (folder.parents[2] / "mended").exists()
    if options["words"].startswith("bad") and not is_mended:
        raise FittingError("The loss is no number any more.")
    drawn = random.Random(options["key"])
    curve = [round(0.9 - 0.5 / (epoch + drawn.random()), 4) for epoch in range(1, EPOCHS + 1)]
    result = {
        "model": "fit/model_best_epoch_25_val_jaccard_0.9.pth",
        "options": {key: value for key, value in options["fit"].items() if key != "pairs"},
        "classes": CLASSES,
        "epochs_done": EPOCHS,
        "best_epoch": EPOCHS,
        "best_val_iou": curve[-1],
        "curve": curve,
        "fit_seconds": 60 + 60 * drawn.random(),
        "peak_ram_gib": 1.0,
        "peak_gpu_gib": None,
        "gpu_percent": None,
        "parameters": 1_000_000,
        "multiply_adds": 2.5e9,
        "batch_size": 32,
        "pieces": 4 if options["words"].startswith("large") else 1,
        "device_name": "no device",
        "scans": [_score(name, drawn) for name, *_ in options["tests"]],
    }
    states.write_state(folder, states.State(states.DONE, options["key"], result=result))
    return result


def see(options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Tell which GPU this process sees; one that is named "crash" ends without a word."""
    if options["words"] == "crash":
        os._exit(3)
    began = time.monotonic()
    time.sleep(0.3)
    return {"gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "process": os.getpid(), "began": began}


def _score(name: str, drawn: random.Random) -> dict[str, Any]:
    iou = {"0": 0.99, "1": 0.8 + 0.15 * drawn.random()}
    return {
        "scan": name,
        "mean_iou": sum(iou.values()) / 2,
        "mean_dice": sum(2 * one / (1 + one) for one in iou.values()) / 2,
        "names": {"0": "background", "1": "bone"},
        "iou": iou,
        "dice": {label: 2 * one / (1 + one) for label, one in iou.items()},
        "voxels": 1000,
        "predict_seconds": 1.0,
        "predict_ram_gib": 1.0,
        "warnings": [],
    }
