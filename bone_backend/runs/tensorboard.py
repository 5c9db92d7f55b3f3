"""Scores for TensorBoard, by choice.

In:  the row of each epoch.
Out: event files in the run folder's `tensorboard/`; look at them with `tensorboard --logdir RUNFOLDER`.
The package tensorboard is not among BONe's requirements; its absence is told before a fit begins.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import PackageError, called
from ..volumes.classes import columns

FOLDER = "tensorboard"
# Key of an epoch's row -> name in TensorBoard; `val_iou_1` goes to "validation IoU/bone".
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
            f"{called('tensorboard')} is on, but the Python package tensorboard is missing here. Install it "
            "with "
            "'python -m pip install tensorboard', or leave the option out (scores.csv and report.html need "
            "nothing)."
        )


class ScalarLog:
    """Writes the scores of a run as they come."""

    def __init__(self, run: Path, classes: Sequence[Mapping[str, Any]], *, after: int = 0):
        """run: the run folder. classes: {"value", "name"} of each.

        after: epochs that are there already; later ones of an earlier writer are dropped.
        """
        check_installed()
        named = columns(classes, prefix="validation IoU/")
        self._names = NAMES | {f"val_iou_{value}": name for value, name in named.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensorboard's own imports
            from torch.utils.tensorboard import SummaryWriter

            self._writer: Any = SummaryWriter(str(run / FOLDER), purge_step=after + 1 if after else None)

    def add(self, row: Mapping[str, Any]) -> None:
        """The row of an epoch; missing values are left out."""
        for column, value in row.items():
            name = self._names.get(column)
            if name and value is not None:
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
