"""What a model is, in a few lines beside the choice of it.

In:  the path of a model file or run folder; the scan that is to be labelled.
Out: text; the mode of the network, on which other options depend; names and colours of its classes.
Read from the file's header alone, without torch; knows no Qt.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bone_backend.errors import BoneError
from bone_backend.files.names import from_home
from bone_backend.inference.voxel_size import advice
from bone_backend.information.model import facts
from bone_backend.intensity import grey_scale
from bone_backend.intensity.statistics import measure
from bone_backend.intensity.summary import Statistics, voxels_to_count
from bone_backend.model_files.header import read_header
from bone_backend.runs.files import model_of
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.volume import peek

MOST_NAMES = 4


@dataclass(frozen=True)
class Card:
    """lines: (what, in words). classes: value -> (name, colour). sizes: of the voxels it was fitted on, um.

    fitted: what is known of the greys of its scans; normalization, voxels: how it reads greys. fault: why
    there is no card.
    """

    lines: list[tuple[str, str]] = field(default_factory=list)
    mode: str | None = None
    classes: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    sizes: Any = None
    fault: str = ""
    fitted: tuple[Statistics, ...] = ()
    normalization: str = ""
    voxels: str = "nonzero"

    def warning(self, scan: str | None) -> str:
        """That a scan has voxels of another size than the model's scans had; "" where not known."""
        if not scan or self.mode is None:
            return ""
        try:
            size = peek(from_home(scan)).voxel_size_um
        except (BoneError, OSError):
            return ""
        return advice(self.sizes, size, mode=self.mode) or ""

    def grey_warnings(self, sample: np.ndarray) -> list[str]:
        """Where the greys of a scan are unlike those of the model's scans, as a prediction tells it.

        sample: voxels of some slices, (n,). A prediction looks at all voxels and may find less or more.
        """
        if not self.fitted or sample.size == 0:
            return []
        try:
            found = measure(ArrayVolume(sample.reshape(1, 1, -1)), voxels=voxels_to_count(self.voxels))
        except BoneError:  # nothing but zeros; the prediction says so
            return []
        return grey_scale.advice(found, self.fitted, mode=self.normalization, voxels=self.voxels)


def read_card(path: str) -> Card:
    """The card of a model file, or of the best model in a run folder."""
    if not from_home(path).exists():
        return Card(fault=f"{path}: does not exist. Choose a model file (.pth) or the run folder of a fit.")
    try:
        found = facts(model_of(from_home(path)))
    except (BoneError, ValueError, OSError) as error:
        return Card(fault=str(error))
    colours = found.get("colours") or {}
    classes = {int(value): (name, colours.get(value)) for value, name in (found.get("classes") or {}).items()}
    network = " with ".join(part for part in (found.get("architecture"), found.get("backbone")) if part)
    lines = [
        ("Labels", ", ".join(f"{value} {name}" for value, (name, _) in classes.items() if value)),
        ("Trained on", _names(found.get("train_dataset"))),
        ("Voxel size", _sizes(found.get("trained_voxel_sizes_um"))),
        ("Score", _score(found)),
        ("Network", f"{found.get('mode', '')} {network}".strip()),
    ]
    shown = [(what, told) for what, told in lines if told]
    card = Card(
        shown, found.get("mode"), classes, found.get("trained_voxel_sizes_um"), found.get("missing", "")
    )
    return card if card.fault else _with_greys(card, path)


def _with_greys(card: Card, path: str) -> Card:
    """What the file keeps of the greys of its scans, where it does."""
    header = read_header(model_of(from_home(path)))
    told = header.metadata.get("normalization")
    if not isinstance(told, str):
        return card
    return replace(
        card,
        fitted=tuple(grey_scale.statistics_of(header.bone.get("statistics"))),
        normalization=told,
        voxels=str(header.bone.get("statistics_voxels", "nonzero")),
    )


def _names(names: Any) -> str:
    if not isinstance(names, (list, tuple)):
        return str(names or "")
    more = len(names) - MOST_NAMES
    return ", ".join(map(str, names[:MOST_NAMES])) + (f" and {more} more" if more > 0 else "")


def _sizes(sizes: Any) -> str:
    told = [" × ".join(f"{length:.4g}" for length in dict.fromkeys(size)) for size in sizes or ()]
    return f"{', '.join(dict.fromkeys(told))} µm" if told else ""


def _score(found: dict[str, Any]) -> str:
    score = found.get("best_val_score")
    return f"mean validation IoU {score:.3f}" if isinstance(score, float) else ""
