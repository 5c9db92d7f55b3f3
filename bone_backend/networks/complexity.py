"""How large a network is, and how much it computes.

In:  a NetworkSpec and the shape of its input.
Out: the number of parameters and of multiply-adds.
The network is run with shapes instead of numbers (device "meta"): no memory, no weights, seconds at most.
The count is that of fvcore's FlopCountAnalysis, whose "FLOPs" are multiply-adds: torch's own counter, with
rules for what it leaves out and fvcore counts. fvcore itself would compute the whole network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..errors import OptionError
from ..options import catalogue
from .build import skeleton
from .spec import NetworkSpec

Shape = Sequence[int]
FLOPS = 2  # that torch counts for one multiply-add


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
    counter = FlopCounterMode(display=False, custom_mapping=RULES)
    with torch.no_grad(), counter:
        network.eval()(torch.empty(tuple(shape), device="meta"))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(parameters, counter.get_total_flops() // FLOPS, tuple(shape))


def _batch_norm(x: Shape, weight: Shape | None, *others: Any, **more: Any) -> int:
    return FLOPS * prod(x) * (1 if weight is None else 2)


def _group_norm(x: Shape, weight: Shape | None, *others: Any, **more: Any) -> int:
    """Of a normalisation that has to compute its mean and variance."""
    return FLOPS * prod(x) * (4 if weight is None else 5)


def _layer_norm(x: Shape, size: Any, weight: Shape | None, *others: Any, **more: Any) -> int:
    return _group_norm(x, weight)


def _global_average(x: Shape, *others: Any, **more: Any) -> int:
    """Of (batch, channel, y, x); fvcore does not count the 3D form."""
    return FLOPS * prod(x) if len(x) == 4 else 0


def _nearest(x: Shape, *others: Any, out_shape: Shape, **more: Any) -> int:
    return FLOPS * prod(out_shape)


def _bilinear(x: Shape, *others: Any, out_shape: Shape, **more: Any) -> int:
    return FLOPS * 4 * prod(out_shape)


_aten = torch.ops.aten
#: operation -> floating-point operations from the shapes of its arguments and of its result
#: (fvcore/nn/flop_count.py); torch itself knows convolutions and matrix products
RULES: dict[Any, Callable[..., int]] = {
    _aten.native_batch_norm: _batch_norm,
    _aten._native_batch_norm_legit: _batch_norm,
    _aten._native_batch_norm_legit_no_training: _batch_norm,
    _aten.native_group_norm: _group_norm,
    _aten.native_layer_norm: _layer_norm,
    _aten.upsample_nearest2d: _nearest,
    _aten.upsample_bilinear2d: _bilinear,
    _aten._adaptive_avg_pool2d: _global_average,
    _aten.mean: _global_average,
}
