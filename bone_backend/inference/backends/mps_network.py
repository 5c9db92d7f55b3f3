"""A network that the GPU of an Apple computer computes, by torch's MPS.

In:  a network in evaluation mode, whose batch normalisations are folded.
Out: a callable as the network is: takes batches in RAM, gives the same logits there but for rounding, in
     float32 throughout.
"""

from __future__ import annotations

import copy

import torch

from ...errors import PackageError, called
from ...machine.memory import is_out_of_memory
from .packages import told_by

DEVICE = "mps"
TITLE = "Apple's GPU (MPS)"
WHERE = f"{TITLE}, fp32"  # as `machine.device.describe` says others


def is_there() -> bool:
    """Whether this computer has such a GPU, and this torch can use it."""
    return bool(torch.backends.mps.is_available())


def check(wanted: str = f"{called('backend')} is mps", otherwise: str = "") -> None:
    """Raises PackageError where it cannot be used.

    wanted: why it is needed. otherwise: a sentence that says what goes without it.
    """
    if is_there():
        return
    is_built = torch.backends.mps.is_built()
    why = (
        "no such GPU answers here" if is_built else "this PyTorch cannot use one (macOS on Apple's chips can)"
    )
    raise PackageError(
        f"{wanted}, the GPU of an Apple computer, but {why}.{' ' * bool(otherwise)}{otherwise}"
    )


class MpsNetwork:
    """The network on Apple's GPU. Raises PackageError where that cannot compute it."""

    def __init__(self, network: torch.nn.Module, example: torch.Tensor):
        self._words = type(network).__name__
        self._network = copy.deepcopy(network).to(DEVICE)
        try:
            self(example)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            raise PackageError(
                f"{TITLE} cannot compute this network ({self._words}: {told_by(error)})."
            ) from error

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (batch, class, [z,] y, x) in RAM, of a batch in RAM."""
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            given = batch.to(DEVICE, torch.float32, memory_format=torch.contiguous_format)
            return self._network(given).to("cpu")
