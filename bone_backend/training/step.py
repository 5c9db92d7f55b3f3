"""One training step: forward, loss, backward, and the change of the weights.

In:  a batch on the device.
Out: changed weights; loss and skipped steps are summed on the device and read when asked.
A step with a gradient that is not finite changes nothing and is counted. When memory does not suffice the
same batch is taken in smaller pieces whose gradients add up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..errors import FittingError, HardwareError
from ..machine.device import free_bytes, mixed_precision
from ..machine.memory import is_out_of_memory

log = logging.getLogger("bone.fitting")

# Halvings of a batch before a step is given up.
MOST_HALVINGS = 3
# Share of an epoch's steps that may be skipped for a gradient that is not finite.
MOST_SKIPPED = 0.2


class Step:
    """Trains a network batch by batch.

    network, loss, optimizer: as built. called: the network as it is called in training, where that is another
    thing (several processes). precision: dtype for autocast, None for float32. accumulate: batches whose
    gradients make one change of the weights. clip: largest norm of the gradient, None for no limit. least:
    fewest patches that the network can learn from at once.
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
        least: int = 1,
        called: torch.nn.Module | None = None,
    ):
        self.called = network if called is None else called
        self.network, self.loss, self.optimizer = network, loss, optimizer
        self.device, self.precision = device, precision
        self.accumulate, self.clip, self.least = accumulate, clip, least
        self.pieces, self._halvings, self._gathered = 1, 0, 0
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.clear()

    def clear(self) -> None:
        """Begin new sums, as at the start of an epoch."""
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._skipped = torch.zeros((), dtype=torch.float64, device=self.device)
        self._counted = torch.zeros((), dtype=torch.float64, device=self.device)
        self.patches = 0

    def sums(self) -> dict[str, float]:
        """Sums since `clear`; waits for the device.

        loss_sum: over the patches whose loss is a number. counted: how many these are. patches: all. skipped:
        steps.
        """
        return {
            "loss_sum": float(self._loss_sum),
            "counted": float(self._counted),
            "patches": float(self.patches),
            "skipped": float(self._skipped),
        }

    def restore_sums(self, sums: dict[str, float]) -> None:
        """Go on from the sums of a checkpoint."""
        self.clear()
        self._loss_sum += sums["loss_sum"]
        self._skipped += sums["skipped"]
        self._counted += sums.get("counted", sums["patches"])
        self.patches = int(sums["patches"])

    def __call__(
        self,
        patches: torch.Tensor,
        target: torch.Tensor,
        *,
        seen: Callable[[torch.Tensor, torch.Tensor], None],
        weight: float = 1.0,
        group: int | None = None,
    ) -> None:
        """Train on one batch. seen(logits, target) is called with what the network said.

        weight: of this batch's gradient. group: batches that make this change of the weights, where the last
        group of an epoch is shorter than `accumulate`. Whatever is raised, the gradients gathered before stay
        as they were. Raises HardwareError when the memory does not suffice even for an eighth of the batch.
        """
        gathered = self.gathered()
        share = weight / (group or self.accumulate)
        while True:
            try:
                self._add_gradients(patches, target, seen, network=self.called, share=share)
                break
            except BaseException as error:
                self.restore_gathered(gathered)
                if not is_out_of_memory(error):
                    raise
            # outside of the handler, whose traceback keeps all that the failed attempt has computed
            self._halve(len(patches))
        self._gathered += 1
        if self._gathered >= (group or self.accumulate):
            self.flush()

    def gathered(self) -> dict[str, Any]:
        """The gradients that wait for a change of the weights, for a checkpoint; empty where none do."""
        if not self._gathered:
            return {}
        gradients = [None if p.grad is None else p.grad.detach().clone() for p in self._parameters]
        return {"batches": self._gathered, "gradients": gradients}

    def restore_gathered(self, gathered: Mapping[str, Any]) -> None:
        """Go back to what `gathered` gave; it may be used again."""
        self.optimizer.zero_grad(set_to_none=True)
        self._gathered = int(gathered.get("batches", 0))
        for parameter, gradient in zip(self._parameters, gathered.get("gradients", ()), strict=False):
            if gradient is not None:
                parameter.grad = torch.empty_like(parameter).copy_(gradient)

    def rehearse(self, patches: torch.Tensor, target: torch.Tensor) -> None:
        """Go through a batch as a step does, and forget it: no weight changes, gradients are dropped, sums
        stay.

        Buffers of the network and random states are the caller's to put back. Raises what torch raises when
        the memory does not suffice.
        """
        kept, gathered = (self._loss_sum.clone(), self._counted.clone(), self.patches), self.gathered()
        self._gathered = 0
        try:
            self._add_gradients(patches, target, lambda _logits, _target: None, network=self.network, share=1)
        finally:
            self._loss_sum, self._counted, self.patches = kept
            self.restore_gathered(gathered)

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

    def check_skipped(self, skipped: int, batches: int, *, of: int) -> None:
        """Raise FittingError where too many steps of an epoch were skipped, of those after `batches` batches.

        of: batches of the whole epoch.
        """
        steps = batches // self.accumulate if batches < of else -(-batches // self.accumulate)
        are_all = skipped == steps >= min(10, -(-of // self.accumulate))
        if are_all and self.scaler.is_enabled():  # the scale of fp16 is found by skipping the first steps
            are_all = self.scaler.get_scale() < 1
        if skipped > max(10, MOST_SKIPPED * steps) or are_all:
            raise FittingError(
                f"the loss is no longer a number: {skipped} of {steps} steps of this epoch had a gradient "
                "that is not finite. "
                "The best model so far is kept. Try a smaller learning_rate, precision fp32, or "
                "clip_gradient 1."
            )

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
        share: float,
    ) -> None:
        if self._gathered == 0:
            self.optimizer.zero_grad(set_to_none=True)
        pieces = max(1, min(self.pieces, len(patches) // self.least))
        outputs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for some, wanted in zip(patches.tensor_split(pieces), target.tensor_split(pieces), strict=True):
            with mixed_precision(self.device, self.precision):
                logits = network(some)
            loss = self.loss(logits, wanted)
            self.scaler.scale(loss * (share * len(some) / len(patches))).backward()
            outputs.append((logits.detach(), wanted, loss.detach() * len(some)))
        for (
            logits,
            wanted,
            weighted,
        ) in outputs:  # only when the whole batch went through, so that nothing counts twice
            seen(logits, wanted)
            self._loss_sum += torch.nan_to_num(weighted.to(torch.float64), nan=0.0, posinf=0.0, neginf=0.0)
            self._counted += torch.isfinite(weighted) * len(logits)
        self.patches += len(patches)

    def _halve(self, batch: int) -> None:
        """Take the batch in twice as many pieces from now on. Raises HardwareError after three times."""
        if self.called is not self.network:  # the other processes are in the midst of the same step
            raise HardwareError(
                f"the memory of {self.device} ran out ({free_bytes(self.device) / 2**30:.1f} GiB free). With "
                "several processes a batch is not taken in smaller pieces by itself: use a smaller "
                "batch_size, patch_size or backbone."
            )
        self._halvings += 1
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        free = free_bytes(self.device) / 2**30
        if self._halvings > MOST_HALVINGS or self.pieces * 2 * self.least > batch:
            raise HardwareError(
                f"the memory of {self.device} does not suffice, even for batches of "
                f"{-(-batch // self.pieces)} patches "
                f"({free:.1f} GiB free). Use a smaller patch_size, batch_size or backbone, or close other "
                "programs."
            )
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
