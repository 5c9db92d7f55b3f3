"""Unpack one strip or tile of a TIFF into numbers, never more of them than its header says.

In:  the stored bytes, and how they are stored.
Out: an array (rows, columns); DamagedBlock where the bytes are not what the header says.
Every decoder is given the size it may fill, so that a strip that unpacks to gigabytes costs nothing.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import PackageError

COMPRESSIONS = {
    1: "none",
    2: "CCITT RLE",
    3: "CCITT Group 3 fax",
    4: "CCITT Group 4 fax",
    5: "LZW",
    6: "old-style JPEG",
    7: "JPEG",
    8: "Deflate",
    32766: "NeXT",
    32773: "PackBits",
    32809: "ThunderScan",
    32909: "PixarLog",
    32946: "Deflate",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34676: "SGILog",
    34677: "SGILog24",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    34926: "Zstandard",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


class DamagedBlock(Exception):  # noqa: N818 (it is caught in the next room)
    """A strip or tile is not what its header says; the text tells why. Bad data raises nothing else."""


def _inflate(data: bytearray, most: int) -> bytes:
    return zlib.decompressobj().decompress(data, most + 1)


def _unxz(data: bytearray, most: int) -> bytes:
    return lzma.LZMADecompressor(memlimit=2**27).decompress(data, most + 1)


def _with_imagecodecs(name: str) -> Callable[[bytearray, int], Any]:
    def decode(data: bytearray, most: int) -> Any:
        return getattr(_imagecodecs(name), f"{name}_decode")(data, out=bytearray(most + 1))

    return decode


def _imagecodecs(name: str) -> Any:
    """The package, which not every host has, with the decoder of this name."""
    try:
        import imagecodecs

        if getattr(imagecodecs, name.upper()).available:
            return imagecodecs
    except (ImportError, AttributeError):
        pass
    raise PackageError(
        f"is compressed ({name.upper()}), which needs the package imagecodecs: pip install imagecodecs. "
        "Or save it uncompressed (Fiji: File > Save As > Tiff)."
    )


# What decoders raise for bad data; those of imagecodecs derive from RuntimeError.
_FAULTS = (ValueError, RuntimeError, EOFError, OverflowError, zlib.error, lzma.LZMAError)

# compression -> (stored bytes, most bytes to give) -> at most one byte more than `most`
BYTE_CODECS: dict[int, Callable[[bytearray, int], Any]] = {
    1: lambda data, most: data,
    5: _with_imagecodecs("lzw"),
    8: _inflate,
    32946: _inflate,
    32773: _with_imagecodecs("packbits"),
    34925: _unxz,
    34926: _with_imagecodecs("zstd"),
    50000: _with_imagecodecs("zstd"),
}
# compression -> decoder of imagecodecs; all but JPEG 2000 look at the size of `out` before they decode
IMAGE_CODECS = {
    7: "jpeg",
    33003: "jpeg2k",
    33005: "jpeg2k",
    34712: "jpeg2k",
    34933: "png",
    50002: "jpegxl",
    52546: "jpegxl",
}
PREDICTABLE = (5, 8, 32946, 34925, 34926, 50000)

_REVERSED = np.packbits(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1
).ravel()


def unpack_bytes(data: bytearray, compression: int, *, is_bit_reversed: bool, most: int) -> Any:
    """The bytes of a strip or tile, at most `most`. Raises DamagedBlock for more."""
    if is_bit_reversed:
        data = bytearray(_REVERSED[np.frombuffer(data, np.uint8)])
    try:
        found = BYTE_CODECS[compression](data, most)
    except _FAULTS as fault:
        raise DamagedBlock(str(fault)) from fault
    if len(found) > most and compression != 1:
        raise DamagedBlock(f"it unpacks to more than the {most} bytes that its header says")
    return found


def numbers(data: Any, rows: int, columns: int, *, dtype: np.dtype, bits: int, predictor: int) -> np.ndarray:
    """Unpacked bytes as (rows, columns), in any byte order. DamagedBlock where there are too few."""
    row_bytes = (columns * bits + 7) // 8
    if len(data) < rows * row_bytes:
        raise DamagedBlock(f"it holds {len(data)} bytes, {rows * row_bytes} are needed")
    lines = np.frombuffer(data, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    if predictor == 3:
        return _from_float_differences(lines, columns, dtype)
    if bits != 8 * dtype.itemsize:
        return _from_packed(lines, columns, bits, dtype)
    values = lines.view(dtype)
    if predictor == 2:
        whole = values.astype(f"u{dtype.itemsize}")
        np.add.accumulate(whole, axis=1, out=whole)
        return whole.view(dtype.newbyteorder("="))
    return values


def _from_packed(lines: np.ndarray, columns: int, bits: int, dtype: np.dtype) -> np.ndarray:
    """Numbers of 1 to 15 bits, the highest bit first whatever the byte order; rows begin at a byte."""
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(dtype.newbyteorder("="))
    out = np.empty((len(lines), columns), weights.dtype)
    for row, line in enumerate(lines):  # row by row: bits take eight times the memory
        found = np.unpackbits(line)[: columns * bits].reshape(columns, bits)
        np.dot(found.astype(weights.dtype), weights, out=out[row])
    return out


def _from_float_differences(lines: np.ndarray, columns: int, dtype: np.dtype) -> np.ndarray:
    """Adobe's floating-point predictor: differences of bytes, all highest bytes of a row first."""
    planes = np.add.accumulate(lines, axis=1, dtype=np.uint8).reshape(len(lines), dtype.itemsize, columns)
    values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(dtype.newbyteorder(">"))[..., 0]
    return values.astype(dtype.newbyteorder("="))


def image(
    data: bytearray, compression: int, shapes: tuple[tuple[int, int], ...], *, dtype: np.dtype, tables: bytes
) -> np.ndarray:
    """A strip or tile of an image codec, whose size must be one of the shapes. DamagedBlock if it is not."""
    name = IMAGE_CODECS[compression]
    codecs = _imagecodecs(name)
    if name == "jpeg2k":
        _check_jpeg2k(data, shapes)
    fault: Exception | None = None
    for shape in dict.fromkeys(shapes):
        out = np.empty(shape, dtype.newbyteorder("="))
        try:
            if name == "jpeg":
                found = codecs.jpeg_decode(data, tables=tables or None, out=out)
            else:
                found = getattr(codecs, f"{name}_decode")(data, out=out)
        except _FAULTS as error:  # of another shape or number type, or damaged
            fault = error
            continue
        return found.reshape(shape)
    raise DamagedBlock(f"it is not {shapes[0]} {dtype.name}, as its header says: {fault}")


def _check_jpeg2k(data: bytearray, shapes: tuple[tuple[int, int], ...]) -> None:
    """Compare the size in the codestream, since OpenJPEG decodes before it looks at ours."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 24:
        raise DamagedBlock("it is no JPEG 2000 codestream")
    width, height, x0, y0 = (int.from_bytes(data[start + i : start + i + 4], "big") for i in (8, 12, 16, 20))
    if (height - y0, width - x0) not in shapes:
        raise DamagedBlock(f"it is {height - y0} x {width - x0} voxels, not {shapes[0]}, as its header says")
