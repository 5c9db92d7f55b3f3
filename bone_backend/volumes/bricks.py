"""A volume on disk that is read and written quickly along any of its three axes.

In:  slabs along z, y or x, each of one axis in order.
Out: slabs along any axis.
The voxels lie in bricks of EDGE^3, so a slab along any axis touches only the bricks that it crosses. One
temporary file of known size, which ends with its owner; memory holds the pages that are in use.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import OutputError, called
from ..files.whole import output_fault, remove, remove_left_over, temporary_path
from .cache import ADVICE
from .output import prepare, reserve

EDGE = 32
AXES = "zyx"


class Bricks:
    """Values (channel, z, y, x), all zero at first. A context manager: leaving it removes the file.

    shape: (z, y, x) in voxels. folder: where the file is made. kept: its name instead, under which it stays
    and is found again. Raises OutputError where there is too little room.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: np.dtype,
        *,
        channels: int = 1,
        folder: Path,
        kept: Path | None = None,
    ):
        self.shape, self.channels = shape, channels
        counts = tuple(-(-n // EDGE) for n in shape)
        whole = (*counts, channels, EDGE, EDGE, EDGE)
        needed = needed_bytes(shape, dtype, channels=channels)
        self._path, self._is_kept = kept or temporary_path(folder / "bricks"), kept is not None
        if kept is not None and kept.is_file() and kept.stat().st_size == needed:
            self._values = np.memmap(kept, dtype=dtype, mode="r+", shape=whole)
            return
        remove_left_over(folder)
        remove(self._path)
        try:
            prepare(folder / "bricks", overwrite=False, needed_bytes=needed)
        except OutputError as fault:
            advice = "" if kept else f" {ADVICE}"
            raise OutputError(f"{fault}{advice} Or predict along z only: {called('axes')} z.") from fault
        try:
            reserve(self._path, needed)
            self._values = np.memmap(self._path, dtype=dtype, mode="r+", shape=whole)
        except OSError as fault:
            remove(self._path)
            raise output_fault(self._path, fault) from fault

    @classmethod
    def of_others(cls, path: Path, shape: tuple[int, int, int], dtype: np.dtype) -> Bricks:
        """Those of one channel that another process has made, to be read. Raises OutputError."""
        found = cls.__new__(cls)
        found.shape, found.channels, found._path, found._is_kept = shape, 1, path, True
        whole = (*(-(-n // EDGE) for n in shape), 1, EDGE, EDGE, EDGE)
        try:
            found._values = np.memmap(path, dtype=dtype, mode="r", shape=whole)
        except (OSError, ValueError) as fault:
            raise OutputError(
                f"{path}: cannot be read here ({fault}). Do all machines see its folder?"
            ) from fault
        return found

    def shown(self) -> Path:
        """The file, with all that was added so far, for others to read."""
        self._values.flush()
        return self._path

    def __enter__(self) -> Bricks:
        return self

    def __exit__(self, *_: object) -> None:
        del self._values
        if not self._is_kept:
            remove(self._path)

    def put(self, axis: int, first: int, slab: np.ndarray) -> None:
        """The same in place of what is there."""
        for low, high, bricks in self._rows(axis, first, first + len(slab)):
            bricks[...] = self._cut(axis, slab[low - first : high - first])
        self._let_go()

    def add(self, axis: int, first: int, slab: np.ndarray) -> None:
        """Add values to what is there.

        axis: 0 for z, 1 for y, 2 for x. first: the slab's first slice along it.
        slab: (slice, channel, *the other two axes in the order z, y, x), of a dtype that fits the bricks'.
        """
        for low, high, bricks in self._rows(axis, first, first + len(slab)):
            bricks += self._cut(axis, slab[low - first : high - first])
        self._let_go()

    def read(self, axis: int, first: int, last: int) -> np.ndarray:
        """Slices first to last (half-open) along an axis, as `add` takes them."""
        in_plane = [n for i, n in enumerate(self.shape) if i != axis]
        slab = np.empty((last - first, self.channels, *in_plane), self._values.dtype)
        for low, high, bricks in self._rows(axis, first, last):
            # (brick, brick, channel, slice, voxel, voxel) to (slice, channel, brick, voxel, brick, voxel)
            turned = bricks.transpose(3, 2, 0, 4, 1, 5)
            padded = turned.reshape(high - low, self.channels, *(EDGE * n for n in bricks.shape[:2]))
            slab[low - first : high - first] = padded[:, :, : in_plane[0], : in_plane[1]]
        self._let_go()
        return slab

    def _let_go(self) -> None:
        """Give what was touched back to the system, which keeps it while it has room."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._values._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]

    def _rows(self, axis: int, first: int, last: int) -> Iterator[tuple[int, int, np.ndarray]]:
        """Each layer of bricks: its slices, and itself (brick, brick, channel, slice, voxel, voxel)."""
        if not 0 <= first < last <= self.shape[axis]:
            raise IndexError(f"no slices {first} to {last} of {self.shape[axis]} along {AXES[axis]}")
        others = [i for i in range(3) if i != axis]
        turned = self._values.transpose(axis, *others, 3, 4 + axis, *(4 + i for i in others))
        while first < last:
            row, inside = divmod(first, EDGE)
            number = min(EDGE - inside, last - first)
            yield first, first + number, turned[row][:, :, :, inside : inside + number]
            first += number

    def _cut(self, axis: int, slab: np.ndarray) -> np.ndarray:
        """(slice, channel, a, b) as (brick, brick, channel, slice, voxel, voxel), zeros beyond the border."""
        counts = [n for i, n in enumerate(self._values.shape[:3]) if i != axis]
        missing = [EDGE * count - n for count, n in zip(counts, slab.shape[2:], strict=True)]
        if any(missing):
            slab = np.pad(slab, ((0, 0), (0, 0), *((0, n) for n in missing)))
        cut = slab.reshape(*slab.shape[:2], counts[0], EDGE, counts[1], EDGE)
        return cut.transpose(2, 4, 1, 0, 3, 5)


def needed_bytes(shape: tuple[int, int, int], dtype: np.dtype, *, channels: int = 1) -> int:
    """What bricks of that shape take on the disk.

    >>> needed_bytes((33, 32, 32), np.dtype("uint16"))
    131072
    """
    return math.prod(EDGE * -(-n // EDGE) for n in shape) * channels * dtype.itemsize
