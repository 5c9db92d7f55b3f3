"""nnU-Net's 2D configuration as its users train it, for benchmarks/accuracy.py: as it plans it, on the CPU.

In:  --task, the JSON of a benchmarks.accuracy.Task.
Out: label files; on the last line of standard output their paths, steps, CPU seconds and peak RAM as JSON.
Fingerprint, plans, preprocessing, trainer and predictor are nnU-Net's with its defaults: patch and batch as
planned for a GPU of 8 GB, its augmentation and loss, SGD with the polynomial learning rate, all scans ("fold
all"); windows that overlap by half, Gaussian weights, mirroring. Three things are not its own: the number of
steps, planned from two that are measured so that the learning rate ends with the budget; its validation
between epochs, left out; and that no other process augments, prepares or exports, so that all is counted.
Planning and preprocessing are not. It is told the voxel sizes, and so undoes a magnification, where these
differ by no more than MOST_RESAMPLED; else every voxel is 1, as it reads TIFF files that tell none (a skull
on the voxels of a biopsy would be 1.6 gigavoxels).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.accuracy import ROWS, Task, place, task_of
from bone_backend.machine.monitor import Monitor
from bone_backend.volumes.volume import open_volume

DATASET, PLANS, CONFIGURATION, FOLD = "Dataset001_scans", "nnUNetPlans", "2d", "all"
FOLDERS = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")  # environment variables that it asks for
IN_ONE_PROCESS = {"nnUNet_n_proc_DA": "0"}  # augments where it trains; planning wants a process at least
EPOCHS = 1000  # its own number, in each of which the learning rate is the same
MOST_RESAMPLED = 2  # times as large as the smallest voxel
SPACING = tuple[float, ...] | None


# --- scans


def spacings(scans: Sequence[Path]) -> list[SPACING]:
    """The voxel size (z, y, x) of every scan; None for all where they cannot be resampled to one another."""
    sizes: list[SPACING] = []
    for path in scans:
        with open_volume(path) as volume:
            sizes.append(volume.header.voxel_size)
    told = [size for size in sizes if size is not None]
    alike = len(told) == len(sizes) and bool(np.all(np.max(told, 0) <= MOST_RESAMPLED * np.min(told, 0)))
    return sizes if alike else [None] * len(sizes)


def copy(volume: Path, target: Path, name: str, spacing: SPACING) -> None:
    """A TIFF file as `target`, and what tells its reader the voxel size as NAME.json beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(volume, target)
    words = json.dumps({"spacing": spacing or (1, 1, 1)})
    (target.parent / f"{name}.json").write_text(words, encoding="utf-8")


def write_dataset(task: Task, raw: Path) -> list[Path]:
    """The fitted pairs in nnU-Net's layout below `raw`; the copies of the judged scans, in their order."""
    row, pairs = ROWS[task.row], task.pairs()
    judged = [place(task.judged, name) / "scan.tif" for name in row.judged]
    sizes = spacings([*(scan for scan, _ in pairs), *judged])
    for number, ((scan, mask), size) in enumerate(zip(pairs, sizes, strict=False)):
        copy(scan, raw / "imagesTr" / f"case_{number}_0000.tif", f"case_{number}", size)
        copy(mask, raw / "labelsTr" / f"case_{number}.tif", f"case_{number}", size)
    classes = ("background", "bone", "pores") if row.has_pores else ("background", "bone")
    told = {
        "channel_names": {"0": "grey"},  # no name that it knows, as CT: Z-score, its default
        "labels": {name: value for value, name in enumerate(classes)},
        "numTraining": len(pairs),
        "file_ending": ".tif",
        "overwrite_image_reader_writer": "Tiff3DIO",
    }
    (raw / "dataset.json").write_text(json.dumps(told), encoding="utf-8")
    copies = []
    for number, (scan, size) in enumerate(zip(judged, sizes[len(pairs) :], strict=True)):
        copies.append(raw / "imagesTs" / f"case_{number}_0000.tif")
        copy(scan, copies[-1], f"case_{number}", size)
    return copies


# --- training


def prepare() -> None:
    """What `nnUNetv2_plan_and_preprocess -d 1 -c 2d` does."""
    import setuptools  # noqa: F401  lends the distutils that nnU-Net 2.8.1 imports and Python 3.12 has not
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    api.extract_fingerprints([1], num_processes=1, show_progress_bar=False)
    plans = api.plan_experiments([1])
    api.preprocess([1], plans, (CONFIGURATION,), (1,), show_progress_bar=False)


def schedule(steps: int) -> tuple[int, int]:
    """Epochs, and steps of each, that make so many steps in all or a few less.

    >>> schedule(9), schedule(1500)
    ((9, 1), (750, 2))
    """
    length = -(-steps // EPOCHS)
    return steps // length, length


def trainer(steps: int, seed: int) -> Any:
    """nnU-Net's trainer with so many steps, about to take the first."""
    from nnunetv2.run.run_training import get_trainer_from_args

    ready = get_trainer_from_args(DATASET, CONFIGURATION, FOLD, device=torch.device("cpu"))
    ready.num_epochs, ready.num_iterations_per_epoch = schedule(steps)
    np.random.seed(seed)
    torch.manual_seed(seed)
    ready.on_train_start()
    return ready


def train(ready: Any) -> float:
    """All steps of a trainer, as its run_training takes them but without validation; CPU seconds."""
    began = time.process_time()
    for _ in range(ready.num_epochs):
        ready.on_train_epoch_start()
        steps = range(ready.num_iterations_per_epoch)
        ready.on_train_epoch_end([ready.train_step(next(ready.dataloader_train)) for _ in steps])
        ready.current_epoch += 1
    return time.process_time() - began


def fit(task: Task) -> tuple[Path, int, float]:
    """The folder of the trained model, how many steps it took, and CPU seconds."""
    steps = 1
    if not task.is_quick:
        train(trainer(1, task.seed))  # the first one of a process takes longer
        steps = max(1, round(task.cpu_seconds / (train(trainer(2, task.seed)) / 2)))
    ready = trainer(steps, task.seed)
    seconds = train(ready)
    ready.on_train_end()
    return Path(ready.output_folder_base), ready.num_epochs * ready.num_iterations_per_epoch, seconds


def predict(model: Path, scans: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Label files of the scans, by the defaults of `nnUNetv2_predict`."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(str(model), (FOLD,))
    names = [str(path.with_suffix("")) for path in outputs]
    predictor.predict_from_files_sequential([[str(scan)] for scan in scans], names)


def measured(task: Task, raw: Path) -> dict[str, Any]:
    """What main prints. raw: the folder of data sets that the environment tells nnU-Net."""
    row = ROWS[task.row]
    scans = write_dataset(task, raw / DATASET)
    labels = {name: place(task.folder, name).with_suffix(".tif") for name in row.judged}
    prepare()
    with mock.patch.dict(os.environ, IN_ONE_PROCESS), Monitor(torch.device("cpu")) as monitor:
        model, steps, seconds = fit(task)
        began = time.process_time()
        predict(model, scans, list(labels.values()))
        spent = time.process_time() - began
    figures = {"steps": steps, "cpu_seconds": seconds, "predict_cpu_seconds": spent}
    return figures | {"labels": labels, "peak_ram_gib": monitor.figures()["peak_ram_gib"]}


def main(words: Sequence[str] | None = None) -> None:
    task = task_of(words, __doc__)
    warnings.simplefilter("ignore")  # its own, about coming versions of its libraries
    folders = {name: task.folder / name for name in FOLDERS}
    told = {name: str(folder) for name, folder in folders.items()}
    with contextlib.redirect_stdout(sys.stderr), mock.patch.dict(os.environ, told):
        figures = measured(task, folders[FOLDERS[0]])
    print(json.dumps(figures, default=str))


if __name__ == "__main__":
    main()
