"""Pictures of a run: what the network said beside the reference, and how it learnt.

In:  a scan, its reference mask and the predicted labels; the record of a run.
Out: PNG files.
Classes have the names and colours of the run (bone_backend/volumes/classes.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from bone_backend.volumes.classes import MEAN, TRAINING, VALIDATION, describe_classes, wrong_colour
from bone_backend.volumes.volume import open_volume

CLEAR = "#00000000"
FADED = 0.6  # share of white over the scan, so that red is dark on it for every eye


def overlay(
    path: Path,
    *,
    scan: Path,
    reference: Path,
    prediction: Path,
    scores: dict[str, Any],
    title: str,
    classes: Sequence[Mapping[str, Any]],
) -> Path:
    """Three slices of a scan: grey values, reference, prediction, and where they differ.

    classes: {"value", "name", "colour"} of each; values that are not among them are described as any other.
    """
    with open_volume(scan) as grey, open_volume(reference) as wanted, open_volume(prediction) as got:
        rows = [round((grey.header.shape[0] - 1) * share) for share in (0.25, 0.5, 0.75)]
        slices = [[volume.read(z, z + 1)[0] for volume in (grey, wanted, got)] for z in rows]
    values = sorted(int(value) for value in scores["classes"])
    known = {item["value"]: item for item in [*describe_classes(values), *classes]}
    shades = [known[value]["colour"] if value else CLEAR for value in values]
    wrong_shade = wrong_colour(shades)
    figure, axes = plt.subplots(
        len(rows), 4, figsize=(12, 3.1 * len(rows) + 0.9), layout="constrained", squeeze=False
    )
    for row, z, layers in zip(axes, rows, slices, strict=True):
        _draw_slice(row, *layers, shades=dict(zip(values, shades, strict=True)), wrong_shade=wrong_shade)
        row[0].set_ylabel(f"slice {z + 1}", fontsize=11)
    for axis, heading in zip(axes[0], ("scan", "reference", "prediction", "difference"), strict=True):
        axis.set_title(heading, fontsize=13)
    told = [
        Patch(
            color=known[int(value)]["colour"],
            label=f"{known[int(value)]['name']}: IoU {found['iou']:.3f}",
        )
        for value, found in scores["classes"].items()
        if int(value) and found["iou"] is not None
    ]
    figure.legend(
        handles=[*told, Patch(color=wrong_shade, label="wrong")],
        loc="outside lower center",
        ncols=len(told) + 1,
        frameon=False,
    )
    figure.suptitle(f"{title}, not seen in fitting: mean IoU {scores['mean_iou']:.3f}", fontsize=14)
    return _save(figure, path)


def _draw_slice(
    row: Sequence[Any],
    image: np.ndarray,
    mask: np.ndarray,
    labels: np.ndarray,
    *,
    shades: Mapping[int, str],
    wrong_shade: str,
) -> None:
    """One slice (y, x) on four axes. shades: the colour of each label value, in their order."""
    low, high = np.percentile(image, [0.5, 99.5])
    for axis in row:
        axis.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1), interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, layer in zip(row[1:3], (mask, labels), strict=True):
        axis.imshow(
            np.searchsorted([*shades], layer),
            cmap=ListedColormap([*shades.values()]),
            vmin=-0.5,
            vmax=len(shades) - 0.5,
            alpha=np.where(layer > 0, 0.6, 0.0),
            interpolation="nearest",
        )
    row[3].imshow(np.ones((*image.shape, 3)), alpha=FADED)
    wrong = np.where(mask == labels, np.nan, 1.0)
    row[3].imshow(wrong, cmap=ListedColormap([wrong_shade]), interpolation="nearest")
    row[3].set_xlabel(f"{np.mean(mask != labels):.2%} of the voxels differ", fontsize=10)


def curves(path: Path, record: Path) -> Path:
    """Loss, and IoU of every class, over the epochs. record: record.json of a run."""
    told = json.loads(record.read_text(encoding="utf-8"))
    rows = told["scores"]
    epochs = [row["epoch"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for column, label, colour in (
        ("train_loss", "training", TRAINING),
        ("val_loss", "validation", VALIDATION),
    ):
        left.plot(
            epochs, [_number(row[column]) for row in rows], "o-", color=colour, label=label, markersize=4
        )
    left.set(xlabel="epoch", ylabel="loss")
    for item in told["classes"]:
        right.plot(
            epochs,
            [_number(row[f"val_iou_{item['value']}"]) for row in rows],
            "o-",
            color=item["colour"],
            label=item["name"],
            markersize=4,
        )
    right.plot(epochs, [_number(row["val_miou"]) for row in rows], "--", color=MEAN, label="mean")
    right.set(xlabel="epoch", ylabel="validation IoU", ylim=(0, 1.02))
    for axis in (left, right):
        axis.legend(frameon=False)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.get_major_locator().set_params(integer=True)
    return _save(figure, path)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
