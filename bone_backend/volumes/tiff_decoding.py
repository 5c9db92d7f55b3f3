"""Open TIFF files with tifffile, and decode compressed, tiled or otherwise encoded pages.

In:  a path, or the places of pages.
Out: an open tifffile.TiffFile; slabs of decoded voxels.
What tifffile raises, or only logs where a chain of pages is broken, becomes a ScanError that names the file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import traceback
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BoneError, PackageError, ScanError
from .abstract import Volume
from .header import Header

FOREIGN = ("tifffile", "imagecodecs")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open tifffile.TiffFile, closed at the end. Raises ScanError with the file's name."""
    tifffile = import_tifffile()
    with _complaints() as complaints:
        try:
            with tifffile.TiffFile(path) as tif:
                yield tif
        except BoneError:
            raise
        except OSError as fault:
            raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
        except tifffile.TiffFileError as fault:
            raise ScanError(
                f"{path}: is not a TIFF file, whatever its name says, or it is damaged ({fault}). "
                "Export it again."
            ) from fault
        except Exception as fault:  # tifffile meets damaged files with many kinds of exception
            if not is_foreign(fault):
                raise
            raise ScanError(
                f"{path}: is damaged ({type(fault).__name__}: {fault}). Export it again."
            ) from fault
    if complaints:
        raise ScanError(f"{path}: is damaged or truncated ({complaints[0]}). Copy or export it again.")


def import_tifffile() -> Any:
    """The package tifffile; it is imported on use, because not every host has it."""
    try:
        import tifffile
    except ImportError as fault:
        raise PackageError("TIFF files need the package tifffile: pip install tifffile") from fault
    return tifffile


def is_foreign(fault: BaseException) -> bool:
    """Whether an exception comes from within tifffile or a decoder, and not from our own lines around it."""
    places = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(fault.__traceback__))
    return any(place.partition(".")[0] in FOREIGN for place in places)


class _Listener(logging.Handler):
    """Keeps what tifffile logs of damage in one thread; it goes on where a chain of pages is broken."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.thread = threading.get_ident()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        bad = record.levelno >= logging.ERROR or "invalid page offset" in text or "corrupted" in text
        if record.thread == self.thread and bad:
            self.heard.append(text)


@contextlib.contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile logs of damage in this thread meanwhile."""
    logger = logging.getLogger("tifffile")
    listener = _Listener()
    logger.addHandler(listener)
    try:
        yield listener.heard
    finally:
        logger.removeHandler(listener)


class EncodedVolume(Volume):
    """A volume whose pages are compressed, tiled or otherwise encoded; slabs are decoded by a few threads.

    places: file and page of each slice. For random patches convert it first, as `store.open_source` does.
    """

    def __init__(self, header: Header, places: list[tuple[Path, int]], files: tuple[Path, ...]):
        self.header = header
        self.files = files
        self._places = places
        self._lock = threading.Lock()
        self._stack: tuple[Any, list[Any]] | None = None  # the TiffFile of a stack, and its pages

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        workers = min(z1 - z0, 4, os.cpu_count() or 1)
        if workers == 1:
            for z in range(z0, z1):
                self._decode(z, out[z - z0])
            return
        with ThreadPoolExecutor(workers) as threads:
            list(threads.map(self._decode, range(z0, z1), out))

    def _decode(self, z: int, out: np.ndarray) -> None:
        path, number = self._places[z]
        if len(self.files) > 1:
            with opened(path) as tif:
                _decode_page(f"{path}", tif.pages[0], out)
        else:
            name = f"{path}, slice {number + 1} of {len(self._places)}"
            _decode_page(name, self._stack_pages(path)[number], out)

    def _stack_pages(self, path: Path) -> list[Any]:
        """The pages of the stack, which stays open; several threads may decode them."""
        with self._lock:
            if self._stack is None:
                tifffile = import_tifffile()
                try:
                    tif = tifffile.TiffFile(path)
                except (OSError, tifffile.TiffFileError) as fault:
                    raise ScanError(f"{path}: cannot be read any more ({fault}).") from fault
                tif.filehandle.set_lock(True)
                weakref.finalize(self, tif.close)
                self._stack = (tif, list(tif.series[0].pages))
            return self._stack[1]

    def close(self) -> None:
        with self._lock:
            if self._stack is not None:
                self._stack[0].close()
                self._stack = None


def _decode_page(name: str, page: Any, out: np.ndarray) -> None:
    """Decode a page into out; ScanError naming it, or PackageError where the decoder is missing."""
    try:
        image = page.asarray(maxworkers=1)
    except Exception as fault:  # each decoder has its own kind of exception
        if not is_foreign(fault):
            raise
        if "imagecodecs" in str(fault) or isinstance(fault, NotImplementedError):
            raise PackageError(
                f"{name}: is compressed ({page.keyframe.compression.name}), which needs the package "
                "imagecodecs: pip install imagecodecs. Or save it uncompressed (Fiji: File > Save As > Tiff)."
            ) from fault
        raise ScanError(
            f"{name}: cannot be decoded ({fault}). The slice is damaged; export it again."
        ) from fault
    if image.size != out.size or not np.can_cast(image.dtype, out.dtype, "same_kind"):
        raise ScanError(
            f"{name}: is {image.shape} of {image.dtype}, but its header says {out.shape} of {out.dtype}. The "
            "slice is damaged; export it again."
        )
    np.copyto(out, image.reshape(out.shape), casting="same_kind")
