"""What a prediction has left beside its labels: its scan, its maps, how sure it was; knows no Qt.

In:  labels, a file or folder; the record beside them, which may come from anybody.
Out: a Beside. What is not there, or not as it should be, is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bone_backend.errors import BoneError
from bone_backend.files.json_files import read_json
from bone_backend.scores import meaning
from bone_backend.volumes.volume import volume_name

PROBABILITY = "probability_"


@dataclass(frozen=True)
class Map:
    """A volume that can be laid over the scan. words: what it is. colours: of overlay.MAPS."""

    path: str
    words: str
    colours: str


@dataclass(frozen=True)
class Beside:
    """scan: where it lies beside the labels. confidence: the mean of each slice along z.

    maps: the most telling first.
    """

    scan: Path | None = None
    confidence: tuple[float, ...] = ()
    maps: tuple[Map, ...] = ()


def beside(labels: Path) -> Beside:
    """
    >>> beside(Path("nowhere/labels.tif"))
    Beside(scan=None, confidence=(), maps=())
    """
    try:
        told = read_json(meaning.record_path(labels))
    except (OSError, ValueError, BoneError):
        return Beside()
    options, result = (_part(told, name) for name in ("options", "result"))
    names = result.get("maps")
    found = [_beside(labels, name) for name in (names if isinstance(names, list) else ())]
    maps = [_map(labels, path) for path in found if path is not None]
    order = ("Doubt", "Entropy", "Viridis")
    return Beside(
        _beside(labels, options.get("scan")),
        _numbers(_part(result, "confidence").get("slices")),
        tuple(sorted(maps, key=lambda one: order.index(one.colours))),
    )


def _map(labels: Path, path: Path) -> Map:
    """
    >>> _map(Path("a/femur.tif"), Path("a/femur_probability_1_bone_tissue.tif")).words
    'probability of 1 bone tissue'
    """
    name = volume_name(path).removeprefix(f"{volume_name(labels)}_")
    if name.startswith(PROBABILITY):
        return Map(str(path), f"probability of {name.removeprefix(PROBABILITY).replace('_', ' ')}", "Viridis")
    return Map(str(path), name, "Entropy" if name == "entropy" else "Doubt")


def _beside(labels: Path, name: Any) -> Path | None:
    """A file or folder of that name in the folder of the labels; records name no other place."""
    if not isinstance(name, str) or Path(name).name in ("", ".."):
        return None
    found = labels.parent / Path(name).name
    try:
        return found if found.exists() else None
    except (OSError, ValueError):
        return None


def _part(values: Any, name: str) -> dict[str, Any]:
    found = values.get(name) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list):
        return ()
    is_number = all(type(value) in (int, float) and math.isfinite(value) for value in values)
    return tuple(map(float, values)) if is_number else ()
