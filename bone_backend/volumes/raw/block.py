"""Voxels that lie plain in one file, which another file tells of.

In:  what a header says: the name of the file, sizes, numbers.
Out: a Volume that is read in place, or ScanError. Only a file in the header's own folder is opened: scanners
write the path that the voxels had on their own disk, of which the last name counts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, Storage, Triple, known_unit, volume_name
from ..medical.voxels import storage, volume_of

MOST_TEXT = 1 << 20  # a header has some kB
MOST_VOXELS = 1 << 48


class Block(NamedTuple):
    """header: of the volume. stored: its numbers. data: the file of the voxels, from byte offset on."""

    header: Header
    stored: np.dtype
    data: Path
    offset: int = 0


def text_of(path: Path, what: str) -> str:
    """The text of a header. Raises ScanError: unreadable, or far too long for one."""
    try:
        with path.open("rb") as file:
            start = file.read(MOST_TEXT + 1)
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    if len(start) > MOST_TEXT or b"\0" in start:
        raise ScanError(f"{path}: is no {what}, whatever its name says: it is no short text.")
    return start.decode("utf-8", "replace").lstrip("\ufeff")


def begins(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(size) or b""
    except OSError:
        return b""


def file_named(path: Path, name: str) -> Path:
    """The file beside a header that it names, with or without the folder where it was written."""
    last = re.split(r"[\\/]", name.strip().strip('"'))[-1].strip()
    if not last or last in (".", "..") or "\0" in last:
        raise ScanError(f"{path}: names no file of voxels ({name[:80]!r}).")
    place = path.parent / last
    if not os.path.isfile(place):  # noqa: PTH113 (a name that the system cannot have is none)
        raise ScanError(f"{path}: its voxels should lie beside it in {last}, which is not there. Copy both.")
    if place.resolve() == path.resolve():
        raise ScanError(f"{path}: names itself as the file of its voxels.")
    return place


def sizes_of(path: Path, values: Sequence[str]) -> tuple[int, int, int]:
    """The shape (z, y, x) from whole numbers in the order x, y, z."""
    try:
        x, y, z = (int(value) for value in values)
    except ValueError as fault:
        raise ScanError(f"{path}: its size is {' '.join(values)[:80]!r}, not three whole numbers.") from fault
    if min(x, y, z) < 1 or x * y * z > MOST_VOXELS:
        raise ScanError(f"{path}: its size is {x} x {y} x {z}; a volume has three axes, each at least 1.")
    return z, y, x


def lengths_of(values: Sequence[str], unit: str) -> tuple[Triple | None, str]:
    """Voxel size (z, y, x) and its unit from lengths x, y, z; None where they are none."""
    known, factor = known_unit(unit)
    try:
        x, y, z = (float(value.replace(",", ".")) * factor for value in values)
    except ValueError:
        return None, "um"
    if not all(np.isfinite(size) and size > 0 for size in (x, y, z)):
        return None, "um"
    if known == "" and x == y == z == 1:
        return None, "um"  # what programs write that know nothing
    return (z, y, x), known


def block_of(
    path: Path,
    *,
    format: str,
    shape: tuple[int, int, int],
    stored: np.dtype,
    data: Path,
    offset: int = 0,
    voxel_size: Triple | None = None,
    unit: str = "um",
    told: str = "",
) -> Block:
    """The block that a header tells of. told: what says the voxel size.

    Raises ScanError where the file has another length than the header announces.
    """
    header = Header(
        volume_name(path),
        shape,
        stored,
        voxel_size,
        unit,
        path=path,
        format=format,
        voxel_size_from=told if voxel_size else "",
    )
    try:
        size = data.stat().st_size
    except OSError as fault:
        raise ScanError(f"{data}: cannot be read ({fault.strerror or fault}).") from fault
    expected = offset + header.voxels * stored.itemsize
    if size > expected:
        z, y, x = shape
        raise ScanError(
            f"{data}: has {size:,} bytes, but {x} x {y} x {z} voxels of {stored.name} are {expected:,}"
            f"{f' (from byte {offset:,} on)' if offset else ''}. Sizes, type or file are others than told."
        )
    return Block(header, stored, data, offset)


def opened(block: Block, path: Path) -> Volume:
    """The volume, read in place. path: the header."""
    files = (block.data,) if block.data == path else (path, block.data)
    return volume_of(block.header, block.data, stored=block.stored, offset=block.offset, files=files)


def stored_as(block: Block, path: Path) -> Storage:
    """How it lies on disk."""
    with opened(block, path) as volume:
        return storage(volume)
