"""One page of a TIFF: shape, number type, and where and how its voxels are stored.

In:  a directory.
Out: a Page, checked against the size of the file; ScanError for what is damaged, truncated or not read.
No voxel is read and nothing is allocated that the file is not large enough for.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import ScanError
from . import tags
from .codecs import BYTE_CODECS, COMPRESSIONS, IMAGE_CODECS, PREDICTABLE
from .directory import Directory

_LARGEST_SLICE = 2**32  # bytes of a page that has to be decoded at once
_LARGEST_RATIO = 10**6  # of voxels to stored bytes; codecs reach 1,032 (Deflate) to 210,000 (JPEG 2000)


class Storage(NamedTuple):
    """How the voxels of a page are stored, where they must be decoded.

    block:    (rows, columns) of a strip or tile. offsets, counts: bytes of each in the file, in row order.
    dtype:    of the numbers in a block, with the file's byte order. bits: of each number; 8 times the dtype's
              size unless they are packed.
    is_signed_offset: ImageJ's signed 16 bit, stored with 32,768 added.
    """

    compression: int
    predictor: int
    is_bit_reversed: bool
    bits: int
    block: tuple[int, int]
    offsets: np.ndarray
    counts: np.ndarray
    dtype: np.dtype
    jpeg_tables: bytes
    is_signed_offset: bool


class Page(NamedTuple):
    """One slice as its header tells it.

    number: of the page in its file. dtype: of the voxels (the file's byte order if they are read in place).
    offset: where the voxels lie as one block; None if they must be decoded, as `storage` says.
    where:  how messages name it. end: the byte behind its last voxel.
    """

    path: Path
    number: int
    shape: tuple[int, int]
    dtype: np.dtype
    offset: int | None
    storage: Storage | None
    end: int

    @property
    def kind(self) -> tuple[tuple[int, int], np.dtype, int]:
        """Shape, number type and stored bits, which all slices of a volume share."""
        bits = self.storage.bits if self.storage is not None else 8 * self.dtype.itemsize
        return self.shape, self.dtype.newbyteorder("="), bits


def page_of(directory: Directory, *, is_signed_offset: bool = False) -> Page:
    """The page of a directory whose meaning was checked. Raises ScanError, naming file and page."""
    height, width = shape_of(directory)
    bits, stored = _number_type(directory)
    compression, predictor, is_reversed = _encoding(directory)
    block, is_tiled = _block(directory, height, width)
    down, across = -(-height // block[0]), -(-width // block[1])
    row_bytes = (block[1] * bits + 7) // 8
    if block[0] * row_bytes > 2**48:
        _damaged(directory, f"strips or tiles of {block[0]} x {block[1]} are not plausible")
    may_lack_counts = compression == 1 and bits >= 8  # as old programs leave them out
    offsets, counts = _places(directory, is_tiled, down * across, may_lack_counts)
    if compression == 1:
        whole = np.full(down * across, block[0] * row_bytes, np.uint64)
        if not is_tiled and height % block[0]:
            whole[-1] = (height % block[0]) * row_bytes
        if len(counts) and (counts < whole).any():
            _damaged(directory, f"its strips hold {int(counts.sum())} bytes, {int(whole.sum())} are needed")
        counts = whole
    if not len(counts) or (offsets == 0).any() or (counts == 0).any():
        _damaged(directory, "it does not say where all its voxels lie")
    far, most = int(offsets.max()), int(counts.max())
    end = int((offsets + counts).max()) if max(far, most) < 2**62 else far + most
    in_row = bool((offsets[1:] == offsets[:-1] + counts[:-1]).all())
    dtype = np.dtype("i2") if is_signed_offset else stored
    plain = compression == 1 and not is_reversed and bits == 8 * stored.itemsize
    if plain and in_row and not is_signed_offset and (not is_tiled or block == (height, width)):
        return Page(
            directory.chain.path, directory.number, (height, width), stored, int(offsets[0]), None, end
        )
    size = height * width * stored.itemsize
    if size > _LARGEST_SLICE or size > _LARGEST_RATIO * int(counts.sum()):
        _damaged(
            directory, f"a slice of {height} x {width} in {int(counts.sum())} stored bytes is not plausible"
        )
    if max(most, block[0] * row_bytes) > _LARGEST_SLICE:
        _damaged(directory, f"a strip or tile of {block[0]} x {block[1]} is not plausible")
    if int(counts.sum()) > 2 * directory.chain.size and end <= directory.chain.size:
        _damaged(directory, "its strips or tiles lie over each other")
    storage = Storage(
        compression,
        predictor,
        is_reversed,
        bits,
        block,
        offsets.astype(np.int64),
        counts.astype(np.int64),
        stored,
        directory.raw(tags.JPEG_TABLES),
        is_signed_offset,
    )
    return Page(directory.chain.path, directory.number, (height, width), dtype, None, storage, end)


def shape_of(directory: Directory) -> tuple[int, int]:
    """(y, x) of a page."""
    height, width = directory.whole(tags.HEIGHT, 0), directory.whole(tags.WIDTH, 0)
    if not (0 < height < 2**31 and 0 < width < 2**31):
        _damaged(directory, f"its size is {height} x {width}")
    return height, width


def _damaged(directory: Directory, why: str) -> None:
    raise ScanError(f"{directory.where}: is damaged: {why}. Export it again.")


def _number_type(directory: Directory) -> tuple[int, np.dtype]:
    """Bits of each number, and the dtype they are read as, in the file's byte order."""
    bits, kind = directory.whole(tags.BITS, 1), directory.whole(tags.SAMPLE_FORMAT, 1)
    order = directory.chain.order
    if kind in (1, 4):  # 4: "undefined", which TIFF 6.0 says to take as unsigned
        if bits in (8, 16, 32, 64):
            return bits, np.dtype(f"{order}u{bits // 8}")
        if 0 < bits < 16:
            return bits, np.dtype("u1" if bits < 8 else f"{order}u2")
    names = {(2, n): "i" for n in (8, 16, 32, 64)} | {(3, n): "f" for n in (16, 32, 64)}
    if (kind, bits) in names:
        return bits, np.dtype(f"{order}{names[kind, bits]}{bits // 8}")
    words = {1: "unsigned", 2: "signed", 3: "floating-point", 4: "undefined", 5: "complex", 6: "complex"}
    told = f"complex{bits}" if kind == 6 else f"{bits}-bit {words.get(kind, 'unknown')} numbers"
    raise ScanError(
        f"{directory.where}: holds {told} (SampleFormat, tag 339, is {kind}); a slice is of whole numbers "
        "of 1 to 16, 32 or 64 bit, or floating-point numbers of 16, 32 or 64 bit. Export it as 8 or 16 bit."
    )


def _encoding(directory: Directory) -> tuple[int, int, bool]:
    """Compression, predictor, and whether the bits of every byte are reversed."""
    compression, predictor = directory.whole(tags.COMPRESSION, 1), directory.whole(tags.PREDICTOR, 1)
    fill = directory.whole(tags.FILL_ORDER, 1)
    name = COMPRESSIONS.get(compression, "unknown")
    if compression not in BYTE_CODECS and compression not in IMAGE_CODECS:
        raise ScanError(
            f"{directory.where}: is compressed as {name} (Compression, tag 259, is {compression}), which "
            "BONe does not read. Save it uncompressed, or with Deflate or LZW (Fiji: File > Save As > Tiff)."
        )
    if compression in IMAGE_CODECS and directory.whole(tags.BITS, 1) not in (8, 16):
        raise ScanError(
            f"{directory.where}: is compressed as {name} with {directory.whole(tags.BITS, 1)} bit, which "
            "BONe does not read. Save it uncompressed (Fiji: File > Save As > Tiff)."
        )
    if predictor not in (1, 2, 3) or (predictor != 1 and compression not in PREDICTABLE):
        raise ScanError(
            f"{directory.where}: its Predictor (tag 317) is {predictor}, which has no agreed meaning with "
            f"{name}. Save it uncompressed (Fiji: File > Save As > Tiff)."
        )
    if predictor != 1:
        bits, kind = directory.whole(tags.BITS, 1), directory.whole(tags.SAMPLE_FORMAT, 1)
        if bits not in (8, 16, 32, 64) or (predictor == 3) != (kind == 3):
            raise ScanError(
                f"{directory.where}: its Predictor (tag 317) is {predictor}, which does not go with numbers "
                f"of {bits} bit and SampleFormat {kind}. Save it uncompressed (Fiji: File > Save As > Tiff)."
            )
    if fill not in (1, 2) or (fill == 2 and compression in IMAGE_CODECS):
        raise ScanError(
            f"{directory.where}: its FillOrder (tag 266) is {fill}, which has no meaning with {name}. "
            "Save it uncompressed (Fiji: File > Save As > Tiff)."
        )
    return compression, predictor, fill == 2


def _block(directory: Directory, height: int, width: int) -> tuple[tuple[int, int], bool]:
    """(rows, columns) of a strip or tile, and whether it is a tile."""
    if tags.TILE_WIDTH in directory or tags.TILE_OFFSETS in directory:
        rows, columns = directory.whole(tags.TILE_HEIGHT, 0), directory.whole(tags.TILE_WIDTH, 0)
        if not (0 < rows < 2**24 and 0 < columns < 2**24):
            _damaged(directory, f"its tiles are {rows} x {columns}")
        return (rows, columns), True
    rows = directory.whole(tags.ROWS_PER_STRIP, 2**32 - 1)
    if rows < 1:
        _damaged(directory, f"its strips have {rows} rows (RowsPerStrip, tag 278)")
    return (min(rows, height), width), False


def _places(
    directory: Directory, is_tiled: bool, expected: int, may_lack_counts: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and byte counts of the strips or tiles as uint64; counts are empty where one strip has none."""
    offset_tag, count_tag = (
        (tags.TILE_OFFSETS, tags.TILE_BYTES) if is_tiled else (tags.STRIP_OFFSETS, tags.STRIP_BYTES)
    )
    offsets, counts = directory.numbers(offset_tag), directory.numbers(count_tag)
    may_lack_counts = may_lack_counts and expected == 1 and len(counts) == 0
    for values in (offsets, counts):
        if (
            values.ndim != 1
            or values.dtype.kind not in "ui"
            or (values.dtype.kind == "i" and (values < 0).any())
        ):
            _damaged(directory, "it does not say where its voxels lie")
    if len(offsets) != expected or (len(counts) != expected and not may_lack_counts):
        kind = "tiles" if is_tiled else "strips"
        _damaged(
            directory,
            f"it needs {expected} {kind}, but has places of {len(offsets)} and sizes of {len(counts)}",
        )
    return offsets.astype(np.uint64), counts.astype(np.uint64)
