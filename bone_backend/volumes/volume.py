"""Volumes: open, look at, and save scans and masks, whatever their format.

In:  a path (TIFF folder, multi-page TIFF, BigTIFF, .npy), or an array (z, y, x).
Out: a Volume that is read slab by slab; a Header; or a writer whose result appears when it is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import OptionError, ScanError
from ..files.whole import output_fault
from .abstract import SLAB_BYTES, Volume, VolumeWriter
from .array import ArrayVolume, NpyWriter, open_npy, peek_npy
from .header import UM_PER_UNIT, Header, SliceLocation, Triple, volume_name
from .tiff import reading as tiff
from .tiff.directory import is_tiff
from .tiff.folder import is_tiff_name
from .tiff.writing import COMPRESSIONS, TiffFileWriter, TiffFolderWriter

__all__ = [
    "SLAB_BYTES",
    "UM_PER_UNIT",
    "ArrayVolume",
    "Header",
    "SliceLocation",
    "Triple",
    "Volume",
    "VolumeWriter",
    "create",
    "open_volume",
    "peek",
    "save",
    "volume_name",
]


def open_volume(path: Path | str) -> Volume:
    """A scan or mask as a volume; all headers are checked, no voxel is read.

    path: folder of TIFF slices, multi-page TIFF or BigTIFF, or .npy.
    Raises ScanError, naming the file and what is wrong with it.
    """
    path = _existing(path)
    if path.is_dir():
        return tiff.open_folder(path)
    if path.suffix.lower() == ".npy":
        return open_npy(path)
    return tiff.open_file(path)


def peek(path: Path | str) -> Header:
    """Shape, dtype and voxel size without the data; of a folder from its names and the first slice."""
    path = _existing(path)
    if path.suffix.lower() == ".npy" and path.is_file():
        return peek_npy(path)
    return tiff.peek(path)


def _existing(path: Path | str) -> Path:
    """The path if it is a folder or a file that can be a volume; ScanError otherwise."""
    path = Path(path)
    if not path.exists():
        near = path.parent if path.parent.is_dir() else None
        hint = "" if near else f" Its folder {path.parent} does not exist either."
        raise ScanError(f"{path}: does not exist.{hint}")
    known = is_tiff_name(path.name) or path.suffix.lower() == ".npy" or path.is_dir()
    if not known and not is_tiff(path):  # a TIFF may have any name or none, e.g. .btf
        raise ScanError(
            f"{path}: is no volume that BONe reads; it reads a folder of slices, a TIFF stack or a .npy file."
        )
    return path


def create(
    path: Path | str, header: Header, *, overwrite: bool = False, compression: str | None = None
) -> VolumeWriter:
    """A writer for a volume of the header's shape, dtype and voxel size; a context manager that takes slabs.

    path: ending in .tif or .tiff for one file (BigTIFF above 4 GB), in .npy for an array without voxel size;
          else a folder of slices.
    compression: None (can be read by position) or "zlib".
    Raises OutputError when something is there and overwrite is False, or the disk is too small.

    >>> with create(folder / "labels", header) as writer:  # doctest: +SKIP
    ...     writer.write(slab)
    """
    path = Path(path)
    if compression not in COMPRESSIONS:
        raise OptionError(f'compression is "{compression}"; use None or "zlib".')
    if path.suffix.lower() == ".npy" and compression is not None:
        raise OptionError(f"{path.name}: a .npy file is not compressed.")
    try:
        if path.suffix.lower() == ".npy":
            return NpyWriter(path, header, overwrite=overwrite)
        if path.suffix.lower() in (".tif", ".tiff"):
            return TiffFileWriter(path, header, overwrite=overwrite, compression=compression)
        return TiffFolderWriter(path, header, overwrite=overwrite, compression=compression)
    except OSError as fault:
        raise output_fault(path, fault) from fault


def save(
    path: Path | str,
    volume: Volume | np.ndarray,
    *,
    voxel_size: Sequence[float] | None = None,
    unit: str = "um",
    overwrite: bool = False,
    compression: str | None = None,
) -> None:
    """Write a whole volume or array (z, y, x), slab by slab; voxel_size and unit are for an array."""
    if isinstance(volume, np.ndarray):
        sizes = None if voxel_size is None else (voxel_size[0], voxel_size[1], voxel_size[2])
        volume = ArrayVolume(volume, voxel_size=sizes, unit=unit, name=volume_name(Path(path)))
    with create(path, volume.header, overwrite=overwrite, compression=compression) as writer:
        for z0, z1 in volume.slabs():
            writer.write(volume.read(z0, z1))
