"""Random patches from scans on disk.

In:  a volume, and a folder for what has to be converted.
Out: a PatchSource, which copies (y, x) patches of slices into the caller's array, in the stored dtype.
Uncompressed volumes are read where they are, others are converted once; memory does not grow with the scan.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import OutputError, ScanError
from ..progress import Progress, silent
from .abstract import Volume
from .array import ArrayVolume, NpyWriter, check_seal, open_npy
from .cache import ADVICE
from .header import Header
from .positional import SliceFiles
from .store import use
from .store.room import limit_bytes, make_room

LOOK_BYTES = 256 << 20  # between two looks for a stop while a conversion is checked

LOG = logging.getLogger("bone.store")

_locks: dict[Path, threading.Lock] = {}
_locks_lock = threading.Lock()


class PatchSource(abc.ABC):
    """Copies patches of a volume; any number of threads may call it at a time.

    header: of the volume; its dtype is the dtype of the patches.
    """

    header: Header

    def read_patch(self, z: int, y: int, x: int, *, out: np.ndarray) -> np.ndarray:
        """Copy the patch that begins at (z, y, x) into out and return it.

        out: (height, width) of slice z, or (depth, height, width) of slices z and on; any strides, of the
        header's dtype or one that holds all its values.
        Raises ScanError, naming the file, when a slice is lost or shortened; IndexError outside the volume.
        """
        tile = out if out.ndim == 3 else out[None]
        depth, height, width = tile.shape
        sizes = self.header.shape
        if not (0 <= z <= sizes[0] - depth and 0 <= y <= sizes[1] - height and 0 <= x <= sizes[2] - width):
            raise IndexError(f"{self.header.name}: patch {tile.shape} at {(z, y, x)} is not inside {sizes}")
        for i in range(depth):
            self._copy(z + i, y, x, tile[i])
        return out

    def read_slice(self, z: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """Slice z as (y, x), into out where given."""
        if out is None:
            out = np.empty(self.header.shape[1:], self.header.dtype)
        return self.read_patch(z, 0, 0, out=out)

    @abc.abstractmethod
    def _copy(self, z: int, y: int, x: int, out: np.ndarray) -> None:
        """Copy a patch of one slice; the bounds are checked."""

    def close(self) -> None:  # noqa: B027  an array has nothing to close
        """Give open files back."""

    def __enter__(self) -> PatchSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ArraySource(PatchSource):
    """Patches of an array or memory map that the host holds."""

    def __init__(self, volume: ArrayVolume):
        self.header = volume.header
        self._array = volume.array

    def _copy(self, z: int, y: int, x: int, out: np.ndarray) -> None:
        height, width = out.shape
        np.copyto(out, self._array[z, y : y + height, x : x + width], casting="safe")


class FileSource(PatchSource):
    """Patches of a volume that lies uncompressed in files: one read per patch, first row to last."""

    def __init__(self, volume: Volume, mark: Path | None = None):
        """mark: of a file in the cache that is used as long as this is open."""
        assert volume.slices is not None
        self._let_go = weakref.finalize(self, use.end, mark)
        self.header = volume.header
        self._volume = volume  # keeps a converted volume from being closed by the collector
        self._dtypes = [s.dtype for s in volume.slices]
        self._files = SliceFiles(volume.slices)
        self._scratch = threading.local()

    def _copy(self, z: int, y: int, x: int, out: np.ndarray) -> None:
        height, width = out.shape
        row = self.header.shape[2]
        item = self.header.dtype.itemsize
        count = ((height - 1) * row + width) * item
        buffer = self._buffer(count)
        self._files.read(z, (y * row + x) * item, memoryview(buffer)[:count])
        band = np.ndarray((height, width), self._dtypes[z], buffer, strides=(row * item, item))
        np.copyto(out, band, casting="safe")

    def _buffer(self, count: int) -> bytearray:
        """Memory of this thread, reused from patch to patch."""
        buffer = getattr(self._scratch, "buffer", None)
        if buffer is None or len(buffer) < count:
            buffer = self._scratch.buffer = bytearray(count)
        return buffer

    def close(self) -> None:
        self._files.close()
        self._let_go()


def open_source(volume: Volume, *, folder: Path, progress: Progress = silent) -> PatchSource:
    """A source of patches of the volume.

    folder: where a volume that cannot be read in place (compressed, tiled, Fortran order) is converted, once.
    progress: called during a conversion; may raise Cancelled, which leaves nothing behind.
    Raises OutputError when the folder has too little space for a conversion.
    """
    if volume.slices is not None:
        return FileSource(volume)
    if isinstance(volume, ArrayVolume) and volume.header.format == "array":
        return ArraySource(volume)
    mark = use.begin(_place(volume, Path(folder)))
    try:
        return FileSource(_converted(volume, Path(folder), progress), mark)
    except BaseException:
        use.end(mark)
        raise


def fingerprint(files: Sequence[Path], *notes: object) -> str:
    """A name for the present content of files, from path, size and time of change: 32 hex digits."""
    digest = hashlib.sha256()
    for path in files:
        try:
            state = path.stat()
        except OSError as fault:
            raise ScanError(f"{path}: cannot be read any more ({fault.strerror or fault}).") from fault
        digest.update(
            f"{path.absolute()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode("utf-8", "surrogatepass")
        )
    digest.update(repr(notes).encode())
    return digest.hexdigest()[:32]


def unpacked_bytes(volume: Volume, folder: Path) -> int:
    """What `open_source` still has to write into the folder, bytes; 0 for what is read in place."""
    if volume.slices is not None or not volume.files:
        return 0
    return 0 if _place(volume, folder).exists() else volume.header.nbytes


def _place(volume: Volume, folder: Path) -> Path:
    header = volume.header
    key = fingerprint(volume.files, header.shape, header.dtype.str, *filter(None, [volume.variant]))
    return folder / f"{key}.npy"


def _converted(volume: Volume, folder: Path, progress: Progress) -> Volume:
    """The volume as an uncompressed .npy in folder: the one that is there, or a new one."""
    header, path = volume.header, _place(volume, folder)
    with _locks_lock:
        lock = _locks.setdefault(path.absolute(), threading.Lock())
    with lock:
        found = _kept(path, header, progress)
        if found is None:
            try:
                _convert(volume, path, progress)
            except OutputError as fault:
                if not path.exists():  # else another process was quicker
                    raise OutputError(
                        f"{header.name} has to be unpacked before it can be read at random. {fault} {ADVICE}"
                    ) from fault
            found = open_npy(path)
    _note_use(path)
    found.header = header
    return found


def _kept(path: Path, header: Header, progress: Progress) -> Volume | None:
    """The conversion that is there, compared with its checksum; None where there is none that is whole."""
    if not path.exists():
        return None
    try:
        found = open_npy(path)
        if found.header.shape != header.shape or found.header.dtype != header.dtype:
            raise ScanError(f"{path}: is not the conversion of {header.name}.")
        for done in check_seal(path):
            if done % LOOK_BYTES == 0:
                progress(done, header.nbytes, f"Checking {header.name}")
        return found
    except ScanError as fault:
        LOG.warning("%s It is made anew.", fault)
        return None


def _convert(volume: Volume, path: Path, progress: Progress) -> None:
    """Write the volume as .npy, slab by slab, after older ones that are too many."""
    header, depth = volume.header, volume.header.shape[0]
    gone = make_room(path.parent, header.nbytes)
    if gone:
        told = sum(entry.size for entry in gone) / 1e9
        LOG.info(
            "%d unpacked volumes (%.1f GB) that were not used for longest left the cache.", len(gone), told
        )
    if header.nbytes > limit_bytes(path.parent):
        LOG.info("%s alone takes more than the limit of the cache (BONE_CACHE_LIMIT).", header.name)
    with NpyWriter(path, volume.header, overwrite=True, is_sealed=True) as writer:
        for z0, z1 in volume.slabs(16 * 2**20):
            progress(z0, depth, f"Unpacking {volume.header.name} once")
            writer.write(volume.read(z0, z1))
    progress(depth, depth, f"Unpacked {volume.header.name}")


def _note_use(path: Path) -> None:
    """Set the file's time of access, which many file systems leave as it is when a file is read."""
    with contextlib.suppress(OSError):  # e.g. a cache that is shared read-only
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
