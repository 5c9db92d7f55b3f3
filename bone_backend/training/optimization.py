"""How the weights are changed: optimizers by name, and the learning rate at any point of a fit.

In:  the fitting options.
Out: a torch optimizer in its fused form; the rate as a plain function of the position, so that a resumed fit
needs no state.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from ..options.fit import SettledFit

# Where the cosine ends (Lee et al. 2026).
LOWEST_RATE = 1e-6


def build_optimizer(parameters: Iterable[torch.nn.Parameter], options: SettledFit) -> torch.optim.Optimizer:
    """The optimizer that the options name, over those parameters that learn."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimizer == "Adam":
        return torch.optim.Adam(learning, lr=rate, fused=True)
    if options.optimizer == "AdamW":
        return torch.optim.AdamW(learning, lr=rate, weight_decay=decay, fused=True)
    optimizer = torch.optim.SGD(learning, lr=rate, momentum=options.momentum, weight_decay=decay, fused=True)
    if options.momentum:
        # The same first step as without; but torch makes them unwritten, and so they stay when it is skipped.
        for parameter in learning:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def learning_rate(options: SettledFit, position: float) -> float:
    """The rate at `position` epochs after the start (2.5: in the middle of the third epoch).

    cosine: falls once from learning_rate to 1e-6, changed at each epoch as the published program does.
    smooth cosine: the same, changed at each step. cosine
    restarts: the same over every restart_epochs (Loshchilov & Hutter 2017). one-cycle: rises over the first
    30 % from 1/25 of the rate, then falls to 1/10,000 of that (Smith & Topin 2019). constant: stays. A
    warm-up rises linearly to it first.
    """
    top = options.learning_rate
    position, epochs = options.in_round(position)  # the same in every round
    lowest = min(LOWEST_RATE, top)
    if options.schedule == "cosine":
        rate = _cosine(top, lowest, math.floor(position) / epochs)
    elif options.schedule == "smooth cosine":
        rate = _cosine(top, lowest, min(position / epochs, 1.0))
    elif options.schedule == "cosine restarts":
        rate = _cosine(top, lowest, position % options.restart_epochs / options.restart_epochs)
    elif options.schedule == "one-cycle":
        share = min(position / epochs, 1.0)
        rate = (
            _cosine(top / 25, top, share / 0.3)
            if share < 0.3
            else _cosine(top, top / 25e4, (share - 0.3) / 0.7)
        )
    else:
        rate = top
    return rate * min(1.0, (position + 1e-3) / options.warm_up_epochs) if options.warm_up_epochs else rate


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use this rate from the next step on."""
    for group in optimizer.param_groups:
        group["lr"] = rate
