"""Volumes beside the labels that say how sure the network was: confidence, entropy, class probabilities.

In:  mean class probabilities, slab by slab.
Out: uint8 volumes of the format of the labels; 255 is 1.
Confidence is the highest probability of a voxel. Entropy is Shannon's, -sum p ln p, divided by that of equal
probabilities, so 0 where one class is certain and 1 (255) where all are equally likely.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
import torch

from ..volumes.header import Header
from ..volumes.volume import VolumeWriter, create, volume_name
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


class Maps:
    """The volumes in the making; a context manager, at whose end they appear. header: of the labels."""

    def __init__(self, labels: Path, names: Sequence[str], header: Header, *, overwrite: bool):
        self._stack = contextlib.ExitStack()
        self._writers: list[VolumeWriter] = []
        self._made = [
            create(
                path := path_of(labels, name),
                replace(header, name=volume_name(path), dtype=np.dtype(np.uint8)),
                overwrite=overwrite,
            )
            for name in names
        ]

    def __enter__(self) -> Maps:
        self._writers = [self._stack.enter_context(writer) for writer in self._made]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, fault, trace)

    def write(self, slabs: Sequence[np.ndarray]) -> None:
        """The next slices of each."""
        for writer, slab in zip(self._writers, slabs, strict=True):
            writer.write(slab)
