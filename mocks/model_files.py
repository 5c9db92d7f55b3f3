"""Model files as other programs write them, and broken ones: made by hand from the published facts.

In:  a state, metadata, or parts to replace in the archive.
Out: files that no part of BONe has written.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch

NETWORK = {"model_arch": "U-Net", "backbone": "resnet18", "mode": "2D", "normalization": "ZScore"}
CLASSES = [
    {"value": 0, "name": "background", "colour": "#000000"},
    {"value": 255, "name": "bone", "colour": "#e69f00"},
]


def small_state(channels: int = 1, classes: int = 2, *, depth: int | None = None) -> dict[str, torch.Tensor]:
    """The few tensors that tell channels, classes and 3D, under the library's names; kernels ([z,] y, x)."""
    side = (3, 3) if depth is None else (depth, 3, 3)
    generator = torch.Generator().manual_seed(1)
    return {
        "encoder.conv1.weight": torch.randn(4, channels, *side, generator=generator),
        "encoder.bn1.num_batches_tracked": torch.tensor(5),
        "encoder.bn1.running_mean": torch.randn(4, generator=generator),
        "segmentation_head.0.weight": torch.randn(classes, 4, *side, generator=generator),
        "segmentation_head.0.bias": torch.randn(classes, generator=generator),
    }


def published(path: Path, state: dict | None = None, **metadata: object) -> Path:
    """A file as another BONe program writes it, with the metadata that is given and no other."""
    torch.save({"model_state": small_state() if state is None else state, "metadata": metadata}, path)
    return path


def rewrite(
    source: Path, target: Path, change: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED
) -> Path:
    """A copy of a model file with some parts replaced or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        folder = old.namelist()[0].split("/")[0]
        parts = {name.partition("/")[2]: old.read(name) for name in old.namelist()} | change
        for name, data in parts.items():
            new.writestr(f"{folder}/{name}", data)
    return target


def header_of(source: Path) -> bytes:
    with zipfile.ZipFile(source) as old:
        return old.read(next(name for name in old.namelist() if name.endswith("data.pkl")))
