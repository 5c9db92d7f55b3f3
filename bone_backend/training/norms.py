"""Let a network learn the second half of a fit as it will be used: with batch normalisations that stay.

In:  a network; batches of training patches that nothing was changed in.
Out: its running means and variances, the plain averages over these batches; layers that go by them in
     training too.
In training a batch normalisation goes by each batch, in prediction by averages: a mismatch that is large
where batches are small and hold now much bone, now hardly any. On real scans networks found too little bone
by it, and validation scores jumped from epoch to epoch while the training loss fell. Weights that learn with
the averages have no such fault (Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576:
population statistics in training).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..options.fit import SettledFit

FROM = 0.5  # of the epochs
_BatchNorm = torch.nn.modules.batchnorm._BatchNorm


def are_fixed(options: SettledFit, epoch: int) -> bool:
    """Whether the batch normalisations stay as they are in an epoch, which counts from 0: in the second half
    of the fit, of each round where it has several; never in a fit of one epoch.
    """
    if options.norm_statistics != "fixed":
        return False
    done, epochs = options.in_round(epoch)
    return done >= max(FROM * epochs, 1)


def batch_norms(network: torch.nn.Module) -> list[_BatchNorm]:
    """Those that keep running statistics; of any dimension, of one or several processes."""
    found = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    return [module for module in found if module.track_running_stats]


def fix(network: torch.nn.Module) -> None:
    """Let the batch normalisations of a network in training go by their running statistics, and keep them."""
    for layer in batch_norms(network):
        layer.eval()


@contextlib.contextmanager
def measured(network: torch.nn.Module) -> Iterator[None]:
    """What passes through the network inside makes its running statistics, each batch with the same weight.

    The rest of it (dropout) is in evaluation mode meanwhile. At least one batch must pass.
    """
    layers, was_training = batch_norms(network), network.training
    momenta = [layer.momentum for layer in layers]
    network.eval()
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # torch's word for the plain average
            layer.train()
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        network.train(was_training)
