"""Volumes: open, look at, and save scans and masks, whatever their format.

In:  a path of one of the formats in formats.py, or an array (z, y, x).
Out: a Volume that is read slab by slab; a Header; or a writer whose result appears when it is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError, OutputError, ScanError
from ..files.inside import parts_of
from ..files.names import near
from ..files.whole import output_fault
from .abstract import SLAB_BYTES, Volume, VolumeWriter
from .array import ArrayVolume
from .formats import COMPRESSION, FOLDER, Format, format_of, format_written, in_words, labels_fault
from .header import UM_PER_UNIT, Header, SliceLocation, Storage, Triple, volume_name
from .tiff.foreign import lost, unknown

COMPRESSIONS = (None, "zlib")

__all__ = [
    "SLAB_BYTES",
    "UM_PER_UNIT",
    "ArrayVolume",
    "Digested",
    "Header",
    "SliceLocation",
    "Triple",
    "Volume",
    "VolumeWriter",
    "create",
    "open_volume",
    "peek",
    "save",
    "sha256_of",
    "storage_of",
    "volume_name",
]


def open_volume(path: Path | str) -> Volume:
    """A scan or mask as a volume; all headers are checked, no voxel is read.

    path: folder of slices, or a file.
    Raises ScanError, naming the file and what is wrong with it.
    """
    path = Path(path)
    row, file, chosen = _format(path)
    volume = row.call("open", file, **chosen)
    if file != path:
        volume.header = _named(volume.header, path)
        volume.variant = f"{chosen['inside']} {volume.variant}".strip()
    return volume


def peek(path: Path | str) -> Header:
    """Shape, dtype and voxel size without the data; of a folder from its names and the first slice."""
    path = Path(path)
    row, file, chosen = _format(path)
    header = row.call("peek", file, **chosen)
    return header if file == path else _named(header, path)


def storage_of(path: Path) -> Storage:
    """How a volume lies on disk."""
    row, file, chosen = _format(path)
    return row.call("storage", file, **chosen)


def _named(header: Header, path: Path) -> Header:
    """The header of what was chosen inside a file."""
    return replace(header, path=path, name=volume_name(path))


def _format(whole: Path) -> tuple[Format, Path, dict[str, str]]:
    """The format of a folder or a file that can be a volume, its path, and what is chosen inside it.

    Raises ScanError.
    """
    path, inside = parts_of(whole)
    row = _row(path)
    if inside and not row.inside:
        raise ScanError(f"{whole}: nothing can be chosen inside a {row.words}. Give {path} alone.")
    return row, path, {"inside": inside} if row.inside else {}


def _row(path: Path) -> Format:
    """The row of a folder or file that is there."""
    try:
        is_there = path.exists()
    except OSError as fault:  # e.g. a name that is too long, a folder that may not be entered
        raise ScanError(f"{str(path)[:300]}: cannot be opened ({fault.strerror or fault}).") from fault
    if not is_there:
        hint = near(path) if path.parent.is_dir() else f" Its folder {path.parent} does not exist either."
        raise ScanError(lost(path) or f"{path}: does not exist.{hint}")
    known = format_of(path)
    if known is None and (told := unknown(path, in_words())):
        raise ScanError(told)
    return known or FOLDER  # which tells what the folder holds


def create(
    path: Path | str, header: Header, *, overwrite: bool = False, compression: str | None = None
) -> VolumeWriter:
    """A writer for a volume of the header's shape, dtype and voxel size; a context manager that takes slabs.

    path: its ending chooses the format, as formats.py says; without one it is a folder of slices.
    compression: None (can be read by position) or "zlib".
    Raises OutputError when something is there and overwrite is False, or the disk is too small.

    >>> with create(folder / "labels", header) as writer:  # doctest: +SKIP
    ...     writer.write(slab)
    """
    path = Path(path)
    if told := labels_fault(path, what="a volume is"):
        raise OutputError(told)
    if compression not in COMPRESSIONS:
        raise OptionError(f'compression is "{compression}"; use None or "zlib".')
    row = format_written(path)
    settings: dict[str, Any] = {"overwrite": overwrite}
    if COMPRESSION not in row.lacks and not row.packed:
        settings["compression"] = compression
    elif compression is not None and not row.packed:
        raise OptionError(f"{path.name}: a {row.words} is not compressed.")
    try:
        return row.call("create", path, header, **settings)
    except OSError as fault:
        raise output_fault(path, fault) from fault


def check_in_place(path: Path) -> None:
    """Before the work: raise OutputError where a folder is in the place of `path` that BONe did not write."""
    row = format_written(path)
    if row.in_place and path.exists():
        row.call("in_place", path)


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


def sha256_of(volume: Volume) -> str:
    """Over the voxels in their order, little-endian, whatever the format."""
    digest = hashlib.sha256()
    for z0, z1 in volume.slabs():
        _count(digest, volume.read(z0, z1))
    return digest.hexdigest()


def _count(digest: hashlib._Hash, slab: np.ndarray) -> None:
    little = np.ascontiguousarray(slab, slab.dtype.newbyteorder("<"))
    digest.update(memoryview(little.reshape(-1)).cast("B"))


class Digested:
    """A writer whose voxels are counted as `sha256_of` counts them."""

    def __init__(self, writer: VolumeWriter):
        self._writer, self._digest = writer, hashlib.sha256()

    def write(self, slab: np.ndarray) -> None:
        """Append slices."""
        _count(self._digest, slab)
        self._writer.write(slab)

    @property
    def sha256(self) -> str:
        """Of all slices so far."""
        return self._digest.hexdigest()
