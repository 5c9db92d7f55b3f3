"""Choose the edge of the chunks where the user left it open: twice that of the patches of the fit.

In:  the edge of the patches, what the network takes, the free memory.
Out: an edge, px.
Seen on a mouse skull of 149 px (bone IoU and CPU seconds for a scan of 143 slices): a Plain U-Net of 32 px
patches .937 in 7.3 s by chunks of 32 px, .937 in 4.8 s by 64, .937 in 9.2 s by 128, .935 in 3.1 s by whole
slices; a U-Net with resnet18 of 64 px patches .838 in 15 s by 64 px, .837 in 23 s by 128, .828 in 9 s by
whole slices. Where chunks overlap a voxel is judged several times, and the mean is better than one look. So
whole slices are quicker and worse. For patches of 256 px this is the published program's 512.
"""

from __future__ import annotations

import math

PATCHES = 2  # that a chunk is wide
UNKNOWN_PATCH = 256  # px, where a model file does not say it: that of the published program
# What a network takes for a voxel of a chunk, at most, and the share of the free memory that it may have.
BYTES_PER_VOXEL, MEMORY_SHARE = 1024, 0.5


def choose(patch: int, *, multiple: int, least: int, depth: int, free_bytes: int) -> int:
    """The edge of the chunks. Where memory is scarce it is smaller, but never below what the network needs.

    patch: edge, 0 where it is unknown. multiple, least: what an edge must be a multiple of, and have at
    least. depth: slices of a chunk. free_bytes: that can be had.

    >>> [choose(patch, multiple=32, least=32, depth=1, free_bytes=1 << 34) for patch in (32, 48, 256, 0)]
    [64, 96, 512, 512]
    >>> choose(256, multiple=32, least=32, depth=64, free_bytes=1 << 34)
    352
    """
    room = math.isqrt(int(free_bytes * MEMORY_SHARE / (BYTES_PER_VOXEL * depth)))
    wanted = -(-PATCHES * (patch or UNKNOWN_PATCH) // multiple) * multiple
    return max(-(-least // multiple) * multiple, min(wanted, room // multiple * multiple))
