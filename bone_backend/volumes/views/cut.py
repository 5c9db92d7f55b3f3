"""A part of a volume, and a volume whose axes are turned over, read as slabs are asked for.

In:  a volume, and a box (half-open, in voxels) or the axes to turn over.
Out: a Volume of the same numbers; where its voxels lie in space goes along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..abstract import Volume
from ..header import Header, Triple

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]  # (start, stop) of z, y, x
PIECE_BYTES = 32 << 20  # of the source, read at a time


def moved(header: Header, steps: Sequence[float]) -> Triple:
    """The origin of a grid whose first voxel lies so many voxels (z, y, x) from the header's.

    >>> moved(Header("a", (9, 9, 9), np.dtype("u1"), (2.0, 1.0, 1.0)), (3, 0, 0.5))
    (6.0, 0.0, 0.5)
    """
    if header.voxel_size is None:
        return header.origin
    rows = np.array(header.direction or np.eye(3))  # of each axis its direction
    z, y, x = (float(n) for n in np.array(header.origin) + np.array(steps) * header.voxel_size @ rows)
    return z, y, x


class CutVolume(Volume):
    """A box of a volume."""

    def __init__(self, source: Volume, box: Box):
        (z0, z1), (y0, y1), (x0, x1) = box
        self.source, self._box = source, box
        self.files = source.files
        self.header = replace(
            source.header, shape=(z1 - z0, y1 - y0, x1 - x0), origin=moved(source.header, (z0, y0, x0))
        )

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        (first, _), (y0, y1), (x0, x1) = self._box
        if out.shape[1:] == self.source.header.shape[1:]:
            self.source.read(first + z0, first + z1, out=out)
            return
        step = max(1, PIECE_BYTES // self.source.header.slice_bytes)
        for z in range(z0, z1, step):
            end = min(z + step, z1)
            out[z - z0 : end - z0] = self.source.read(first + z, first + end)[:, y0:y1, x0:x1]

    def close(self) -> None:
        self.source.close()


class TurnedVolume(Volume):
    """A volume with axes turned over: each voxel stays where it lies in the patient, where that is known."""

    def __init__(self, source: Volume, axes: Sequence[str]):
        self._source, self.files = source, source.files
        self._signs = tuple(-1 if axis in axes else 1 for axis in "zyx")
        header = source.header
        if header.direction is not None:
            ends = [0 if sign > 0 else n - 1 for sign, n in zip(self._signs, header.shape, strict=True)]
            rows = np.array(header.direction) * np.array(self._signs)[:, None] + 0.0
            one, two, three = ((float(z), float(y), float(x)) for z, y, x in rows)
            header = replace(header, origin=moved(header, ends), direction=(one, two, three))
        self.header = header

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        depth, ways = self.header.shape[0], tuple(slice(None, None, sign) for sign in self._signs)
        step = max(1, PIECE_BYTES // self.header.slice_bytes)
        for z in range(z0, z1, step):
            end = min(z + step, z1)
            first, last = (z, end) if self._signs[0] > 0 else (depth - end, depth - z)
            out[z - z0 : end - z0] = self._source.read(first, last)[ways]

    def close(self) -> None:
        self._source.close()
