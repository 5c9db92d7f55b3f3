"""Open TIFF folders and multi-page TIFF files (BigTIFF, ImageJ and OME included) as volumes.

In:  a folder of slices, or a file of many pages.
Out: a volume: read by position where the voxels lie uncompressed, else decoded page by page.
Every header is checked before a volume is given out; a page that is damaged inside shows when it is decoded, and is named.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import PackageError, ScanError
from .abstract import Volume
from .header import Header, SliceLocation
from .positional import PositionalVolume
from .tiff_calibration import Calibration, read_calibration
from .tiff_folder import slice_files


class Page(NamedTuple):
    """One slice as its header tells it. offset: where its voxels lie, None if they must be decoded."""

    path: Path
    number: int
    shape: tuple[int, int]
    dtype: np.dtype
    offset: int | None


def open_folder(folder: Path) -> Volume:
    """A folder of single-slice TIFFs as a volume, all headers checked.

    Raises ScanError that names the file: truncated, of another size or dtype, colour, several pages, no TIFF.
    """
    files = slice_files(folder)
    pages = []
    calibration = None
    for path in files:
        with _opened(path) as tif:
            if calibration is None:
                calibration = read_calibration(tif)
            pages.append(_only_page(path, tif))
    assert calibration is not None
    _check_equal(folder, pages)
    return _volume(folder.resolve().name, folder, "tiff-folder", pages, calibration, tuple(files))


def open_file(path: Path) -> Volume:
    """A TIFF of many pages as a volume. Raises ScanError for one page, colour, mixed pages, a truncated file."""
    with _opened(path) as tif:
        pages = _stack_pages(path, tif)
        calibration = read_calibration(tif)
    return _volume(_stem(path), path, "tiff", pages, calibration, (path,))


def peek(path: Path) -> Header:
    """Shape, dtype and voxel size without the data; of a folder only names and the first header are looked at."""
    if not path.is_dir():
        return open_file(path).header
    files = slice_files(path)
    with _opened(files[0]) as tif:
        page = _only_page(files[0], tif)
        calibration = read_calibration(tif)
    return _header(path.resolve().name, path, "tiff-folder", len(files), page, calibration)


def _header(name: str, path: Path, kind: str, depth: int, page: Page, calibration: Calibration) -> Header:
    dtype = np.dtype(np.uint8) if page.dtype.kind == "b" else page.dtype
    return Header(name, (depth, *page.shape), dtype, *calibration, path=path, format=kind)


def _volume(
    name: str, path: Path, kind: str, pages: list[Page], calibration: Calibration, files: tuple[Path, ...]
) -> Volume:
    header = _header(name, path, kind, len(pages), pages[0], calibration)
    slices = [SliceLocation(p.path, p.offset, p.dtype) for p in pages if p.offset is not None]
    if len(slices) == len(pages):
        return PositionalVolume(header, slices)
    return EncodedVolume(header, [(p.path, p.number) for p in pages], files)


def _stem(path: Path) -> str:
    return path.stem[:-4] if path.stem.lower().endswith(".ome") else path.stem


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open tifffile.TiffFile; whatever tifffile raises or complains of becomes a ScanError with the file's name."""
    try:
        import tifffile  # only here and in tiff_writer.py: not every host has it
    except ImportError as fault:
        raise PackageError("TIFF files need the package tifffile: pip install tifffile") from fault
    with _complaints() as complaints:
        try:
            with tifffile.TiffFile(path) as tif:
                yield tif
        except ScanError:
            raise
        except OSError as fault:
            raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
        except tifffile.TiffFileError as fault:
            raise ScanError(
                f"{path}: is not a TIFF file, though its name says so, or it is damaged ({fault}). Export it again."
            ) from fault
        except Exception as fault:  # tifffile meets damaged files with many kinds of exception
            raise ScanError(
                f"{path}: is damaged ({type(fault).__name__}: {fault}). Export it again."
            ) from fault
    if complaints:
        raise ScanError(f"{path}: is damaged or truncated ({complaints[0]}). Copy or export it again.")


class _Listener(logging.Handler):
    """Keeps what tifffile logs as an error in one thread: it goes on quietly where a page chain is broken."""

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
    logger = logging.getLogger("tifffile")
    listener = _Listener()
    logger.addHandler(listener)
    try:
        yield listener.heard
    finally:
        logger.removeHandler(listener)


def _only_page(path: Path, tif: Any) -> Page:
    """The page of a slice file."""
    if tif.is_multipage:
        raise ScanError(
            f"{path}: holds {len(tif.pages)} pages; in a folder each file is one slice. "
            "Give a stack as a file, not its folder."
        )
    return _page(path, 0, tif.pages[0], tif.filehandle.size)


def _page(path: Path, number: int, page: Any, size: int) -> Page:
    """What the header of one page says; raises ScanError for colour, number types without meaning, and lost bytes."""
    key = page.keyframe
    where = f"{path}, page {number + 1}" if number else f"{path}"
    if key.samplesperpixel != 1 or key.photometric in (2, 6):
        raise ScanError(
            f"{where}: is a colour image ({key.samplesperpixel} values per pixel); a scan has one grey value per voxel. "
            "Convert it to 8 or 16 bit grey first (Fiji: Image > Type)."
        )
    if key.dtype is None or key.dtype.kind not in "buif" or len(page.shape) != 2:
        raise ScanError(
            f"{where}: holds {key.dtype} {page.shape}; a slice is (y, x) of whole or floating-point numbers."
        )
    if len(page.dataoffsets) == 0 or len(page.dataoffsets) != len(page.databytecounts):
        raise ScanError(f"{where}: is damaged: it does not say where its voxels lie.")
    dtype = key.dtype.newbyteorder(key.parent.byteorder)
    in_place = bool(page.is_final) and key.compression == 1 and key.bitspersample == 8 * dtype.itemsize
    offset = int(page.dataoffsets[0]) if in_place else None
    if offset is not None:
        end = offset + key.shape[0] * key.shape[1] * dtype.itemsize
    else:
        end = max(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True))
    if end > size or min(page.dataoffsets) == 0:
        raise ScanError(
            f"{where}: is truncated: {size} bytes, but its voxels end at byte {end}. Copy it again."
        )
    return Page(path, number, page.shape, dtype, offset)


def _check_equal(folder: Path, pages: list[Page]) -> None:
    """Raise ScanError, naming the first slice that differs from most others in size or dtype."""
    counts = Counter((p.shape, p.dtype.newbyteorder("=")) for p in pages)
    if len(counts) == 1:
        return
    (shape, dtype), most = counts.most_common(1)[0]
    odd = next(p for p in pages if (p.shape, p.dtype.newbyteorder("=")) != (shape, dtype))
    name = odd.path.name if odd.path != folder else f"page {odd.number + 1}"
    raise ScanError(
        f"{folder}: {name} is {odd.dtype.newbyteorder('=')} {odd.shape}, but {most} of {len(pages)} slices are "
        f"{dtype} {shape} (y, x). All slices of a volume have one size and number type."
    )


def _stack_pages(path: Path, tif: Any) -> list[Page]:
    """The pages of a stack in z order, checked."""
    series = tif.series
    if not series or not len(tif.pages):
        raise ScanError(f"{path}: holds no image.")
    first = series[0]
    size = tif.filehandle.size
    _page(
        path, 0, tif.pages[0], max(size, 2**63)
    )  # colour and number type, before anything that follows from them
    if len(series) > 1:
        if not tif.is_ome:
            _check_equal(path, [_page(path, i, page, size) for i, page in enumerate(tif.pages)])
        raise ScanError(
            f"{path}: holds {len(series)} images; a volume is one stack. Export the one you want."
        )
    axes = [(axis, n) for axis, n in zip(first.axes[:-2], first.shape[:-2], strict=True) if n > 1]
    if not first.axes.endswith("YX") or len(axes) > 1 or (axes and axes[0][0] in "CS"):
        raise ScanError(
            f"{path}: its axes are {first.axes} {first.shape}; a volume is one stack of slices (z, y, x). "
            "Export one channel at one time."
        )
    if not axes:
        raise ScanError(f"{path}: holds one slice only; a volume has at least 2. Give the folder of slices.")
    return _series_pages(path, tif, first, axes[0][1], size)


def _series_pages(path: Path, tif: Any, series: Any, depth: int, size: int) -> list[Page]:
    """The pages of a series of `depth` slices."""
    base = _page(path, 0, tif.pages[0], max(size, 2**63))
    start = series.dataoffset
    if (
        start is not None and base.offset is not None
    ):  # one block, e.g. ImageJ over 4 GB, which has one page only
        step = base.shape[0] * base.shape[1] * base.dtype.itemsize
        if start + depth * step > size:
            whole = max(0, (size - start) // step)
            raise ScanError(f"{path}: is truncated: slice {whole + 1} of {depth} is cut off. Copy it again.")
        return [base._replace(number=i, offset=start + i * step) for i in range(depth)]
    members = list(series.pages)
    if len(members) != depth or any(page is None for page in members):
        raise ScanError(
            f"{path}: {depth} slices are announced, {len([p for p in members if p])} found. Export it again."
        )
    pages = [_page(path, i, page, size) for i, page in enumerate(members)]
    _check_equal(path, pages)
    return pages


class EncodedVolume(Volume):
    """A volume whose pages are compressed, tiled or otherwise encoded: decoded page by page, one thread at a time.

    For random access convert it first (`store.open_source` does).
    """

    def __init__(self, header: Header, places: list[tuple[Path, int]], files: tuple[Path, ...]):
        self.header = header
        self.files = files
        self._places = places
        self._lock = threading.Lock()
        self._open: tuple[Any, list[Any]] | None = None  # the stack's TiffFile and its pages

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        with self._lock:
            for z in range(z0, z1):
                path, number = self._places[z]
                if len(self.files) > 1:
                    with _opened(path) as tif:
                        self._decode(path, number, tif.pages[0], out[z - z0])
                else:
                    self._decode(path, number, self._pages(path)[number], out[z - z0])

    def _pages(self, path: Path) -> list[Any]:
        """The pages of the stack, which is kept open."""
        if self._open is None:
            import tifffile

            try:
                tif = tifffile.TiffFile(path)
            except (OSError, tifffile.TiffFileError) as fault:
                raise ScanError(f"{path}: cannot be read any more ({fault}).") from fault
            weakref.finalize(self, tif.close)
            self._open = (tif, list(tif.series[0].pages))
        return self._open[1]

    def _decode(self, path: Path, number: int, page: Any, out: np.ndarray) -> None:
        """Decode one page into out; raises ScanError naming it, or PackageError where the decoder is missing."""
        where = (
            path.name if len(self.files) > 1 else f"{path.name}, slice {number + 1} of {len(self._places)}"
        )
        try:
            np.copyto(out, page.asarray().reshape(out.shape), casting="same_kind")
        except Exception as fault:  # each decoder has its own kind of exception
            if "imagecodecs" in str(fault) or isinstance(fault, NotImplementedError):
                raise PackageError(
                    f"{path}: is compressed with {page.keyframe.compression.name}, which needs the package imagecodecs: "
                    "pip install imagecodecs. Or save it uncompressed (Fiji: File > Save As > Tiff)."
                ) from fault
            raise ScanError(
                f"{path.parent / where}: cannot be decoded ({fault}). The slice is damaged."
            ) from fault

    def close(self) -> None:
        with self._lock:
            if self._open is not None:
                self._open[0].close()
                self._open = None
