"""Small TIFF files of many makes, and damage that knows where their tags, offsets and strips lie.

In:  a folder for the files; bytes of a file and a generator.
Out: paths of files and folders that are whole; bytes of a damaged file.
Files are taken apart here by hand (TIFF 6.0, BigTIFF), not by what is tested.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from .damage import INTERESTING, change_bytes

#: bytes of one value of each type
WIDTHS = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
#: tags that change what the voxels are, for which a random one is exchanged or put in
TAGS = (
    254, 255, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 296,
    305, 317, 320, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347, 530, 32997, 33550, 34735, 50838,
    50839, 65000,
)  # fmt: skip
COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34712, 34925, 34926, 34927, 50000, 50001, 50002, 65000)
DESCRIPTIONS = (
    b"ImageJ=1.53t\nimages=4\nslices=4\nloop=false\n", b"ImageJ=1.53t\nimages=99\nchannels=2\n",
    b"ImageJ=1.53t\nimages=9999999999\n", b'{"shape": [3, 24, 32]}', b'{"shape": [-1, 99999999]}', b"<OME>",
    b"ImageJ=\nimages=-3\nspacing=1,5\nunit=\\u00B5m\nmin=x", b"<?xml version='1.0'?><OME></OME>",
    b"\xff\xfe\0",
)  # fmt: skip


def write_seeds(folder: Path) -> list[Path]:
    """Stacks, and folders of slices, in every make that BONe reads or refuses in words."""
    folder.mkdir(parents=True, exist_ok=True)
    grey = np.arange(6 * 24 * 32).reshape(6, 24, 32)
    noise = np.random.default_rng(0).integers(0, 9, grey.shape)
    makes: dict[str, tuple[str, dict[str, Any]]] = {
        "plain": ("uint16", {}),
        "plain8": ("uint8", {"metadata": None}),
        "big endian": ("uint16", {"byteorder": ">", "photometric": "minisblack"}),
        "float": ("float32", {"rowsperstrip": 7}),
        "signed": ("int16", {"rowsperstrip": 5, "metadata": None}),
        "imagej": ("uint16", {"imagej": True, "metadata": {"spacing": 2.0, "unit": "mm", "axes": "ZYX"}}),
        "ome": ("uint8", {"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.02}}),
        "bigtiff": ("uint16", {"bigtiff": True}),
        "bigtiff tiles": ("uint16", {"bigtiff": True, "tile": (16, 16), "compression": "zlib"}),
        "tiles": ("uint8", {"tile": (16, 32)}),
        "palette": ("uint8", {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}),
        "white is zero": ("uint8", {"photometric": "miniswhite"}),
        "zlib": ("uint16", {"compression": "zlib", "predictor": True}),
        "lzw": ("uint8", {"compression": "lzw", "rowsperstrip": 6, "predictor": True}),
        "packbits": ("uint8", {"compression": "packbits"}),
        "zstd": ("uint16", {"compression": "zstd"}),
        "lzma": ("uint16", {"compression": "lzma"}),
        "jpeg": ("uint8", {"compression": "jpeg"}),
        "png": ("uint16", {"compression": "png"}),
        "float predictor": ("float32", {"compression": "zlib", "predictor": True}),
    }
    made = []
    for name, (dtype, how) in makes.items():
        path = folder / f"{name}{'.ome' if how.get('ome') else ''}.tif"
        array = (grey * 5 + noise).astype(dtype)
        tifffile.imwrite(path, array, **({"photometric": "minisblack"} | how))
        made.append(path)
    with tifffile.TiffWriter(folder / "page by page.tif") as writer:
        for plane in grey.astype(np.uint8):
            writer.write(plane, compression="zlib", contiguous=False)
    made.append(folder / "page by page.tif")
    for name, compression in (("slices", None), ("slices lzw", "lzw")):
        (folder / name).mkdir(exist_ok=True)
        for z, plane in enumerate(grey.astype(np.uint16)):
            tifffile.imwrite(folder / name / f"slice_{z:03d}.tif", plane, compression=compression)
        made.append(folder / name)
    return made


class Entry(NamedTuple):
    """One tag of a page. place: of its twelve (BigTIFF: twenty) bytes in the file."""

    place: int
    tag: int
    kind: int
    count: int
    value: int


class Anatomy(NamedTuple):
    """Where things lie in a TIFF file. chain: places of the offsets that lead from page to page."""

    order: str
    is_big: bool
    chain: list[int]
    entries: list[Entry]

    @property
    def offset(self) -> str:
        """Of struct, for offsets and counts."""
        return "Q" if self.is_big else "I"


def anatomy(content: bytes) -> Anatomy:
    """Of a file that is whole."""
    order = "<" if content[:2] == b"II" else ">"
    is_big = struct.unpack_from(f"{order}H", content, 2)[0] == 43
    number, width = ("Q", 20) if is_big else ("H", 12)
    found = Anatomy(order, is_big, [8 if is_big else 4], [])
    while len(found.chain) < 100:
        (start,) = struct.unpack_from(f"{order}{found.offset}", content, found.chain[-1])
        if not start:
            break
        (tags,) = struct.unpack_from(f"{order}{number}", content, start)
        place = start + struct.calcsize(number)
        for index in range(tags):
            at = place + index * width
            found.entries.append(Entry(at, *struct.unpack_from(f"{order}HH{found.offset * 2}", content, at)))
        found.chain.append(place + tags * width)
    return found


def damage(content: bytes, rng: random.Random) -> bytes:
    """One to three changes, most of them to what the file says about itself."""
    found = anatomy(content)
    made = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(CHANGES)(made, found, rng)
    if rng.random() < 0.25:
        return change_bytes(bytes(made), rng)
    return bytes(made)


def _pack(made: bytearray, order: str, kind: str, place: int, value: int) -> None:
    width = struct.calcsize(kind)
    if place + width <= len(made):
        struct.pack_into(f"{order}{kind}", made, place, value % (1 << (8 * width)))


def _number(made: bytearray, found: Anatomy, rng: random.Random, now: int = 0) -> int:
    """Near what is there, an edge of a number type, or a place in the file."""
    near = (now - 1, now + 1, now * 2, now // 2, now + 256, -now, now * 1000)
    places = (len(made), len(made) - 1, len(made) + 1, rng.randrange(len(made) + 1), rng.choice(found.chain))
    return rng.choice((rng.choice(near), rng.choice(INTERESTING), rng.choice(places)))


def _change_value(made: bytearray, found: Anatomy, rng: random.Random) -> None:
    """A tag has another value, where the value stands in the tag (or its offset, where it does not)."""
    entry = rng.choice(found.entries)
    value = _number(made, found, rng, entry.value)
    if entry.tag == 259:
        value = rng.choice(COMPRESSIONS)
    wide = found.offset if entry.count != 1 or WIDTHS.get(entry.kind, 8) > 2 or rng.random() < 0.3 else "H"
    _pack(made, found.order, wide, entry.place + (12 if found.is_big else 8), value)


def _change_count(made: bytearray, found: Anatomy, rng: random.Random) -> None:
    entry = rng.choice(found.entries)
    _pack(made, found.order, found.offset, entry.place + 4, _number(made, found, rng, entry.count))


def _change_kind(made: bytearray, found: Anatomy, rng: random.Random) -> None:
    _pack(made, found.order, "H", rng.choice(found.entries).place + 2, rng.randrange(20))


def _change_tag(made: bytearray, found: Anatomy, rng: random.Random) -> None:
    """A tag becomes another: the old one is lost, the new one says something about the voxels."""
    entry = rng.choice(found.entries)
    _pack(made, found.order, "H", entry.place, rng.choice(TAGS))
    if rng.random() < 0.5:
        _pack(made, found.order, "H", entry.place + 2, rng.choice((3, 4)))
        _pack(made, found.order, found.offset, entry.place + 4, 1)
        _pack(made, found.order, "H", entry.place + (12 if found.is_big else 8), rng.randrange(9))


def _change_chain(made: bytearray, found: Anatomy, rng: random.Random) -> None:
    """A page is followed by nothing, by itself, by one before it, or by what is no page."""
    place = rng.choice(found.chain)
    starts = [struct.unpack_from(f"{found.order}{found.offset}", made, p)[0] for p in found.chain]
    target = rng.choice((0, rng.choice(starts), _number(made, found, rng, starts[0])))
    _pack(made, found.order, found.offset, place, target)


def _change_list(made: bytearray, found: Anatomy, rng: random.Random) -> None:
    """One of several offsets or lengths of strips or tiles."""
    lists = [e for e in found.entries if e.tag in (273, 279, 324, 325) and e.count > 1]
    if not lists:
        return _change_value(made, found, rng)
    entry = rng.choice(lists)
    width = WIDTHS.get(entry.kind, 4)
    kind = {2: "H", 4: "I", 8: "Q"}.get(width, "I")
    place = entry.value + width * rng.randrange(entry.count)
    if place + width <= len(made):
        now = struct.unpack_from(f"{found.order}{kind}", made, place)[0]
        _pack(made, found.order, kind, place, _number(made, found, rng, now))
    return None


def _change_words(made: bytearray, found: Anatomy, rng: random.Random) -> None:
    """What ImageJ, OME or tifffile announce, against what is there."""
    texts = [e for e in found.entries if e.tag in (270, 305) and e.count > 8]
    if not texts:
        return _change_value(made, found, rng)
    entry = rng.choice(texts)
    start, end = entry.value, min(entry.value + entry.count, len(made))
    if rng.random() < 0.4:
        words = rng.choice(DESCRIPTIONS)[: end - start]
        made[start : start + len(words)] = words
        return None
    digits = [place for place in range(start, end) if 48 <= made[place] <= 57]
    for _ in range(rng.randint(1, 3)):
        place = rng.choice(digits) if digits and rng.random() < 0.7 else rng.randrange(start, end)
        made[place] = rng.choice(b'0123456789-.,eE\0xZCT\n"<>') if rng.random() < 0.9 else rng.randrange(256)
    return None


def _change_data(made: bytearray, found: Anatomy, rng: random.Random) -> None:
    """Bytes of a strip, which a decoder meets."""
    strips = [e for e in found.entries if e.tag in (273, 324)]
    entry = rng.choice(strips or found.entries)
    start = entry.value if entry.count == 1 else rng.randrange(len(made))
    for _ in range(rng.randint(1, 8)):
        place = start + rng.randrange(64)
        if place < len(made):
            made[place] = rng.randrange(256)


CHANGES = (
    _change_value,
    _change_value,
    _change_value,
    _change_count,
    _change_kind,
    _change_tag,
    _change_tag,
    _change_chain,
    _change_list,
    _change_words,
    _change_data,
)
