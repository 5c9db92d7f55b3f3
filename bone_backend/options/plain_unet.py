"""The choices of the Plain U-Net, the one network of our own, and the sizes that follow from them.

In:  channels of the first stage, number of stages, kind of normalisation.
Out: a PlainShape; its faults as sentences.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Fault, called

TITLE = "Plain U-Net"
CHANNELS = (8, 16, 24, 32, 48, 64)
DEPTHS = (3, 4, 5, 6)
NORMS = ("batch", "instance", "group")


@dataclass(frozen=True)
class PlainShape:
    """channels: of the first stage; each stage has twice as many as the one before. depth: number of stages,
    each half as large. norm: what follows each convolution."""

    channels: int = 16
    depth: int = 4
    norm: str = "batch"

    @property
    def multiple(self) -> int:
        """What every edge of a patch must be a multiple of.

        >>> PlainShape(depth=4).multiple
        8
        """
        return 1 << (self.depth - 1)

    @property
    def sight(self) -> int:
        """How far it sees to each side, px: two convolutions of 3 at each stage down and up, and what halving
        and doubling round off.

        >>> [PlainShape(depth=depth).sight for depth in (3, 4)]
        [23, 51]
        """
        stages = [1 << stage for stage in range(self.depth)]
        return 2 * sum(stages) + 3 * sum(stages[:-1])

    @property
    def minimum(self) -> int:
        """Smallest edge of a patch: an instance normalisation of one voxel would leave nothing of it."""
        return self.multiple * (2 if self.norm == "instance" else 1)

    def __str__(self) -> str:
        return f"{self.channels} channels, {self.depth} stages, {self.norm} normalisation"

    def faults(self) -> list[Fault]:
        """Why it cannot be built, one sentence each."""
        return [
            Fault(f"{called(f'plain_{name}')} is {value!r}; use one of {', '.join(map(str, allowed))}.")
            for name, value, allowed in (
                ("channels", self.channels, CHANNELS),
                ("depth", self.depth, DEPTHS),
                ("norm", self.norm, NORMS),
            )
            if value not in allowed
        ]
