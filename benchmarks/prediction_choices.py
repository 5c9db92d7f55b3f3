"""What each choice in prediction gives, and what it takes, on real scans that the fit has not seen.

In:  the folder of real scans (--data, default ../shared/data). Run as:
     python -m benchmarks.prediction_choices [--rows skulls pores] [--steps 600] [--choices ...]
Out: a table for each row: IoU of bone, and of pores where the fit is taught them; processor seconds of the
command `bone predict` (some six of which load the program), seconds of the prediction itself.
Three models are fitted for each row with BONe's default options but for the length, by seeds 1, 2 and 3; all
choices but the ensembles use the first. The scans of a row are those of benchmarks/accuracy.py.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy import BONE, PORES, ROWS, children_seconds, commit, place, read, write_scan
from benchmarks.sidebyside import ROOT, add_quick, bone, flags, machine, markdown_table

SEEDS = (1, 2, 3)
ALL = "MODELS"  # stands for the models of all seeds
CHOICES: dict[str, list[str]] = {
    "default": [],
    "chunks of 64 px": ["--chunk-size", "64"],
    "chunks of 64 px, Gaussian weights": ["--chunk-size", "64", "--merge", "gaussian"],
    "along z only": ["--axes", "z"],
    "along z only, flips": ["--axes", "z", "--average", "flips"],
    "along z only, turns": ["--axes", "z", "--average", "turns"],
    "three axes, flips": ["--average", "flips"],
    "ensemble of three": [ALL],
    "ensemble, the first counts twice": [ALL, "--model-weights", "2", "1", "1"],
    "ensemble along z only": [ALL, "--axes", "z"],
    "largest part of bone": ["--clean", "1:largest"],
    "bone without islands below 20 voxels": ["--clean", "1:islands=20"],
    "bone smoothed by a median": ["--clean", "1:median"],
    "confidence above .7": ["--confidence-threshold", "0.7"],
}


def fit(row: str, seed: int, *, scans: Path, folder: Path, given: argparse.Namespace) -> str:
    """The model file of a fit on the row's scans."""
    mask = "classes.tif" if ROWS[row].has_pores else "bone.tif"
    words: list[object] = []
    for name in ROWS[row].fitted:
        words += ["--pair", place(scans, name) / "scan.tif", place(scans, name) / mask]
    steps = max(1, given.steps // given.epochs)
    words += ["--output", folder / f"run {seed}", "--seed", seed]
    words += ["--epochs", given.epochs, "--epoch-steps", steps]
    return bone("fit", *words, environment=threads(given), is_quick=given.quick)["model"]


def threads(given: argparse.Namespace) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(given.threads)}


def predict(
    choice: str, models: list[str], scan: Path, output: Path, given: argparse.Namespace
) -> tuple[float, float]:
    """Label the scan; processor seconds of the command, and seconds of the prediction."""
    words = CHOICES[choice]
    named = models if ALL in words else models[:1]
    before = children_seconds()
    told: dict[str, Any] = bone(
        *("predict", scan, "--model", *named, "--output", output),
        *(word for word in words if word != ALL),
        environment=threads(given),
        is_quick=given.quick,
    )
    return children_seconds() - before, told["seconds"]


def iou(row: str, name: str, labels: Path, scans: Path) -> list[str]:
    """Of bone, and of pores where they are taught."""
    wanted, given = read(place(scans, name) / "classes.tif"), read(labels)
    values = (BONE, PORES) if ROWS[row].has_pores else (BONE,)
    scores = [
        float(
            ((wanted == value) & (given == value)).sum()
            / max(((wanted == value) | (given == value)).sum(), 1)
        )
        for value in values
    ]
    return [f"{score:.4f}".lstrip("0") for score in scores]


def table(row: str, folder: Path, given: argparse.Namespace) -> str:
    """Fit, label and judge; markdown."""
    scans, name = folder / "scans", ROWS[row].judged[0]
    for one in {*ROWS[row].fitted, name}:
        write_scan(given.data, scans, one, slab=None)
    home = folder / row
    home.mkdir()
    models = [fit(row, seed, scans=scans, folder=home, given=given) for seed in SEEDS]
    scan, lines = place(scans, name) / "scan.tif", []
    for number, choice in enumerate(given.choices):
        output = home / f"labels {number}.tif"
        cpu, seconds = predict(choice, models, scan, output, given)
        lines.append([choice, *iou(row, name, output, scans), f"{cpu:.1f}", f"{seconds:.1f}"])
        print(f"{row}: {lines[-1]}", file=sys.stderr, flush=True)
    others = []
    for seed, model in zip(SEEDS[1:], models[1:], strict=True):
        output = home / f"labels of seed {seed}.tif"
        predict("default", [model], scan, output, given)
        others.append(" and ".join(iou(row, name, output, scans)))
    columns = ["bone IoU", "pores IoU"] if ROWS[row].has_pores else ["bone IoU"]
    found = markdown_table(["choice", *columns, "CPU s of the command", "s of the prediction"], lines)
    fitted = ", ".join(ROWS[row].fitted)
    return (
        f"**{row}**: fitted on {fitted}; judged on the whole of {name}\n\n{found}\n\n"
        f"By the models of the other seeds, default: {'; '.join(others)}."
    )


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=["skulls", "pores"])
    parser.add_argument("--choices", nargs="+", choices=list(CHOICES), default=list(CHOICES))
    parser.add_argument("--steps", type=int, default=600, help="Of each fit.")
    parser.add_argument("--epochs", type=int, default=3, help="That these steps are parted into.")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    add_quick(parser)
    given = parser.parse_args(words)
    if not given.data.is_dir():
        sys.exit(f"The real scans are not here: {given.data}")
    given.data = given.data.resolve()
    if given.quick:
        given.steps, given.epochs, given.rows = 2, 1, given.rows[:1]
    folder = Path(tempfile.mkdtemp()).resolve()
    try:
        tables = [table(row, folder, given) for row in given.rows]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{machine('torch')}; commit {commit()}; {given.threads} threads; {given.steps} steps of training")
    print(flags(), end="\n\n")
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
