"""The header of GE phoenix datos|x (.pcr), whose voxels lie in a .vol beside it.

In:  an INI file with the section [VolumeData].
Out: a Volume that is read in place.
No description was published; the layout is that of two public readers, GEVolImport of SlicerMorph and pi2:
Volume_SizeX, Y, Z; Format 1 (uint8), 5 (uint16) or 10 (float32), little-endian; VOL_File, else the .vol of
the same name; VoxelSizeRec in mm.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, Storage
from .block import Block, begins, block_of, file_named, lengths_of, opened, sizes_of, stored_as, text_of

FORMATS = {"1": "u1", "5": "<u2", "10": "<f4"}


def is_pcr(path: Path) -> bool:
    """Whether a file is a header with volume data; False where it cannot be read."""
    return b"[volumedata]" in begins(path, 1 << 16).lower()


def _keys(path: Path) -> dict[str, str]:
    """The keys of [VolumeData], in lower case."""
    found: dict[str, str] = {}
    section = ""
    for line in text_of(path, "PCR header").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[] ").lower()
        elif section == "volumedata" and "=" in line:
            key, value = line.split("=", 1)
            found.setdefault(key.strip().lower(), value.strip())
    return found


def _layout(path: Path) -> Block:
    keys = _keys(path)
    if not keys:
        raise ScanError(f"{path}: is no PCR header of a volume, or it is damaged: [VolumeData] is missing.")
    shape = sizes_of(path, [keys.get(f"volume_size{axis}", "") for axis in "xyz"])
    if keys.get("format") not in FORMATS:
        raise ScanError(
            f"{path}: its Format is {keys.get('format', 'missing')[:40]!r}; BONe knows 1 (uint8), 5 (uint16) "
            "and 10 (float32)."
        )
    size, unit = lengths_of([keys.get("voxelsizerec", "")] * 3, "mm")
    named = path.with_suffix(".vol").name
    told = re.split(r"[\\/]", keys.get("vol_file", ""))[-1]
    return block_of(
        path,
        format="pcr",
        shape=shape,
        stored=np.dtype(FORMATS[keys["format"]]),
        data=file_named(path, told if told in _beside(path) else named),
        voxel_size=size,
        unit=unit,
        told="PCR's VoxelSizeRec",
    )


def _beside(path: Path) -> set[str]:
    """The names of the files in a header's folder."""
    try:
        return {item.name for item in path.parent.iterdir()}
    except OSError:
        return set()


def open_pcr(path: Path) -> Volume:
    """The voxels of a PCR header. Raises ScanError."""
    return opened(_layout(path), path)


def peek_pcr(path: Path) -> Header:
    """What a PCR header says."""
    return _layout(path).header


def storage_of(path: Path) -> Storage:
    """How it lies on disk."""
    return stored_as(_layout(path), path)
