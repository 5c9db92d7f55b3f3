"""One training step: forward, loss, backward, and the change of the weights.

In:  a batch on the device.
Out: changed weights; loss and skipped steps are summed on the device and read when asked.
A step with a gradient that is not finite changes nothing and is counted. When memory does not suffice the
same batch is taken in smaller pieces whose gradients add up.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

import torch

from ..errors import HardwareError
from .device import free_bytes, mixed_precision

log = logging.getLogger("bone.fitting")

# Halvings of a batch before a step is given up.
MOST_HALVINGS = 3


class Step:
    """Trains a network batch by batch.

    network, loss, optimizer: as built. called: the network as it is called in training, where that is another
    thing (several processes). precision: dtype for autocast, None for float32. accumulate: batches whose
    gradients make one change of the weights. clip: largest norm of the gradient, None for no limit.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        loss: torch.nn.Module,
        *,
        optimizer: torch.optim.Optimizer,
        device: torch.device,
        precision: torch.dtype | None,
        accumulate: int = 1,
        clip: float | None = None,
        called: torch.nn.Module | None = None,
    ):
        self.called = network if called is None else called
        self.network, self.loss, self.optimizer = network, loss, optimizer
        self.device, self.precision = device, precision
        self.accumulate, self.clip = accumulate, clip
        self.pieces, self._halvings, self._gathered = 1, 0, 0
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.clear()

    @property
    def has_gathered(self) -> bool:
        """Whether gradients wait for a change of the weights."""
        return self._gathered > 0

    def clear(self) -> None:
        """Begin new sums, as at the start of an epoch."""
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._skipped = torch.zeros((), dtype=torch.float64, device=self.device)
        self.patches = 0

    def sums(self) -> dict[str, float]:
        """Loss sum over patches, patches, and skipped steps since `clear`; waits for the device."""
        return {
            "loss_sum": float(self._loss_sum),
            "patches": float(self.patches),
            "skipped": float(self._skipped),
        }

    def restore_sums(self, sums: dict[str, float]) -> None:
        """Go on from the sums of a checkpoint."""
        self.clear()
        self._loss_sum += sums["loss_sum"]
        self._skipped += sums["skipped"]
        self.patches = int(sums["patches"])

    def __call__(
        self,
        patches: torch.Tensor,
        target: torch.Tensor,
        *,
        seen: Callable[[torch.Tensor, torch.Tensor], None],
        weight: float = 1.0,
    ) -> None:
        """Train on one batch. seen(logits, target) is called with what the network said.

        weight: of this batch's gradient. Raises HardwareError when the memory does not suffice even for an
        eighth of the batch.
        """
        while True:
            try:
                self._add_gradients(patches, target, seen, network=self.called, weight=weight)
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(len(patches), error)
        self._gathered += 1
        if self._gathered >= self.accumulate:
            self.flush()

    def rehearse(self, patches: torch.Tensor, target: torch.Tensor) -> None:
        """Go through a batch as a step does, and forget it: no weight changes, gradients are dropped, sums
        stay.

        Buffers of the network and random states are the caller's to put back. Raises what torch raises when
        the memory does not suffice.
        """
        assert not self._gathered
        kept = self._loss_sum.clone(), self.patches
        try:
            self._add_gradients(patches, target, lambda _logits, _target: None, network=self.network)
        finally:
            self._loss_sum, self.patches = kept
            self.optimizer.zero_grad(set_to_none=True)

    def flush(self) -> None:
        """Change the weights by the gradients gathered so far, if there are any."""
        if self._gathered == 0:
            return
        self._gathered = 0
        if self.scaler.is_enabled():
            self.scaler.unscale_(self.optimizer)
            norm = self._clipped_norm()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self._skipped += (~torch.isfinite(norm)).to(torch.float64)
        else:
            norm = self._clipped_norm()
            # The fused optimizers leave everything as it is where found_inf is 1, on the device, without a
            # wait: the mechanism that GradScaler itself uses (torch/amp/grad_scaler.py,
            # _step_supports_amp_scaling).
            found = (~torch.isfinite(norm)).to(torch.float32)
            self.optimizer.grad_scale = None  # type: ignore[attr-defined]
            self.optimizer.found_inf = found  # type: ignore[attr-defined]
            try:
                self.optimizer.step()
            finally:
                del self.optimizer.grad_scale, self.optimizer.found_inf  # type: ignore[attr-defined]
            self._skipped += found
        self.optimizer.zero_grad(set_to_none=True)

    def _clipped_norm(self) -> torch.Tensor:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self.clip, norm)
        return norm

    def _add_gradients(
        self,
        patches: torch.Tensor,
        target: torch.Tensor,
        seen: Callable[[torch.Tensor, torch.Tensor], None],
        *,
        network: torch.nn.Module,
        weight: float = 1.0,
    ) -> None:
        if self._gathered == 0:
            self.optimizer.zero_grad(set_to_none=True)
        piece = -(-len(patches) // self.pieces)
        outputs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for some, wanted in zip(patches.split(piece), target.split(piece), strict=True):
            with mixed_precision(self.device, self.precision):
                logits = network(some)
            loss = self.loss(logits, wanted)
            share = weight * len(some) / len(patches) / self.accumulate
            self.scaler.scale(loss * share).backward()
            outputs.append((logits.detach(), wanted, loss.detach() * len(some)))
        for (
            logits,
            wanted,
            weighted,
        ) in outputs:  # only when the whole batch went through, so that nothing counts twice
            seen(logits, wanted)
            self._loss_sum += torch.nan_to_num(weighted.to(torch.float64), nan=0.0, posinf=0.0, neginf=0.0)
        self.patches += len(patches)

    def _halve(self, batch: int, error: BaseException) -> None:
        """Take the batch in twice as many pieces from now on. Raises HardwareError after three times."""
        if self.called is not self.network:  # the other processes are in the midst of the same step
            raise HardwareError(
                f"the memory of {self.device} ran out ({free_bytes(self.device) / 2**30:.1f} GiB free). With "
                "several processes a batch is not taken in smaller pieces by itself: use a smaller "
                "batch_size, patch_size or backbone."
            ) from error
        if self._gathered:
            raise HardwareError(
                f"the memory of {self.device} ran out while gradients were gathered over {self.accumulate} "
                "batches. "
                "Use a smaller batch_size."
            ) from error
        self._halvings += 1
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        free = free_bytes(self.device) / 2**30
        if self._halvings > MOST_HALVINGS or self.pieces * 2 > batch:
            raise HardwareError(
                f"the memory of {self.device} does not suffice, even for batches of "
                f"{-(-batch // self.pieces)} patches "
                f"({free:.1f} GiB free). Use a smaller patch_size, batch_size or backbone, or close other "
                "programs."
            ) from error
        self.pieces *= 2
        log.warning(
            "The memory of %s ran out (%.1f GiB free): every batch is now taken in %d pieces of at most %d "
            "patches, gradients "
            "added up.",
            self.device,
            free,
            self.pieces,
            -(-batch // self.pieces),
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in RAM."""
    told = str(error).lower()
    return (
        isinstance(error, (torch.OutOfMemoryError, MemoryError))
        or "can't allocate memory" in told
        or "not enough memory" in told
    )


@contextlib.contextmanager
def interruptible(network: torch.nn.Module, check: Callable[[], None]) -> Iterator[None]:
    """Call check() before and after the parts of the network, forward and backward, so that it can raise
    within a step.

    For CPUs, where one step can take longer than a user waits for Stop. The caller calls `check` rarely
    enough itself.
    """
    hooks = []

    def after(_module: torch.nn.Module, _inputs: object, output: object) -> None:
        check()
        if isinstance(output, torch.Tensor) and output.requires_grad:
            output.register_hook(lambda _gradient: check())

    for module in network.modules():
        if not any(True for _ in module.children()):
            hooks.append(module.register_forward_hook(after))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
