"""Measure a step of a fit before it begins: time and memory, on real patches.

In:  a fit that is ready to begin, and the patches of a plan.
Out: seconds a patch, and the memory that a batch takes at its peak.
Weights, buffers, optimizer and random states are the same before and after, bit for bit (Training.rehearse).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.autograd.graph import saved_tensors_hooks

from ..dataset.plan import Plan
from ..errors import HardwareError
from ..machine.memory import is_out_of_memory
from .loop import Training

# On a CPU so many patches are measured, and what they take is scaled to the batch: a batch that does not fit
# into RAM would end the process before it could be told. On a GPU the whole batch is measured.
MEASURED_PATCHES = 4
# A measurement is repeated while all together took less than MEASURE_S; since the first one pays for what is
# prepared only once, there is a second one unless the first took longer than MOST_S.
MEASURE_S = 2.0
MOST_S = 30.0
# Beside what is kept for the way back, a step needs room for about so many of its largest tensors.
TRANSIENT = 3


@dataclass(frozen=True)
class Measured:
    """Seconds a patch to read and to compute.

    Bytes: RAM beyond what is held now, and GPU memory at its peak.
    """

    read_s: float
    compute_s: float
    ram_bytes: float = 0.0
    gpu_bytes: float = 0.0
    is_too_large: bool = False


def measure(training: Training, plan: Plan, *, learn: bool, check: Callable[[], None]) -> Measured:
    """The first patches of a plan, read and computed; the quickest of the measurements."""
    batch = share(training, plan)
    is_gpu = training.device.type == "cuda"
    count = batch if is_gpu else min(batch, MEASURED_PATCHES)
    some, began = plan.part(0, count), time.perf_counter()
    read, compute, kept, times = 0.0, float("inf"), Kept(training.step.network), 0
    if is_gpu:
        torch.cuda.reset_peak_memory_stats(training.device)
    while True:
        kept, seconds = Kept(training.step.network), None
        try:
            with saved_tensors_hooks(kept.take, lambda tensor: tensor):
                seconds = training.rehearse(some, learn=learn, check=check)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        if seconds is None:  # outside of the handler, whose traceback keeps what the attempt has computed
            return _smaller(training, some, learn=learn, check=check)
        read = max(read, seconds[0])
        is_quicker = seconds[1] < 0.9 * compute
        compute, times = min(compute, seconds[1]), times + 1
        most = MOST_S if times == 1 else MEASURE_S
        if not is_quicker or time.perf_counter() - began + seconds[1] > most:
            break
    return Measured(
        read_s=read / count,
        compute_s=compute / count,
        ram_bytes=(kept.total + TRANSIENT * kept.largest) * batch / count,
        gpu_bytes=torch.cuda.max_memory_allocated(training.device) if is_gpu else 0.0,
    )


def share(training: Training, plan: Plan) -> int:
    """Patches of a batch that one process takes."""
    return -(-min(training.options.batch_size, len(plan)) // training.world.size)


def _smaller(training: Training, some: Plan, *, learn: bool, check: Callable[[], None]) -> Measured:
    """What a batch would take that is too large for the memory, from a quarter of it."""
    if training.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(training.device)
    count = max(min(2, len(some)), len(some) // 4)  # batch norm needs two
    before = torch.cuda.memory_allocated(training.device) if training.device.type == "cuda" else 0
    try:
        read, compute = training.rehearse(some.part(0, count), learn=learn, check=check)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise HardwareError(
            f"the memory of {training.device} does not suffice, not even for {count} patches. "
            "Use a smaller patch_size, batch_size or backbone, or close other programs."
        ) from error
    peak = torch.cuda.max_memory_allocated(training.device) if training.device.type == "cuda" else 0
    return Measured(
        read_s=read / count,
        compute_s=compute / count,
        gpu_bytes=before + (peak - before) * len(some) / count,
        is_too_large=True,
    )


class Kept:
    """Counts the bytes that a forward pass keeps for the way back, each memory once, without the weights."""

    def __init__(self, network: torch.nn.Module):
        self._known = {p.untyped_storage().data_ptr() for p in network.parameters()}
        self.total = self.largest = 0

    def take(self, tensor: torch.Tensor) -> torch.Tensor:
        """Count one tensor that is kept; gives it back."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._known:
            self._known.add(storage.data_ptr())
            self.total += storage.nbytes()
            self.largest = max(self.largest, storage.nbytes())
        return tensor
