"""How the chunks of a Zarr array are packed.

In:  the packed bytes of a chunk, and how many it shall have.
Out: exactly so many plain bytes, or ValueError: no chunk ever takes more memory than its array's header says.
Only the codecs below are known. None runs code or opens anything; Zarr's own library knows some that do.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...errors import PackageError
from .checksum import crc32c

MOST_OVER = 1 << 16  # bytes by which packing may make a chunk longer; and a 64th of it


class Codecs(NamedTuple):
    """packed: the name of the compression, "" for none. checksums: CRC-32C that stand behind what is packed,
    and behind the packed. turned: the order of the axes as they are stored. order: "<", ">" of the numbers.
    """

    packed: str = ""
    inner_checksums: int = 0
    outer_checksums: int = 0
    turned: tuple[int, ...] = ()
    order: str = "<"

    def most(self, size: int) -> int:
        """The bytes that a packed chunk may have."""
        plain = size + 4 * (self.inner_checksums + self.outer_checksums)
        return plain + plain // 64 + MOST_OVER if self.packed else plain

    def unpack(self, data: bytes, size: int) -> bytes:
        """The plain bytes of a chunk. Raises ValueError."""
        data = _checked(data, self.outer_checksums)
        if self.packed:
            data = UNPACKERS[self.packed](data, size + 4 * self.inner_checksums)
        data = _checked(data, self.inner_checksums)
        if len(data) != size:
            raise ValueError(f"it has {len(data):,} bytes, {size:,} are announced")
        return data


def _checked(data: bytes, count: int) -> bytes:
    for _ in range(count):
        if len(data) < 4 or crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise ValueError("its checksum is that of other voxels")
        data = data[:-4]
    return data


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as fault:
        raise PackageError(
            "These Zarr files need the package imagecodecs: pip install imagecodecs"
        ) from fault
    return imagecodecs


def _told(unpack: Callable[[bytes, int], bytes]) -> Callable[[bytes, int], bytes]:
    """The faults of a decoder as ValueError."""

    def told(data: bytes, size: int) -> bytes:
        try:
            return unpack(data, size)
        except (ValueError, PackageError):
            raise
        except Exception as fault:  # each decoder has kinds of its own
            raise ValueError(str(fault)[:120]) from fault

    return told


def _zlib(data: bytes, size: int) -> bytes:
    return _whole(zlib.decompressobj(), data, size)


def _gzip(data: bytes, size: int) -> bytes:
    return _whole(zlib.decompressobj(31), data, size)


def _whole(unpacker: Any, data: bytes, size: int) -> bytes:
    found: bytes = unpacker.decompress(data, size + 1)
    if len(found) <= size and not unpacker.eof:
        raise ValueError("it ends too early")
    return found


def _blosc(data: bytes, size: int) -> bytes:
    if len(data) < 16 or struct.unpack_from("<I", data, 4)[0] != size:
        raise ValueError("its own header tells another size")
    return bytes(_imagecodecs().blosc_decode(data, out=size))


def _lz4(data: bytes, size: int) -> bytes:
    if len(data) < 4 or struct.unpack_from("<I", data)[0] != size:
        raise ValueError("its own header tells another size")
    return bytes(_imagecodecs().lz4_decode(data[4:], out=size))


UNPACKERS: dict[str, Callable[[bytes, int], bytes]] = {
    "zlib": _told(_zlib),
    "gzip": _told(_gzip),
    "bz2": _told(lambda data, size: _whole(bz2.BZ2Decompressor(), data, size)),
    "lzma": _told(lambda data, size: _whole(lzma.LZMADecompressor(memlimit=1 << 28), data, size)),
    "zstd": _told(lambda data, size: bytes(_imagecodecs().zstd_decode(data, out=size))),
    "blosc": _told(_blosc),
    "lz4": _told(_lz4),
}
WORDS = {"zlib": "Deflate", "gzip": "Deflate", "zstd": "Zstandard", "blosc": "Blosc", "lz4": "LZ4"} | {
    "bz2": "bzip2",
    "lzma": "LZMA",
    "": "none",
}


def of_second(header: Mapping[str, Any], axes: int) -> Codecs:
    """The codecs of an array of Zarr 2 (.zarray). Raises ValueError."""
    if header.get("filters"):
        names = ", ".join(str(one.get("id"))[:30] for one in header["filters"] if isinstance(one, Mapping))
        raise ValueError(f"its numbers are filtered ({names}), which BONe does not undo")
    compressor = header.get("compressor")
    packed = str(compressor.get("id")) if isinstance(compressor, Mapping) else ""
    if compressor is not None and packed not in UNPACKERS:
        raise ValueError(f"it is packed with {packed[:40]!r}; BONe unpacks {', '.join(UNPACKERS)}")
    order = header.get("order", "C")
    if order not in ("C", "F"):
        raise ValueError(f"its order is {str(order)[:20]!r}")
    turned = tuple(reversed(range(axes))) if order == "F" else ()
    return Codecs(packed, turned=turned)


def of_third(codecs: Sequence[Any], axes: int) -> Codecs:
    """The codecs of an array, or of the chunks of its shards, of Zarr 3. Raises ValueError."""
    packed, order, turned, checksums, has_bytes = "", "<", (), [0, 0], False
    for codec in codecs:
        name, settings = _named(codec)
        if name == "transpose" and not has_bytes:
            turned = tuple(settings.get("order", ()))
            if sorted(turned) != list(range(axes)):
                raise ValueError("its axes are exchanged to an order that is none")
        elif name == "bytes" and not has_bytes:
            order, has_bytes = ">" if settings.get("endian") == "big" else "<", True
        elif name == "crc32c" and has_bytes:
            checksums[bool(packed)] += 1
        elif name in ("gzip", "zstd", "blosc") and has_bytes and not packed:
            packed = name
        else:
            raise ValueError(f"it is packed with {name[:40]!r} here, which BONe does not unpack")
    if not has_bytes or max(checksums) > 4:
        raise ValueError("its codecs are none that give bytes")
    return Codecs(packed, checksums[0], checksums[1], turned, order)


def _named(codec: Any) -> tuple[str, Mapping[str, Any]]:
    """The name of a codec of Zarr 3, and its settings."""
    if isinstance(codec, Mapping):
        settings = codec.get("configuration", {})
        return str(codec.get("name")), settings if isinstance(settings, Mapping) else {}
    return str(codec), {}
