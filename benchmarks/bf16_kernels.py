"""Which 3D convolutions does this CPU compute wrongly in bf16, as torch has them and as BONe has them?

In:  --repeats. Run as: python -m benchmarks.bf16_kernels
Out: a table of kernels, strides and sizes (z, y, x) where the output or the gradient of the weights is off
by more than a tenth of its largest value; "none" where all are right.
Wrong ones are made of memory that nobody wrote, so they differ from run to run, and torch can crash.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch import nn

from benchmarks.sidebyside import add_quick, machine, markdown_table
from bone_backend.networks.inflation import Conv3d

KERNELS = ((1, 1), (1, 2), (3, 1), (3, 2), (5, 1), (7, 2))  # and strides
SIZES = ((1, 1, 1), (1, 8, 8), (2, 2, 2), (2, 8, 8), (3, 3, 3), (4, 4, 4), (4, 16, 16), (8, 2, 2), (8, 8, 8))
CHANNELS = ((1, 16), (16, 1), (32, 64))


def error(kind: type[nn.Conv3d], channels: tuple[int, int], kernel: int, stride: int, size: tuple[int, ...]):
    """Largest error of output and weight gradient, relative to their largest value."""
    torch.manual_seed(0)
    layer = kind(*channels, kernel, stride=stride, padding=kernel // 2, bias=False)
    layer = layer.to(memory_format=torch.channels_last_3d)
    x = torch.randn(4, channels[0], *size).to(memory_format=torch.channels_last_3d)
    expected = nn.Conv3d.forward(layer, x)
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    wanted = [expected.detach(), layer.weight.grad.clone()]
    layer.zero_grad()
    dirt = [torch.full((2**power,), 3e10) for power in range(4, 16)]
    del dirt
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    found.backward(gradient.to(found.dtype))
    worst = 0.0
    for got, want in zip((found.detach().float(), layer.weight.grad), wanted, strict=True):
        off = ((got - want).abs().max() / want.abs().max()).item()
        worst = max(worst, off if off == off else float("inf"))
    return worst


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    add_quick(parser)
    asked = parser.parse_args(words)
    # quick: where torch computes rightly, since elsewhere it may crash
    kernels, sizes, repeats = (
        ((KERNELS[0],), SIZES[-1:], 1) if asked.quick else (KERNELS, SIZES, asked.repeats)
    )
    rows = []
    for kernel, stride in kernels:
        for size in sizes:
            wrong = [
                sum(
                    max(error(kind, pair, kernel, stride, size) for _ in range(repeats)) > 0.1
                    for pair in CHANNELS
                )
                for kind in (nn.Conv3d, Conv3d)
            ]
            if any(wrong):
                rows.append([f"{kernel}, stride {stride}", str(size), *wrong])
    print(machine("torch"))
    header = ["kernel", "size (z, y, x)", f"torch, wrong of {len(CHANNELS)} channel pairs", "BONe, wrong"]
    print(markdown_table(header, rows or [["none"] * 4]))


if __name__ == "__main__":
    main()
