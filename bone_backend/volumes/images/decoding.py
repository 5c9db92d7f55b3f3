"""Decode one slice that is a BMP, PNG, JPEG or JPEG 2000 file.

In:  the path of a slice that was probed.
Out: its numbers (y, x). Those of an image with a table of colours are the stored numbers, which are labels;
a BMP's table of greys, as scanners write it, is applied, so that an inverted one shows what it means.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PackageError, ScanError
from .probing import Image

PACKED_BYTES = 1 << 20  # that a file may have beyond its plain size


def decode(path: Path, image: Image) -> np.ndarray:
    """The numbers of a slice, of the shape and dtype that `probe` told. Raises ScanError."""
    most = 2 * image.shape[0] * (image.shape[1] + 4) * image.dtype.itemsize + PACKED_BYTES
    try:
        if path.stat().st_size > most:
            raise ScanError(f"{path}: is far larger than its image; it is damaged. Export it again.")
        data = path.read_bytes()
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    try:
        found = _DECODERS[path.suffix.lower()](data, image)
    except (ValueError, RuntimeError, IndexError, EOFError, struct.error) as fault:
        raise ScanError(f"{path}: is truncated or damaged ({fault}). Copy or export it again.") from fault
    except PackageError as fault:
        raise PackageError(f"{path}: {fault}") from fault
    if found.shape != image.shape or found.dtype != image.dtype:
        raise ScanError(
            f"{path}: holds {found.dtype} {found.shape}, its header says {image.dtype} {image.shape}. It is "
            "damaged; export it again."
        )
    return found


def _codecs() -> Any:
    try:
        import imagecodecs
    except ImportError as fault:
        raise PackageError(
            "PNG, JPEG and JPEG 2000 slices need the package imagecodecs: pip install imagecodecs"
        ) from fault
    return imagecodecs


def _png(data: bytes, image: Image) -> np.ndarray:
    if image.is_palette:
        data = _as_grey(data)
    found = _codecs().png_decode(data)
    if image.bits < 8:  # libpng spreads them over 0..255
        found = found // np.uint8(255 // ((1 << image.bits) - 1))
    return found


def _as_grey(data: bytes) -> bytes:
    """A PNG with a table of colours as one of greys, whose numbers are those that are stored."""
    kept, place = [data[:8]], 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            body = body[:9] + b"\0" + body[10:]
        if kind in (b"IHDR", b"IDAT", b"IEND"):
            kept.append(
                struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            )
        place += 12 + length
    return b"".join(kept)


def _bmp(data: bytes, image: Image) -> np.ndarray:
    (offset,) = struct.unpack_from("<I", data, 10)
    header, _, height = struct.unpack_from("<Iii", data, 14)
    rows, columns = image.shape
    stride = (columns * image.bits + 31) // 32 * 4
    if len(data) < offset + rows * stride:
        raise ValueError(f"{offset + rows * stride} bytes are announced, {len(data)} are there")
    stored = np.frombuffer(data, np.uint8, rows * stride, offset).reshape(rows, stride)
    if image.bits < 8:
        parts = np.unpackbits(stored, axis=1).reshape(rows, -1, image.bits)
        stored = parts @ (1 << np.arange(image.bits)[::-1]).astype(np.uint8)
    stored = stored[:, :columns]
    if height > 0:
        stored = stored[::-1]  # the lowest row is the first
    table = _greys(data[14 + header : offset], 1 << image.bits)
    return np.ascontiguousarray(stored if table is None else table[stored])


def _greys(data: bytes, number: int) -> np.ndarray | None:
    """A table of greys; None where it holds colours or is shorter, so that the stored numbers count."""
    colours = np.frombuffer(data[: len(data) // 4 * 4], np.uint8).reshape(-1, 4)[:number, :3]
    if len(colours) < number or (colours != colours[:, :1]).any():
        return None
    return colours[:, 0].copy()


def _jpeg(data: bytes, image: Image) -> np.ndarray:
    return _codecs().jpeg_decode(data)


def _jpeg_2000(data: bytes, image: Image) -> np.ndarray:
    return _codecs().jpeg2k_decode(data)


_DECODERS = {
    ".bmp": _bmp,
    ".png": _png,
    **dict.fromkeys((".jpg", ".jpeg", ".jpe"), _jpeg),
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpx", ".jpf"), _jpeg_2000),
}
