"""Pictures of a run: what the network said beside the reference, and how it learnt.

In:  a scan, its reference mask and the predicted labels; the table of scores of a run.
Out: PNG files.
Colours are told apart by colour-blind eyes (Okabe & Ito 2008).
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from bone_backend.volumes.volume import open_volume

CLASS_COLOURS = ("#00000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
WRONG = "#d7191c"


def overlay(
    path: Path,
    *,
    scan: Path,
    reference: Path,
    prediction: Path,
    scores: dict[str, Any],
    title: str,
    names: dict[int, str],
) -> Path:
    """Three slices of a scan: grey values, reference, prediction, and where they differ."""
    with open_volume(scan) as grey, open_volume(reference) as wanted, open_volume(prediction) as got:
        rows = [round((grey.header.shape[0] - 1) * share) for share in (0.25, 0.5, 0.75)]
        slices = [[volume.read(z, z + 1)[0] for volume in (grey, wanted, got)] for z in rows]
    classes = max(int(value) for value in scores["classes"])
    colours = ListedColormap(
        [CLASS_COLOURS[i % len(CLASS_COLOURS)] if i else CLASS_COLOURS[0] for i in range(classes + 1)]
    )
    figure, axes = plt.subplots(
        len(rows), 4, figsize=(12, 3.1 * len(rows) + 0.9), layout="constrained", squeeze=False
    )
    for row, z, (image, mask, labels) in zip(axes, rows, slices, strict=True):
        low, high = np.percentile(image, [0.5, 99.5])
        wrong = np.where(mask == labels, np.nan, 1.0)
        for axis, layer in zip(row, (None, mask, labels, wrong), strict=True):
            axis.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1), interpolation="nearest")
            if layer is wrong:
                axis.imshow(wrong, cmap=ListedColormap([WRONG]), interpolation="nearest")
            elif layer is not None:
                axis.imshow(layer, cmap=colours, vmin=0, vmax=classes, alpha=0.6, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
        row[0].set_ylabel(f"slice {z + 1}", fontsize=11)
        row[3].set_xlabel(f"{np.mean(mask != labels):.2%} of the voxels differ", fontsize=10)
    for axis, heading in zip(axes[0], ("scan", "reference", "prediction", "difference"), strict=True):
        axis.set_title(heading, fontsize=13)
    told = [
        Patch(
            color=CLASS_COLOURS[int(value) % len(CLASS_COLOURS)],
            label=f"{names.get(int(value), f'class {value}')}: IoU {found['iou']:.3f}",
        )
        for value, found in scores["classes"].items()
        if int(value) and found["iou"] is not None
    ]
    figure.legend(
        handles=[*told, Patch(color=WRONG, label="wrong")],
        loc="outside lower center",
        ncols=len(told) + 1,
        frameon=False,
    )
    figure.suptitle(f"{title}, not seen in fitting: mean IoU {scores['mean_iou']:.3f}", fontsize=14)
    return _save(figure, path)


def curves(path: Path, table: Path, *, names: dict[int, str]) -> Path:
    """Loss, and IoU of every class, over the epochs. names: of the classes, by label value."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for column, label, colour in (
        ("train_loss", "training", "#0072b2"),
        ("val_loss", "validation", "#d55e00"),
    ):
        left.plot(
            epochs, [_number(row[column]) for row in rows], "o-", color=colour, label=label, markersize=4
        )
    left.set(xlabel="epoch", ylabel="loss")
    for column in (column for column in rows[0] if column.startswith("val_iou_")):
        value = int(column.removeprefix("val_iou_"))
        colour = "#999999" if value == 0 else CLASS_COLOURS[value % len(CLASS_COLOURS)]
        label = names.get(value, "background" if value == 0 else f"class {value}")
        right.plot(
            epochs, [_number(row[column]) for row in rows], "o-", color=colour, label=label, markersize=4
        )
    right.plot(epochs, [_number(row["val_miou"]) for row in rows], "k--", label="mean")
    right.set(xlabel="epoch", ylabel="validation IoU", ylim=(0, 1.02))
    for axis in (left, right):
        axis.legend(frameon=False)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    return _save(figure, path)


def _number(text: str) -> float:
    return float(text) if text else float("nan")


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
