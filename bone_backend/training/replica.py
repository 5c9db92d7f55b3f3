"""What a network needs to be trained as one of several copies.

In:  the network as it was built; the place of the process among the others.
Out: normalisation over all copies, the weights that get no gradient, random numbers of each copy's own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..jobs.ranks import Rank


def synchronised(network: torch.nn.Module, group: Any = None) -> torch.nn.Module:
    """The network with SyncBatchNorm in place of BatchNorm; names and values stay.

    timm's conversion, because torch's drops the activation that is part of timm's own normalisation layers.
    """
    from timm.layers import convert_sync_batchnorm

    return convert_sync_batchnorm(network, group)


def unused_parameters(network: torch.nn.Module, shape: tuple[int, ...]) -> list[str]:
    """Names of the parameters that no output depends on (a PSPNet takes half of its backbone); nothing is
    computed.

    The exchange of gradients must know, or it waits for theirs.
    """
    trial = copy.deepcopy(network).to("meta").train()
    random = torch.get_rng_state()
    trial(torch.empty(shape, device="meta")).sum().backward()
    torch.set_rng_state(random)
    return [name for name, p in trial.named_parameters() if p.requires_grad and p.grad is None]


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The state of this process's random numbers, on the CPU and on its GPU."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state


def restore_random_state(state: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Go on with random numbers as if nothing had been between."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def seed_apart(seed: int, rank: Rank) -> None:
    """Give every process random numbers of its own (dropout); those of the first are as without others."""
    if rank.number:
        words = np.random.SeedSequence([seed, rank.number, 0xB0E]).generate_state(1, np.uint64)
        torch.manual_seed(int(words[0]) & (2**63 - 1))
