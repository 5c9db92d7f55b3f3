"""The header of VGStudio and Nikon (.vgi), whose voxels lie in a .vol or .raw beside it.

In:  a text of {groups}, [sections] and lines `key = value`.
Out: a Volume that is read in place.
No description was published; the layout is that of headers in public posts (image.sc and the forum of 3D
Slicer): of {volume1}, [file1] tells what lies on the disk (Name, Size, Datatype, BitsPerElement, SkipHeader),
[representation] what a program makes of it; [geometry] has resolution and unit. Numbers are little-endian.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, Storage
from .block import Block, begins, block_of, file_named, lengths_of, opened, sizes_of, stored_as, text_of

KINDS = {"unsigned integer": "u", "signed integer": "i", "integer": "i", "float": "f"}
BITS = {"u": (8, 16, 32), "i": (8, 16, 32), "f": (32, 64)}

Sections = dict[tuple[str, str], dict[str, str]]


def is_vgi(path: Path) -> bool:
    """Whether a file begins as such a header; False where it cannot be read."""
    return re.match(rb"\s*\{volume\d+\}", begins(path).lstrip(b"\xef\xbb\xbf")) is not None


def _sections(path: Path) -> Sections:
    """(group, section) -> keys in lower case; of a key that comes twice the first counts."""
    found: Sections = {}
    group = section = ""
    for line in text_of(path, "VGI header").splitlines():
        line = line.strip()
        if line.startswith("{") and line.endswith("}"):
            group, section = line[1:-1].strip().lower(), ""
        elif line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().lower()
        elif "=" in line:
            key, value = line.split("=", 1)
            found.setdefault((group, section), {}).setdefault(key.strip().lower(), value.strip())
    return found


def _layout(path: Path) -> Block:
    sections = _sections(path)
    volumes = [group for group, section in sections if re.fullmatch(r"volume\d+", group)]
    files = [key for key in sections if re.fullmatch(r"file\d+", key[1])]
    if not files:
        raise ScanError(f"{path}: is no VGI header, or it is damaged: it names no file of voxels ([file1]).")
    if len(files) > 1 or len(set(volumes)) > 1:
        raise ScanError(f"{path}: tells of {len(files)} files of voxels; a volume is one. Export one alone.")
    file, shown = sections[files[0]], sections.get((files[0][0], "representation"), {})
    if file.get("fileformat", "raw").lower() != "raw":
        raise ScanError(f"{path}: its voxels are {file['fileformat'][:40]!r}, not raw. Export them as raw.")
    for place in (file, shown):
        if any(part not in ("", "0") for part in place.get("mirror", "0").split()):
            raise ScanError(f"{path}: shows its voxels mirrored (mirror). Export them as they are shown.")
    shape = sizes_of(path, (file.get("size") or shown.get("size") or "").split())
    _check_part(path, file, shape)
    data = file_named(path, file.get("name", ""))
    skip = file.get("skipheader", "0")
    if not re.fullmatch(r"\d{1,12}", skip):
        raise ScanError(f"{path}: its SkipHeader is {skip[:40]!r}, no number of bytes.")
    geometry = next((keys for (_, name), keys in sections.items() if name == "geometry"), {})
    size, unit = lengths_of(geometry.get("resolution", "").split(), geometry.get("unit", ""))
    return block_of(
        path,
        format="vgi",
        shape=shape,
        stored=_numbers(path, file, shown),
        data=data,
        offset=int(skip),
        voxel_size=size,
        unit=unit,
        told="VGI's resolution",
    )


def _check_part(path: Path, file: dict[str, str], shape: tuple[int, int, int]) -> None:
    """Refuse a header that takes only a part of the voxels."""
    start, end = (file.get(f"regionofinterest{side}", "").split() for side in ("start", "end"))
    whole = [str(n - 1) for n in reversed(shape)]
    if (start and start != ["0", "0", "0"]) or (end and end != whole):
        raise ScanError(f"{path}: takes a part of its voxels only (RegionOfInterest). Export that part.")


def _numbers(path: Path, file: dict[str, str], shown: dict[str, str]) -> np.dtype:
    """The numbers on the disk."""
    kind, bits = (file.get(key) or shown.get(key) or "" for key in ("datatype", "bitsperelement"))
    letter = KINDS.get(kind.lower())
    if letter is None or bits not in map(str, BITS[letter]):
        raise ScanError(
            f"{path}: holds {bits[:20] or '?'} bit {kind[:40]!r}; BONe reads whole numbers of 8, 16 and 32 "
            "bit and floating-point numbers of 32 and 64 bit."
        )
    return np.dtype(f"<{letter}{int(bits) // 8}")


def open_vgi(path: Path) -> Volume:
    """The voxels that a VGI header names. Raises ScanError."""
    return opened(_layout(path), path)


def peek_vgi(path: Path) -> Header:
    """What a VGI header says."""
    return _layout(path).header


def storage_of(path: Path) -> Storage:
    """How it lies on disk."""
    return stored_as(_layout(path), path)
