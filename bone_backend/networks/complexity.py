"""How large a network is, and how much it computes.

In:  a NetworkSpec and the shape of its input.
Out: the number of parameters and of multiply-adds.
The network is run with shapes instead of numbers (device "meta"): no memory, no weights, seconds at most.
The count is that of fvcore's FlopCountAnalysis, whose "FLOPs" are multiply-adds; fvcore itself would
compute the whole network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ..errors import OptionError
from ..options import catalogue
from .build import NetworkSpec, skeleton

Shape = Sequence[int]


@dataclass(frozen=True)
class Complexity:
    """parameters: trainable numbers. multiply_adds: of one forward pass in evaluation mode, for `shape`."""

    parameters: int
    multiply_adds: int
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"{self.parameters / 1e6:.2f} million parameters, {self.multiply_adds / 1e9:.2f} G multiply-adds "
            f"for an input of {' x '.join(map(str, self.shape))}"
        )


def complexity(spec: NetworkSpec, shape: Shape) -> Complexity:
    """Parameters and multiply-adds of a network.

    shape: of the input, (batch, channel, [z,] y, x). Raises OptionError where the spec cannot be built, or,
    for timm's encoders, where it does not take this size.
    """
    network = skeleton(spec)
    try:
        return count(network, shape)
    except (AssertionError, RuntimeError, ValueError) as error:
        if spec.backbone in catalogue.BACKBONES:
            raise
        size = " x ".join(map(str, shape[2:]))
        raise OptionError(f"{spec.backbone} does not take patches of {size}: {error}") from error


def count(network: torch.nn.Module, shape: Shape) -> Complexity:
    """The same for a network on the device "meta" (see `skeleton`), which is left in evaluation mode."""
    counter = _Counter()
    with torch.no_grad(), counter:
        network.eval()(torch.empty(tuple(shape), device="meta"))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(parameters, counter.total, tuple(shape))


class _Counter(TorchDispatchMode):
    """Adds up the multiply-adds of every operation that it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        rule = RULES.get(func.overloadpacket)
        if rule is not None:
            first = result[0] if isinstance(result, (tuple, list)) else result
            self.total += rule(args, tuple(first.shape))
        return result


def _convolution(args: Sequence[Any], out: Shape) -> int:
    """Each weight meets each output voxel once, or each input voxel if transposed."""
    x, weight, transposed = args[0], args[1], args[6]
    return x.shape[0] * prod(weight.shape) * prod((x.shape if transposed else out)[2:])


def _matrices(first: int) -> Callable[[Sequence[Any], Shape], int]:
    """Of a matrix product whose left factor is argument number `first`."""
    return lambda args, out: prod(args[first].shape) * out[-1]


def _batch_norm(args: Sequence[Any], out: Shape) -> int:
    return prod(out) * (1 if args[1] is None else 2)


def _layer_norm(weight: int) -> Callable[[Sequence[Any], Shape], int]:
    """Of a normalisation that has to compute its mean and variance; argument number `weight` is its scale."""
    return lambda args, out: prod(out) * (4 if args[weight] is None else 5)


def _global_average(args: Sequence[Any], out: Shape) -> int:
    """Of (batch, channel, y, x); fvcore does not count the 3D form."""
    return prod(args[0].shape) if args[0].ndim == 4 else 0


_aten = torch.ops.aten
#: operation -> multiply-adds from its arguments and the shape of its result (fvcore/nn/flop_count.py)
RULES: dict[Any, Callable[[Sequence[Any], Shape], int]] = {
    _aten.convolution: _convolution,
    _aten.mm: _matrices(0),
    _aten.bmm: _matrices(0),
    _aten.addmm: _matrices(1),
    _aten.baddbmm: _matrices(1),
    _aten.native_batch_norm: _batch_norm,
    _aten._native_batch_norm_legit: _batch_norm,
    _aten._native_batch_norm_legit_no_training: _batch_norm,
    _aten.native_group_norm: _layer_norm(1),
    _aten.native_layer_norm: _layer_norm(2),
    _aten.upsample_nearest2d: lambda args, out: prod(out),
    _aten.upsample_bilinear2d: lambda args, out: 4 * prod(out),
    _aten._adaptive_avg_pool2d: _global_average,
    _aten.mean: _global_average,
}
