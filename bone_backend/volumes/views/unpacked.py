"""A volume whose slices can be read in any order.

In:  any volume; one that is a packed stream is quick from its first slice to its last only.
Out: the volume itself; or a copy of such a stream in one temporary file, which ends with its owner.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ...progress import Progress
from ..abstract import Volume
from ..medical.voxels import StreamVolume
from ..scratch import Scratch
from .cut import CutVolume

SLAB_BYTES = 16 << 20


class ScratchVolume(Volume):
    """The voxels of a scratch file."""

    def __init__(self, scratch: Scratch):
        self.header, self._scratch = scratch.header, scratch

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        out[...] = self._scratch.read(z0, z1)


def in_any_order(volume: Volume, opened: ExitStack, *, folder: Path, progress: Progress) -> Volume:
    """Copy a stream where that is needed. folder: of the temporary file. Raises OutputError, ScanError."""
    source = volume
    while isinstance(source, CutVolume):
        source = source.source
    if not isinstance(source, StreamVolume):
        return volume
    scratch = opened.enter_context(Scratch(volume.header, folder=folder))
    depth = volume.header.shape[0]
    for z0, z1 in volume.slabs(SLAB_BYTES):
        progress(z0, depth, f"Unpacking {volume.header.name}")
        scratch.write(volume.read(z0, z1))
    return ScratchVolume(scratch)
