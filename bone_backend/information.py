"""What a file is: a scan, a mask, or a model, in a few facts.

In:  a path.
Out: a dictionary of plain values, made from headers only.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from .errors import ScanError
from .names import from_home
from .volumes.volume import peek


def describe(path: Path) -> dict[str, Any]:
    """Facts of a scan or mask (size, type, voxels), or the card of a model file. Else raises BoneError.

    Numbers that JSON does not have (nan, inf) are None.
    """
    path = from_home(path)
    if not path.exists():
        raise ScanError(f"{path} does not exist.")
    facts = _model(path) if path.suffix.lower() in (".pth", ".pt") else _volume(path)
    return {key: _finite(value) for key, value in facts.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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

    metadata, lacking = model_file.read_metadata(path)
    card: dict[str, Any] = {"kind": "model", "path": str(path)}
    if lacking:
        card["missing"] = f"{', '.join(lacking)}; BONe cannot use the model without"
        card |= {"architecture": metadata["model_arch"]}
        card |= {key: metadata[key] for key in ("backbone", "mode", "in_channels", "num_classes")}
    else:
        header = model_file.read_header(path)
        spec = header.spec
        card |= {
            "architecture": spec.architecture,
            "backbone": spec.backbone,
            "mode": spec.mode,
            "in_channels": spec.in_channels,
            "num_classes": spec.num_classes,
            "classes": {item["value"]: item["name"] for item in header.bone.get("classes", [])},
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
