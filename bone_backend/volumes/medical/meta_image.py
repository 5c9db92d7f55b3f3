"""MetaImage files of ITK: .mha, and .mhd with its voxels in a file beside it.

In:  a file with one volume; or a Header and slabs.
Out: a Volume with its place in the patient's space (ITK's: left, back, head, in mm); .mha is written.
The layout is that of MetaIO: lines `Key = Value`, of which ElementDataFile is the last before the voxels.
https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, Storage, Triple, known_unit, volume_name
from .nrrd import file_beside
from .space import matrix_of, mm_per_unit, place_of
from .voxels import BlockWriter, storage, volume_of

MOST_TEXT = 1 << 20
TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i8",
    "MET_ULONG": "u8",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
NAMES = {"i8": "MET_LONG_LONG", "u8": "MET_ULONG_LONG"} | {
    kind: name for name, kind in TYPES.items() if "LONG" not in name
}


class _Layout(NamedTuple):
    header: Header
    stored: np.dtype
    data: Path
    offset: int
    is_packed: bool


def is_meta_image(path: Path) -> bool:
    """Whether a file begins as a MetaImage does; False where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return re.match(rb"(ObjectType\s*=\s*Image|NDims\s*=\s*\d)", file.read(64)) is not None
    except OSError:
        return False


def _text_of(path: Path) -> tuple[dict[str, str], int]:
    """The keys (in lower case) of a header, and where it ends."""
    try:
        with path.open("rb") as file:
            start = file.read(MOST_TEXT)
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    end = re.search(rb"(?:^|\n)ElementDataFile[ \t]*=[^\n]*(?:\n|$)", start)
    if end is None:
        raise ScanError(f"{path}: is no MetaImage, or its header is cut off: ElementDataFile is missing.")
    lines = start[: end.end()].decode("utf-8", "replace").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key.strip().lower(): value.strip() for key, value in pairs}, end.end()


def _numbers(keys: dict[str, str], *names: str) -> list[float]:
    return [float(part) for name in names if name in keys for part in keys[name].split()]


def _layout(path: Path) -> _Layout:
    """The header of a file, checked."""
    keys, end = _text_of(path)
    try:
        sizes = [int(part) for part in keys.get("dimsize", "").split()]
        channels = int(keys.get("elementnumberofchannels", "1"))
        skip = int(keys.get("headersize", "0"))
        place = _place(keys)
    except ValueError as fault:
        raise ScanError(f"{path}: its MetaImage header is damaged ({fault}). Export it again.") from fault
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) != 3 or min(sizes) < 1 or channels != 1:
        raise ScanError(
            f"{path}: has axes of {' x '.join(map(str, sizes))} with {channels} values a voxel; a volume is "
            "one stack of slices (x, y, z) with one value a voxel."
        )
    kind, is_binary = TYPES.get(keys.get("elementtype", "")), keys.get("binarydata", "True").lower() == "true"
    if kind is None or not is_binary:
        raise ScanError(
            f"{path}: holds {keys.get('elementtype')} numbers{'' if is_binary else ' as text'}; BONe reads "
            "binary whole and floating-point numbers."
        )
    is_big = keys.get("binarydatabyteordermsb", keys.get("elementbyteordermsb", "False")).lower() == "true"
    stored = np.dtype(kind).newbyteorder(">" if is_big else "<")
    shape = (sizes[2], sizes[1], sizes[0])
    is_packed = keys.get("compresseddata", "False").lower() == "true"
    name = keys["elementdatafile"]
    data, offset = (path, end) if name.upper() == "LOCAL" else (file_beside(path, name), 0)
    if skip == -1 and not is_packed:
        offset = data.stat().st_size - math.prod(shape) * stored.itemsize
    elif skip:
        offset += skip
    if offset < 0 or skip < -1:
        raise ScanError(f"{path}: is truncated: its voxels are shorter than announced. Copy it again.")
    size, unit, origin, direction = place
    header = Header(
        volume_name(path),
        shape,
        stored,
        size,
        unit,
        origin,
        path=path,
        format="meta-image",
        voxel_size_from="MetaImage's header" if size else "",
        direction=direction,
    )
    return _Layout(header, stored, data, offset, is_packed)


def _place(keys: dict[str, str]) -> tuple[Triple | None, str, Triple, Any]:
    """Voxel size, unit, origin, direction; ValueError for what is no number."""
    sizes = np.array(_numbers(keys, "elementspacing") or _numbers(keys, "elementsize"))[:3]
    turn = _numbers(keys, "transformmatrix") or _numbers(keys, "rotation") or _numbers(keys, "orientation")
    start = _numbers(keys, "offset") or _numbers(keys, "position") or _numbers(keys, "origin")
    unit, factor = known_unit(keys.get("distanceunits", "mm"))
    if len(sizes) == 3 and (sizes > 0).all():
        steps = np.array(turn).reshape(3, 3).T if len(turn) == 9 else np.eye(3)
        place = place_of(
            steps * sizes * factor, np.array(start[:3] if len(start) >= 3 else (0, 0, 0)) * factor
        )
        if place:
            return place.voxel_size, unit, place.origin, place.direction if len(turn) == 9 else None
    return None, "um", (0.0, 0.0, 0.0), None


def open_meta_image(path: Path) -> Volume:
    """A MetaImage as a volume. Raises ScanError: none such, several values a voxel, truncated."""
    header, stored, data, offset, is_packed = _layout(path)
    files = (path,) if data == path else (path, data)
    packed = "zlib" if is_packed else ""
    return volume_of(header, data, stored=stored, offset=offset, packed=packed, files=files)


def peek_meta_image(path: Path) -> Header:
    """Header of a MetaImage."""
    return _layout(path).header


def storage_of(path: Path) -> Storage:
    """How a MetaImage lies on disk."""
    with open_meta_image(path) as volume:
        return storage(volume)


class MetaImageWriter(BlockWriter):
    """Writes .mha, voxels plain."""

    def __init__(self, path: Path, header: Header, *, overwrite: bool = False):
        super().__init__(path, header, _start_of(header), overwrite=overwrite)


def _start_of(header: Header) -> bytes:
    """The text before the voxels."""
    depth, height, width = header.shape
    lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
    lines += ["CompressedData = False"]
    if header.voxel_size is not None:
        factor = mm_per_unit(header)
        steps, origin = matrix_of(header, scale=factor or 1.0)
        sizes = np.linalg.norm(steps, axis=0)
        lines += [
            f"TransformMatrix = {_numbers_told((steps / sizes).T.ravel())}",
            f"Offset = {_numbers_told(origin)}",
        ]
        lines += [f"ElementSpacing = {_numbers_told(sizes)}"] + ["DistanceUnits = ?"] * (factor is None)
    lines += [f"DimSize = {width} {height} {depth}", f"ElementType = {NAMES[header.dtype.str[1:]]}"]
    return ("\n".join([*lines, "ElementDataFile = LOCAL"]) + "\n").encode("ascii")


def _numbers_told(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in values)
