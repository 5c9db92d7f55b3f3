"""One epoch of every architecture in 2D, 2.5D and 3D on phantom pairs: fit, save, load, score again, predict.

In:  --mode to take one only, --architecture likewise. Run as: python -m benchmarks.every_network
Out: a table; exit status 1 if a reloaded best model does not score what its run's table says within 1e-6.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sidebyside import add_quick, machine, markdown_table
from bone_backend.fitting import fit, rescore
from bone_backend.options import catalogue
from bone_backend.options.programs import FitOptions, PredictOptions
from bone_backend.prediction import predict
from mocks.scans import Phantom, write

# In order of size; the first that an architecture takes in a mode is fitted.
BACKBONES = ("resnet18", "mobilenet_v2", "mit_b0")
CLOSE = 1e-6


def backbone(architecture: str, mode: str) -> str:
    """The smallest backbone that this architecture takes; "" where it has none."""
    if not catalogue.has_backbone(architecture):
        return ""
    return next(name for name in BACKBONES if catalogue.refusal(architecture, name, mode) is None)


def trial(
    folder: Path, pairs: list[tuple[Path, Path]], architecture: str, mode: str
) -> tuple[list[str], bool]:
    """A row of the table, and whether the scores agree."""
    began = time.monotonic()
    encoder = backbone(architecture, mode)
    patch = max(32, catalogue.minimum_size(architecture, encoder, mode))
    run = folder / f"{architecture}_{mode}"
    multiple = catalogue.size_multiples(architecture, encoder, mode)[0]
    chosen = {
        "recipe": "paper",
        "architecture": architecture,
        **({"backbone": encoder} if encoder else {}),
        "mode": mode,
        "patch_size": patch,
        "pairs": pairs,
        "output": run,
    }
    chosen |= {
        "epochs": 1,
        "batch_size": 4,
        "patches_per_tile": 4 if mode == "3D" else 1,
        "patch_depth": max(multiple, 8),
        "tile_depth": 32,
    }
    found = fit(FitOptions.parse(chosen))
    again = rescore(run)
    assert found.model is not None
    assert found.best_val_iou is not None
    labels = predict(
        PredictOptions.parse(
            {
                "scan": pairs[0][0],
                "model": found.model,
                "output": run / "labels",
                "chunk_size": 128,
                "chunk_depth": 32,
            }
        )
    )
    is_same = abs(again - found.best_val_iou) <= CLOSE
    row = [
        architecture,
        mode,
        encoder,
        f"{found.best_val_iou:.6f}",
        f"{again:.6f}",
        str(labels.slices),
        f"{time.monotonic() - began:.1f}",
    ]
    return row, is_same


def run_all(folder: Path, modes: tuple[str, ...], only: str | None = None) -> tuple[list[list[str]], bool]:
    """All rows, and whether all scores agree."""
    pairs = []
    for seed in range(2):
        write(folder / f"phantom_{seed}", Phantom(shape=(32, 128, 128), seed=seed))
        pairs.append((folder / f"phantom_{seed}" / "scan", folder / f"phantom_{seed}" / "mask"))
    rows, agree = [], True
    for mode in modes:
        for architecture in (*catalogue.architecture_choices(mode), *catalogue.OWN_ARCHITECTURES):
            if only in (None, architecture):
                row, is_same = trial(folder, pairs, architecture, mode)
                rows.append(row)
                agree &= is_same
                print(*row, flush=True, file=sys.stderr)
    return rows, agree


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mode", choices=catalogue.MODES)
    parser.add_argument("--architecture")
    add_quick(parser)
    asked = parser.parse_args(words)
    if asked.quick:
        asked.mode, asked.architecture = "2D", "Linknet"
    with tempfile.TemporaryDirectory() as folder:
        rows, agree = run_all(
            Path(folder), (asked.mode,) if asked.mode else catalogue.MODES, asked.architecture
        )
    print(machine("torch", "segmentation_models_pytorch"))
    header = [
        "architecture",
        "mode",
        "backbone",
        "mIoU in the table",
        "mIoU of the reloaded model",
        "slices predicted",
        "s",
    ]
    print(markdown_table(header, rows))
    if not agree:
        sys.exit("A reloaded model does not score what its table says.")


if __name__ == "__main__":
    main()
