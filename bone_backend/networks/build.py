"""Build a network of the catalogue.

In:  a NetworkSpec (names, mode, channels, classes).
Out: a torch module; forward takes (batch, channel, [z,] y, x) and gives logits (batch, class, [z,] y, x).
The names of its parameters are those of segmentation_models_pytorch, so that model files travel; those of our
own Plain U-Net begin in the same way (encoder, decoder, segmentation_head).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..errors import OptionError, called
from ..options import catalogue
from .plain_unet import PlainUNet
from .spec import NetworkSpec


def build_network(
    spec: NetworkSpec, *, weights: str = "random", weights_dir: Path | None = None
) -> torch.nn.Module:
    """The network of a spec, in training mode, on the CPU.

    weights: "random" (from torch's generator), "imagenet" or another set of the library (encoder only; the
    rest is random). weights_dir: folder with downloaded files, for machines without a network. Raises
    OptionError with every fault, ModelFileError where the weights cannot be had.
    """
    faults = spec.faults()
    sets = () if spec.plain else catalogue.OTHER_WEIGHTS.get(spec.backbone, ("imagenet",))
    if weights not in ("random", *sets):
        faults.append(
            f"{called('weights')} is {weights!r}; {spec.backbone or spec.architecture} takes "
            f"{', '.join(('random', *sets))}, or a model file."
        )
    if faults:
        raise OptionError(faults)
    network = _flat(spec, weights, weights_dir)
    if spec.mode != "3D":
        return network
    from .decoders3d import Depth
    from .inflation import inflate, redraw

    depth = Depth(mixing=spec.depth_mixing, align_corners=spec.align_corners)
    solid = inflate(network, spec.multiples, stride=spec.stride, depth=depth)
    if weights == "random":
        redraw(solid.encoder)
    redraw(solid.decoder)
    redraw(solid.segmentation_head)
    return solid


def _flat(spec: NetworkSpec, weights: str, weights_dir: Path | None) -> torch.nn.Module:
    """The network before it becomes 3D. The library takes seconds to import, which ours does not need."""
    if spec.plain is not None:
        return PlainUNet(spec.in_channels, spec.num_classes, spec.plain)
    if weights == "random":
        from .library import build_2d

        return build_2d(spec)
    from .pretrained import build_with_imagenet

    return build_with_imagenet(spec, weights_dir, weights)


def skeleton(spec: NetworkSpec) -> torch.nn.Module:
    """The network of a spec without its memory (device "meta": shapes only), for checks and counting."""
    with torch.device("meta"), _ShapesOnly():
        return build_network(spec).to("meta")


class _ShapesOnly(TorchFunctionMode):
    """Building without drawing weights, which "meta" tensors do slowly and for nothing.

    Mix transformers, while being built, read numbers out of torch.linspace; "meta" tensors have none.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        draws = func is torch.Tensor.normal_ or func is torch.Tensor.uniform_
        if draws or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if func is torch.linspace:
            kwargs["device"] = "cpu"
        return func(*args, **kwargs)
