"""Images of Scanco's evaluation program (.aim): scans cut to a region, and masks, often packed.

In:  a file; behind "#" mu or density for calibrated values instead of the stored numbers.
Out: a Volume; plain numbers are read in place, packed ones as a stream (aim_packing.py).
The layout is that of two public readers, AimIO of Numerics88 and ITKIOScanco of Kitware. A list of block
sizes (of 32 bit; after "AIMDATA_V030" of 64 bit), then the blocks: header, log, voxels. Version 020 (a header
of 140 bytes): at 20 the type, at 24 position, 36 size, 48 border (x, y, z each), 108 voxel size in mm
(F_floating of VMS). Version 030 (224 bytes): at 12, 16, 40, 64 (of 64 bit), 184 (nm). The log is text with
Mu_Scaling and "Density: slope" and "intercept".
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, Storage, Triple, volume_name
from ..medical.voxels import StreamVolume, storage, volume_of
from .aim_packing import BITS, MOST, BitVolume, PackedVolume, VmsFloatVolume
from .block import MOST_VOXELS, begins
from .isq import Calibration

MARK = b"AIMDATA_V030   \0"
MOST_LOG = 1 << 20
KINDS = {  # type -> numbers, and how they are packed
    0x00010001: ("i1", ""),
    0x00020002: ("<i2", ""),
    0x00040004: ("<f4", "vms"),
    0x00150001: ("i1", "two"),
    0x00080002: ("i1", "runs"),
    0x00060001: ("i1", BITS),
}


class _Layout(NamedTuple):
    header: Header
    stored: np.dtype
    packed: str
    border: tuple[int, int, int]  # (z, y, x), of zeros that are not stored
    offset: int
    wide: int  # bytes of the length before packed voxels
    calibration: Calibration


def is_aim(path: Path) -> bool:
    """Whether a file begins as an AIM does; False where it cannot be read."""
    start = begins(path, 24)
    return start[:16] == MARK or start[:8] == struct.pack("<2i", 20, 140)


def _layout(path: Path) -> _Layout:
    """The header of a file, checked."""
    start = begins(path, 512)
    if not is_aim(path):
        raise ScanError(f"{path}: is no AIM of version 020 or 030, whatever its name says, or it is damaged.")
    is_new = start[:16] == MARK
    wide, begin = (8, 16) if is_new else (4, 0)
    code = "q" if is_new else "i"
    try:
        length, size, log = struct.unpack_from(f"<3{code}", start, begin)
        if is_new and (length, size) != (40, 224):
            raise ScanError(f"{path}: its header has {size} bytes; BONe knows 224. It is damaged.")
        head = start[begin + length :]
        (kind,) = struct.unpack_from("<i", head, 12 if is_new else 20)
        place = 16 if is_new else 24
        position, shape, border = (
            struct.unpack_from(f"<3{code}", head, place + 3 * wide * i) for i in range(3)
        )
        sizes = _sizes(head, is_new)
    except struct.error as fault:
        raise ScanError(f"{path}: is truncated: its header ends early. Copy it again.") from fault
    if kind not in KINDS:
        raise ScanError(f"{path}: holds numbers of type 0x{kind & 0xFFFFFFFF:08x}, which BONe does not read.")
    if min(shape) < 1 or math.prod(shape) > MOST_VOXELS or not 0 <= log <= 1 << 40:
        raise ScanError(f"{path}: its size is {' x '.join(map(str, shape))} voxels. Its header is damaged.")
    stored, packed = np.dtype(KINDS[kind][0]), KINDS[kind][1]
    if any(not 0 <= 2 * edge < n for edge, n in zip(border, shape, strict=True)):
        raise ScanError(f"{path}: its border is {border}, its size {shape} (x, y, z). Its header is damaged.")
    where = begin + length + size
    with_border = packed in ("two", "runs")
    return _Layout(
        _header(path, shape, sizes, position, stored),
        stored,
        packed,
        border[::-1] if with_border else (0, 0, 0),
        where + log,
        wide,
        _calibration(path, where, min(log, MOST_LOG)),
    )


def _sizes(head: bytes, is_new: bool) -> tuple[float, ...]:
    """The voxel size (x, y, z) in mm."""
    if is_new:
        return tuple(nano / 1e6 for nano in struct.unpack_from("<3q", head, 184))
    return tuple(vms_float(head[108 + 4 * i : 112 + 4 * i]) for i in range(3))


def vms_float(data: bytes) -> float:
    """An F_floating number of VMS: two 16-bit words in turned order, another exponent."""
    value: float = struct.unpack(">f", struct.pack(">2H", *struct.unpack("<2H", data)))[0]
    return value / 4


def _header(
    path: Path,
    shape: tuple[int, ...],
    sizes: tuple[float, ...],
    position: tuple[int, ...],
    stored: np.dtype,
) -> Header:
    size: Triple | None = None
    origin = (0.0, 0.0, 0.0)
    if all(math.isfinite(one) and 0 < one < 1e6 for one in sizes):
        size = (sizes[2], sizes[1], sizes[0])
        origin = (position[2] * sizes[2], position[1] * sizes[1], position[0] * sizes[0])
    told = "AIM's header" if size else ""
    z, y, x = shape[::-1]
    return Header(
        volume_name(path),
        (z, y, x),
        stored,
        size,
        "mm",
        origin,
        path=path,
        format="aim",
        voxel_size_from=told,
    )


def _calibration(path: Path, offset: int, length: int) -> Calibration:
    """What the log says; it is text that a program appends to."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            log = file.read(length).decode("latin-1")
    except OSError:
        log = ""

    def number(name: str) -> float:
        found = re.search(rf"{re.escape(name)}[ \t]+([-+\d.eE]{{1,30}})", log)
        try:
            return float(found[1]) if found else math.nan
        except ValueError:
            return math.nan

    scaling = number("Mu_Scaling")
    return Calibration(
        scaling if math.isfinite(scaling) else 0.0,
        number("Density: slope"),
        number("Density: intercept"),
    )


def open_aim(path: Path, inside: str = "") -> Volume:
    """An AIM; inside: "", "mu" or "density". Raises ScanError: none such, damaged, truncated."""
    layout = _layout(path)
    scale = layout.calibration.scale(path, inside)
    header = layout.header if scale is None else replace(layout.header, dtype=np.dtype(np.float32))
    if layout.packed == "":
        return volume_of(header, path, stored=layout.stored, offset=layout.offset, scale=scale)
    if layout.packed == BITS:
        return BitVolume(header, path, layout.offset, scale)
    if layout.packed == "vms":
        plain = volume_of(header, path, stored=layout.stored, offset=layout.offset, scale=scale or (1.0, 0.0))
        assert isinstance(plain, StreamVolume)
        return VmsFloatVolume(plain)
    needed = math.prod(n - 2 * edge for n, edge in zip(header.shape, layout.border, strict=True))
    begin = layout.offset + layout.wide
    held = path.stat().st_size - begin
    if needed > max(held, 0) * MOST[layout.packed]:
        raise ScanError(
            f"{path}: announces {header.sides} voxels (z, y, x), far more than its {max(held, 0)} packed "
            "bytes can hold. It is truncated or damaged; copy it again."
        )
    return PackedVolume(header, path, begin, layout.packed, scale, layout.border)


def peek_aim(path: Path, inside: str = "") -> Header:
    """Header of an AIM."""
    layout = _layout(path)
    if layout.calibration.scale(path, inside) is None:
        return layout.header
    return replace(layout.header, dtype=np.dtype(np.float32))


def storage_of(path: Path, inside: str = "") -> Storage:
    """How an AIM lies on disk."""
    words = {"two": "runs of two values", "runs": "runs", BITS: "bits"}
    packed = words.get(_layout(path).packed, "none")
    with open_aim(path, inside) as volume:
        return Storage(storage(volume).files, packed)
