"""Stop within the computing of a network.

In:  a network, and a check that raises once a stop was asked for.
Out: the check, called between the parts of the network while it computes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch


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
