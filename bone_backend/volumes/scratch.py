"""A volume on disk while it is worked on: slabs along z are read, and written in any order.

In:  slabs (z, y, x) of one type.
Out: the same. One temporary file of known size, which ends with its owner; memory holds nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import OutputError
from ..files.whole import output_fault, remove, remove_left_over, temporary_path
from .cache import ADVICE
from .header import Header
from .output import prepare, reserve


class Scratch:
    """header: shape and type. A context manager: leaving it removes the file, which is made in a folder.

    Raises OutputError where there is too little room.
    """

    def __init__(self, header: Header, *, folder: Path):
        self.header, self.written = header, 0
        remove_left_over(folder)
        try:
            prepare(folder / "scratch", overwrite=False, needed_bytes=header.nbytes)
        except OutputError as fault:
            raise OutputError(f"{fault} {ADVICE}") from fault
        self._path = temporary_path(folder / "scratch")
        try:
            reserve(self._path, header.nbytes)
            self._file = self._path.open("r+b", buffering=0)
        except OSError as fault:
            remove(self._path)
            raise output_fault(self._path, fault) from fault

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        remove(self._path)

    def write(self, slab: np.ndarray) -> None:
        """Append slices."""
        self.put(self.written, slab)
        self.written += len(slab)

    def put(self, z0: int, slab: np.ndarray) -> None:
        """Slices from z0 on."""
        if slab.dtype != self.header.dtype or slab.shape[1:] != self.header.shape[1:]:
            raise ValueError(f"slab is {slab.dtype} {slab.shape}; expected {self.header.dtype}")
        try:
            self._file.seek(z0 * self.header.slice_bytes)
            data = memoryview(np.ascontiguousarray(slab).reshape(-1).view(np.uint8))
            while data:
                data = data[self._file.write(data) or 0 :]
        except OSError as fault:
            raise output_fault(self._path, fault) from fault

    def read(self, z0: int, z1: int) -> np.ndarray:
        """Slices z0 to z1, half-open."""
        slab = np.empty((z1 - z0, *self.header.shape[1:]), self.header.dtype)
        self._file.seek(z0 * self.header.slice_bytes)
        data = memoryview(slab.reshape(-1).view(np.uint8))
        while data:
            data = data[self._file.readinto(data) or len(data) :]
        return slab

    def slabs(self, budget_bytes: int) -> Iterator[tuple[int, np.ndarray]]:
        """All slices in order: the first of each slab, and the slab."""
        step = max(1, budget_bytes // self.header.slice_bytes)
        for z0 in range(0, self.header.shape[0], step):
            yield z0, self.read(z0, min(z0 + step, self.header.shape[0]))
