"""What does a normalisation bring on a scan from another scanner? Bone IoU of models that differ in nothing
else.

In:  the folder of real scans (--data, default ../shared/data). Run as: python -m benchmarks.normalisation
     [--seeds 1 2]
Out: a table: bone IoU of each test scan, for each way of normalising.
Fitted on three mouse skulls and a mouse femur. Tested on a fourth skull from the same scanner, and on a human
tooth and a human trabecular biopsy from others. "ZScore, tissue when predicting" takes the model that was
fitted with ZScore, but maps the two Otsu class means of the new scan to where those of the fitted scans were.
Under ten minutes on two cores for one seed.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.sidebyside import ROOT, add_quick, machine, markdown_table
from bone_backend.errors import ScanError
from bone_backend.inference import labelling, opening
from bone_backend.inference.labels import ClassMap
from bone_backend.inference.streaming import ChunkPredictor
from bone_backend.intensity.normalisation import Normalisation, normalisation
from bone_backend.intensity.statistics import Statistics, measure
from bone_backend.jobs import run as jobs
from bone_backend.machine.device import choose_device, choose_precision
from bone_backend.model_files import model_file
from bone_backend.options.programs import FitOptions, IoUOptions, PredictOptions, dump
from bone_backend.progress import silent
from bone_backend.volumes.volume import create, open_volume, volume_name

FITTED = ("mouse_skull_c57bl6", "mouse_skull_balb", "mouse_skull_dba2", "mouse_femur")
TESTED = ("mouse_skull_cast", "tooth", "lhdl_trab_a")
MODES = ("ZScore", "minMax", "percentiles", "tissue")
ANCHORED = "ZScore, tissue when predicting"


def pair(data: Path, name: str) -> tuple[Path, Path]:
    """Scan and mask of a name."""
    folder = data / name
    if (folder / "images").is_dir():
        return folder / "images", folder / "masks"
    return folder / f"{name}_image.tif", folder / f"{name}_mask.tif"


def fit(data: Path, run: Path, *, mode: str, seed: int, epochs: int, patches: int) -> Path:
    """The model file of a fit."""
    options = FitOptions.parse(
        {
            "recipe": "paper",
            "pairs": [pair(data, name) for name in FITTED],
            "output": run,
            "normalization": mode,
            "patch_size": 32,  # the femur's slices are 49 x 63
            "patches_per_tile": patches,
            "max_patch_overlap": 0.5,
            "batch_size": 64,
            "epochs": epochs,
            "train_split": 0.7,
            "seed": seed,
        }
    )
    return Path(jobs.run_here("fit", dump(options))["model"])


def predict(data: Path, name: str, model: Path, *, output: Path, is_anchored: bool = False) -> float:
    """Bone IoU of a test scan."""
    scan, mask = pair(data, name)
    options = PredictOptions.parse({"scan": scan, "model": model, "output": output, "chunk_size": 224})
    if is_anchored:
        predict_anchored(options)
    else:
        jobs.run_here("predict", dump(options))
    compare = IoUOptions.parse({"reference": mask, "prediction": output})
    return jobs.run_here("iou", dump(compare))["classes"]["1"]["iou"] or 0.0


def predict_anchored(options: PredictOptions) -> None:
    """Predict with the scan's two Otsu means where those of the fitted scans were, on average."""
    model = model_file.read_header(options.model)
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    network = opening.load_network(model, device, precision)
    predictor = ChunkPredictor(network, device=device, precision=precision, is_3d=False)
    class_map = ClassMap.from_model(model.bone.get("classes"), model.num_classes)
    with open_volume(options.scan) as scan:
        chunks = opening.cut(options, scan.header.shape, model)
        groups, merger = labelling.plan(options, predictor, chunks=chunks, class_map=class_map, model=model)
        numbers = anchored(model, measure(scan))
        header = replace(scan.header, name=volume_name(options.output), dtype=class_map.dtype)
        with create(options.output, header) as writer:
            labelling.label(
                scan, writer, predictor, groups=groups, merger=merger, numbers=numbers, progress=silent
            )


def anchored(model: model_file.ModelHeader, statistics: Statistics) -> Normalisation:
    """Maps the Otsu means of a scan to the mean of those of the fitted scans, as ZScore saw them."""
    fitted = [Statistics.from_dict(found) for found in model.bone["statistics"].values()]
    places = [
        [(mean - norm.shift) * norm.scale for mean in found.otsu_means or (found.min, found.max)]
        for found, norm in ((found, normalisation("ZScore", found)) for found in fitted)
    ]
    low, high = np.mean(places, axis=0)
    if statistics.otsu_means is None:
        raise ScanError("the scan's grey values are all the same.")
    dark, bright = statistics.otsu_means
    scale = float(high - low) / (bright - dark)
    return Normalisation(ANCHORED, shift=dark - float(low) / scale, scale=scale, low=-5.0, high=5.0)


def measured(
    data: Path, folder: Path, *, seeds: list[int], modes: list[str], epochs: int, patches: int
) -> dict[str, dict[str, list[float]]]:
    """Way of normalising -> test scan -> bone IoU for each seed."""
    found: dict[str, dict[str, list[float]]] = {}
    for seed in seeds:
        for mode in modes:
            began = time.monotonic()
            model = fit(data, folder / f"{mode}_{seed}", mode=mode, seed=seed, epochs=epochs, patches=patches)
            ways = {mode: False, **({ANCHORED: True} if mode == "ZScore" else {})}
            for way, is_anchored in ways.items():
                for name in TESTED:
                    output = folder / f"labels_{mode}_{seed}_{is_anchored}_{name}"
                    iou = predict(data, name, model, output=output, is_anchored=is_anchored)
                    found.setdefault(way, {}).setdefault(name, []).append(iou)
            print(f"seed {seed}, {mode}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return found


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--patches", type=int, default=8, help="Patches per tile.")
    add_quick(parser)
    asked = parser.parse_args(words)
    if asked.quick:
        asked.modes, asked.epochs, asked.patches = ["ZScore"], 1, 1
    if not asked.data.is_dir():
        sys.exit(f"The real scans are not here: {asked.data}")
    logging.getLogger("bone").setLevel(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="bone-normalisation-"))
    try:
        found = measured(
            asked.data.resolve(),
            folder,
            seeds=asked.seeds,
            modes=asked.modes,
            epochs=asked.epochs,
            patches=asked.patches,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(machine("torch", "segmentation_models_pytorch"))
    seeds = ", ".join(map(str, asked.seeds))
    print(f"Seeds {seeds}; {asked.epochs} epochs, {asked.patches} patches a tile. Bone IoU for each seed.\n")
    rows = [
        [way, *(" ".join(f"{iou:.3f}" for iou in scans[name]) for name in TESTED)]
        for way, scans in found.items()
    ]
    print(markdown_table(["normalisation", *TESTED], rows))


if __name__ == "__main__":
    main()
