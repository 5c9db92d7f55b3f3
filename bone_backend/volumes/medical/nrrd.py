"""NRRD files: .nrrd, .nhdr, and .seg.nrrd, the segmentations of 3D Slicer with names and colours.

In:  a file with one volume (its voxels behind the text, or in one file beside it); or a Header and slabs.
Out: a Volume with its place in the patient's space; labels as 3D Slicer writes a segmentation.
The text is pynrrd's to read. Raw voxels are read in place, packed ones (gzip, bzip2) as a stream.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import PackageError, ScanError
from ..abstract import Volume
from ..header import Header, LabelClass, Storage, Triple, known_unit, volume_name
from .space import matrix_of, mm_per_unit, place_of
from .voxels import BlockWriter, storage, volume_of

MOST_TEXT = 4 << 20  # bytes before the voxels
SIGNS = {  # of x, y and z, to left, back and head
    **dict.fromkeys(("left-posterior-superior", "lps"), (1, 1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras"), (-1, -1, 1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (1, -1, 1)),
}
TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
PACKED = {"raw": "", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
TYPE_NAMES = {"u1": "unsigned char", "u2": "unsigned short", "i1": "signed char", "i2": "short"} | {
    "u4": "unsigned int",
    "i4": "int",
    "u8": "unsigned long long",
    "i8": "long long",
    "f4": "float",
    "f8": "double",
}


class _Layout(NamedTuple):
    header: Header
    stored: np.dtype
    data: Path
    offset: int
    packed: str


def is_nrrd(path: Path) -> bool:
    """Whether a file begins as an NRRD file does; False where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return re.match(rb"NRRD000[1-5]", file.read(8)) is not None
    except OSError:
        return False


def _text_of(path: Path) -> tuple[bytes, int]:
    """The text before the voxels, and its length in bytes with the blank line that ends it."""
    try:
        with path.open("rb") as file:
            start = file.read(MOST_TEXT)
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    if not re.match(rb"NRRD000[1-5]", start):
        raise ScanError(f"{path}: is no NRRD file, whatever its name says, or its header is damaged.")
    end = re.search(rb"\r?\n\r?\n", start)
    if end is None and len(start) == MOST_TEXT:
        raise ScanError(f"{path}: is damaged: its header has no end. Export it again.")
    return (start[: end.start()], end.end()) if end else (start, len(start))


def _fields(path: Path, text: bytes) -> Mapping[str, Any]:
    """The fields of a header, as pynrrd reads them."""
    try:
        import nrrd
    except ImportError as fault:
        raise PackageError("NRRD files need the package pynrrd: pip install pynrrd") from fault
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    try:
        return nrrd.read_header(iter(lines))
    except (nrrd.errors.NRRDError, ValueError, IndexError, KeyError, TypeError) as fault:
        raise ScanError(f"{path}: its NRRD header is damaged ({fault}). Export it again.") from fault


def _layout(path: Path) -> _Layout:
    """The header of a file, checked."""
    text, length = _text_of(path)
    fields = _fields(path, text)
    sizes = [int(n) for n in np.atleast_1d(fields.get("sizes", []))]
    axes = [axis for axis, n in enumerate(sizes) if n != 1 or len(sizes) <= 3]
    if len(axes) != 3 or min(sizes) < 1:
        layers = " It is a segmentation with overlapping layers; in 3D Slicer, collapse them first." * (
            any(key.startswith("Segment0_") for key in fields)
        )
        raise ScanError(
            f"{path}: has axes of {' x '.join(map(str, sizes))}; a volume is one stack of slices (x, y, z)."
            f"{layers}"
        )
    kind = TYPES.get(str(fields.get("type", "")).lower())
    packed = PACKED.get(str(fields.get("encoding", "")).lower())
    if kind is None or packed is None:
        raise ScanError(
            f"{path}: holds {fields.get('type')} numbers, stored as {fields.get('encoding')}; BONe reads "
            "whole and floating-point numbers, stored as raw, gzip or bzip2."
        )
    stored = np.dtype(kind).newbyteorder(">" if str(fields.get("endian")) == "big" else "<")
    data, offset = _data_of(path, fields, length)
    shape = (sizes[axes[2]], sizes[axes[1]], sizes[axes[0]])
    if "byte skip" in fields or "line skip" in fields:
        offset = _skipped(path, fields, data, offset, math.prod(shape) * stored.itemsize, packed)
    size, unit, origin, direction = _place(fields, axes)
    return _Layout(
        Header(
            volume_name(path),
            shape,
            stored,
            size,
            unit,
            origin,
            path=path,
            format="nrrd",
            voxel_size_from="NRRD's header" if size else "",
            direction=direction,
            classes=_classes(fields),
        ),
        stored,
        data,
        offset,
        packed,
    )


def _data_of(path: Path, fields: Mapping[str, Any], length: int) -> tuple[Path, int]:
    """The file with the voxels, and where they begin."""
    name = fields.get("data file", fields.get("datafile"))
    if name is None:
        return path, length
    return file_beside(path, str(name)), 0


def file_beside(path: Path, name: str) -> Path:
    """The file of voxels that a header names, in its folder or below; ScanError for any other place."""
    place = Path(name)
    if name.strip().upper().startswith("LIST") or "%" in name:
        raise ScanError(f"{path}: its voxels lie in several files; save it as one.")
    if place.is_absolute() or ".." in place.parts or re.match(r"[A-Za-z]:|[\\/]", name):
        raise ScanError(
            f"{path}: its voxels should lie in {name}, outside of its folder. Put them beside it, and name "
            "the file in the header without a folder."
        )
    found = path.parent / place
    if not os.path.isfile(found):  # noqa: PTH113 (a name that the system cannot have is none)
        raise ScanError(f"{path}: its voxels should lie in {found}, which is not there. Copy both files.")
    return found


def _skipped(path: Path, fields: Mapping[str, Any], data: Path, offset: int, nbytes: int, packed: str) -> int:
    skip, lines = int(fields.get("byte skip", 0)), int(fields.get("line skip", 0))
    if lines or skip < -1 or (skip and packed):
        raise ScanError(f"{path}: skips lines or bytes before its voxels, which BONe does not. Save it anew.")
    return data.stat().st_size - nbytes if skip == -1 else offset + skip


def _place(fields: Mapping[str, Any], axes: list[int]) -> tuple[Triple | None, str, Triple, Any]:
    """Voxel size, unit, origin and direction; unknown where the text does not say."""
    nothing: tuple[None, str, Triple, None] = (None, "um", (0.0, 0.0, 0.0), None)
    signs = SIGNS.get(str(fields.get("space", "")).lower())
    units = [known_unit(str(unit)) for unit in fields.get("space units", fields.get("units", []))]
    if len(set(units)) > 1 or (units and units[0][0] == ""):
        return nothing
    unit, factor = units[0] if units else (("mm", 1.0) if signs else ("", 1.0))
    directions = np.asarray(fields.get("space directions", np.empty((0, 0))), float)
    if directions.ndim == 2 and directions.shape[1:] == (3,) and len(directions) > max(axes):
        turn = np.array(signs or (1, 1, 1), float)
        start = np.asarray(fields.get("space origin", (0, 0, 0)), float)
        place = place_of(directions[axes].T * turn[:, None] * factor, start * turn * factor)
        if place is None:
            return nothing
        return (
            (*place[:1], unit, place.origin, place.direction) if signs else (place[0], unit, (0, 0, 0), None)
        )
    spacings = np.asarray(fields.get("spacings", ()), float)
    if len(spacings) > max(axes) and all(math.isfinite(s) and s > 0 for s in spacings[axes]):
        z, y, x = (float(s) * factor for s in spacings[axes][::-1])
        return (z, y, x), unit, (0.0, 0.0, 0.0), None
    return nothing


def _classes(fields: Mapping[str, Any]) -> tuple[LabelClass, ...]:
    """The segments of 3D Slicer."""
    found = {}
    for key, value in fields.items():
        number = re.fullmatch(r"(Segment\d{1,5})_LabelValue", key)
        if number and re.fullmatch(r"\d{1,5}", str(value)):
            name = str(fields.get(f"{number[1]}_Name", "")) or f"class {value}"
            parts = re.fullmatch(
                r"([\d.eE+-]+) ([\d.eE+-]+) ([\d.eE+-]+)", fields.get(f"{number[1]}_Color", "")
            )
            found[int(value)] = LabelClass(int(value), name, _colour(parts.groups()) if parts else None)
    return tuple(sorted(found.values()))


def _colour(parts: tuple[str, ...]) -> str | None:
    try:
        shares = [min(max(float(part), 0.0), 1.0) for part in parts]
    except ValueError:
        return None
    return "#" + "".join(f"{round(share * 255):02x}" for share in shares)


def open_nrrd(path: Path) -> Volume:
    """An NRRD file as a volume. Raises ScanError: no NRRD, several layers, truncated, voxels elsewhere."""
    header, stored, data, offset, packed = _layout(path)
    files = (path,) if data == path else (path, data)
    return volume_of(header, data, stored=stored, offset=offset, packed=packed, files=files)


def peek_nrrd(path: Path) -> Header:
    """Header of an NRRD file."""
    return _layout(path).header


def storage_of(path: Path) -> Storage:
    """How an NRRD file lies on disk."""
    with open_nrrd(path) as volume:
        return storage(volume)


class NrrdWriter(BlockWriter):
    """Writes .nrrd or .seg.nrrd, voxels packed with gzip; classes as segments of 3D Slicer."""

    def __init__(self, path: Path, header: Header, *, overwrite: bool = False):
        super().__init__(path, header, _start_of(header), overwrite=overwrite, is_packed=True)


def _start_of(header: Header) -> bytes:
    """The text before the voxels."""
    depth, height, width = header.shape
    lines = [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {TYPE_NAMES[header.dtype.str[1:]]}",
        "dimension: 3",
    ]
    factor = mm_per_unit(header)
    if factor:  # 3D Slicer takes every length for mm
        steps, origin = matrix_of(header, scale=factor)
        told = " ".join(_vector(steps[:, axis]) for axis in range(3))
        lines += ["space: left-posterior-superior", f"sizes: {width} {height} {depth}"]
        lines += [
            f"space directions: {told}",
            "kinds: domain domain domain",
            f"space origin: {_vector(origin)}",
        ]
    else:
        lines += [f"sizes: {width} {height} {depth}"]
        if header.voxel_size:
            lines += [f"spacings: {' '.join(repr(size) for size in reversed(header.voxel_size))}"]
        lines += ["kinds: domain domain domain"]
    lines += ["endian: little", "encoding: gzip", *_segments(header)]
    return ("\n".join(lines) + "\n\n").encode("utf-8")


def _vector(values: np.ndarray) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _segments(header: Header) -> list[str]:
    """The classes but background as key/value pairs; their names are those that 3D Slicer 5 writes."""
    lines = []
    depth, height, width = header.shape
    for number, item in enumerate(item for item in header.classes if item.value):
        name = " ".join(item.name.split()) or f"class {item.value}"
        told = {"ID": f"Segment_{item.value}", "Name": name, "NameAutoGenerated": 0, "LabelValue": item.value}
        if item.colour:
            parts = [int(item.colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            told |= {"Color": " ".join(f"{part:.6g}" for part in parts), "ColorAutoGenerated": 0}
        told |= {"Layer": 0, "Extent": f"0 {width - 1} 0 {height - 1} 0 {depth - 1}"}
        lines += [f"Segment{number}_{key}:={value}" for key, value in told.items()]
    if lines:
        lines += [
            "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
            "Segmentation_MasterRepresentation:=Binary labelmap",
            "Segmentation_SourceRepresentation:=Binary labelmap",
            "Segmentation_ReferenceImageExtentOffset:=0 0 0",
        ]
    return lines
