"""The voxels of formats that store one block, x fastest, plain or as one packed stream.

In:  where the block begins, its numbers, how it is packed.
Out: a Volume: in place where it is plain; else a stream that is unpacked from its start on, slab by slab.
A stream never gives more than its header announces, and a header that announces more than the file can hold
is refused before any memory is asked for.
"""

from __future__ import annotations

import gzip
import math
import threading
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import ScanError
from ..abstract import Volume, VolumeWriter
from ..header import Header, SliceLocation, Storage
from ..positional import PositionalVolume
from .unpacking import MOST_PACKED, STORED, unpacked


def volume_of(
    header: Header,
    path: Path,
    *,
    stored: np.dtype,
    offset: int,
    packed: str = "",
    skip: int = 0,
    scale: tuple[float, float] | None = None,
    files: tuple[Path, ...] = (),
) -> Volume:
    """A volume of a block of voxels.

    path: the file with the block. stored: its numbers, with byte order. offset: where the block, or its
    stream, begins. packed: "", or a name of `unpacking.MOST_PACKED`. skip: bytes of the stream before the
    voxels. scale: (slope, intercept) of the true values. files: all of it, where that is more than path.
    Raises ScanError where the file is too short.
    """
    size = path.stat().st_size - offset
    needed = skip + header.voxels * stored.itemsize
    if packed:
        if needed > max(size, 0) * MOST_PACKED[packed] + 4096:
            raise ScanError(
                f"{path}: announces {header.sides} voxels (z, y, x), far more than its {max(size, 0)} packed "
                "bytes can hold. It is truncated or damaged; copy it again."
            )
        return StreamVolume(header, path, offset, stored, packed, skip, scale, files or (path,))
    if size < needed:
        whole = max(0, size) // (needed // header.shape[0])
        raise ScanError(
            f"{path}: is truncated: {offset + needed} bytes are announced, the file has {offset + size}; "
            f"{whole} of {header.shape[0]} slices are whole. Copy it again."
        )
    if scale is not None:
        return StreamVolume(header, path, offset, stored, "", skip, scale, files or (path,))
    step = math.prod(header.shape[1:]) * stored.itemsize
    slices = [SliceLocation(path, offset + z * step, stored) for z in range(header.shape[0])]
    volume = PositionalVolume(header, slices)
    volume.files = files or volume.files
    return volume


class StreamVolume(Volume):
    """Voxels that must be unpacked or scaled. Slabs are best asked for in order: going back begins anew.

    One thread at a time reads; for random patches `patch_source.open_source` unpacks it once.
    """

    def __init__(
        self,
        header: Header,
        path: Path,
        offset: int,
        stored: np.dtype,
        packed: str,
        skip: int,
        scale: tuple[float, float] | None,
        files: tuple[Path, ...],
    ):
        self.header, self.files = header, files
        self._path, self._offset, self._stored, self._packed = path, offset, stored, packed
        self._skip, self._scale = skip, scale
        self._file: IO[bytes] | None = None
        self._stream: IO[bytes] | None = None
        self._next = 0  # the slice at which the stream stands
        self._lock = threading.Lock()

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        with self._lock:
            try:
                plane = np.empty(self.header.shape[1:], self._stored)
                self._go_to(z0, plane)
                for z in range(z0, z1):
                    self._read(plane, z)
                    self._convert(plane, out[z - z0])
            except BaseException:
                self._close()
                raise

    def _go_to(self, z: int, plane: np.ndarray) -> None:
        """Stand before slice z."""
        if self._stream is None or z < self._next:
            self._close()
            try:
                self._file = self._path.open("rb")
                self._file.seek(self._offset)
            except OSError as fault:
                raise ScanError(f"{self._path}: cannot be read ({fault.strerror or fault}).") from fault
            self._stream = self._unpacked(self._file) if self._packed else self._file
            self._take(memoryview(bytearray(self._skip)), 0)
        if not self._packed and z > self._next:
            assert self._file is not None
            self._file.seek(self._offset + self._skip + z * plane.nbytes)
            self._next = z
        while self._next < z:
            self._read(plane, self._next)

    def _unpacked(self, file: IO[bytes]) -> Any:
        """The plain bytes from where the file stands."""
        return unpacked(file, self._packed, self._stored)

    def _read(self, plane: np.ndarray, z: int) -> None:
        self._take(memoryview(plane).cast("B"), z)
        self._next = z + 1

    def _take(self, buffer: memoryview, z: int) -> None:
        """Fill the buffer from the stream; ScanError, which names the slice, where it ends or is damaged."""
        assert self._stream is not None
        done = 0
        try:
            while done < len(buffer):
                piece = self._stream.read(min(len(buffer) - done, 1 << 22))
                if not piece:
                    raise EOFError("the stream ends too early")
                buffer[done : done + len(piece)] = piece
                done += len(piece)
        except EOFError as fault:
            raise ScanError(
                f"{self._path}: is truncated: slice {z + 1} of {self.header.shape[0]} is cut off; {z} "
                f"{'is' if z == 1 else 'are'} whole. Copy it again."
            ) from fault
        except (zlib.error, OSError, ValueError) as fault:
            raise ScanError(
                f"{self._path}: cannot be unpacked at slice {z + 1} of {self.header.shape[0]} ({fault}). It "
                "is damaged; copy it again."
            ) from fault

    def _convert(self, plane: np.ndarray, out: np.ndarray) -> None:
        if self._scale is None:
            np.copyto(out, plane)
            return
        slope, intercept = self._scale
        with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is told where it is counted
            np.copyto(out, plane * np.float64(slope) + np.float64(intercept), casting="same_kind")

    def _close(self) -> None:
        for file in {id(one): one for one in (self._stream, self._file) if one is not None}.values():
            file.close()
        self._stream = self._file = None
        self._next = 0

    def close(self) -> None:
        with self._lock:
            self._close()


def storage(volume: Volume) -> Storage:
    """How a volume of this file lies on disk."""
    packed = volume._packed if isinstance(volume, StreamVolume) else ""
    return Storage(list(volume.files), STORED.get(packed, packed))


class BlockWriter(VolumeWriter):
    """Writes what stands before the voxels, then the voxels, little-endian, plain or packed with gzip.

    is_packed: the voxels alone are one gzip stream. is_all_packed: so is the text before them.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        start: bytes,
        *,
        overwrite: bool = False,
        is_packed: bool = False,
        is_all_packed: bool = False,
    ):
        from ...files.whole import Whole
        from ..output import prepare

        super().__init__(path, header)
        packed = is_packed or is_all_packed
        prepare(path, overwrite=overwrite, needed_bytes=0 if packed else header.nbytes)
        self._whole = Whole(path)
        self._file: Any = self._whole.temporary.open("wb")
        if not is_all_packed:
            self._file.write(start)
        # level 1: labels shrink to about the same size, in a third of the time
        self._stream: Any = (
            gzip.GzipFile(fileobj=self._file, filename="", mode="wb", compresslevel=1, mtime=0)
            if packed
            else self._file
        )
        if is_all_packed:
            self._stream.write(start)

    def _append(self, slab: np.ndarray) -> None:
        little = np.ascontiguousarray(slab, dtype=slab.dtype.newbyteorder("<"))
        self._stream.write(memoryview(little).cast("B"))

    def _finish(self) -> None:
        self._stream.close()
        self._file.close()
        self._whole.keep()

    def _discard(self) -> None:
        for file in (self._stream, self._file):
            try:
                file.close()
            except OSError:  # a full disk: what was buffered cannot be written
                pass
        self._whole.discard()
