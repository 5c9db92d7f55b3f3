"""Scores for TensorBoard, by choice.

In:  the row of each epoch.
Out: event files in the run folder's `tensorboard/`; look at them with `tensorboard --logdir RUNFOLDER`.
The package tensorboard is not among BONe's requirements; its absence is told before a fit begins.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import PackageError

FOLDER = "tensorboard"
# Column of scores.csv -> name in TensorBoard; `val_iou_N` goes to "validation IoU/N".
NAMES = {
    "train_loss": "loss/training",
    "val_loss": "loss/validation",
    "train_miou": "mIoU/training",
    "val_miou": "mIoU/validation",
    "learning_rate": "learning rate",
    "patches_per_s": "time/patches per second",
    "waiting_share": "time/share of waiting",
}


def check_installed() -> None:
    """Raise PackageError where the package tensorboard is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise PackageError(
            "tensorboard is on, but the Python package tensorboard is missing here. Install it with "
            "'python -m pip install tensorboard', or leave the option out (scores.csv and report.html need "
            "nothing)."
        )


class ScalarLog:
    """Writes the scores of a run as they come."""

    def __init__(self, run: Path, *, after: int = 0):
        """run.

        The run folder. after: epochs that are there already; later ones of an earlier writer are dropped.
        """
        check_installed()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensorboard's own imports
            from torch.utils.tensorboard import SummaryWriter

            self._writer: Any = SummaryWriter(str(run / FOLDER), purge_step=after + 1 if after else None)

    def add(self, row: Mapping[str, Any]) -> None:
        """One row of scores.csv; missing values are left out."""
        for column, value in row.items():
            is_class = column.startswith("val_iou_")
            name = f"validation IoU/{column.removeprefix('val_iou_')}" if is_class else NAMES.get(column)
            if name and value is not None:
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
