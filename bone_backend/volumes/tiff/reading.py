"""Open TIFF folders and multi-page TIFF files (BigTIFF, ImageJ and OME included) as volumes.

In:  a folder of slices, or a file of many pages.
Out: a volume: read by position where the voxels lie uncompressed, else decoded page by page.
Every header is checked before a volume is given out; a page damaged inside is named when it is decoded.
"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

from ...errors import ScanError
from ..abstract import Volume
from ..beside import Told, told_beside
from ..header import UM_PER_UNIT, Header, SliceLocation, Storage, Triple, volume_name
from ..positional import PositionalVolume
from .calibration import UNKNOWN, Calibration, is_signed_offset, read_calibration
from .codecs import COMPRESSIONS
from .decoding import EncodedVolume, opened
from .directory import Chain, Directory
from .folder import slice_files
from .layout import layout_of
from .page import Page, page_of, shape_of
from .tags import (
    COMPRESSION,
    SAMPLE_FORMAT,
    SOFTWARE,
    STRIP_OFFSETS,
    SUB_IFDS,
    check_meaning,
    check_sub_directories,
    is_preview,
)
from .words import Words, words_of

# Programs that may write one page only, with the voxels of all slices behind it.
WITH_ONE_PAGE = ("ImageJ", "tifffile")


def open_folder(folder: Path) -> Volume:
    """A folder of single-slice TIFFs as a volume, all headers checked.

    Raises ScanError that names the file: truncated, of another size or dtype, colour, several pages, no TIFF.
    """
    files = slice_files(folder)
    pages: list[Page] = []
    calibration, layout = UNKNOWN, None
    for path in files:
        if layout is not None and layout.fits(path):
            pages.append(pages[0]._replace(path=path))
            continue
        with opened(path) as chain:
            page, found = _only_page(chain)
        if not pages:
            calibration = found
            layout = layout_of(path) if page.offset is not None else None
        pages.append(page)
    _check_equal(folder, pages)
    return _volume(volume_name(folder), folder, "tiff-folder", pages, calibration, tuple(files))


def open_file(path: Path) -> Volume:
    """A TIFF of many pages as a volume. ScanError for one page, colour, mixed pages, a truncated file."""
    with opened(path) as chain:
        pages, calibration = _stack(chain)
    return _volume(volume_name(path), path, "tiff", pages, calibration, (path,))


def peek(path: Path) -> Header:
    """Shape, dtype and voxel size without the data; of a folder only names and the first header are read."""
    if not path.is_dir():
        return open_file(path).header
    files = slice_files(path)
    with opened(files[0]) as chain:
        page, calibration = _only_page(chain)
    return _header(volume_name(path), path, "tiff-folder", len(files), page, calibration)


def _header(name: str, path: Path, kind: str, depth: int, page: Page, calibration: Calibration) -> Header:
    size, unit, origin, is_z_told, source, classes = calibration
    shape = (depth, *page.shape)
    if size is None or not is_z_told:
        beside = told_beside(path, shape)
        if beside and (size is None or _is_same_in_plane(beside, size, unit)):
            size, unit, source = beside
            is_z_told = True
    return Header(
        name,
        shape,
        page.dtype,
        size,
        unit,
        origin,
        path=path,
        format=kind,
        is_z_told=is_z_told,
        voxel_size_from=source if size else "",
        classes=classes,
    )


def _is_same_in_plane(beside: Told, size: Triple, unit: str) -> bool:
    """Whether a side file has the y and x of a TIFF that does not tell z."""
    factor = UM_PER_UNIT.get(unit, 0.0) / UM_PER_UNIT.get(beside.unit, 1.0)
    return all(abs(a - b * factor) <= 1e-3 * a for a, b in zip(beside.voxel_size[1:], size[1:], strict=True))


def storage_of(path: Path) -> Storage:
    """The files of a stack or folder, and what its first page tells."""
    files = slice_files(path) if path.is_dir() else [path]
    with opened(files[0]) as chain:
        first = _slices(chain)[0]
        compression = first.whole(COMPRESSION, 1)
    name = "none" if compression == 1 else COMPRESSIONS.get(compression, "unknown")
    return Storage(files, name)


def _volume(
    name: str, path: Path, kind: str, pages: list[Page], calibration: Calibration, files: tuple[Path, ...]
) -> Volume:
    header = _header(name, path, kind, len(pages), pages[0], calibration)
    slices = [SliceLocation(p.path, p.offset, p.dtype) for p in pages if p.offset is not None]
    if len(slices) == len(pages):
        return PositionalVolume(header, slices)
    return EncodedVolume(header, pages, files)


def _page(directory: Directory, words: Words) -> Page:
    """The page of a directory, checked: what it means, and where it lies."""
    first = directory.chain.directories[0]  # the only one that names the program
    is_tifffile = words.program != "ImageJ" and first.text(SOFTWARE).startswith("tifffile")
    check_meaning(directory, "tifffile" if is_tifffile else words.program)
    if SUB_IFDS in directory:
        check_sub_directories(directory)
    signed = is_signed_offset(directory.where, words, directory.whole(SAMPLE_FORMAT, 1))
    return page_of(directory, is_signed_offset=signed)


def _words(directory: Directory) -> Words:
    return words_of(directory.where, directory.descriptions(), shape_of(directory), directory.chain.path.name)


def _slices(chain: Chain) -> list[Directory]:
    """The directories that are slices, without previews and transparency masks that are marked as such."""
    if not chain.directories:
        if chain.cut_at is None:
            raise ScanError(f"{chain.path}: holds no image.")
        raise ScanError(
            f"{chain.path}: is truncated: its first page should lie at byte {chain.cut_at}, but the file has "
            f"{chain.size}. Copy it again."
        )
    slices = [directory for directory in chain.directories if not is_preview(directory)]
    if slices:
        return slices
    if SUB_IFDS in chain.directories[0]:
        raise ScanError(
            f"{chain.path}: holds a preview only (NewSubfileType, tag 254); its image lies in a "
            "sub-directory, as in the raw files of cameras. Export it as TIFF."
        )
    raise ScanError(
        f"{chain.path}: all its pages are marked as previews or transparency masks (NewSubfileType, "
        "tag 254). Save it anew (Fiji: File > Save As > Tiff)."
    )


def _only_page(chain: Chain) -> tuple[Page, Calibration]:
    """The page of a slice file, and its calibration."""
    slices = _slices(chain)
    words = _words(slices[0])
    page = _page(slices[0], words)
    whole = _check_whole(chain, [page], 1)
    if len(slices) > 1:
        shapes = [shape_of(directory) for directory in slices]
        if all(shape == shapes[0] for shape in shapes):
            advice = "Give a stack as a file, not its folder."
        else:
            sizes = ", ".join(f"{height} x {width}" for height, width in shapes[:3])
            advice = f"They are of {sizes} voxels; save each slice without its previews."
        raise ScanError(
            f"{chain.path}: holds {len(slices)} pages; in a folder each file is one slice. {advice}"
        )
    depth = words.planes or 1
    if depth > 1 and page.offset is not None and chain.size >= page.offset + 2 * _slice_bytes(page):
        raise ScanError(
            f"{chain.path}: holds {depth} slices; in a folder each file is one slice. "
            "Give a stack as a file, not its folder."
        )
    assert whole == 1
    return page, read_calibration(slices[0], words)


def _slice_bytes(page: Page) -> int:
    return page.shape[0] * page.shape[1] * page.dtype.itemsize


def _check_whole(chain: Chain, pages: list[Page], depth: int) -> int:
    """The number of slices that are whole; ScanError that tells it where the file ends before its time."""
    lost = next((i for i, page in enumerate(pages) if page.end > chain.size), None)
    whole = len(pages) if lost is None else lost
    of = f" of {depth}" if depth > 1 else ""
    kept = f"; {whole} {'is' if whole == 1 else 'are'} whole" if depth > 1 or len(pages) > 1 else ""
    if lost is not None:
        raise ScanError(
            f"{chain.path}: is truncated: slice {whole + 1}{of} is cut off: it ends at byte "
            f"{pages[lost].end}, but the file has {chain.size}{kept}. Copy it again."
        )
    if chain.cut_at is not None:
        raise ScanError(
            f"{chain.path}: is truncated: slice {whole + 1}{of} should be at byte {chain.cut_at}, but the "
            f"file has {chain.size} bytes; {whole} {'is' if whole == 1 else 'are'} whole. Copy it again."
        )
    return whole


def _stack(chain: Chain) -> tuple[list[Page], Calibration]:
    """The pages of a stack in z order, checked, and its calibration."""
    slices = _slices(chain)
    words = _words(slices[0])
    first = _page(slices[0], words)
    _check_axes(chain, words, first)
    depth = words.planes or len(slices)
    calibration = read_calibration(slices[0], words)
    if len(slices) == 1 and depth > 1:
        if words.program not in WITH_ONE_PAGE:
            raise ScanError(
                f"{chain.path}: {words.program or 'its description'} announces {depth} slices, one is found: "
                "the others are lost, or in other files. Export it again as one stack."
            )
        return _block_behind(chain, first, depth), calibration
    words_of_all, pages = _rest(slices, words, first)
    _check_whole(chain, pages, max(depth, len(pages)))
    _check_announced(chain, slices, words_of_all)
    _check_equal(chain.path, pages)
    if len(pages) == 1:
        previews = len(chain.directories) - 1
        beside = f" (and {previews} previews or masks of it)" if previews else ""
        raise ScanError(
            f"{chain.path}: holds one slice only{beside}; a volume has at least 2. Give the folder of slices."
        )
    if words.order is not None:
        by_number = {page.number: page for page in pages}
        pages = [by_number[number] for number in words.order]
    return pages, calibration


def _rest(slices: list[Directory], words: Words, first: Page) -> tuple[list[Words], list[Page]]:
    """The words and the page of every slice; most are like the one before but for their place."""
    all_words, pages = [words], [first]
    pattern = slices[0].pattern()
    for directory in slices[1:]:
        before, pattern = pattern, directory.pattern()
        last = pages[-1]
        if pattern is not None and pattern == before and last.offset is not None:
            offset = directory.whole(STRIP_OFFSETS, 0)
            if offset:
                all_words.append(Words())
                pages.append(
                    last._replace(number=directory.number, offset=offset, end=offset + last.end - last.offset)
                )
                continue
        all_words.append(_words(directory))
        pages.append(_page(directory, all_words[-1] if all_words[-1].program else words))
    return all_words, pages


def _check_axes(chain: Chain, words: Words, page: Page) -> None:
    """Raise ScanError where channels or times are announced beside slices, or 2 to 4 channels alone.

    A stack saved as "channels" is common (tifffile's imagej=True does it); up to 4 may truly be channels.
    """
    if not words.axes:
        return
    (axis, n), *others = words.axes.items()
    if others or (axis[0] in "CS" and n <= 4):
        names = {"Z": "slices", "C": "channels", "T": "times", "S": "samples"}
        told = ", ".join(f"{n} {names.get(axis[0], axis)}" for axis, n in words.axes.items())
        raise ScanError(
            f"{chain.path}: its axes are {told} of {page.shape[0]} x {page.shape[1]} voxels (announced by "
            f"{words.program}); a volume is one stack of slices (z, y, x). Export one channel at one time."
        )


def _block_behind(chain: Chain, page: Page, depth: int) -> list[Page]:
    """The slices of a file that has one page only, with all voxels behind it: ImageJ above 4 GB, tifffile."""
    if page.offset is None:
        _check_whole(chain, [page], depth)
        raise ScanError(
            f"{chain.path}: {depth} slices are announced, one is found: the others are lost. Export it again."
        )
    step = _slice_bytes(page)
    whole = max(0, (chain.size - page.offset) // step)
    if whole < depth:
        raise ScanError(
            f"{chain.path}: is truncated: slice {whole + 1} of {depth} is cut off; {whole} "
            f"{'is' if whole == 1 else 'are'} whole. Copy it again."
        )
    if chain.cut_at is not None:
        raise ScanError(
            f"{chain.path}: is truncated or damaged: the voxels of {depth} slices may be there, but the page "
            f"of slice 2 should be at byte {chain.cut_at} and the file has {chain.size}. Copy it again."
        )
    return [
        page._replace(number=i, offset=page.offset + i * step, end=page.end + i * step) for i in range(depth)
    ]


def _check_announced(chain: Chain, slices: list[Directory], words: list[Words]) -> None:
    """Raise ScanError unless the pages are those that their descriptions announce.

    A description holds for its page and those behind it without one. Where each announces one slice, or
    none says how many, every page is a slice.
    """
    starts = [i for i, one in enumerate(words) if one.program]
    told = [words[i].planes for i in starts]
    found = [after - start for start, after in itertools.pairwise([*starts, len(slices)])]
    if words[0].order is not None:
        there = {directory.number for directory in slices}
        if set(words[0].order) != there or len(words[0].order) != len(there):
            raise ScanError(
                f"{chain.path}: OME announces {len(words[0].order)} slices, but {len(there)} pages "
                "are found, or others than it names. Export it again."
            )
        return
    wrong = next((i for i, n in enumerate(told) if n is not None and n != found[i]), None)
    if wrong is not None and (len(starts) == 1 or found[wrong] < (told[wrong] or 0)):
        raise ScanError(
            f"{chain.path}: {told[wrong]} slices are announced (by {words[starts[wrong]].program}), "
            f"{found[wrong]} found. Open it in Fiji, look whether all slices are there, and save it again "
            "(File > Save As > Tiff)."
        )
    if len(starts) > 1 and any(n is not None for n in told):
        sizes = ", ".join(str(n) for n in found[:5])
        raise ScanError(
            f"{chain.path}: holds {len(starts)} images ({sizes} slices); a volume is one stack. "
            "Export the one you want."
        )


def _check_equal(folder: Path, pages: list[Page]) -> None:
    """Raise ScanError, naming the first slice that differs from most others in size or dtype."""
    counts = Counter(page.kind for page in pages)
    if len(counts) == 1:
        return
    (shape, dtype, bits), most = counts.most_common(1)[0]
    odd = next(page for page in pages if page.kind != (shape, dtype, bits))
    name = odd.path.name if odd.path != folder else f"page {odd.number + 1}"
    advice = "All slices of a volume have one size and number type."
    if odd.kind[:2] == (shape, dtype):
        advice = f"It is stored with {odd.kind[2]} bit, the others with {bits}. {advice}"
    largest = max(p.shape for p in pages)
    smaller = [p.number + 1 for p in pages if p.shape[0] < largest[0] and p.shape[1] < largest[1]]
    if odd.path == folder and 2 * len(smaller) >= len(pages):
        named = ", ".join(map(str, smaller[:4])) + (" ..." if len(smaller) > 4 else "")
        advice = f"Pages {named} may be previews, but are not marked as such; save the file without them."
    raise ScanError(
        f"{folder}: {name} is {odd.dtype.newbyteorder('=')} {odd.shape}, but {most} of {len(pages)} slices "
        f"are {dtype} {shape} (y, x). {advice}"
    )
