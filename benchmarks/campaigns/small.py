"""What the campaigns fit and predict: three tiny phantoms, a small network, and what a fit must end with.

In:  folders.
Out: pairs, options, a model file; a fit's ending in numbers that two runs of it must share bit for bit.
"""

from __future__ import annotations

import csv
import importlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from benchmarks.sidebyside import ROOT
from bone_backend.fitting import fit
from bone_backend.model_files import model_file
from bone_backend.networks.build import build_network
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options.plain_unet import PlainShape
from bone_backend.options.programs import FitOptions, PredictOptions
from bone_backend.prediction import predict
from bone_backend.volumes.volume import open_volume, save
from mocks.scans import Phantom

TIMES = ("seconds", "patches_per_s", "waiting_share")


def write_pairs(folder: Path) -> list[list[str]]:
    """Scan and mask of three phantoms: folders, and one compressed stack, which BONe converts first."""
    pairs = []
    for number, shape in enumerate([(9, 64, 48), (8, 48, 64), (10, 48, 48)]):
        pair = []
        for kind, array in zip(("scan", "mask"), Phantom(shape=shape, seed=number).whole(), strict=True):
            path = folder / (f"{kind}_{number}" if number else f"{kind}_{number}.tif")
            save(path, array, voxel_size=(20.0, 20.0, 20.0), **({} if number else {"compression": "zlib"}))
            pair.append(str(path))
        pairs.append(pair)
    return pairs


#: changes of `fit_values`, where nothing depends on the size of what is written
TINY = {"plain_channels": 8, "plain_depth": 3}


def fit_values(pairs: list[list[str]], output: Path, **changes: Any) -> dict[str, Any]:
    """The options of a fit of some seconds that is bit for bit the same each time."""
    values = {
        "recipe": "paper",
        "pairs": pairs,
        "output": str(output),
        "patch_size": 32,
        "patches_per_tile": 2,
        "batch_size": 4,
        "epochs": 3,
        "architecture": "Plain U-Net",
        "plain_channels": 16,
        "plain_depth": 4,
        "precision": "fp32",
        "train_split": 0.6,
        "reproducible": True,
        "checkpoint_minutes": 0.002,
        "keep_checkpoint": True,  # so that more epochs can be added, and the last state be compared
    }
    return values | changes


def fit_here(values: dict[str, Any]) -> str:
    """Run a fit in this process; gives the name of its best model."""
    found = fit(FitOptions.parse(values))
    assert found.model is not None
    return found.model.name


def predict_here(values: dict[str, Any]) -> int:
    """Run a prediction in this process; gives the number of slices."""
    return predict(PredictOptions.parse(values)).slices


def exec_command(*words: str) -> NoReturn:
    """This process becomes the command `bone`, as a user types it."""
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "standalone.command", *words])


def import_all(names: list[str]) -> None:
    """Import what the first child imported, so that later ones begin warm."""
    for name in names:
        with suppress(Exception):  # some modules are made, not imported
            importlib.import_module(name)


def best_model(run: Path) -> Path:
    """The only best model of a run that has ended."""
    (path,) = run.glob("*_best_epoch_*.pth")
    return path


def ending(run: Path) -> dict[str, Any]:
    """What an undisturbed run and one that was killed must share."""
    best = best_model(run)
    with (run / "scores.csv").open(encoding="utf-8", newline="") as file:
        scores = [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    states = {
        path.name: model_file.weights_sha256(model_file.load_state(path))
        for path in run.glob("*_epoch_*.pth")
    }
    if (run / "checkpoint.pth").exists():
        state = torch.load(run / "checkpoint.pth", weights_only=True)["network"]
        states["checkpoint.pth"] = model_file.weights_sha256(state)
    return {
        "best": best.name,
        "weights": states,
        "scores": scores,
        "best epoch": record["result"]["best_epoch"],
        "outcome": record["result"]["outcome"],
        "files": sorted(path.name for path in run.iterdir()),
    }


def make_model(path: Path, *, is_plain: bool = False) -> Path:
    """A U-Net with mobilenet_v2 and random weights whose head tells three classes apart; is_plain: a Plain
    U-Net of 8 channels, which is quick.
    """
    spec = NetworkSpec("U-Net", "mobilenet_v2", "2D", in_channels=1, num_classes=3)
    bone: dict[str, Any] = {}
    if is_plain:
        shape = PlainShape(8, 3)
        spec = NetworkSpec("Plain U-Net", mode="2D", in_channels=1, num_classes=3, plain=shape)
        bone = {"network": {"plain": asdict(shape)}}
    torch.manual_seed(7)
    network = build_network(spec)
    with torch.no_grad():
        torch.nn.init.normal_(network.segmentation_head[0].weight, std=2.0)
        network.train()(torch.randn(4, 1, 64, 64))
    told = {
        "num_classes": 3,
        "in_channels": 1,
        "mode": "2D",
        "is_3d": False,
        "model_arch": spec.architecture,
        "backbone": spec.backbone,
        "normalization": "ZScore",
    }
    model_file.save_model(path, state=network.eval().state_dict(), metadata=told, bone=bone)
    return path


def labels_of(path: Path) -> np.ndarray:
    """All voxels (z, y, x). Raises ScanError where the volume is not whole."""
    with open_volume(path) as volume:
        return volume.read(0, volume.header.shape[0])


def strangers(folder: Path, wanted: set[str]) -> list[str]:
    """Names in a folder that should not be there."""
    return sorted({path.name for path in folder.iterdir()} - wanted) if folder.is_dir() else []


def restore(folder: str | None, environment: dict[str, str | None]) -> None:
    """Temporary folder and environment as they were before a campaign."""
    tempfile.tempdir = folder
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
