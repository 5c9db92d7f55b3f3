"""Does the paper's baseline (U-Net, resnet18) learn the phantom? mIoU in validation, and of other seeds.

In:  --epochs, --size. Run as: python -m benchmarks.phantom
Out: a table; exit status 1 below .95.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.sidebyside import add_quick, bone, machine, markdown_table
from mocks.scans import Phantom, write

WANTED = 0.95
FITTED, TESTED = (0, 1, 2, 3), (10, 11)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--size", type=int, default=224, help="Edge of the slices, px.")
    add_quick(parser)
    asked = parser.parse_args(words)
    if asked.quick:
        asked.epochs, asked.size = 1, 96
    with tempfile.TemporaryDirectory() as place:
        rows = trial(Path(place), epochs=asked.epochs, size=asked.size, is_quick=asked.quick)
    print(machine("torch", "segmentation_models_pytorch"))
    print(markdown_table(["scans", "mIoU", "bone", "pores"], rows))
    if not asked.quick and min(float(row[1]) for row in rows) < WANTED:
        sys.exit(f"Below {WANTED}.")


def trial(folder: Path, *, epochs: int, size: int, is_quick: bool = False) -> list[list[str]]:
    """Validation and test rows."""
    run = partial(bone, is_quick=is_quick)
    seeds, tested = (FITTED[:2], TESTED[:1]) if is_quick else (FITTED, TESTED)
    for seed in seeds + tested:
        write(folder / f"phantom_{seed}", Phantom(shape=(8 if is_quick else 40, size, size), seed=seed))
    words = [w for s in seeds for w in ("--pair", folder / f"phantom_{s}/scan", folder / f"phantom_{s}/mask")]
    settings = [
        "--recipe",
        "paper",
        "--patch-size",
        96,
        "--batch-size",
        16,
        "--epochs",
        epochs,
        "--patches-per-tile",
        1 if is_quick else 6,
    ]
    fitted = run("fit", *words, "--output", folder / "run", *settings, "--max-patch-overlap", 0.5)
    found = fitted["val_iou_per_class"]
    rows = [["validation", f"{fitted['best_val_iou']:.4f}", f"{found['1']:.4f}", f"{found['2']:.4f}"]]
    for seed in tested:
        labels = folder / f"labels_{seed}"
        run("predict", folder / f"phantom_{seed}/scan", "--model", fitted["model"], "--output", labels)
        scores = run("iou", folder / f"phantom_{seed}/mask", labels)
        iou = {value: row["iou"] for value, row in scores["classes"].items()}
        rows.append([f"test, seed {seed}", f"{scores['mean_iou']:.4f}", f"{iou['1']:.4f}", f"{iou['2']:.4f}"])
    return rows


if __name__ == "__main__":
    main()
