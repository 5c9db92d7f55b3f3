"""A 3D convolution that can be trusted in bf16 on a CPU.

In:  what torch's own takes, under any autocast.
Out: the same, in float32 where the kernels for bf16 are wrong.
It stands apart from what makes networks 3D, which needs segmentation_models_pytorch and seconds to import.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Conv3d(nn.Conv3d):
    """A convolution that is computed in float32 where the CPU's kernels for bf16 are wrong.

    Of inputs smaller than the kernel along any axis the gradient of the weights, and with one input channel
    the output too, is made of memory that nobody wrote (torch 2.15, AMD Zen 4; `benchmarks/bf16_kernels.py`
    shows it). One output column of a strided convolution is wrong on processors with AMX (pytorch issue
    169688; not tried here). Such inputs are small, and so is the loss of speed.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, z, y, x) -> the same, convolved."""
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or not self._is_unsafe(x):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))

    def _is_unsafe(self, x: Tensor) -> bool:
        if any(size < taps for size, taps in zip(x.shape[2:], self.kernel_size, strict=True)):
            return True
        reach = self.dilation[2] * (self.kernel_size[2] - 1) + self.stride[2]  # up to here one column
        padding = 0 if isinstance(self.padding, str) else self.padding[2]
        return self.stride[2] > 1 and x.shape[4] + 2 * padding <= reach
