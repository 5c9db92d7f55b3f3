"""What a file is: a scan, a mask, or a model, in a few facts.

In:  a path.
Out: a dictionary of plain values, made from headers only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import ScanError
from .volumes.volume import peek


def describe(path: Path) -> dict[str, Any]:
    """Facts of a scan or mask (size, type, voxels), or the card of a model file. Else raises BoneError."""
    path = Path(path).expanduser()
    if not path.exists():
        raise ScanError(f"{path} does not exist.")
    return _model(path) if path.suffix.lower() in (".pth", ".pt") else _volume(path)


def _volume(path: Path) -> dict[str, Any]:
    header = peek(path)
    return {
        "kind": "scan or mask",
        "path": str(path),
        "format": header.format,
        "shape": list(header.shape),
        "dtype": str(header.dtype),
        "voxel_size_um": list(header.voxel_size_um) if header.voxel_size_um else None,
        "gib": header.nbytes / 2**30,
    }


def _model(path: Path) -> dict[str, Any]:
    # torch is imported only when a model is looked at
    from .networks import model_file

    header = model_file.read_header(path)
    spec, metadata, bone = header.spec, header.metadata, header.bone or {}
    card: dict[str, Any] = {
        "kind": "model",
        "path": str(path),
        "architecture": spec.architecture,
        "backbone": spec.backbone,
        "mode": spec.mode,
        "in_channels": spec.in_channels,
        "num_classes": spec.num_classes,
        "classes": {item["value"]: item["name"] for item in bone.get("classes", [])},
    }
    for key in (
        "normalization",
        "patch_size",
        "best_val_score",
        "best_epoch",
        "param_count",
        "version",
        "train_dataset",
        "val_dataset",
    ):
        if metadata.get(key) is not None:
            card[key] = metadata[key]
    return card
