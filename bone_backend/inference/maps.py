"""Volumes beside the labels that say how sure the network was: confidence, entropy, class probabilities.

In:  mean class probabilities, slab by slab.
Out: uint8 volumes of the format of the labels; 255 is 1.
Confidence is the highest probability of a voxel. Entropy is Shannon's, -sum p ln p, divided by that of equal
probabilities, so 0 where one class is certain and 1 (255) where all are equally likely.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ..volumes.kept import Kept
from ..volumes.volume import create, volume_name
from .labels import ClassMap

FULL = 255


def names_of(asked: Sequence[str], class_map: ClassMap) -> list[str]:
    """One name for each volume, in order, as it stands behind the name of the labels.

    >>> names_of(["entropy", "probabilities"], ClassMap((0, 7), ("background", "bone tissue")))
    ['entropy', 'probability_0_background', 'probability_7_bone_tissue']
    """
    found: list[str] = []
    for name in dict.fromkeys(asked):
        if name == "probabilities":
            classes = zip(class_map.values, class_map.names, strict=True)
            bare = [(value, re.sub(r"[^\w-]+", "_", word)) for value, word in classes]
            found += [f"probability_{value}_{word}" for value, word in bare]
        else:
            found.append(name)
    return found


def path_of(labels: Path, name: str) -> Path:
    """Where a volume goes: beside the labels, of their kind.

    >>> path_of(Path("out/femur.tif"), "entropy").name, path_of(Path("out/femur"), "entropy").name
    ('femur_entropy.tif', 'femur_entropy')
    """
    bare = volume_name(labels)
    return labels.with_name(f"{bare}_{name}{labels.name.removeprefix(bare)}")


def layers(means: torch.Tensor, asked: Sequence[str]) -> list[np.ndarray]:
    """uint8 (slice, y, x) of each volume, in the order of `names_of`.

    means: float32 (slice, class, y, x).
    """
    found = []
    for name in dict.fromkeys(asked):
        if name == "confidence":
            found.append(means.amax(dim=1))
        elif name == "entropy":
            most = math.log(max(means.shape[1], 2))
            found.append(torch.special.entr(means.clamp(0, 1)).sum(dim=1).div_(most))
        else:
            found += list(means.unbind(dim=1))
    return [one.mul(FULL).add_(0.5).clamp_(0, FULL).to(torch.uint8).cpu().numpy() for one in found]


def write(labels: Path, kept: Kept, *, overwrite: bool, stack: ExitStack) -> None:
    """Write what was kept of each volume; it gets its name when the stack is left. labels: their path."""
    for name in kept.names:
        path = path_of(labels, name)
        header = replace(kept.header, name=volume_name(path), dtype=np.dtype(np.uint8), classes=())
        writer = stack.enter_context(create(path, header, overwrite=overwrite))
        for _, slab in kept.slabs(name):
            writer.write(slab)
