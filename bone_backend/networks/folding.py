"""Fold batch normalisations into the convolutions before them, for prediction.

In:  a network in evaluation mode, and an input it takes.
Out: the same network with fewer layers; its output differs by rounding only.
A convolution is folded only where its output goes into that one batch normalisation and nowhere else, as seen
while the network runs once; networks whose code cannot be traced are folded too.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from .conv3d import Conv3d

CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, Conv3d)
NORMALISATIONS = (nn.BatchNorm2d, nn.BatchNorm3d)


def fold_batch_norm(network: nn.Module, example: torch.Tensor) -> int:
    """Fold in place; how many batch normalisations went.

    network: in evaluation mode, in float32. example: float32 (batch, channel, [z,] y, x), on its device.
    """
    watched = _Watch(network)
    with torch.no_grad(), watched:
        network(example)
    names = {module: name for name, module in network.named_modules()}
    for convolution, norm in (pairs := watched.pairs()):
        _replace(network, names[convolution], fuse_conv_bn_eval(convolution, norm))
        _replace(network, names[norm], nn.Identity())
    return len(pairs)


class _Watch(TorchFunctionMode):
    """Notes which convolution's output goes into which batch normalisation, and how often it is used."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self._uses: Counter[int] = Counter()  # of tensors, by id
        self._made: dict[int, Any] = {}  # output id -> convolution
        self._taken: list[
            tuple[int, Any, Any]
        ] = []  # id of what goes from convolution to batch normalisation
        self._calls: Counter[nn.Module] = Counter()
        self._kept: list[torch.Tensor] = []  # outputs of convolutions, so that their ids stay theirs
        self._network = network
        self._hooks: list[Any] = []

    def __enter__(self) -> _Watch:
        for module in self._network.modules():
            if type(module) in CONVOLUTIONS:
                self._hooks.append(module.register_forward_hook(self._after_convolution))
            elif type(module) in NORMALISATIONS:
                self._hooks.append(module.register_forward_pre_hook(self._before_norm))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for hook in self._hooks:
            hook.remove()
        self._kept.clear()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for tensor in _tensors([args, kwargs]):
            self._uses[id(tensor)] += _reads(function)
        return function(*args, **kwargs)

    def pairs(self) -> list[tuple[Any, Any]]:
        """Convolution and batch normalisation that can be folded."""
        return [
            (convolution, norm)
            for given, convolution, norm in self._taken
            if self._uses[given] == 1
            and self._calls[norm] == 1
            and self._calls[convolution] == 1
            and norm.running_mean is not None
            and not norm.training
        ]

    def _after_convolution(self, module: nn.Module, _given: Any, output: torch.Tensor) -> None:
        self._calls[module] += 1
        self._made[id(output)] = module
        self._uses[id(output)] = 0  # what was counted before was of another tensor, gone since
        self._kept.append(output)

    def _before_norm(self, module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self._calls[module] += 1
        if id(given[0]) in self._made:
            self._taken.append((id(given[0]), self._made[id(given[0])], module))


def _tensors(found: Any) -> list[torch.Tensor]:
    if isinstance(found, torch.Tensor):
        return [found]
    if isinstance(found, (list, tuple)):
        return [tensor for item in found for tensor in _tensors(item)]
    if isinstance(found, dict):
        return _tensors(list(found.values()))
    return []


def _reads(function: Any) -> int:
    """0 for looking at a tensor's shape and the like (attributes, dim, size), 1 for everything else."""
    name = getattr(function, "__name__", "")
    return 0 if name in ("__get__", "dim", "size", "stride", "numel", "is_contiguous") else 1


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
