"""MONAI's BasicUNet as its users fit it, for benchmarks/accuracy.py: slices along z, until the time is up.

In:  --task, the JSON of a benchmarks.accuracy.Task.
Out: label files; on the last line of standard output their paths, steps, CPU seconds and peak RAM as JSON.
Default features, grey values scaled to 0..1 scan by scan, crops of 64 px of which half have bone in the
middle, flips, Dice + cross-entropy, Adam 1e-3; sliding windows of the size of the crops.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.accuracy import ROWS, Task, place, read, task_of
from bone_backend.machine.monitor import Monitor
from bone_backend.volumes.volume import save

CROP, SLICES, CROPS = 64, 4, 4  # px; slices of a step, crops of a slice
WINDOWS = 16  # at once, in prediction


def scaled(path: Path) -> torch.Tensor:
    """A scan as float32 (z, y, x), 0..1."""
    from monai.transforms import ScaleIntensity

    return torch.as_tensor(np.asarray(ScaleIntensity()(read(path).astype(np.float32))))


def batches(task: Task) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Crops (batch, 1, y, x) and their classes, without end."""
    from monai.transforms import Compose, RandCropByPosNegLabeld, RandFlipd, SpatialPadd

    keys = ["image", "label"]
    change = Compose(
        [
            SpatialPadd(keys, (CROP, CROP), mode="reflect"),
            RandCropByPosNegLabeld(keys, "label", (CROP, CROP), pos=1, neg=1, num_samples=CROPS),
            RandFlipd(keys, prob=0.5, spatial_axis=0),
            RandFlipd(keys, prob=0.5, spatial_axis=1),
        ]
    ).set_random_state(task.seed)
    slices = []
    for scan, mask in task.pairs():
        labels = torch.from_numpy(read(mask).astype(np.int64))
        slices += [
            {"image": grey[None], "label": label[None]}
            for grey, label in zip(scaled(scan), labels, strict=True)
        ]
    rng = np.random.default_rng(task.seed)
    while True:
        order = rng.permutation(len(slices))
        for first in range(0, len(order) - SLICES + 1, SLICES):
            crops = [crop for i in order[first : first + SLICES] for crop in change(slices[i])]
            yield tuple(torch.stack([torch.as_tensor(crop[key]) for crop in crops]) for key in keys)


def fit(task: Task, classes: int) -> tuple[torch.nn.Module, int, float]:
    """The network, how many steps it took, and CPU seconds."""
    from monai.losses import DiceCELoss
    from monai.networks.nets import BasicUNet

    network = BasicUNet(spatial_dims=2, in_channels=1, out_channels=classes)
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    began, steps = time.process_time(), 0
    for patches, wanted in batches(task):
        optimizer.zero_grad()
        loss(network(patches), wanted).backward()
        optimizer.step()
        steps += 1
        if task.is_quick or time.process_time() - began >= task.cpu_seconds:
            break
    return network.eval(), steps, time.process_time() - began


@torch.inference_mode()
def predict(network: torch.nn.Module, scan: Path, output: Path) -> None:
    from monai.inferers import sliding_window_inference

    labels = [
        sliding_window_inference(grey[None, None], (CROP, CROP), WINDOWS, network).argmax(1)[0]
        for grey in scaled(scan)
    ]
    save(output, torch.stack(labels).numpy().astype(np.uint8))


def main(words: Sequence[str] | None = None) -> None:
    task = task_of(words, __doc__)
    warnings.simplefilter("ignore")  # a word for every slice without bone
    torch.manual_seed(task.seed)
    row = ROWS[task.row]
    with Monitor(torch.device("cpu")) as monitor:
        network, steps, seconds = fit(task, 3 if row.has_pores else 2)
        began, labels = time.process_time(), {}
        for name in row.judged:
            labels[name] = place(task.folder, name).with_suffix(".tif")
            predict(network, place(task.judged, name) / "scan.tif", labels[name])
        spent = time.process_time() - began
    figures = {"steps": steps, "cpu_seconds": seconds, "predict_cpu_seconds": spent}
    figures |= {"labels": labels, "peak_ram_gib": monitor.figures()["peak_ram_gib"]}
    print(json.dumps(figures, default=str))


if __name__ == "__main__":
    main()
