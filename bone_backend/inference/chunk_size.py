"""Choose the edge of the chunks where the user left it open.

In:  the edge of the patches, what the network takes and how far it sees, the free memory.
Out: an edge, px.
A network that sees no further than its patches were wide gets whole slices, as far as memory allows: they
are labelled as well as chunks, with no voxel computed twice. Bone IoU of Plain U-Nets with patches of 32 px,
three axes, by chunks of 64 px, 128 px and whole slices: a mouse skull .9630, .9635, .9630; a tooth .9689,
.9694, .9694; a femur .8260, .8263, .8263. Processor time of whole slices was half of that by chunks of 64.
Others get chunks twice as wide as their patches: a U-Net with resnet18, which sees 297 px far, fitted on 64
px had .838 by 64 px, .837 by 128, .828 by whole slices. For patches of 256 px this is the published
program's 512.
"""

from __future__ import annotations

import math

from ..options.plain_unet import PlainShape

PATCHES = 2  # that a chunk is wide
UNKNOWN_PATCH = 256  # px, where a model file does not say it: that of the published program
# What a network takes for a voxel of a chunk, at most, and the share of the free memory that it may have.
BYTES_PER_VOXEL, MEMORY_SHARE = 1024, 0.5
MOST_WHOLE = 1280  # px of a whole slice: about half a GiB is computed at a time


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


def is_near_sighted(shape: PlainShape | None, patch: int, *, mode: str) -> bool:
    """Whether a network sees no further than its patches were wide, and each voxel by what is near it only.

    shape: of a Plain U-Net. Normalisations of instances and groups look at the whole chunk.

    >>> [is_near_sighted(PlainShape(depth=depth), 32, mode="2D") for depth in (3, 4)]
    [True, False]
    """
    return shape is not None and shape.norm == "batch" and mode != "3D" and shape.sight <= patch


def whole(length: int, *, multiple: int, overlap: float, free_bytes: int) -> int:
    """The edge of a chunk that is as long as the slice, or of the fewest equal ones that fit.

    length: of a slice along this axis.

    >>> [whole(n, multiple=4, overlap=0.25, free_bytes=1 << 40) for n in (149, 1280, 2000)]
    [152, 1280, 1144]
    >>> whole(2000, multiple=4, overlap=0.25, free_bytes=1 << 30)
    616
    """
    room = math.isqrt(int(free_bytes * MEMORY_SHARE / BYTES_PER_VOXEL))
    most = max(min(room, MOST_WHOLE) // multiple, 1) * multiple
    number = 1
    while (edge := -(-_share(length, number, overlap) // multiple) * multiple) > most and edge > multiple:
        number += 1
    return edge


def _share(length: int, number: int, overlap: float) -> int:
    """Edge of each of so many chunks."""
    return math.ceil(length / (1 + (number - 1) * (1 - overlap)))
