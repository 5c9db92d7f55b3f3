"""A plain U-Net: small, with a first stage of full resolution, for bone a few voxels thin.

In:  numbers of channels and classes, and a PlainShape.
Out: a 2D network (`inflate` makes it 3D) with the parts encoder, decoder and segmentation_head, as the
library's have them.
Ronneberger et al. 2015, arXiv 1505.04597, with padded convolutions, normalisation, and as many channels as
one chooses. The library's networks halve the image before their first block, with a resnet twice; this one
computes a whole stage at full resolution and only a few others, so that it learns within minutes on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import OptionError
from ..options.plain_unet import PlainShape

GROUPS = 8  # of a group normalisation


class PlainUNet(nn.Module):
    """multiple: what the y and x size of the input must be a multiple of."""

    def __init__(self, in_channels: int, num_classes: int, shape: PlainShape):
        super().__init__()
        self.multiple = shape.multiple
        widths = [shape.channels << stage for stage in range(shape.depth)]
        self.encoder = Encoder(in_channels, widths, shape.norm)
        self.decoder = Decoder(widths, shape.norm)
        self.segmentation_head = nn.Sequential(nn.Conv2d(widths[0], num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, y, x) -> logits (batch, class, y, x)."""
        if any(size % self.multiple for size in x.shape[2:]):
            raise OptionError(f"The patch is {tuple(x.shape[2:])}; it must be multiples of {self.multiple}.")
        return self.segmentation_head(self.decoder(self.encoder(x)))


class Encoder(nn.Module):
    """Features of every stage, the first at full resolution, each next one halved."""

    def __init__(self, in_channels: int, widths: Sequence[int], norm: str):
        super().__init__()
        before = [in_channels, *widths[:-1]]
        self.stages = nn.ModuleList(
            _stage(given, width, norm) for given, width in zip(before, widths, strict=True)
        )
        self.halve = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [self.stages[0](x)]
        for stage in self.stages[1:]:
            features.append(stage(self.halve(features[-1])))
        return features


class Decoder(nn.Module):
    """From the deepest features up, joined at every stage with those of the encoder (the skip)."""

    def __init__(self, widths: Sequence[int], norm: str):
        super().__init__()
        steps = list(zip(widths[::-1], widths[-2::-1], strict=False))  # (deeper, finer) channels
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(deep, fine, 2, stride=2) for deep, fine in steps)
        self.stages = nn.ModuleList(_stage(2 * fine, fine, norm) for _, fine in steps)

    def forward(self, features: list[Tensor]) -> Tensor:
        x, skips = features[-1], features[-2::-1]
        for enlarge, stage, skip in zip(self.enlarge, self.stages, skips, strict=True):
            x = stage(torch.cat([skip, enlarge(x)], dim=1))
        return x


def _stage(given: int, width: int, norm: str) -> nn.Sequential:
    """Two convolutions of 3, each normalised and rectified."""
    layers: list[nn.Module] = []
    for channels in (given, width):
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        layers += [convolution, _normalisation(norm, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _normalisation(norm: str, width: int) -> nn.Module:
    """An instance normalisation is one of groups of one channel: the same module in 2D and 3D."""
    if norm == "batch":
        return nn.BatchNorm2d(width)
    return nn.GroupNorm(width if norm == "instance" else math.gcd(GROUPS, width), width)
