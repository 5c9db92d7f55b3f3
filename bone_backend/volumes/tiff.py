"""Open TIFF folders and multi-page TIFF files (BigTIFF, ImageJ and OME included) as volumes.

In:  a folder of slices, or a file of many pages.
Out: a volume: read by position where the voxels lie uncompressed, else decoded page by page.
Every header is checked before a volume is given out; a page damaged inside is named when it is decoded.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import ScanError
from .abstract import Volume
from .header import Header, SliceLocation, volume_name
from .positional import PositionalVolume
from .tiff_calibration import Calibration, read_calibration
from .tiff_decoding import EncodedVolume, opened
from .tiff_folder import slice_files
from .tiff_layout import layout_of


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
    pages: list[Page] = []
    calibration = layout = None
    for path in files:
        if layout is not None and layout.fits(path):
            pages.append(pages[0]._replace(path=path))
            continue
        with opened(path) as tif:
            if calibration is None:
                calibration = read_calibration(tif)
            pages.append(_only_page(path, tif))
        if len(pages) == 1 and pages[0].offset is not None:
            layout = layout_of(path)
    assert calibration is not None
    _check_equal(folder, pages)
    return _volume(volume_name(folder), folder, "tiff-folder", pages, calibration, tuple(files))


def open_file(path: Path) -> Volume:
    """A TIFF of many pages as a volume. ScanError for one page, colour, mixed pages, a truncated file."""
    with opened(path) as tif:
        pages = _stack_pages(path, tif)
        calibration = read_calibration(tif)
    return _volume(volume_name(path), path, "tiff", pages, calibration, (path,))


def peek(path: Path) -> Header:
    """Shape, dtype and voxel size without the data; of a folder only names and the first header are read."""
    if not path.is_dir():
        return open_file(path).header
    files = slice_files(path)
    with opened(files[0]) as tif:
        page = _only_page(files[0], tif)
        calibration = read_calibration(tif)
    return _header(volume_name(path), path, "tiff-folder", len(files), page, calibration)


def _header(name: str, path: Path, kind: str, depth: int, page: Page, calibration: Calibration) -> Header:
    dtype = np.dtype(np.uint8) if page.dtype.kind == "b" else page.dtype
    size, unit, origin, is_z_told = calibration
    return Header(
        name, (depth, *page.shape), dtype, size, unit, origin, path=path, format=kind, is_z_told=is_z_told
    )


def _volume(
    name: str, path: Path, kind: str, pages: list[Page], calibration: Calibration, files: tuple[Path, ...]
) -> Volume:
    header = _header(name, path, kind, len(pages), pages[0], calibration)
    slices = [SliceLocation(p.path, p.offset, p.dtype) for p in pages if p.offset is not None]
    if len(slices) == len(pages):
        return PositionalVolume(header, slices)
    return EncodedVolume(header, [(p.path, p.number) for p in pages], files)


def _only_page(path: Path, tif: Any) -> Page:
    """The page of a slice file."""
    if tif.pages.is_multipage:
        raise ScanError(
            f"{path}: holds {len(tif.pages)} pages; in a folder each file is one slice. "
            "Give a stack as a file, not its folder."
        )
    return _page(path, 0, tif.pages[0], tif.filehandle.size)


def _page(path: Path, number: int, page: Any, size: int) -> Page:
    """What the header of one page says; ScanError for colour, odd number types and lost bytes."""
    key = page.keyframe
    where = f"{path}, page {number + 1}" if number else f"{path}"
    if key.samplesperpixel != 1 or key.photometric in (2, 6):
        raise ScanError(
            f"{where}: is a colour image ({key.samplesperpixel} values per pixel); BONe reads one number per "
            "voxel. A scan: convert it to 8 or 16 bit grey (Fiji: Image > Type). A mask: export the label "
            "values without colours from the program that made it; greys made from its colours are no labels."
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
        f"{folder}: {name} is {odd.dtype.newbyteorder('=')} {odd.shape}, but {most} of {len(pages)} slices "
        f"are {dtype} {shape} (y, x). All slices of a volume have one size and number type."
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
            pages = [_page(path, i, page, size) for i, page in enumerate(tif.pages)]
            _check_equal(path, pages)
            if all(len(one.pages) == 1 for one in series):  # written page by page, each with its own words
                return pages
        raise ScanError(
            f"{path}: holds {len(series)} images; a volume is one stack. Export the one you want."
        )
    axes = [(axis, n) for axis, n in zip(first.axes[:-2], first.shape[:-2], strict=True) if n > 1]
    # A stack saved as "channels" is common (tifffile's imagej=True does it); up to 4 may truly be channels.
    channels = bool(axes) and axes[0][0] in "CS" and axes[0][1] <= 4
    if not first.axes.endswith("YX") or len(axes) > 1 or channels:
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
    if any(page.parent is not tif for page in members):
        raise ScanError(
            f"{path}: is spread over several files (OME). Export it as one stack, or give a folder."
        )
    pages = [_page(path, i, page, size) for i, page in enumerate(members)]
    _check_equal(path, pages)
    return pages
