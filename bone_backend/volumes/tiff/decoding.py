"""Open TIFF files, and decode pages that are compressed, tiled or otherwise encoded.

In:  a path, or pages whose headers were checked.
Out: the chain of directories; slabs of decoded voxels.
Only what a decoder says of bad data becomes a ScanError, which names file and slice.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PackageError, ScanError
from ..abstract import Volume
from ..handles import PositionalReader
from ..header import Header
from .codecs import IMAGE_CODECS, DamagedBlock, image, numbers, unpack_bytes
from .directory import Chain
from .page import Page, Storage


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Chain]:
    """The directories of a TIFF, whose file is closed at the end. Raises ScanError with the file's name."""
    try:
        with path.open("rb") as file:
            yield Chain(path, file)
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault


def import_tifffile() -> Any:
    """The package tifffile, which writes TIFFs; imported on use, because not every host has it."""
    try:
        import tifffile
    except ImportError as fault:
        raise PackageError("TIFF files need the package tifffile: pip install tifffile") from fault
    return tifffile


class EncodedVolume(Volume):
    """A volume of which some pages are compressed, tiled or otherwise encoded; a few threads decode slabs.

    pages: one for each slice. For random patches convert it first, as `patch_source.open_source` does.
    """

    def __init__(self, header: Header, pages: list[Page], files: tuple[Path, ...]):
        self.header = header
        self.files = files
        numbers = {path: number for number, path in enumerate(files)}
        self._pages = [(numbers[page.path], page) for page in pages]
        self._reader = PositionalReader(files)

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        workers = min(z1 - z0, 4, os.cpu_count() or 1)
        if workers == 1:
            for z in range(z0, z1):
                self._decode(z, out[z - z0])
            return
        with ThreadPoolExecutor(workers) as threads:
            list(threads.map(self._decode, range(z0, z1), out))

    def _decode(self, z: int, out: np.ndarray) -> None:
        """Decode slice z into out (y, x)."""
        file, page = self._pages[z]
        name = f"{page.path}" if len(self.files) > 1 else f"{page.path}, slice {z + 1} of {len(self._pages)}"
        if page.storage is None:
            assert page.offset is not None
            line = np.empty(page.shape, page.dtype)
            self._reader.read(file, page.offset, memoryview(line).cast("B"))
            np.copyto(out, line)
            return
        try:
            for number, (y, x) in enumerate(_corners(page.shape, page.storage.block)):
                data = bytearray(page.storage.counts[number])
                self._reader.read(file, int(page.storage.offsets[number]), memoryview(data))
                part = out[y : y + page.storage.block[0], x : x + page.storage.block[1]]
                _unpack(data, page.storage, part)
        except DamagedBlock as fault:
            raise ScanError(
                f"{name}: cannot be decoded ({fault}). The slice is damaged; export it again."
            ) from fault
        except PackageError as fault:
            raise PackageError(f"{name}: {fault}") from fault

    def close(self) -> None:
        self._reader.close()


def _corners(shape: tuple[int, int], block: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Where the strips or tiles of a page begin, in the order in which they are stored."""
    for y in range(0, shape[0], block[0]):
        for x in range(0, shape[1], block[1]):
            yield y, x


def _unpack(data: bytearray, storage: Storage, out: np.ndarray) -> None:
    """Unpack a strip or tile into its part of a slice (rows, columns); tiles reach beyond the edge."""
    rows, columns = storage.block
    if storage.compression in IMAGE_CODECS:
        shapes = ((out.shape[0], columns), (rows, columns), out.shape)
        found = image(data, storage.compression, shapes, dtype=storage.dtype, tables=storage.jpeg_tables)
    else:
        most = rows * ((columns * storage.bits + 7) // 8)
        unpacked = unpack_bytes(data, storage.compression, is_bit_reversed=storage.is_bit_reversed, most=most)
        found = numbers(
            unpacked,
            out.shape[0],
            columns,
            dtype=storage.dtype,
            bits=storage.bits,
            predictor=storage.predictor,
        )
    found = found[: out.shape[0], : out.shape[1]]
    if storage.is_signed_offset:
        found = (found.astype(np.uint16) ^ np.uint16(0x8000)).view(np.int16)
    np.copyto(out, found)
