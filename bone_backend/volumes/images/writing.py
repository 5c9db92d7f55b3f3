"""Write volumes as a folder of PNG slices: plain greys of 8 or 16 bit, packed without loss.

In:  a header, then slabs in order.
Out: the folder NAME.png with NAME_0000.png, NAME_0001.png ..., renamed into place when it is whole.
Labels are plain numbers too: with a table of colours most programs would read red, green, blue. Voxel size,
origin and classes stand in the text "Description" of every slice, in ImageJ's words as in a TIFF.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OutputError, PackageError
from ...files.whole import Whole
from ..abstract import VolumeWriter
from ..header import Header
from ..output import prepare
from ..tiff.calibration import description
from ..tiff.writing import check_replaceable

KEY = b"Description"
NUMBERS = (np.dtype(np.uint8), np.dtype(np.uint16))
LEVEL = 1  # labels shrink to about the same size, several times as fast
START = 33  # bytes before the first chunk that is no header
MOST_NOTE = 1 << 20


def check_replaceable_slices(path: Path) -> None:
    """Raise OutputError unless path is a folder of PNG slices named as BONe names them."""
    check_replaceable(path, stem=_stem(path), ending=".png")


def _stem(path: Path) -> str:
    return re.sub(r"\.png$", "", path.name, flags=re.IGNORECASE)


class PngFolderWriter(VolumeWriter):
    """Raises OutputError for other numbers than uint8 and uint16."""

    def __init__(
        self, path: Path, header: Header, *, overwrite: bool = False, compression: str | None = "zlib"
    ):
        super().__init__(path, header)
        if header.dtype not in NUMBERS:
            raise OutputError(f"{path}: would hold {header.dtype}; PNG slices are uint8 or uint16.")
        self._stem = _stem(path)
        if path.exists() and overwrite:
            check_replaceable_slices(path)
        prepare(path, overwrite=overwrite, needed_bytes=0)
        self._codecs = _import_imagecodecs()
        self._note = _chunk(b"tEXt", KEY + b"\0" + note(header).encode("ascii"))
        self._digits = max(4, len(str(header.shape[0] - 1)))
        self._whole = Whole(path)
        self._whole.temporary.mkdir()

    def _append(self, slab: np.ndarray) -> None:
        for number, image in enumerate(slab, self.written):
            data = self._codecs.png_encode(np.ascontiguousarray(image), level=LEVEL)
            path = self._whole.temporary / f"{self._stem}_{number:0{self._digits}d}.png"
            path.write_bytes(data[:START] + self._note + data[START:])

    def _finish(self) -> None:
        self._whole.keep()

    def _discard(self) -> None:
        self._whole.discard()


def _import_imagecodecs() -> Any:
    try:
        import imagecodecs
    except ImportError as fault:
        raise PackageError("PNG slices need the package imagecodecs: pip install imagecodecs") from fault
    return imagecodecs


def notes_of(path: Path) -> dict[str, str]:
    """The lines that BONe wrote into a slice; none where it did not, or they cannot be read."""
    with path.open("rb") as file:
        file.seek(START)
        length, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
        body = file.read(length) if kind == b"tEXt" and length <= MOST_NOTE else b""
    key, _, text = body.partition(b"\0")
    if key != KEY or not text.startswith(b"ImageJ="):
        return {}
    lines = text.decode("ascii", "replace").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def note(header: Header) -> str:
    """What a slice tells of its volume; the size of a pixel in lines of its own: PNG counts in metres."""
    lines = description(header, 1)
    if header.voxel_size is None:
        return lines
    _, y, x = header.voxel_size
    return f"{lines}pixelheight={y!r}\npixelwidth={x!r}\n"


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
