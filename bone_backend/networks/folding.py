"""Fold batch normalisations into the convolutions before them, for prediction.

In:  a network in evaluation mode, and an input it takes.
Out: the same network with fewer layers; its output differs by rounding only.
A convolution is folded only where its output goes into that one batch normalisation and nowhere else, as seen
while the network runs once; networks whose code cannot be traced are folded too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

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
    watched = Watch(network, CONVOLUTIONS, NORMALISATIONS)
    with torch.no_grad(), watched:
        network(example)
    names = {module: name for name, module in network.named_modules()}
    pairs = [
        (one.convolution, one.follower)
        for one in watched.pairs()
        if one.uses == 1 and one.calls == 1 and _is_fixed(one.follower)
    ]
    for convolution, norm in pairs:
        replace(network, names[convolution], fuse_conv_bn_eval(convolution, norm))
        replace(network, names[norm], nn.Identity())
    return len(pairs)


def _is_fixed(norm: Any) -> bool:
    return norm.running_mean is not None and not norm.training


class Pair(NamedTuple):
    """A convolution that is computed once, and what its output goes into first.

    uses: how often the output is read in all. calls: how often the follower is called.
    """

    convolution: Any
    follower: Any
    uses: int
    calls: int


class Watch(TorchFunctionMode):
    """Notes which convolution's output goes into which follower, and how often it is used.

    convolutions, followers: types of modules, exactly these.
    """

    def __init__(self, network: nn.Module, convolutions: Sequence[type], followers: Sequence[type]):
        super().__init__()
        self._uses: Counter[int] = Counter()  # of tensors, by id
        self._made: dict[int, Any] = {}  # output id -> convolution
        self._taken: list[tuple[int, Any, Any]] = []  # id of what goes from convolution to follower
        self._calls: Counter[nn.Module] = Counter()
        self._kept: list[torch.Tensor] = []  # outputs of convolutions, so that their ids stay theirs
        self._network, self._convolutions, self._followers = network, convolutions, followers
        self._hooks: list[Any] = []

    def __enter__(self) -> Watch:
        for module in self._network.modules():
            if type(module) in self._convolutions:
                self._hooks.append(module.register_forward_hook(self._after_convolution))
            elif type(module) in self._followers:
                self._hooks.append(module.register_forward_pre_hook(self._before_follower))
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

    def pairs(self) -> list[Pair]:
        """All whose output nothing has read before its follower."""
        return [
            Pair(convolution, follower, self._uses[given], self._calls[follower])
            for given, convolution, follower in self._taken
            if self._calls[convolution] == 1
        ]

    def _after_convolution(self, module: nn.Module, _given: Any, output: torch.Tensor) -> None:
        self._calls[module] += 1
        self._made[id(output)] = module
        self._uses[id(output)] = 0  # what was counted before was of another tensor, gone since
        self._kept.append(output)

    def _before_follower(self, module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self._calls[module] += 1
        if id(given[0]) in self._made and not self._uses[id(given[0])]:
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


def replace(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module in the place of that name."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
