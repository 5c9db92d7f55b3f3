"""Chunks seen mirrored and turned: what is added to look at each chunk several times.

In:  a batch (batch, channel, [z,] y, x).
Out: the same batch seen otherwise, and its prediction turned back.
Mirrored are rows and columns, and slices only of a network that sees depth as an axis (3D): of 2.5D they are
channels, which have an order.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import torch

Average = Literal["none", "flips", "turns"]
PLANE = (-2, -1)


@dataclass(frozen=True)
class Symmetry:
    """mirrored: axes, counted from the last. turns: quarter turns in the plane, done after that."""

    mirrored: tuple[int, ...] = ()
    turns: int = 0

    def of(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch as it is shown to the network."""
        return torch.rot90(batch.flip(self.mirrored), self.turns, PLANE) if self.is_any else batch

    def back(self, found: torch.Tensor) -> torch.Tensor:
        """What was found, in the place where it belongs."""
        return torch.rot90(found, -self.turns, PLANE).flip(self.mirrored) if self.is_any else found

    @property
    def is_any(self) -> bool:
        """Whether anything is turned."""
        return bool(self.mirrored or self.turns)


def symmetries(average: Average, *, is_3d: bool = False) -> tuple[Symmetry, ...]:
    """All ways in which a chunk is seen, as it is first.

    >>> [len(symmetries(average)) for average in ("none", "flips", "turns")]
    [1, 4, 8]
    >>> [len(symmetries(average, is_3d=True)) for average in ("none", "flips", "turns")]
    [1, 8, 16]
    """
    if average == "none":
        return (Symmetry(),)
    axes = (*((-3,) if is_3d else ()), *(PLANE if average == "flips" else (-1,)))
    mirrored = [chosen for number in range(len(axes) + 1) for chosen in itertools.combinations(axes, number)]
    turns = range(4) if average == "turns" else (0,)
    return tuple(Symmetry(chosen, turn) for turn in turns for chosen in mirrored)
