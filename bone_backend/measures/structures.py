"""A structure that is read slice by slice, and the same on larger voxels.

In:  bool volumes (z, y, x), or what gives their slices.
Out: the same, coarser.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Slices(Protocol):
    """A structure (z, y, x), bool, read slice by slice."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def read(self, z0: int, z1: int) -> np.ndarray: ...


@dataclass(frozen=True)
class InMemory:
    """A structure that is there as a whole."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.array.shape
        return z, y, x

    def read(self, z0: int, z1: int) -> np.ndarray:
        """Slices z0 to z1, half-open."""
        found: np.ndarray = self.array[z0:z1]
        return found


def each_slice(structure: Slices) -> Iterator[np.ndarray]:
    """bool (y, x), one after the other."""
    for z in range(structure.shape[0]):
        yield structure.read(z, z + 1)[0]


def reduced(
    structure: Slices, factor: int, share: float, *, look: Callable[[float], None] | None = None
) -> InMemory:
    """The structure on voxels `factor` times as large, each in it where at least a share of its voxels is.

    What is left over at the ends is cut off.

    >>> reduced(InMemory(np.array([[[1, 1, 0, 1, 1]]], bool)), 2, 0.75).array.tolist()
    [[[True, False]]]
    """
    if factor == 1:
        return InMemory(structure.read(0, structure.shape[0]))
    sizes = [max(1, n // factor) for n in structure.shape]
    full = math.prod(min(factor, n) for n in structure.shape)
    found = np.empty(sizes, bool)
    for z in range(sizes[0]):
        if look:
            look(z / sizes[0])
        slab = structure.read(z * factor, min((z + 1) * factor, structure.shape[0]))
        counts = slab.sum(axis=0, dtype=np.int32)
        for axis in (0, 1):
            used = min(sizes[axis + 1] * factor, counts.shape[axis])
            counts = counts[:used] if axis == 0 else counts[:, :used]
            counts = np.add.reduceat(counts, np.arange(0, used, factor), axis=axis)
        found[z] = counts >= share * full
    return InMemory(found)
