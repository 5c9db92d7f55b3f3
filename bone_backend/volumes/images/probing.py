"""What the start of a BMP, PNG, JPEG or JPEG 2000 file says of its image, before anything is decoded.

In:  the path of a slice.
Out: its size and numbers; ScanError for colours, and for what no decoder should be asked to unpack.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import ScanError
from ..formats import IMAGE_ENDINGS

HEAD_BYTES = 1 << 16
MOST_VOXELS = 1 << 30  # of a slice
MOST_PACKED = 1040  # bytes that one byte of Deflate can become
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG that begin an image


class Image(NamedTuple):
    """shape (y, x), numbers, bits that are stored of each, and whether the numbers point to colours."""

    shape: tuple[int, int]
    dtype: np.dtype
    bits: int
    is_palette: bool = False


class NoImage(Exception):  # noqa: N818 (it becomes a ScanError below)
    """The start of a file is not that of its format; the text says why."""


def probe(path: Path) -> Image:
    """The image of a slice file. Raises ScanError, which names it."""
    kind = next(name for name, endings in IMAGE_ENDINGS.items() if path.name.lower().endswith(endings))
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            size = file.seek(0, 2)
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    try:
        image = _PROBES[kind](head)
        height, width = image.shape
        if height < 1 or width < 1 or height * width > MOST_VOXELS:
            raise NoImage(f"announces {height} x {width} voxels")
        row_bytes = (width * image.bits + 7) // 8
        if kind == "PNG" and height * row_bytes > size * MOST_PACKED + 4096:
            raise NoImage(f"announces {height} x {width} voxels, more than its {size} bytes can hold")
    except (NoImage, struct.error, IndexError) as fault:
        told = str(fault) if isinstance(fault, NoImage) else "its header is cut off"
        raise ScanError(f"{path}: is no {kind} slice, or it is damaged: {told}. Export it again.") from fault
    if image.bits > 16:
        raise ScanError(
            f"{path}: holds colours or transparency ({kind}); a slice has one grey value or label a voxel. "
            "Save the slices as 8-bit or 16-bit grey images (Fiji: Image > Type > 8-bit)."
        )
    return image


def _numbers(bits: int) -> np.dtype:
    return np.dtype(np.uint8 if bits <= 8 else np.uint16)


def _of_png(head: bytes) -> Image:
    if head[:8] != b"\x89PNG\r\n\x1a\n" or head[12:16] != b"IHDR":
        raise NoImage("it does not begin as one")
    width, height, bits, colour = struct.unpack_from(">IIBB", head, 16)
    if colour not in (0, 2, 3, 4, 6) or bits not in (1, 2, 4, 8, 16):
        raise NoImage(f"its colour type is {colour} with {bits} bit")
    return Image((height, width), _numbers(bits), bits if colour in (0, 3) else 32, colour == 3)


def _of_bmp(head: bytes) -> Image:
    if head[:2] != b"BM":
        raise NoImage("it does not begin as one")
    size, width, height, _, bits, packing = struct.unpack_from("<IiiHHI", head, 14)
    if size < 40 or bits not in (1, 4, 8, 16, 24, 32):
        raise NoImage(f"its header has {size} bytes and tells {bits} bit")
    if packing:
        raise NoImage("it is compressed, which BONe does not read in a BMP")
    return Image((abs(height), width), _numbers(min(bits, 8)), bits if bits <= 8 else 32, True)


def _of_jpeg(head: bytes) -> Image:
    if head[:2] != b"\xff\xd8":
        raise NoImage("it does not begin as one")
    place = 2
    while place + 9 < len(head):
        if head[place] != 0xFF:
            raise NoImage("a marker is missing")
        marker = head[place + 1]
        if marker in FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", head, place + 4)
            if bits != 8:
                raise NoImage(f"it has {bits} bit, which BONe does not read in a JPEG")
            return Image((height, width), _numbers(8), 8 if channels == 1 else 32)
        length = 0 if marker == 0xFF else struct.unpack_from(">H", head, place + 2)[0]
        place += 1 if marker == 0xFF else 2 + length
    raise NoImage("it names no image")


def _of_jpeg_2000(head: bytes) -> Image:
    place = head.find(b"\xff\x4f\xff\x51")
    if place < 0:
        raise NoImage("it names no image")
    x1, y1, x0, y0 = struct.unpack_from(">4I", head, place + 8)
    (channels,) = struct.unpack_from(">H", head, place + 40)
    bits = (head[place + 42] & 0x7F) + 1
    if head[place + 42] & 0x80 or bits > 16:
        raise NoImage("its numbers have a sign or more than 16 bit")
    return Image((y1 - y0, x1 - x0), _numbers(bits), bits if channels == 1 else 32)


_PROBES = {"BMP": _of_bmp, "PNG": _of_png, "JPEG": _of_jpeg, "JPEG 2000": _of_jpeg_2000}
