"""3D forms of those modules whose 2D forward names two axes or interpolates in two.

In:  a module of segmentation_models_pytorch whose children are 3D already (see inflation.py).
Out: a module with the same children under the same names, whose forward takes (batch, channel, z, y, x).
Nothing here has parameters of its own, so that 2D state dicts and 3D ones have the same names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPPPooling
from segmentation_models_pytorch.decoders.fpn.decoder import Conv3x3GNReLU, FPNBlock
from segmentation_models_pytorch.decoders.manet.decoder import DecoderBlock as MAnetBlock
from segmentation_models_pytorch.decoders.manet.decoder import MFABBlock, PABBlock
from segmentation_models_pytorch.decoders.pan.decoder import FPABlock, GAUBlock
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPBlock
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import DecoderBlock as UnetPlusPlusBlock
from segmentation_models_pytorch.encoders._efficientnet import MBConvBlock
from segmentation_models_pytorch.encoders.mobileone import SEBlock
from torch import Tensor, nn


@dataclass(frozen=True)
class Depth:
    """How the z axis is treated.

    mixing: z is treated as y and x are; otherwise kernels have depth 1, the depth is kept, and each slice is
    computed by itself. align_corners: of the modules that only upsample; False as in the published 3D models.
    """

    mixing: bool = True
    align_corners: bool = True

    @property
    def scale(self) -> tuple[float, float, float]:
        """Factors of (z, y, x) where a 2D forward doubles y and x."""
        return (2.0 if self.mixing else 1.0, 2.0, 2.0)

    @property
    def pooled_axes(self) -> tuple[int, ...]:
        """Axes of a global average."""
        return (2, 3, 4) if self.mixing else (3, 4)


class Adopted(nn.Module):
    """A module that takes over everything a 2D module holds, and brings its own forward."""

    def __init__(self, source: nn.Module, depth: Depth):
        super().__init__()
        self.__dict__.update(source.__dict__)
        self.depth_rule = depth

    if TYPE_CHECKING:  # children of the source are of whatever class

        def __getattr__(self, name: str) -> Any: ...


def nearest(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize (batch, channel, z, y, x) to size (z, y, x) by the nearest voxel."""
    return F.interpolate(x, size=tuple(size), mode="nearest")


def trilinear(x: Tensor, size: Sequence[int], *, align_corners: bool) -> Tensor:
    """Resize (batch, channel, z, y, x) to size (z, y, x), linear along each axis."""
    return F.interpolate(x, size=tuple(size), mode="trilinear", align_corners=align_corners)


class UnetDecoder3d(Adopted):
    """U-Net: upsample to the next skip connection, join, convolve; whatever strides the encoder has."""

    def forward(self, features: list[Tensor]) -> Tensor:
        sizes = [feature.shape[2:] for feature in features[-2::-1]]
        skips = [*features[-2:0:-1], None]
        x = self.center(features[-1])
        for block, size, skip in zip(self.blocks, sizes, skips, strict=True):
            x = nearest(x, size)
            if skip is not None:
                x = block.attention1(torch.cat([x, skip], dim=1))
            x = block.attention2(block.conv2(block.conv1(x)))
        return x


class UnetPlusPlusBlock3d(Adopted):
    """UNet++: the same with a doubled size."""

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = F.interpolate(x, scale_factor=self.depth_rule.scale, mode="nearest")
        if skip is not None:
            x = self.attention1(torch.cat([x, skip], dim=1))
        return self.attention2(self.conv2(self.conv1(x)))


class Conv3x3GNReLU3d(Adopted):
    """FPN: convolve, then double the size."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        if self.upsample:
            x = F.interpolate(x, scale_factor=self.depth_rule.scale, mode="trilinear", align_corners=True)
        return x


class FPNBlock3d(Adopted):
    """FPN: add the pyramid's upper level to a lower one."""

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        skip = self.skip_conv(skip)
        return nearest(x, skip.shape[2:]) + skip


class PSPBlock3d(Adopted):
    """PSPNet: averages over a coarse grid, brought back to the size of the features."""

    def forward(self, x: Tensor) -> Tensor:
        return trilinear(self.pool(x), x.shape[2:], align_corners=True)


class ASPPPooling3d(nn.Sequential):
    """DeepLab: the global average, brought back to the size of the features."""

    def __init__(self, source: nn.Sequential, depth: Depth):
        super().__init__(*source.children())

    def forward(self, x: Tensor) -> Tensor:
        return trilinear(super().forward(x), x.shape[2:], align_corners=False)


class PABBlock3d(Adopted):
    """MAnet: attention between all positions of the deepest features.

    Positions are counted in the order (y, x, z), as the published 3D models do (their axes are height, width,
    depth): the library reads the result back as (channel, position) without turning it, so the order matters.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.depth_rule.mixing:
            return self.out_conv(x + self._by_slice(x))
        bottom = self.bottom_conv(x)
        return self.out_conv(x + _attend(self.center_conv(x), self.top_conv(x), bottom))

    def _by_slice(self, x: Tensor) -> Tensor:
        center, top, bottom = self.center_conv(x), self.top_conv(x), self.bottom_conv(x)
        slices = [
            _attend(*(part[:, :, z : z + 1] for part in (center, top, bottom))) for z in range(x.shape[2])
        ]
        return torch.cat(slices, dim=2)


def _attend(center: Tensor, top: Tensor, bottom: Tensor) -> Tensor:
    """Softmax over all pairs of positions, applied to `bottom`; each (batch, channel, z, y, x)."""
    batch, channels, z, y, x = bottom.shape
    rows = center.permute(0, 1, 3, 4, 2).flatten(2).transpose(1, 2)
    columns = top.permute(0, 1, 3, 4, 2).flatten(2)
    values = bottom.permute(0, 1, 3, 4, 2).flatten(2).transpose(1, 2)
    weights = torch.matmul(rows, columns)
    weights = weights.flatten(1).softmax(dim=1).view(weights.shape)
    attended = torch.matmul(weights, values).reshape(batch, channels, y, x, z)
    return attended.permute(0, 1, 4, 2, 3)


class MFABBlock3d(Adopted):
    """MAnet: join with a skip connection, channels weighted by what both hold."""

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = F.interpolate(self.hl_conv(x), scale_factor=self.depth_rule.scale, mode="nearest")
        if skip is not None:
            x = torch.cat([x * (self.SE_hl(x) + self.SE_ll(skip)), skip], dim=1)
        return self.conv2(self.conv1(x))


class MAnetBlock3d(Adopted):
    """MAnet: the last block, which has no skip connection."""

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = F.interpolate(x, scale_factor=self.depth_rule.scale, mode="nearest")
        if skip is not None:
            x = torch.cat([x, skip], dim=1)
        return self.conv2(self.conv1(x))


class Halving3d(nn.Module):
    """Maximum over two voxels along each axis that has two; a thin slab keeps its depth."""

    def __init__(self, depth: Depth):
        super().__init__()
        self.depth_rule = depth

    def forward(self, x: Tensor) -> Tensor:
        z, y, x_size = (min(2, size) for size in x.shape[2:])
        return F.max_pool3d(x, kernel_size=(z if self.depth_rule.mixing else 1, y, x_size))


class FPABlock3d(Adopted):
    """PAN: a small pyramid that weighs the deepest features."""

    def __init__(self, source: nn.Module, depth: Depth):
        super().__init__(source, depth)
        for stage in (self.down1, self.down2, self.down3):
            stage[0] = Halving3d(depth)

    def forward(self, x: Tensor) -> Tensor:
        whole = trilinear(self.branch1(x), x.shape[2:], align_corners=True)
        half = self.down1(x)
        quarter = self.down2(half)
        eighth = self.down3(quarter)
        quarter = self.conv2(quarter)
        quarter = quarter + trilinear(eighth, quarter.shape[2:], align_corners=True)
        half = self.conv1(half)
        half = half + trilinear(quarter, half.shape[2:], align_corners=True)
        return trilinear(half, x.shape[2:], align_corners=True) * self.mid(x) + whole


class GAUBlock3d(Adopted):
    """PAN: deep features decide which channels of the finer ones count."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        up = trilinear(y, x.shape[2:], align_corners=True)
        return up + self.conv2(x) * self.conv1(y)


class MBConvBlock3d(Adopted):
    """EfficientNet: inverted bottleneck with squeeze-excitation and stochastic depth."""

    def forward(self, inputs: Tensor, drop_connect_rate: float | None = None) -> Tensor:
        x = inputs
        if self._has_expansion:
            x = self._swish(self._bn0(self._expand_conv(x)))
        x = self._swish(self._bn1(self._depthwise_conv(x)))
        if self._has_se:
            squeezed = x.mean(dim=self.depth_rule.pooled_axes, keepdim=True)
            squeezed = self._se_expand(self._swish(self._se_reduce(squeezed)))
            x = torch.sigmoid(squeezed) * x
        x = self._bn2(self._project_conv(x))
        if self._has_drop_connect:
            if self.training and drop_connect_rate:
                kept = (
                    torch.rand((x.shape[0], 1, 1, 1, 1), dtype=x.dtype, device=x.device) >= drop_connect_rate
                )
                x = x / (1 - drop_connect_rate) * kept
            x = x + inputs
        return x


class SEBlock3d(Adopted):
    """MobileOne: squeeze-excitation."""

    def forward(self, inputs: Tensor) -> Tensor:
        x = inputs.mean(dim=self.depth_rule.pooled_axes, keepdim=True)
        return inputs * torch.sigmoid(self.expand(F.relu(self.reduce(x))))


#: class of the library -> its 3D form, made as Form(module, depth)
FORMS: dict[type[nn.Module], Any] = {
    UnetDecoder: UnetDecoder3d,
    UnetPlusPlusBlock: UnetPlusPlusBlock3d,
    Conv3x3GNReLU: Conv3x3GNReLU3d,
    FPNBlock: FPNBlock3d,
    PSPBlock: PSPBlock3d,
    ASPPPooling: ASPPPooling3d,
    PABBlock: PABBlock3d,
    MFABBlock: MFABBlock3d,
    MAnetBlock: MAnetBlock3d,
    FPABlock: FPABlock3d,
    GAUBlock: GAUBlock3d,
    MBConvBlock: MBConvBlock3d,
    SEBlock: SEBlock3d,
}
