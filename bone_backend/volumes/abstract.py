"""What every volume and every writer of volumes can do.

In:  a range of slices.
Out: their voxels as an array (z, y, x) in native byte order.
A volume is read and written slab by slab, so memory is bounded by the slab and never by the volume.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from ..errors import OutputError
from ..files.whole import output_fault
from .header import Header, SliceLocation

SLAB_BYTES = 64 * 2**20


class Volume(abc.ABC):
    """A scan or mask (z, y, x) that is read slab by slab.

    header: what is known of it.
    slices: for each slice where its voxels lie uncompressed in a file, or None when they must be decoded.
    files:  the files it is made of, in slice order; empty for an array.
    variant: how it differs from what its files hold alone; "" where it does not.
    """

    header: Header
    slices: list[SliceLocation] | None = None
    files: tuple[Path, ...] = ()
    variant: str = ""

    def read(self, z0: int, z1: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """Slices z0 to z1 (half-open) as (z1 - z0, y, x), native byte order, C-contiguous.

        out: array of exactly this shape and dtype to fill and return, so that a loop can reuse one buffer.
        Raises ScanError, naming the file, when a slice is lost, shortened or damaged.
        """
        if not 0 <= z0 < z1 <= self.header.shape[0]:
            raise IndexError(
                f"{self.header.name}: slices {z0} to {z1} of {self.header.shape[0]} do not exist"
            )
        shape = (z1 - z0, *self.header.shape[1:])
        if out is None:
            out = np.empty(shape, self.header.dtype)
        elif out.shape != shape or out.dtype != self.header.dtype or not out.flags.c_contiguous:
            raise ValueError(
                f"out is {out.dtype} {out.shape}; expected contiguous {self.header.dtype} {shape}"
            )
        self._fill(z0, z1, out)
        return out

    @abc.abstractmethod
    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        """Copy slices z0 to z1 into out, which has the right shape and dtype."""

    def slabs(self, budget_bytes: int = SLAB_BYTES) -> Iterator[tuple[int, int]]:
        """Ranges (z0, z1) that cover the volume in order, of at most budget_bytes but at least one slice."""
        step = max(1, int(budget_bytes) // self.header.slice_bytes)
        for z0 in range(0, self.header.shape[0], step):
            yield z0, min(z0 + step, self.header.shape[0])

    def close(self) -> None:  # noqa: B027  an array has nothing to close
        """Give open files back."""

    def __enter__(self) -> Volume:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class VolumeWriter(abc.ABC):
    """Takes a volume slab by slab; it appears under its name only when it is whole.

    A context manager: at its end the finished volume is renamed into place; an exception leaves nothing.
    """

    def __init__(self, path: Path, header: Header):
        if header.dtype.kind not in "uif":
            raise ValueError(
                f"{path.name}: {header.dtype} cannot be written; use whole or floating-point numbers"
            )
        self.path = path
        self.header = header
        self.written = 0  # slices

    def write(self, slab: np.ndarray) -> None:
        """Append slices (n, y, x), or one slice (y, x), of the header's dtype.

        Raises OutputError when the disk is full or the folder cannot be written.
        """
        slab = np.asarray(slab)
        if slab.ndim == 2:
            slab = slab[None]
        if slab.dtype == bool and self.header.dtype == np.uint8:
            slab = slab.view(np.uint8)
        if slab.ndim != 3 or slab.shape[1:] != self.header.shape[1:] or slab.dtype != self.header.dtype:
            raise ValueError(
                f"{self.path.name}: slab is {slab.dtype} {slab.shape}; expected (n, y, x) "
                f"with (y, x) = {self.header.shape[1:]}, {self.header.dtype}"
            )
        if self.written + len(slab) > self.header.shape[0]:
            raise ValueError(
                f"{self.path.name} has {self.header.shape[0]} slices; {self.written + len(slab)} were given"
            )
        try:
            self._append(slab)
        except OSError as fault:
            raise output_fault(self.path, fault) from fault
        self.written += len(slab)

    def __enter__(self) -> VolumeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fault is not None:
            self._discard()
            return
        try:
            if self.written != self.header.shape[0]:
                raise OutputError(
                    f"{self.path.name}: {self.written} of {self.header.shape[0]} slices were written; "
                    "nothing was kept."
                )
            self._finish()
        except OSError as error:
            self._discard()
            raise output_fault(self.path, error) from error
        except BaseException:
            self._discard()
            raise

    @abc.abstractmethod
    def _append(self, slab: np.ndarray) -> None:
        """Write (n, y, x) behind what is there."""

    @abc.abstractmethod
    def _finish(self) -> None:
        """Flush and rename into place."""

    @abc.abstractmethod
    def _discard(self) -> None:
        """Remove everything that was written; never raises OSError."""
