"""Streams of packed voxels: what is read from them are the plain bytes.

In:  a file that stands where the packed voxels begin, and how they are packed.
Out: a file to read from. It raises EOFError where the packed bytes end too early.
"""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from typing import IO, Any

import numpy as np

PIECE = 1 << 16
# Bytes that one packed byte can become; of text, a number needs a digit and a blank.
MOST_PACKED = {"gzip": 1040, "zlib": 1040, "bzip2": 5_000_000, "rle": 64, "ascii": 4}
STORED = {"gzip": "Deflate", "zlib": "Deflate", "rle": "HxByteRLE", "ascii": "none (text)", "": "none"}


def unpacked(file: IO[bytes], packed: str, stored: np.dtype) -> Any:
    """The plain bytes of a file from where it stands; stored: the numbers they are."""
    if packed == "gzip":
        return gzip.GzipFile(fileobj=file, mode="rb")
    if packed == "bzip2":
        return bz2.BZ2File(file, "rb")
    kinds = {"zlib": _Zlib, "rle": _RunLengths, "ascii": _Text}
    return io.BufferedReader(kinds[packed](file, stored), PIECE)


class Pieces(io.RawIOBase):
    """Gives out pieces of any length in the lengths that are asked for."""

    def __init__(self, file: IO[bytes], stored: np.dtype):
        self._file, self._stored = file, stored
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = self._next()
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _next(self) -> bytes | None:
        """Some more plain bytes, none (b"") for now, or the end (None)."""
        raise NotImplementedError


class _Zlib(Pieces):
    """A zlib stream."""

    def __init__(self, file: IO[bytes], stored: np.dtype):
        super().__init__(file, stored)
        self._unpacker = zlib.decompressobj()

    def _next(self) -> bytes | None:
        if self._unpacker.eof:
            return None
        source = self._unpacker.unconsumed_tail or self._file.read(PIECE)
        if not source:
            raise EOFError("the stream ends too early")
        return self._unpacker.decompress(source, 16 * PIECE)


class _RunLengths(Pieces):
    """Amira's HxByteRLE: n < 128 and the byte that comes n times; or 128 + n, and n bytes as they are."""

    _held = b""

    def _next(self) -> bytes | None:
        more = self._file.read(PIECE)
        if not more and not self._held:
            return None
        data = np.frombuffer(self._held + more, np.uint8)
        parts, place = [], 0
        while place < len(data):
            controls = data[place : place + 8192 : 2]
            literal = np.flatnonzero(controls > 127)[:1]
            pairs = int(literal[0]) if len(literal) else len(controls)
            pairs = min(pairs, (len(data) - place) // 2)
            runs = data[place : place + 2 * pairs].reshape(-1, 2)
            parts.append(np.repeat(runs[:, 1], runs[:, 0]))
            place += 2 * pairs
            if place < len(data) and data[place] > 127:
                count = int(data[place]) & 127
                if place + 1 + count > len(data):
                    break
                parts.append(data[place + 1 : place + 1 + count])
                place += 1 + count
            elif pairs == 0:
                break
        self._held = data[place:].tobytes()
        if self._held and not more:
            raise EOFError("the stream ends within a run")
        return np.concatenate(parts).tobytes() if parts else b""


class _Text(Pieces):
    """Numbers as text with blanks between them."""

    _held = b""

    def _next(self) -> bytes | None:
        more = self._file.read(PIECE)
        if not more and not self._held:
            return None
        text = self._held + more
        cut = len(text) if not more else max(text.rfind(blank) for blank in (b" ", b"\n", b"\t", b"\r")) + 1
        if more and not cut and len(text) > 4 * PIECE:
            raise ValueError("a number has no end")
        self._held = text[cut:]
        words = text[:cut].split()
        if b"@2" in words:
            words = words[: words.index(b"@2")]
        numbers = np.array([float(word) for word in words])
        if self._stored.kind in "iu":
            limits = np.iinfo(self._stored)
            if ((numbers < limits.min) | (numbers > limits.max) | (numbers != np.rint(numbers))).any():
                raise ValueError(f"a number is no {self._stored}")
        return numbers.astype(self._stored).tobytes()
