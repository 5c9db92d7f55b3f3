"""Read a volume as one long row of voxels, in pieces of any length.

In:  a volume.
Out: voxels `start` to `stop` in the order z, y, x; from a file or array in place where that is possible.
A piece may be much shorter than a slice, so that it can be read and worked on within the processor's cache.
"""

from __future__ import annotations

import abc
import contextlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .abstract import Volume
from .array import ArrayVolume
from .positional import PositionalVolume, SliceFiles, is_foreign


class FlatReader(abc.ABC):
    """Voxels of a volume by their number in the order z, y, x. For one thread at a time.

    whole_slices: pieces should begin and end with a slice; otherwise slices are decoded several times.
    from_file: reading takes time in which another thread can work.
    """

    whole_slices = False
    from_file = True

    def __init__(self, volume: Volume):
        self.header = volume.header
        self._slice_voxels = volume.header.shape[1] * volume.header.shape[2]

    @abc.abstractmethod
    def read(self, start: int, stop: int) -> np.ndarray:
        """Voxels start to stop (half-open) as (stop - start,), native byte order.

        Valid until the next piece is read; from files in place until `kept` more were.

        Raises ScanError, naming the file, when a slice is lost, shortened or damaged.
        """

    def close(self) -> None:  # noqa: B027  most readers open nothing
        """Give open files back."""


def flat_reader(volume: Volume, kept: int = 1) -> FlatReader:
    """The fastest reader for a volume. kept: so many pieces stay valid where files are read in place."""
    if isinstance(volume, ArrayVolume) and volume.array.flags.c_contiguous and volume.array.dtype.isnative:
        return ArrayReader(volume)
    if isinstance(volume, PositionalVolume) and not any(
        is_foreign(place.dtype) for place in volume.slices or ()
    ):
        return InPlaceReader(volume, kept)
    return SliceReader(volume)


def read_together(
    volumes: Sequence[Volume], *, piece_bytes: int
) -> Generator[tuple[np.ndarray, ...], None, None]:
    """The same voxels of several volumes of one shape, piece after piece.

    piece_bytes: of the widest volume; at least a voxel, or a slice where slices must be decoded.
    Gives arrays (voxels,), valid until the next piece. Files are read one piece ahead by another thread, with
    twice the memory; not so where whole slices are decoded. Close the generator when it is left early.
    Raises ScanError, naming the file, when a slice is lost, shortened or damaged.
    """
    header, slice_voxels = volumes[0].header, volumes[0].header.shape[1] * volumes[0].header.shape[2]
    step = max(1, piece_bytes // max(volume.header.dtype.itemsize for volume in volumes))
    with contextlib.ExitStack() as opened:
        readers = [flat_reader(volume, kept=2) for volume in volumes]
        for reader in readers:
            opened.callback(reader.close)
        if any(reader.whole_slices for reader in readers):
            step = max(1, step // slice_voxels) * slice_voxels
        ranges = [(start, min(start + step, header.voxels)) for start in range(0, header.voxels, step)]

        def read(number: int) -> tuple[np.ndarray, ...]:
            return tuple(reader.read(*ranges[number]) for reader in readers)

        if any(reader.whole_slices for reader in readers) or not any(reader.from_file for reader in readers):
            yield from map(read, range(len(ranges)))
            return
        thread = opened.enter_context(ThreadPoolExecutor(1, "bone-read-ahead"))

        coming = thread.submit(read, 0)
        for number in range(len(ranges)):
            arrays = coming.result()
            if number + 1 < len(ranges):
                coming = thread.submit(read, number + 1)
            yield arrays


class ArrayReader(FlatReader):
    """Of an array in memory: no copy."""

    from_file = False

    def __init__(self, volume: ArrayVolume):
        super().__init__(volume)
        self._flat = volume.array.reshape(-1)

    def read(self, start: int, stop: int) -> np.ndarray:
        return self._flat[start:stop]


class InPlaceReader(FlatReader):
    """Of voxels that lie uncompressed in files: straight from the file into buffers that are used again."""

    def __init__(self, volume: PositionalVolume, kept: int):
        super().__init__(volume)
        assert volume.slices is not None
        self._files = SliceFiles(volume.slices)
        self._buffers = deque([np.empty(0, volume.header.dtype)] * kept)
        self.close = self._files.close  # type: ignore[method-assign]

    def read(self, start: int, stop: int) -> np.ndarray:
        self._buffers.rotate()
        if len(self._buffers[0]) < stop - start:
            self._buffers[0] = np.empty(stop - start, self.header.dtype)
        piece = self._buffers[0][: stop - start]
        width, buffer = piece.itemsize, memoryview(piece).cast("B")
        done = start
        while done < stop:
            z, within = divmod(done, self._slice_voxels)
            end = min(stop, (z + 1) * self._slice_voxels)
            self._files.read(z, within * width, buffer[(done - start) * width : (end - start) * width])
            done = end
        return piece


class SliceReader(FlatReader):
    """Of any volume, in whole slices; the last ones stay decoded."""

    whole_slices = True

    def __init__(self, volume: Volume):
        super().__init__(volume)
        self._volume = volume
        self._range = (0, 0)
        self._slab = np.empty((0, *volume.header.shape[1:]), volume.header.dtype)

    def read(self, start: int, stop: int) -> np.ndarray:
        z0, z1 = start // self._slice_voxels, -(-stop // self._slice_voxels)
        if (z0, z1) != self._range:
            if len(self._slab) != z1 - z0:
                self._slab = np.empty((z1 - z0, *self.header.shape[1:]), self.header.dtype)
            self._range = (0, 0)
            self._volume.read(z0, z1, out=self._slab)
            self._range = (z0, z1)
        first = start - z0 * self._slice_voxels
        return self._slab.reshape(-1)[first : first + stop - start]
