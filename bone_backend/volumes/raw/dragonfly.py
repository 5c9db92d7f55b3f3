"""The header of Dragonfly (.dat), whose voxels lie in a .raw beside it; that of OpenQVis is the same.

In:  lines `Field: value`.
Out: a Volume that is read in place. DataSlope and DataOffset are left alone: numbers are those on the disk.
The layout is "RAW Metadata Files", DAT format, in Dragonfly's public documentation for developers (2025.1):
ObjectFileName, Resolution (x y z), Format, SliceThickness (x y z), MeasurementUnit, TimeSteps. Its XML format
is not read. Numbers are little-endian.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, Storage
from .block import Block, begins, block_of, file_named, lengths_of, opened, sizes_of, stored_as, text_of

FORMATS = {"UCHAR": "u1", "USHORT": "<u2", "UINT": "<u4", "FLOAT": "<f4"}


def is_dragonfly(path: Path) -> bool:
    """Whether a file tells of a file of voxels as Dragonfly does; False where it cannot be read."""
    return b"objectfilename:" in begins(path).lower()


def _layout(path: Path) -> Block:
    keys: dict[str, str] = {}
    for line in text_of(path, "header of Dragonfly").splitlines():
        key, mark, value = line.partition(":")
        if mark:
            keys.setdefault(key.strip().lower(), value.strip())
    if "objectfilename" not in keys or "resolution" not in keys:
        raise ScanError(f"{path}: is no header of Dragonfly: ObjectFileName or Resolution is missing.")
    if keys.get("timesteps", "1") not in ("0", "1"):
        raise ScanError(f"{path}: holds {keys['timesteps'][:20]} times; a volume is one. Export one time.")
    kind = keys.get("format", "").upper()
    if kind not in FORMATS:
        raise ScanError(
            f"{path}: holds {kind[:40] or 'unknown'} numbers; BONe reads {', '.join(FORMATS)} of Dragonfly."
        )
    size, unit = lengths_of(keys.get("slicethickness", "").split(), keys.get("measurementunit", ""))
    return block_of(
        path,
        format="dragonfly",
        shape=sizes_of(path, keys["resolution"].split()),
        stored=np.dtype(FORMATS[kind]),
        data=file_named(path, keys["objectfilename"]),
        voxel_size=size,
        unit=unit,
        told="Dragonfly's SliceThickness",
    )


def open_dragonfly(path: Path) -> Volume:
    """The voxels of a header of Dragonfly. Raises ScanError."""
    return opened(_layout(path), path)


def peek_dragonfly(path: Path) -> Header:
    """What a header of Dragonfly says."""
    return _layout(path).header


def storage_of(path: Path) -> Storage:
    """How it lies on disk."""
    return stored_as(_layout(path), path)
