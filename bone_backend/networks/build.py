"""Build a network of the catalogue.

In:  a NetworkSpec (names, mode, channels, classes).
Out: a torch module; forward takes (batch, channel, [z,] y, x) and gives logits (batch, class, [z,] y, x).
The names of its parameters are those of segmentation_models_pytorch, so that model files travel.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import segmentation_models_pytorch as library
import torch

from .. import catalogue
from ..errors import OptionError


@dataclass(frozen=True)
class NetworkSpec:
    """Everything that decides the shape of a network.

    architecture, backbone: names of the catalogue. mode: "2D", "2.5D" or "3D". in_channels: 1, in 2.5D the slices.
    num_classes: with background. stride: five (z, y, x) triples of a 3D U-Net with a plain resnet, or None.
    depth_mixing: False gives a 3D network whose kernels have depth 1 and which keeps the depth; it computes on each slice
    what the 2D network computes.
    """

    architecture: str
    backbone: str
    mode: str = "2D"
    in_channels: int = 1
    num_classes: int = 2
    stride: tuple[tuple[int, int, int], ...] | None = None
    depth_mixing: bool = True

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


def build_network(
    spec: NetworkSpec, *, weights: str = "random", weights_dir: Path | None = None
) -> torch.nn.Module:
    """The network of a spec, in training mode, on the CPU (or on the device of a surrounding `torch.device`).

    weights: "random" (from torch's generator) or "imagenet". weights_dir: folder with downloaded ImageNet weights.
    Raises OptionError with every fault.
    """
    faults = spec.faults()
    if weights not in ("random", "imagenet"):
        faults.append(f"weights is {weights!r}; use random or imagenet, or `initialise` for a model file.")
    if faults:
        raise OptionError(faults)
    network = build_2d(spec)
    return network


def build_2d(spec: NetworkSpec) -> torch.nn.Module:
    """The library's own network for a spec, whatever its mode; in 3D what is inflated afterwards."""
    architecture = catalogue.find_architecture(spec.architecture)
    make = getattr(library, architecture.library_name, None)
    if make is None:
        raise OptionError(
            f"{architecture.title} is not in segmentation_models_pytorch {library.__version__}. Use a newer one: "
            "pip install -U segmentation-models-pytorch"
        )
    with quiet():
        try:
            return make(
                encoder_name=spec.backbone,
                encoder_weights=None,
                in_channels=spec.in_channels,
                classes=spec.num_classes,
            )
        except (ValueError, KeyError, RuntimeError, TypeError, NotImplementedError) as error:
            if spec.backbone in catalogue.BACKBONES:
                raise
            raise OptionError(
                f"{architecture.title} with {spec.backbone} cannot be built by segmentation_models_pytorch "
                f"{library.__version__}: {error}"
            ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back the warnings that segmentation_models_pytorch and timm give for being built."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="`timm-` encoders are deprecated", category=DeprecationWarning
        )
        yield
