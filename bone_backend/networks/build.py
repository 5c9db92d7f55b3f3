"""Build a network of the catalogue.

In:  a NetworkSpec (names, mode, channels, classes).
Out: a torch module; forward takes (batch, channel, [z,] y, x) and gives logits (batch, class, [z,] y, x).
The names of its parameters are those of segmentation_models_pytorch, so that model files travel.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as library
import timm
import torch
from torch.overrides import TorchFunctionMode

from ..errors import OptionError, called
from ..options import catalogue
from .decoders3d import Depth
from .inflation import inflate, redraw


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that decides the shape of a network.

    architecture, backbone: names of the catalogue. mode: "2D", "2.5D" or "3D". in_channels: 1, in 2.5D the
    slices. num_classes: with background. stride: five (z, y, x) triples of a 3D U-Net with a plain resnet,
    or None. depth_mixing: False gives a 3D network whose kernels have depth 1 and which keeps the depth, so
    that it computes on each slice what the 2D network computes. align_corners: False upsamples as the
    published 3D models do.
    """

    architecture: str
    backbone: str
    mode: str = "2D"
    in_channels: int = 1
    num_classes: int = 2
    stride: tuple[tuple[int, int, int], ...] | None = None
    depth_mixing: bool = True
    align_corners: bool = True

    def faults(self) -> list[str]:
        """Why it cannot be built, one sentence each."""
        slices = self.in_channels if self.mode == "2.5D" else None
        faults = catalogue.check(
            self.architecture, self.backbone, self.mode, slices=slices, stride=self.stride
        )
        if not 1 <= self.num_classes <= catalogue.MAX_CLASSES:
            faults.append(f"num_classes is {self.num_classes}; it goes from 1 to {catalogue.MAX_CLASSES}.")
        if not 1 <= self.in_channels <= 64:
            faults.append(f"in_channels is {self.in_channels}; it goes from 1 to 64.")
        return faults

    @property
    def multiples(self) -> tuple[int, int, int]:
        """What the (z, y, x) size of a patch must be a multiple of."""
        z, y, x = catalogue.size_multiples(self.architecture, self.backbone, self.mode, self.stride)
        return (z if self.depth_mixing else 1, y, x)


def build_network(
    spec: NetworkSpec, *, weights: str = "random", weights_dir: Path | None = None
) -> torch.nn.Module:
    """The network of a spec, in training mode, on the CPU.

    weights: "random" (from torch's generator), "imagenet" or another set of the library (encoder only; the
    rest is random). weights_dir: folder with downloaded files, for machines without a network. Raises
    OptionError with every fault, ModelFileError where the weights cannot be had.
    """
    faults = spec.faults()
    sets = catalogue.OTHER_WEIGHTS.get(spec.backbone, ("imagenet",))
    if weights not in ("random", *sets):
        faults.append(
            f"{called('weights')} is {weights!r}; {spec.backbone} takes random, {', '.join(sets)}, or a "
            "model file."
        )
    if faults:
        raise OptionError(faults)
    if weights == "random":
        network = build_2d(spec)
    else:
        from .transfer import build_with_imagenet  # which needs this module

        network = build_with_imagenet(spec, weights_dir, weights)
    if spec.mode != "3D":
        return network
    solid = inflate(network, spec.multiples, stride=spec.stride, depth=depth_of(spec))
    if weights == "random":
        redraw(solid.encoder)
    redraw(solid.decoder)
    redraw(solid.segmentation_head)
    return solid


def depth_of(spec: NetworkSpec) -> Depth:
    """How a spec treats the z axis."""
    return Depth(mixing=spec.depth_mixing, align_corners=spec.align_corners)


def skeleton(spec: NetworkSpec) -> torch.nn.Module:
    """The network of a spec without its memory (device "meta": shapes only), for checks and counting."""
    with torch.device("meta"), _ShapesOnly():
        return build_network(spec).to("meta")


def build_2d(spec: NetworkSpec, **settings: Any) -> torch.nn.Module:
    """The library's own network for a spec, whatever its mode (in 3D what is inflated afterwards).

    settings: of the library's class, instead of those of the spec.
    """
    architecture = catalogue.find_architecture(spec.architecture)
    make = getattr(library, architecture.library_name, None)
    if make is None:
        raise OptionError(
            f"{architecture.title} is not in segmentation_models_pytorch {library.__version__}. "
            "Use a newer one: pip install -U segmentation-models-pytorch"
        )
    chosen = {"encoder_weights": None, "in_channels": spec.in_channels, "classes": spec.num_classes}
    with quiet():
        try:
            return make(encoder_name=spec.backbone, **{**chosen, **settings})
        except (
            *(ValueError, KeyError, RuntimeError, TypeError, NotImplementedError),
            AssertionError,  # timm's, without a word, e.g. for a dilated hrnet
        ) as error:
            if spec.backbone in catalogue.BACKBONES:
                raise
            reason = str(error) or "the encoder does not take these settings. Use another one"
            raise OptionError(
                f"{architecture.title} with {spec.backbone} cannot be built by segmentation_models_pytorch "
                f"{library.__version__}: {reason}{_suggestion(spec.backbone)}"
            ) from error


def _suggestion(backbone: str) -> str:
    """The nearest names of timm, where a "tu-" name is none of its."""
    name, known = backbone.removeprefix("tu-").split(".")[0], timm.list_models()
    if name in known:
        return ""
    near = difflib.get_close_matches(name, known, n=3)
    return f". Did you mean {' or '.join(f'tu-{item}' for item in near)}?" if near else ""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back the warning that segmentation_models_pytorch gives for its own encoders named "timm-"."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`timm-` encoders are deprecated")
        yield


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
