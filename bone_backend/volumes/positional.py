"""Volumes whose voxels lie uncompressed in files: read by position, without decoding.

In:  a header and the location of each slice.
Out: slabs and single rows, straight from the file into the caller's array.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from .abstract import Volume
from .handles import PositionalReader
from .header import Header, SliceLocation


def is_foreign(dtype: np.dtype) -> bool:
    """Whether numbers of this dtype are stored in the byte order that is not this machine's."""
    return dtype.byteorder == (">" if sys.byteorder == "little" else "<")


class SliceFiles:
    """The files behind a list of slices, each once; reads bytes of slice z at an offset within the slice."""

    def __init__(self, slices: list[SliceLocation]):
        numbers: dict[Path, int] = {}
        self._places = [(numbers.setdefault(s.path, len(numbers)), s.offset) for s in slices]
        self.paths = tuple(numbers)
        self._reader = PositionalReader(self.paths)
        self.close = self._reader.close

    def read(self, z: int, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from slice z, `offset` bytes on; may run on into the slices behind it in the file."""
        number, start = self._places[z]
        self._reader.read(number, start + offset, buffer)

    def run_end(self, z0: int, z1: int, slice_bytes: int) -> int:
        """The end of the run of slices from z0 on, at most z1, that lie one behind the other in one file."""
        number, start = self._places[z0]
        end = z0 + 1
        while end < z1 and self._places[end] == (number, start + (end - z0) * slice_bytes):
            end += 1
        return end


class PositionalVolume(Volume):
    """A volume that is read in place: uncompressed TIFF and .npy."""

    def __init__(self, header: Header, slices: list[SliceLocation]):
        self.header = header
        self.slices = slices
        self._source = SliceFiles(slices)
        self.files = self._source.paths

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        assert self.slices is not None
        done = z0
        while done < z1:
            end = self._source.run_end(done, z1, self.header.slice_bytes)
            part = out[done - z0 : end - z0]
            self._source.read(done, 0, memoryview(part).cast("B"))
            if is_foreign(self.slices[done].dtype):
                part.byteswap(inplace=True)
            done = end

    def close(self) -> None:
        self._source.close()
