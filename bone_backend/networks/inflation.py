"""Make a 2D network three-dimensional, module by module, weights included.

In:  a 2D network of segmentation_models_pytorch with a convolutional encoder.
Out: the same network for (batch, channel, z, y, x), its parameters under the same names.
Kernels are repeated along z and divided by their depth (Carreira and Zisserman 2017, arXiv 1705.07750), so an
image that does not change along z gives what the 2D network gives, but for the padding at the slab's ends.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from segmentation_models_pytorch.encoders._efficientnet import Conv2dStaticSamePadding
from torch import Tensor, nn

from ..errors import OptionError
from .conv3d import Conv3d
from .decoders3d import FORMS, Depth

# sizes of torch's 2D modules: a number, or one for y and one for x; never "same" in the catalogue's networks
Pair = Any


class Network3d(nn.Module):
    """Encoder, decoder and head of an inflated network.

    multiples: what the (z, y, x) size of the input must be a multiple of.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, multiples: tuple[int, int, int]
    ):
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = encoder, decoder, head
        self.multiples = multiples

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, z, y, x) -> logits (batch, class, z, y, x)."""
        if any(size % multiple for size, multiple in zip(x.shape[2:], self.multiples, strict=True)):
            raise OptionError(
                f"The patch is {tuple(x.shape[2:])} (z, y, x); it must be multiples of {self.multiples}."
            )
        return self.segmentation_head(self.decoder(self.encoder(x)))


def inflate(
    network: nn.Module,
    multiples: tuple[int, int, int],
    *,
    stride: Sequence[Sequence[int]] | None = None,
    depth: Depth | None = None,
) -> Network3d:
    """The 3D form of a 2D network, which is left as it was.

    multiples: of the (z, y, x) size. stride: five (z, y, x) triples for the stages of a plain resnet.
    Raises OptionError where a module has no 3D form.
    """
    depth = depth or Depth()
    parts = copy.deepcopy(
        {name: getattr(network, name) for name in ("encoder", "decoder", "segmentation_head")}
    )
    encoder, decoder, head = (_converted(part, depth) for part in parts.values())
    if stride is not None:
        _set_stride(encoder, stride)
    whole = Network3d(encoder, decoder, head, multiples)
    flat = sorted({type(module).__name__ for module in whole.modules() if isinstance(module, _FLAT)})
    if flat:
        raise OptionError(
            f"This network has no 3D form: {', '.join(flat)} cannot be converted. Use the 2.5D mode."
        )
    return whole


def inflate_kernel(kernel: Tensor, depth: int, taps: int | None = None) -> Tensor:
    """Repeat a kernel (..., y, x) along a new z axis and divide, so that its sum over z stays.

    taps: how many of the repeated planes meet at one output voxel, if not all (strided transposed
    convolution).

    >>> import torch
    >>> inflate_kernel(torch.tensor([[6.0]]), 3).flatten().tolist()
    [2.0, 2.0, 2.0]
    """
    return kernel.unsqueeze(-3).repeat_interleave(depth, dim=-3) / (taps or depth)


def inflate_state(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """A 2D state dict for an inflated network: kernels (out, in, y, x) become (out, in, z, y, x)."""
    taps = {
        f"{name}.weight": _taps(module)
        for name, module in network.named_modules()
        if isinstance(module, _SOLID)
    }
    return {
        name: inflate_kernel(value, *taps[name]) if name in taps and value.ndim == 4 else value
        for name, value in state.items()
    }


def redraw(network: nn.Module) -> None:
    """Draw the kernels of an inflated network anew, for a start from random numbers.

    Equal planes along z would be a poor start. A kernel of depth d gets normal numbers with the standard
    deviation of its 2D kernel divided by sqrt(d), which keeps the variance of its output. Uses torch's
    generator.
    """
    for module in network.modules():
        if isinstance(module, _SOLID) and not module.weight.is_meta and module.weight.numel() > 1:
            _, taps = _taps(module)
            if taps > 1:
                nn.init.normal_(module.weight, 0.0, float(module.weight.detach().std()) * math.sqrt(taps))


def from_hwd(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turn the kernels of a published 3D model, ordered (height, width, depth), into ours, (z, y, x).

    state: tensors by name; those with five axes are kernels (out, in, height, width, depth).
    """
    return {name: value.permute(0, 1, 4, 2, 3) if value.ndim == 5 else value for name, value in state.items()}


class PaddedConv3d(Conv3d):
    """EfficientNet's convolution with its fixed, possibly lopsided padding."""

    static_padding: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.static_padding(x))


class PaddedAverage3d(nn.Module):
    """Average pooling with zero padding, of slabs thinner than the kernel too, which torch's own refuses.

    counts_padding: whether padded voxels count as values, or not at all.
    """

    def __init__(
        self, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], *, counts_padding: bool
    ):
        super().__init__()
        z, y, x = padding
        self.kernel, self.stride, self.padding = tuple(kernel), tuple(stride), (x, x, y, y, z, z)
        self.counts_padding = counts_padding

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, z, y, x) -> the same, pooled."""
        average = self._pool(x)
        return average if self.counts_padding else average / self._pool(x.new_ones((1, 1, *x.shape[2:])))

    def _pool(self, x: Tensor) -> Tensor:
        return F.avg_pool3d(F.pad(x, self.padding), self.kernel, self.stride)


def _converted(module: nn.Module, depth: Depth) -> nn.Module:
    for name, child in module.named_children():
        made = _converted(child, depth)
        if made is not child:
            setattr(module, name, made)
    kind = type(module)
    if kind in CONVERTERS:
        return CONVERTERS[kind](module, depth)
    return FORMS[kind](module, depth) if kind in FORMS else module


def _triple(value: Pair, depth: Depth, without: int) -> tuple[int, int, int]:
    """(z, y, x) of a 2D setting; z as the smaller of y and x, or `without` where slices do not mix."""
    y, x = (value, value) if isinstance(value, int) else value
    return (min(y, x) if depth.mixing else without, y, x)


def _taps(module: nn.Conv3d | nn.ConvTranspose3d) -> tuple[int, int]:
    """Depth of the kernel, and how many of its planes meet at an output voxel."""
    planes = module.kernel_size[0]
    return planes, planes // module.stride[0] if isinstance(module, nn.ConvTranspose3d) else planes


def _fill(made: nn.Conv3d | nn.ConvTranspose3d, source: nn.Conv2d | nn.ConvTranspose2d) -> nn.Module:
    made.weight = nn.Parameter(
        inflate_kernel(source.weight.detach(), *_taps(made)), source.weight.requires_grad
    )
    made.bias = source.bias
    return made.train(source.training)


def _convolution(
    source: nn.Conv2d, depth: Depth, make: Callable[..., nn.Conv3d] = Conv3d, padding: Pair | None = None
) -> nn.Module:
    made = make(
        source.in_channels,
        source.out_channels,
        _triple(source.kernel_size, depth, 1),
        stride=_triple(source.stride, depth, 1),
        padding=_triple(source.padding if padding is None else padding, depth, 0),
        dilation=_triple(source.dilation, depth, 1),
        groups=source.groups,
        bias=source.bias is not None,
        padding_mode=source.padding_mode,
        device="meta",  # _fill gives it the weights
    )
    return _fill(made, source)


def _padded_convolution(source: Conv2dStaticSamePadding, depth: Depth) -> nn.Module:
    made = _convolution(source, depth, PaddedConv3d)
    padding = source.static_padding
    if isinstance(padding, nn.ZeroPad2d):
        left, right, top, bottom = padding.padding
        near, far = (top, bottom) if depth.mixing else (0, 0)
        padding = nn.ConstantPad3d((left, right, top, bottom, near, far), 0.0)
    made.static_padding = padding
    return made


def _transposed(source: nn.ConvTranspose2d, depth: Depth) -> nn.Module:
    made = nn.ConvTranspose3d(
        source.in_channels,
        source.out_channels,
        _triple(source.kernel_size, depth, 1),
        stride=_triple(source.stride, depth, 1),
        padding=_triple(source.padding, depth, 0),
        output_padding=_triple(source.output_padding, depth, 0),
        groups=source.groups,
        bias=source.bias is not None,
        dilation=_triple(source.dilation, depth, 1),
        device="meta",
    )
    return _fill(made, source)


def _normalisation(source: nn.BatchNorm2d, depth: Depth) -> nn.Module:
    made = nn.BatchNorm3d(
        source.num_features,
        source.eps,
        source.momentum,
        source.affine,
        source.track_running_stats,
        device="meta",
    )
    made._parameters.update(source._parameters)
    made._buffers.update(source._buffers)
    return made.train(source.training)


def _maximum(source: nn.MaxPool2d, depth: Depth) -> nn.Module:
    return nn.MaxPool3d(
        _triple(source.kernel_size, depth, 1),
        _triple(source.stride, depth, 1),
        _triple(source.padding, depth, 0),
        _triple(source.dilation, depth, 1),
        ceil_mode=source.ceil_mode,
    )


def _average(source: nn.AvgPool2d, depth: Depth) -> nn.Module:
    kernel, stride = _triple(source.kernel_size, depth, 1), _triple(source.stride, depth, 1)
    padding = _triple(source.padding, depth, 0)
    if not any(padding):
        return nn.AvgPool3d(kernel, stride, ceil_mode=source.ceil_mode)
    return PaddedAverage3d(kernel, stride, padding, counts_padding=source.count_include_pad)


def _adaptive_average(source: nn.AdaptiveAvgPool2d, depth: Depth) -> nn.Module:
    size: Any = source.output_size
    y, x = (size, size) if isinstance(size, int) else size
    return nn.AdaptiveAvgPool3d((y if depth.mixing else None, y, x))


def _dropout(source: nn.Dropout2d, depth: Depth) -> nn.Module:
    return nn.Dropout3d(source.p, source.inplace).train(source.training)


def _upsampling(source: nn.Upsample, depth: Depth) -> nn.Module:
    factor = float(source.scale_factor)  # type: ignore[arg-type]
    factors = (factor if depth.mixing else 1.0, factor, factor)
    return nn.Upsample(scale_factor=factors, mode="trilinear", align_corners=depth.align_corners)


def _set_stride(encoder: nn.Module, stride: Sequence[Sequence[int]]) -> None:
    """Strides of a plain resnet: first convolution, pooling, second to fourth group of blocks.

    The order is that of segmentation_models_pytorch_3d (encoders/resnet.py), which the published program
    uses.
    """
    first, pooling, *groups = (tuple(triple) for triple in stride)
    encoder.conv1.stride = first  # type: ignore[assignment]
    encoder.maxpool.stride = pooling  # type: ignore[assignment]
    for name, triple in zip(("layer2", "layer3", "layer4"), groups, strict=True):
        block = getattr(encoder, name)[0]
        strided = block.conv2 if hasattr(block, "conv3") else block.conv1  # bottleneck, basic block
        strided.stride = block.downsample[0].stride = triple


#: class -> function (module, depth) that gives its 3D form
CONVERTERS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    nn.Conv2d: _convolution,
    Conv2dStaticSamePadding: _padded_convolution,
    nn.ConvTranspose2d: _transposed,
    nn.BatchNorm2d: _normalisation,
    nn.MaxPool2d: _maximum,
    nn.AvgPool2d: _average,
    nn.AdaptiveAvgPool2d: _adaptive_average,
    nn.Dropout2d: _dropout,
    nn.Upsample: _upsampling,
    nn.UpsamplingBilinear2d: _upsampling,
}
_SOLID = (nn.Conv3d, nn.ConvTranspose3d)
#: what must not be left in a 3D network
_FLAT = (
    *FORMS,
    *(kind for kind in CONVERTERS if kind is not nn.Upsample),
    nn.ZeroPad2d,
    nn.AdaptiveMaxPool2d,
)
