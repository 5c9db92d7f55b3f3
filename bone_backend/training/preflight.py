"""What a fit will take, told before it begins: patches, time, RAM, GPU memory and disk.

In:  a fit that is ready to begin.
Out: a Preflight, from one measured training step and one validation batch on real patches; warnings in words.
The measured step is undone bit for bit, so a fit gives the same weights with and without it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch

from ..dataset.plan import PatchShape, Plan
from ..durations import estimated
from ..machine.device import describe, free_bytes
from ..machine.monitor import GIB, private_bytes
from ..volumes.output import size_in_words
from .budget import Pace
from .loop import Training
from .rehearsal import Measured, measure, share

log = logging.getLogger("bone.fitting")

# Largest number of patch pairs that are looked at for their overlap.
MOST_PAIRS = 2_000_000
OPTIMIZER_COPIES = {"Adam": 2, "AdamW": 2, "SGD": 1}


@dataclass(frozen=True)
class Preflight:
    """What a fit will take. *_gib: GiB; *_free_gib: what can be had; *_s: seconds. epochs: that are left.

    crowded_share: patches that overlap another one of their tile by more than max_patch_overlap. notes: what
    was chosen for the user, in words.
    """

    training_scans: tuple[str, ...]
    validation_scans: tuple[str, ...]
    training_patches: int
    validation_patches: int
    steps: int
    validation_batches: int
    epochs: int
    batch_size: int
    device: str
    step_s: float
    validation_batch_s: float
    epoch_s: float
    total_s: float
    ram_gib: float
    ram_free_gib: float
    gpu_gib: float | None
    gpu_free_gib: float | None
    disk_gib: float
    disk_free_gib: float
    crowded_share: float
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON values, with the sentences of `told`."""
        return {"dry_run": True, **asdict(self), "told": self.told()}

    def told(self) -> list[str]:
        """In words, without the warnings."""
        return [
            f"Training on {_listing(self.training_scans)}: {self.training_patches:,} patches, "
            f"{self.steps:,} steps an epoch.",
            f"Validation on {_listing(self.validation_scans)}: {self.validation_patches:,} patches, "
            f"{self.validation_batches:,} batches.",
            *self.notes,
            *self._costs(),
        ]

    def _costs(self) -> list[str]:
        gpu = (
            f"{self.gpu_gib:.1f} GiB on the GPU ({self.gpu_free_gib:.1f} GiB can be had), "
            if self.gpu_gib is not None and self.gpu_free_gib is not None
            else ""
        )
        return [
            f"Time on {self.device}: about {estimated(self.epoch_s)} an epoch, {estimated(self.total_s)} for "
            f"{self.epochs} {'epoch' if self.epochs == 1 else 'epochs'} ({self.step_s:.3g} s a step).",
            f"Memory: about {self.ram_gib:.1f} GiB of RAM ({self.ram_free_gib:.1f} GiB can be had), {gpu}"
            f"{_room(self.disk_gib)} on disk ({_room(self.disk_free_gib)} free).",
        ]

    def log(self) -> None:
        """Tell the figures and the warnings."""
        for line in self._costs():  # the rest is in the log already
            log.info("%s", line)
        for warning in self.warnings:
            log.warning("%s", warning)


def estimate(
    training: Training,
    *,
    names: Sequence[str],
    folder: Path,
    epochs: int,
    check: Callable[[], None] = lambda: None,
    concerns: Sequence[str] = (),
    notes: Sequence[str] = (),
    pace: Pace | None = None,
) -> Preflight:
    """Measure a step and say what a fit will take.

    names: of all scans. folder: the run folder, or where it will be. epochs: that are left. check: called now
    and then; it may raise Cancelled. concerns: warnings that are known already; notes: what was chosen for
    the user. pace: the speed on whole batches, where it was measured. Nothing in `training` is changed.
    """
    options, plan = training.options, training.plan(0)
    held, available = private_bytes(), int(psutil.virtual_memory().available)
    learnt = measure(training, plan, learn=True, check=check)
    validated = measure(training, training.validation_plan, learn=False, check=check)
    per_patch = [max(found.compute_s, found.read_s / options.loader_threads) for found in (learnt, validated)]
    if pace:
        per_patch = [pace.step_s * training.world.size / options.batch_size, pace.patch_s]
    validation_s = per_patch[1] * len(training.validation_plan)
    epoch_s = (per_patch[0] * len(plan) + validation_s) / training.world.size
    needs = _needs(training, learnt, held=held)
    on_gpu = training.device.type == "cuda"
    gpu_free = free_bytes(training.device) + torch.cuda.memory_allocated(training.device) if on_gpu else 0
    limit, per_tile = options.max_patch_overlap, options.patches_per_tile
    found = Preflight(
        training_scans=tuple(names[i] for i in training.training_scans),
        validation_scans=tuple(names[i] for i in training.validation_scans),
        training_patches=len(plan),
        validation_patches=len(training.validation_plan),
        steps=training.train_batches,
        validation_batches=training.validation_batches,
        epochs=epochs,
        batch_size=options.batch_size,
        device=describe(training.device, training.step.precision),
        step_s=per_patch[0] * share(training, plan),
        validation_batch_s=per_patch[1] * min(options.batch_size, len(training.validation_plan)),
        epoch_s=epoch_s,
        total_s=epoch_s * epochs + validation_s,  # the report looks at the validation patches once more
        ram_gib=needs.ram / GIB,
        ram_free_gib=(training.world.rank.local_of * held + available) / GIB,
        gpu_gib=needs.gpu / GIB if on_gpu else None,
        gpu_free_gib=gpu_free / GIB if on_gpu else None,
        disk_gib=needs.disk / GIB,
        disk_free_gib=_free_disk(folder) / GIB,
        crowded_share=crowded_share(plan, training.layout.patch, per_tile=per_tile, limit=limit),
        warnings=(),
        notes=tuple(notes),
    )
    warnings = [*concerns, *_warnings(found, training, is_too_large=learnt.is_too_large)]
    return replace(found, warnings=tuple(warnings))


class _Needs(NamedTuple):
    """Bytes that a fit takes at its worst moment. ram: of all processes on this machine."""

    ram: float
    gpu: float
    disk: float


def _needs(training: Training, learnt: Measured, *, held: int) -> _Needs:
    """From what was measured, and what comes later: the optimizer's moments, buffers of the loader, files."""
    step, options = training.step, training.options
    weights = _tensor_bytes([*step.network.parameters(), *step.network.buffers()])
    gradients = _tensor_bytes([p for p in step.network.parameters() if p.requires_grad])
    moments = OPTIMIZER_COPIES[options.optimizer] * gradients
    missing = 0 if step.optimizer.state else moments
    buffers = _buffer_bytes(training) * (options.loader_threads + 2)
    on_cpu = 0 if training.device.type == "cuda" else learnt.ram_bytes + gradients + missing
    return _Needs(
        ram=training.world.rank.local_of * (held + buffers + on_cpu),
        gpu=learnt.gpu_bytes + missing,
        # the old and the new checkpoint, the best model twice, and the last one
        disk=2 * (weights + moments) + 3 * weights,
    )


def _tensor_bytes(tensors: Sequence[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _buffer_bytes(training: Training) -> int:
    """Of one batch as it is read."""
    count = training.options.batch_size
    grey, labels = training.layout.grey_shape(count), training.layout.label_shape(count)
    sizes = [
        (pair.scan.header.dtype.itemsize, pair.mask.header.dtype.itemsize) for pair in training.loader.pairs
    ]
    return int(np.prod(grey)) * max(a for a, _ in sizes) + int(np.prod(labels)) * max(b for _, b in sizes)


def _free_disk(folder: Path) -> int:
    """Bytes free where the folder is, or will be."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def crowded_share(plan: Plan, patch: PatchShape, *, per_tile: int, limit: float) -> float:
    """Share of the patches that another patch of their tile covers by more than `limit`.

    The patches of a tile follow each other in the plan. Of large plans the first tiles are looked at.
    """
    if per_tile < 2 or limit >= 1:
        return 0.0
    tiles = max(1, min(len(plan) // per_tile, MOST_PAIRS // per_tile**2))
    corner = np.stack([plan.z, plan.y, plan.x], axis=1)[: tiles * per_tile].reshape(tiles, per_tile, 3)
    size = np.array(patch, np.int64)
    shared = np.ones((tiles, per_tile, per_tile))
    for axis in range(3):
        apart = np.abs(corner[:, :, None, axis] - corner[:, None, :, axis])
        shared *= np.clip(size[axis] - apart, 0, None) / size[axis]
    shared[:, np.arange(per_tile), np.arange(per_tile)] = 0
    return float((shared.max(axis=2) > limit + 1e-9).mean())


def _room(gib: float) -> str:
    return size_in_words(round(gib * GIB))


def _warnings(found: Preflight, training: Training, *, is_too_large: bool) -> list[str]:
    options = training.options
    warnings = []
    smaller = "Use a smaller batch_size, patch_size or backbone"
    is_alone = training.world.size == 1  # several processes cannot take smaller pieces
    if found.ram_gib > found.ram_free_gib:
        warnings.append(
            f"The fit needs about {found.ram_gib:.1f} GiB of RAM, but {found.ram_free_gib:.1f} GiB "
            f"can be had. {smaller}, or close other programs."
        )
    if found.gpu_gib is not None and found.gpu_free_gib is not None:
        if is_too_large or found.gpu_gib > found.gpu_free_gib:
            warnings.append(
                f"A batch of {options.batch_size} patches needs about {found.gpu_gib:.1f} GiB on the GPU, "
                f"but {found.gpu_free_gib:.1f} GiB can be had"
                + ("; it will be taken in smaller pieces, which is slower. " if is_alone else ". ")
                + f"{smaller}."
            )
    elif is_too_large:
        warnings.append(f"A batch of {options.batch_size} patches does not fit into RAM. {smaller}.")
    if found.disk_gib > found.disk_free_gib:
        warnings.append(
            f"The run folder needs about {_room(found.disk_gib)}, but {_room(found.disk_free_gib)} are free "
            "there. Make room, or choose another output."
        )
    if found.crowded_share > 0:
        warnings.append(
            f"{found.crowded_share:.0%} of the patches overlap another patch of their tile by more than "
            f"max_patch_overlap {options.max_patch_overlap:g}: {options.patches_per_tile} patches of "
            f"{options.patch_size} px have no room for less in the smallest scans. "
            "Use fewer patches_per_tile, or a smaller patch_size."
        )
    return warnings


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown
