"""Volumes in memory and in .npy files.

In:  an array or memory map (z, y, x), or a .npy file of one.
Out: a Volume. A .npy file is read by position, or mapped where it is Fortran-ordered; it has no place for the
voxel size, which may stand beside it in NAME.npy.json.
"""

from __future__ import annotations

import io
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import ScanError
from ..files.json_files import read_json
from ..files.whole import Whole, remove, write_text
from .abstract import Volume, VolumeWriter
from .header import Header, SliceLocation, Storage, Triple, volume_name
from .output import prepare
from .positional import PositionalVolume


class ArrayVolume(Volume):
    """Wraps an array or memory map (z, y, x) without copying it; bool is read as uint8 0 and 1.

    >>> ArrayVolume(np.zeros((2, 3, 4), np.uint8), voxel_size=(10, 5, 5)).header.voxel_size_um
    (10.0, 5.0, 5.0)
    """

    def __init__(
        self,
        array: np.ndarray,
        *,
        voxel_size: Triple | None = None,
        unit: str = "um",
        name: str = "array",
        origin: Triple = (0.0, 0.0, 0.0),
        path: Path | None = None,
        format: str = "array",
    ):
        if array.ndim != 3:
            raise ScanError(f"{name}: has {array.ndim} axes {array.shape}; a volume has three: (z, y, x).")
        if array.dtype.kind not in "uifb":
            raise ScanError(f"{name}: holds {array.dtype}; a volume holds whole or floating-point numbers.")
        self.array = array.view(np.uint8) if array.dtype.kind == "b" else array
        depth, height, width = array.shape
        self.header = Header(
            name, (depth, height, width), self.array.dtype, voxel_size, unit, origin, path, format
        )
        self.files = (path,) if path else ()

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        np.copyto(out, self.array[z0:z1])


def _read_layout(path: Path) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether Fortran-ordered, dtype and data offset of a .npy file; its size is checked."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, fortran, dtype = read(file)
            offset = file.tell()
        size = path.stat().st_size
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    except Exception as fault:  # the header is a Python text, and a damaged one raises many kinds
        raise ScanError(f"{path}: is not a .npy array, or it is damaged ({fault}).") from fault
    if dtype.hasobject or dtype.kind not in "uifb":
        raise ScanError(f"{path}: holds {dtype}; a volume holds whole or floating-point numbers.")
    if len(shape) != 3 or 0 in shape:
        raise ScanError(f"{path}: its shape is {shape}; a volume is (z, y, x), each at least 1.")
    if size < offset + math.prod(shape) * dtype.itemsize:
        raise ScanError(
            f"{path}: is truncated: {size} bytes, {offset + math.prod(shape) * dtype.itemsize} expected."
        )
    return shape, fortran, dtype, offset


def open_npy(path: Path) -> Volume:
    """A .npy file of an array (z, y, x) as a volume; its voxel size is known where NAME.npy.json tells it.

    Raises ScanError when it is no such file or is truncated.
    """
    shape, fortran, dtype, offset = _read_layout(path)
    header = _header(path, shape, dtype)
    if fortran:
        volume = ArrayVolume(np.load(path, mmap_mode="r"), name=header.name, path=path, format="npy")
        volume.header = header
        return volume
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    slices = [SliceLocation(path, offset + z * header.slice_bytes, dtype) for z in range(shape[0])]
    return PositionalVolume(header, slices)


def is_npy(path: Path) -> bool:
    """Whether a file begins as a .npy file does; False where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(6) == b"\x93NUMPY"
    except OSError:
        return False


def storage_of(path: Path) -> Storage:
    """How a .npy file lies on disk."""
    return Storage([path], "none")


def peek_npy(path: Path) -> Header:
    """Header of a .npy file."""
    shape, _, dtype, _ = _read_layout(path)
    return _header(path, shape, dtype)


def _header(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> Header:
    dtype = np.dtype(np.uint8) if dtype.kind == "b" else dtype
    header = Header(volume_name(path), (shape[0], shape[1], shape[2]), dtype, path=path, format="npy")
    place = _geometry_path(path)
    try:
        geometry = read_json(place)
        if tuple(geometry["shape"]) != header.shape:
            return header  # of another array that had this name
        return replace(
            header,
            voxel_size=tuple(geometry["voxel_size"]),
            unit=geometry["unit"],
            origin=tuple(geometry["origin"]),
            voxel_size_from=place.name,
        )
    except FileNotFoundError:
        return header
    except (OSError, ValueError, KeyError, TypeError, ScanError) as fault:
        raise ScanError(
            f"{place}: should tell the voxel size of {path.name}, but cannot be read ({fault}). Delete it."
        ) from fault


def _geometry_path(path: Path) -> Path:
    """Where the voxel size of a .npy file stands."""
    return path.with_name(path.name + ".json")


SEAL = b"BONEcrc "  # stands behind the voxels, with the CRC-32 of all that is before it


def check_seal(path: Path) -> Iterator[int]:
    """Compare a .npy file that `NpyWriter` sealed with its checksum; yields the bytes done, now and then.

    A file without a seal, of an earlier version, passes. Raises ScanError.
    """
    shape, _, dtype, offset = _read_layout(path)
    size = offset + math.prod(shape) * dtype.itemsize
    checksum, done = 0, 0
    try:
        with path.open("rb") as file:
            while piece := file.read(min(16 << 20, size - done)):
                checksum, done = zlib.crc32(piece, checksum), done + len(piece)
                yield done
            seal = file.read(len(SEAL) + 5)
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    if seal and seal != SEAL + checksum.to_bytes(4, "little"):
        raise ScanError(f"{path}: is damaged: its checksum is that of other voxels.")


class NpyWriter(VolumeWriter):
    """Writes a C-ordered .npy.

    keeps_geometry: write voxel size, unit and origin into NAME.npy.json, where they are known. is_sealed:
    write a checksum behind the voxels, for `check_seal`.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        *,
        overwrite: bool = False,
        keeps_geometry: bool = False,
        is_sealed: bool = False,
    ):
        super().__init__(path, header)
        self._keeps_geometry = keeps_geometry and header.voxel_size is not None
        prepare(path, overwrite=overwrite, needed_bytes=header.nbytes)
        self._whole = Whole(path)
        self._file = self._whole.temporary.open("wb")
        self._is_sealed, self._checksum = is_sealed, 0
        start = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            start,
            {
                "descr": np.lib.format.dtype_to_descr(header.dtype),
                "fortran_order": False,
                "shape": header.shape,
            },
        )
        self._write(start.getbuffer())

    def _write(self, data: memoryview) -> None:
        self._file.write(data)
        if self._is_sealed:
            self._checksum = zlib.crc32(data, self._checksum)

    def _append(self, slab: np.ndarray) -> None:
        self._write(memoryview(np.ascontiguousarray(slab)).cast("B"))

    def _finish(self) -> None:
        if self._is_sealed:
            self._file.write(SEAL + self._checksum.to_bytes(4, "little"))
        self._file.close()
        self._write_geometry()
        self._whole.keep()

    def _write_geometry(self) -> None:
        place = _geometry_path(self.path)
        if not self._keeps_geometry:
            remove(place)  # of a file that is replaced
            return
        header = self.header
        told = {
            "shape": header.shape,
            "voxel_size": header.voxel_size,
            "unit": header.unit,
            "origin": header.origin,
        }
        write_text(place, json.dumps(told) + "\n")

    def _discard(self) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk: what was buffered cannot be written
            pass
        self._whole.discard()
