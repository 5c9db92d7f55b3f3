"""Normalise a batch of raw patches and apply exactly the changes that its plan has drawn, on the device.

In:  raw grey values (batch, channel, [z,] y, x) and label values (batch, [z,] y, x) in their stored dtypes,
     and the plan's part.
Out: float32 patches and int64 class indices: moved and disturbed where transforms were asked for, then
     changed in brightness and contrast, clipped, flipped and turned.
Flips and turns of a random square crop have the same distribution as crops of a turned slice, at a fraction
of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..intensity.normalisation import Normalisation
from .plan import Plan
from .transforms import to_device, vary

# Code -> (kind, argument); axes count from the end: -1 is x, -2 is y, -3 is z. Quarter turns go from y to x.
TURNS_2D = (("none", 0), ("flip", -1), ("flip", -2), ("turn", 1), ("turn", 2), ("turn", 3))
TURNS_3D = (("none", 0), ("flip", -1), ("flip", -2), ("flip", -3), ("turn", 1), ("turn", 2), ("turn", 3))


@dataclass(frozen=True)
class Numbers:
    """The normalisation of every scan as float32 tensors (scan,) on the device: (grey - shift) * scale,
    clipped to low..high.
    """

    shift: torch.Tensor
    scale: torch.Tensor
    low: float
    high: float

    @classmethod
    def of(cls, normalisations: list[Normalisation], device: torch.device) -> Numbers:
        """Gather the numbers of all scans, which share one mode and so its limits."""
        return cls(
            shift=torch.tensor([n.shift for n in normalisations], dtype=torch.float32, device=device),
            scale=torch.tensor([n.scale for n in normalisations], dtype=torch.float32, device=device),
            low=normalisations[0].low,
            high=normalisations[0].high,
        )


def prepare(grey: torch.Tensor, labels: torch.Tensor, *, plan: Plan, numbers: Numbers, classes: torch.Tensor):
    """A batch as the network takes it.

    grey: any stored dtype (batch, channel, [z,] y, x). labels: integers (batch, [z,] y, x). classes: int64
    table from label value to class index. Returns float32 like grey and int64 like labels; neither shares
    memory with what came in.
    """
    device = grey.device
    turns = _turns(plan.turn, TURNS_3D if grey.ndim == 5 else TURNS_2D, device)
    if turns and plan.variation is None:  # all else is alike for every voxel: turn the small stored values
        grey, labels = grey.clone(), labels.clone()
        _turn(grey, turns)
        _turn(labels, turns)
    scan = to_device(plan.scan, device)
    shape = (-1,) + (1,) * (grey.ndim - 1)
    patches = grey.to(torch.float32, copy=True)
    patches.sub_(numbers.shift[scan].view(shape)).mul_(numbers.scale[scan].view(shape))
    target = _classes_of(labels, classes)
    if plan.variation is not None:
        patches.clamp_(numbers.low, numbers.high)
        vary(patches, target, plan.variation, unit=(numbers.high - numbers.low) / 10)
    if (plan.contrast != 1).any() or (plan.brightness != 0).any():
        patches.mul_(to_device(plan.contrast, device).view(shape))
        patches.add_(to_device(plan.brightness, device).view(shape))
    patches.clamp_(numbers.low, numbers.high)
    if plan.variation is not None:  # rings lie around the middle of the scan as it was before the turn
        _turn(patches, turns)
        _turn(target, turns)
    return patches, target


def _turns(
    codes: np.ndarray, table: Sequence[tuple[str, int]], device: torch.device
) -> list[tuple[str, int, torch.Tensor]]:
    """Kind and argument of every flip or turn that occurs, and the numbers of its patches."""
    moved = np.flatnonzero(codes)
    if len(moved) == 0:
        return []
    order = moved[np.argsort(codes[moved], kind="stable")]
    found, counts = np.unique(codes[moved], return_counts=True)
    numbers = to_device(order, device).split(counts.tolist())
    return [(*table[code], some) for code, some in zip(found, numbers, strict=True)]


def _turn(batch: torch.Tensor, turns: list[tuple[str, int, torch.Tensor]]) -> None:
    """Flip or turn patches in place."""
    # torch moves no uint16, and 16 bits are 16 bits
    batch = batch.view(torch.int16) if batch.dtype == torch.uint16 else batch
    for kind, argument, chosen in turns:
        some = batch.index_select(0, chosen)
        some = some.flip(argument) if kind == "flip" else torch.rot90(some, argument, (-2, -1))
        batch.index_copy_(0, chosen, some)


def _classes_of(labels: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """classes[labels], int64. On a CPU bytes are looked up as bytes, ten times as fast."""
    if labels.device.type != "cpu" or labels.dtype != torch.uint8:
        return classes[labels.to(torch.int64)]
    table = classes[:256].numpy()
    if np.array_equal(table, np.arange(len(table))):
        return labels.to(torch.int64)
    if table.min() < -128 or table.max() > 127:
        return classes[labels.to(torch.int64)]
    every = np.zeros(256, np.int8)
    every[: len(table)] = table
    found = labels.numpy().tobytes().translate(every.tobytes())
    return torch.from_numpy(np.frombuffer(found, np.int8).astype(np.int64)).view(labels.shape)
