"""What the descriptions in a TIFF announce: ImageJ's lines, OME's XML, tifffile's JSON.

In:  the descriptions of one page.
Out: Words: how many slices, channels and times there should be, in which pages, and notes on the voxel size.
Only what is announced; whether it is there is checked in reading.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from ...errors import ScanError

_AXES = {"slices": "Z", "channels": "C", "frames": "T"}
_LONGEST_JSON = 2**20  # characters


@dataclass(frozen=True)
class Words:
    """What one page's descriptions say of the pages from it on.

    program: "ImageJ", "OME" or "tifffile"; "" where none of them wrote it.
    axes:    name -> size of every axis but y and x that is longer than 1.
    planes:  number of slices announced; None where nothing is said.
    order:   for OME, the page of each plane (counted over all pages of the file).
    notes:   unit, spacing and the like as text: ImageJ's lines, tifffile's JSON, attributes of OME's Pixels.
    """

    program: str = ""
    axes: Mapping[str, int] = field(default_factory=dict)
    planes: int | None = None
    order: tuple[int, ...] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


def words_of(where: str, descriptions: list[str], page_shape: tuple[int, int], file_name: str) -> Words:
    """The words of a page of (y, x); the last description is tifffile's where there are two.

    Raises ScanError where they contradict themselves, or announce what lies in other files.
    """
    for text in reversed(descriptions):
        start = text.lstrip()[:8]
        if start.startswith("ImageJ="):
            return _of_imagej(where, text)
        if start.startswith("<") and "<OME" in text[:10_000]:
            return _of_ome(where, text, file_name)
        if start.startswith("{") and '"shape"' in text:
            return _of_tifffile(text, page_shape)
    return Words()


def _of_imagej(where: str, text: str) -> Words:
    """ImageJ's lines `name=value`: images is the product of slices, channels and frames."""
    notes = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    sizes: dict[str, int] = {}
    for name in ("images", *_AXES):
        if name in notes:
            value = notes[name].strip()
            if not value.isdecimal() or not 0 < int(value[:20]) < 2**31:
                raise ScanError(f"{where}: is damaged: ImageJ's description says {name}={value[:20]}.")
            sizes[name] = int(value[:20])
    axes = {axis: sizes[name] for name, axis in _AXES.items() if sizes.get(name, 1) > 1}
    product = math.prod(axes.values())
    images = sizes.get("images", product)
    if axes and images != product:
        told = ", ".join(f"{name}={sizes[name]}" for name in ("images", *_AXES) if name in sizes)
        raise ScanError(
            f"{where}: ImageJ's description contradicts itself ({told}). Open it in Fiji, look whether all "
            "slices are there, and save it again (File > Save As > Tiff)."
        )
    if images > 1 and not axes:
        axes = {"Z": images}
    return Words("ImageJ", axes, images if images > 1 else None, None, notes)


def _of_tifffile(text: str, page_shape: tuple[int, int]) -> Words:
    """tifffile's `{"shape": [24, 400, 500], ...}`."""
    if len(text) > _LONGEST_JSON:
        return Words()
    try:
        notes = json.loads(text)
        shape = [int(n) for n in notes["shape"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return Words()  # somebody else's words
    sizes = shape[:]
    while len(sizes) > 2 and sizes[-1] == 1 and tuple(sizes[-2:]) != page_shape:
        sizes.pop()
    if tuple(sizes[-2:]) != page_shape or not all(0 < n < 2**31 for n in sizes):
        return Words()  # of an image that this page is not, e.g. before it was cropped
    names = str(notes.get("axes", ""))
    names = names if len(names) == len(shape) else "Q" * len(shape)
    axes: dict[str, int] = {}
    for place, (axis, n) in enumerate(zip(names, sizes[:-2], strict=False)):
        if n > 1:
            axes[axis if axis not in axes else f"{axis}{place}"] = n
    planes = math.prod(axes.values())
    told = {name: str(value) for name, value in notes.items() if isinstance(value, (str, int, float))}
    return Words("tifffile", axes, planes if planes > 1 else None, None, told)


class _OmeReader:
    """Collects what matters while expat walks through the XML; no tree is built."""

    def __init__(self, where: str):
        self._where = where
        self.pixels: list[dict[str, str]] = []
        self.parts: list[list[dict[str, str]]] = []  # TiffData of each Pixels
        self.own_uuid = ""
        self.uuids: set[str] = set()
        self.file_names: set[str] = set()
        self._uuid: str | None = None
        self.elsewhere = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rsplit(":", 1)[-1]
        if name == "OME":
            self.own_uuid = attributes.get("UUID", "")
        elif name == "BinaryOnly":
            self.elsewhere = True
        elif name == "Pixels":
            self.pixels.append(attributes)
            self.parts.append([])
        elif name == "TiffData" and self.parts:
            self.parts[-1].append(attributes)
        elif name == "UUID":
            self._uuid = ""
            if "FileName" in attributes:
                self.file_names.add(attributes["FileName"])

    def text(self, text: str) -> None:
        if self._uuid is not None:
            self._uuid += text

    def end(self, name: str) -> None:
        if self._uuid is not None and name.rsplit(":", 1)[-1] == "UUID":
            self.uuids.add(self._uuid.strip())
            self._uuid = None

    def refuse(self, *_: object) -> None:
        raise ScanError(f"{self._where}: is damaged: its OME description declares entities. Export it again.")


def _of_ome(where: str, text: str, file_name: str) -> Words:
    """OME's XML: one image of one stack in this file. Its images may also be the slices, one each."""
    reader = _OmeReader(where)
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = reader.refuse
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as fault:
        raise ScanError(f"{where}: is damaged: its OME description ends or breaks ({fault}).") from fault
    spread = len(reader.uuids) > 1 or (
        reader.uuids != {reader.own_uuid}
        if reader.own_uuid and reader.uuids
        else bool(reader.file_names - {file_name})
    )
    if reader.elsewhere or spread:
        raise ScanError(
            f"{where}: is spread over several files (OME). Export it as one stack, or give a folder."
        )
    if not reader.pixels:
        return Words("OME")
    try:
        if len(reader.pixels) > 1:
            return _of_ome_images(where, reader)
        axes = _ome_axes(reader.pixels[0])
        planes = math.prod(axes.values())
        order = _ome_order(reader.pixels[0], reader.parts[0], planes) if len(axes) < 2 else None
    except ValueError as fault:
        raise ScanError(f"{where}: is damaged: its OME description says {fault}. Export it again.") from fault
    return Words("OME", axes, planes, order, reader.pixels[0])


def _of_ome_images(where: str, reader: _OmeReader) -> Words:
    """Several images in one file: the slices of one volume if each is a single one of the same size."""
    sizes = {(p.get("SizeY"), p.get("SizeX"), p.get("Type")) for p in reader.pixels}
    if len(sizes) > 1 or any(_ome_axes(pixels) for pixels in reader.pixels):
        raise ScanError(
            f"{where}: holds {len(reader.pixels)} images (OME); a volume is one stack. "
            "Export the one you want."
        )
    order = [_ome_order(p, parts, 1) for p, parts in zip(reader.pixels, reader.parts, strict=True)]
    pages = tuple(place for one in order if one is not None for place in one)
    depth = len(reader.pixels)
    if sorted(pages) != list(range(depth)):
        pages = tuple(range(depth))  # no image says where it lies
    return Words("OME", {"Z": depth}, depth, pages, reader.pixels[0])


def _whole(attributes: Mapping[str, str], name: str, default: int) -> int:
    value = attributes.get(name, str(default)).strip()
    if not value.isdecimal() or len(value) > 9:
        raise ValueError(f"{name}={value[:20]!r}")
    return int(value)


def _ome_axes(pixels: Mapping[str, str]) -> dict[str, int]:
    sizes = {axis: _whole(pixels, f"Size{axis}", 1) for axis in "ZCT"}
    if 0 in sizes.values():
        raise ValueError(f"sizes of {sizes}")
    return {axis: n for axis, n in sizes.items() if n > 1}


def _ome_order(pixels: Mapping[str, str], parts: list[dict[str, str]], planes: int) -> tuple[int, ...] | None:
    """The page of each plane, in z order (there is one axis only); None where nothing is said.

    OME 2016-06: a TiffData without IFD starts at page 0; without PlaneCount it is one plane if an IFD is
    given, else all planes. ValueError where planes are left out.
    """
    if not parts or planes > 10**7:
        return None
    pages: dict[int, int] = {}
    for part in parts:
        first = max(_whole(part, f"First{axis}", 0) for axis in "ZCT")
        page = _whole(part, "IFD", 0)
        count = _whole(part, "PlaneCount", 1 if "IFD" in part else planes - first)
        if first + count > planes:
            raise ValueError(f"plane {first + count} of {planes}")
        pages.update((first + i, page + i) for i in range(count))
    if len(pages) < planes:
        missing = next(plane for plane in range(planes) if plane not in pages)
        raise ValueError(
            f"nothing of plane {missing + 1} of {planes}, so that only {len(pages)} slices are there"
        )
    return tuple(pages[plane] for plane in range(planes))
