"""Read the directories (pages) of a TIFF or BigTIFF, bounded in time and memory by the size of the file.

In:  an open file.
Out: its directories in the order of the chain; each gives the values of its tags. No voxel is read.
Nothing is taken on trust: a chain that loops, directories that overlap and values that lie beyond the end of
the file are told. Sub-directories are not followed, except one by one by whoever asks for them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ...errors import ScanError
from .foreign import HEAD, no_tiff

_TYPES = {1: "u1", 2: "S1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 11: "f4", 12: "f8"}
_TYPES.update({13: "u4", 16: "u8", 17: "i8", 18: "u8"})
_PAIRS = {5: "u4", 10: "i4"}  # numerator, denominator
_WHOLE_BYTES = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}  # types without sign
_MOST_TAGS = 4096  # of one directory; files in use have 10 to 60
_LONGEST_TEXT = 2**26  # bytes; OME writes some hundred for each slice
IMAGE_DESCRIPTION = 270
_REMARKS = (269, 271, 272, 282, 283, 285, 286, 287, 305, 306, 315, 316, 33432)  # do not touch the numbers


class Entry(NamedTuple):
    """A tag's values: their type, how many there are, and the bytes that hold them or point to them."""

    kind: int
    length: int
    field: bytes


class Directory:
    """The tags of one page.

    number: its place in the chain, from 0. where: how messages name it.
    """

    def __init__(self, chain: Chain, number: int, entries: list[tuple[int, Entry]]):
        self.chain = chain
        self.number = number
        self.where = f"{chain.path}, page {number + 1}" if number else f"{chain.path}"
        self._entries: dict[int, Entry] = {}
        self._texts: list[Entry] = []
        for tag, entry in entries:
            self._entries.setdefault(tag, entry)
            if tag == IMAGE_DESCRIPTION:
                self._texts.append(entry)

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def numbers(self, tag: int) -> np.ndarray:
        """The values of a tag, empty where it is not there; rationals as (n, 2). ScanError if damaged."""
        entry = self._entries.get(tag)
        if entry is None:
            return np.empty(0, np.uint8)
        kind = _TYPES.get(entry.kind) or _PAIRS.get(entry.kind)
        if kind is None or kind == "S1":
            raise ScanError(f"{self.where}: is damaged: tag {tag} is of type {entry.kind}. Export it again.")
        values = np.frombuffer(self._bytes(tag, entry), np.dtype(self.chain.order + kind))
        return values.reshape(-1, 2) if entry.kind in _PAIRS else values

    def whole(self, tag: int, default: int) -> int:
        """The first value of a tag as a whole number, or the default where it is not there."""
        entry = self._entries.get(tag)
        if entry is None:
            return default
        width = _WHOLE_BYTES.get(entry.kind)
        if width is not None and entry.length == 1 and width <= len(entry.field):
            return int.from_bytes(entry.field[:width], "little" if self.chain.order == "<" else "big")
        values = self.numbers(tag)
        if values.ndim != 1 or len(values) == 0 or values.dtype.kind == "f":
            raise ScanError(f"{self.where}: is damaged: tag {tag} is not a whole number. Export it again.")
        return int(values[0])

    def raw(self, tag: int) -> bytes:
        """The bytes of a tag's values; empty where it is not there."""
        entry = self._entries.get(tag)
        return b"" if entry is None else self._bytes(tag, entry)

    def text(self, tag: int) -> str:
        """A tag's text without the zero at its end."""
        return _decoded(self.raw(tag))

    def descriptions(self) -> list[str]:
        """The texts of ImageDescription; tifffile writes two where the user gave one."""
        return [_decoded(self._bytes(IMAGE_DESCRIPTION, entry)) for entry in self._texts]

    def pattern(self) -> tuple[object, ...] | None:
        """What two pages have in common if only the place of their single strip and some texts differ.

        None where the page has several strips or tiles, or a value that is worth reading lies elsewhere.
        """
        parts: list[object] = []
        for tag, entry in self._entries.items():
            width = _WHOLE_BYTES.get(entry.kind, 8)
            is_here = entry.length * width <= len(entry.field)
            if not is_here and tag not in _REMARKS:
                return None
            parts.append((tag, entry.kind, entry.length, None if tag == 273 or not is_here else entry.field))
        return tuple(parts)

    def _bytes(self, tag: int, entry: Entry) -> bytes:
        width = np.dtype(_TYPES.get(entry.kind, "u1")).itemsize
        length = entry.length * (2 * np.dtype(_PAIRS[entry.kind]).itemsize if entry.kind in _PAIRS else width)
        if length <= len(entry.field):
            return entry.field[:length]
        chain = self.chain
        position = struct.unpack(chain.order + chain.pointer, entry.field)[0]
        if position + length > chain.size:
            raise ScanError(
                f"{self.where}: is damaged or truncated: the values of tag {tag} end at byte "
                f"{position + length}, but the file has {chain.size}. Copy it again."
            )
        if length > _LONGEST_TEXT and tag not in (273, 279, 324, 325):
            raise ScanError(f"{self.where}: is damaged: tag {tag} has {length} bytes. Export it again.")
        return chain.read(position, length)


class Chain:
    """The directories of an open TIFF, in order.

    order: "<" or ">". cut_at: where the next directory should lie, if that is beyond the end of the file.
    Raises ScanError where the file is no TIFF or its chain loops.
    """

    def __init__(self, path: Path, file: BinaryIO):
        self.path = path
        self._file = file
        self.size = file.seek(0, 2)
        head = self.read(0, min(16, self.size))
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack(self.order + "H", head[2:4])[0] if self.order and len(head) >= 4 else 0
        if version not in (42, 43):
            raise ScanError(no_tiff(path, self.read(0, min(HEAD, self.size))))
        if len(head) < (8 if version == 42 else 16):
            raise ScanError(f"{path}: is truncated: it has {self.size} bytes. Copy it again.")
        self.is_big = version == 43
        self.pointer = "Q" if self.is_big else "I"
        if self.is_big and struct.unpack(self.order + "HH", head[4:8]) != (8, 0):
            raise ScanError(f"{path}: is damaged: it is no BigTIFF of 8-byte offsets. Export it again.")
        start = struct.unpack_from(self.order + self.pointer, head, 8 if self.is_big else 4)[0]
        self.directories: list[Directory] = []
        self.cut_at: int | None = None
        self._follow(start)

    def read(self, position: int, length: int) -> bytes:
        """Bytes of the file; fewer at its end."""
        if position >= self.size:  # may be more than a system call takes
            return b""
        self._file.seek(position)
        return self._file.read(length)

    def directory_at(self, position: int, number: int) -> tuple[Directory, int, int] | None:
        """The directory at a position, its bytes and where the next one lies; None beyond the end."""
        wide = struct.Struct(self.order + ("HHQ8s" if self.is_big else "HHI4s"))
        count_bytes = 8 if self.is_big else 2
        head = self.read(position, count_bytes)
        if len(head) < count_bytes:
            return None
        count = int.from_bytes(head, "little" if self.order == "<" else "big")
        if not 0 < count <= _MOST_TAGS:
            raise ScanError(
                f"{self.path}: is damaged: page {number + 1} announces {count} tags. Export it again."
            )
        length = count * wide.size
        pointer_bytes = 8 if self.is_big else 4
        block = self.read(position + count_bytes, length + pointer_bytes)
        if len(block) < length + pointer_bytes:
            return None
        entries = [(tag, Entry(kind, n, field)) for tag, kind, n, field in wide.iter_unpack(block[:length])]
        after = struct.unpack_from(self.order + self.pointer, block, length)[0]
        return Directory(self, number, entries), count_bytes + len(block), after

    def _follow(self, start: int) -> None:
        """Collect the directories from start on; each is read once, so that their bytes are the bound."""
        places: dict[int, int] = {}
        used = 0
        while start:
            number = len(places)
            if start in places:
                raise ScanError(
                    f"{self.path}: is damaged: its chain of pages loops, from page {number} back to page "
                    f"{places[start] + 1}. Export it again."
                )
            places[start] = number
            found = self.directory_at(start, number)
            if found is None:
                self.cut_at = start
                return
            directory, length, after = found
            used += length
            if used > self.size:
                raise ScanError(
                    f"{self.path}: is damaged: the directories of its pages lie over each other. "
                    "Export it again."
                )
            self.directories.append(directory)
            start = after


def is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF or BigTIFF does; False where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return False


def _decoded(data: bytes) -> str:
    data = data.rstrip(b"\0")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
