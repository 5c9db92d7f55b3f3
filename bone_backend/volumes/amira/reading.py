"""Read scalar and label fields of Amira and Avizo: AmiraMesh files (.am) with one uniform lattice.

In:  a file: text that says what follows, then the voxels, x fastest: as text, raw, HxByteRLE or HxZip.
Out: a Volume; raw voxels are read in place, others as a stream. Materials become classes.
No library is maintained for it; the layout is that of public files and of Bio-Formats' AmiraReader:
- the first line tells text or binary; BINARY alone is big-endian, BINARY-LITTLE-ENDIAN little-endian;
- `Lattice { TYPE NAME } @1(HxZip,BYTES)` tells numbers and packing; the voxels stand behind a line `@1`;
- the BoundingBox reaches from the centre of the first voxel to that of the last;
- a material's Id is its label value + 1, as in what BONe writes; without Ids its place in the list counts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, LabelClass, Storage, known_unit, volume_name
from ..lattice import geometry_of
from ..medical.voxels import storage, volume_of

MOST_TEXT = 8 << 20
FIRST_LINE = re.compile(rb"#\s*(?:AmiraMesh|Avizo)\s+(?:3D\s+)?(BINARY-LITTLE-ENDIAN|BINARY|ASCII)\b")
TYPES = {"byte": "u1", "sbyte": "i1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"} | {
    "float": "f4",
    "double": "f8",
}
PACKED = {"": "", "HxZip": "zlib", "HxByteRLE": "rle"}
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


class _Layout(NamedTuple):
    header: Header
    stored: np.dtype
    offset: int
    packed: str


def is_amira(path: Path) -> bool:
    """Whether a file begins as an AmiraMesh does; False where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return FIRST_LINE.match(file.read(80)) is not None
    except OSError:
        return False


def _start(path: Path) -> tuple[str, str, str, int]:
    """The text before the data, the encoding, the first mark (@1), and where the data behind it begins."""
    try:
        with path.open("rb") as file:
            start = file.read(MOST_TEXT)
    except OSError as fault:
        raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
    first = FIRST_LINE.match(start)
    if first is None:
        raise ScanError(f"{path}: is no AmiraMesh file, or its first line is damaged.")
    mark = re.search(rb"\n(@\d+)[ \t]*\r?\n", start)
    if mark is None:
        raise ScanError(f"{path}: is truncated or damaged: no voxels follow its text. Export it again.")
    text = start[: mark.start()].decode("utf-8", "replace")
    return text, first[1].decode(), mark[1].decode(), mark.end()


def _layout(path: Path) -> _Layout:
    """The text of a file, checked."""
    text, encoding, found, offset = _start(path)
    bare = re.sub(r"#[^\n]*", "", text)
    lattice = re.search(r"\bdefine\s+Lattice((?:\s+\d{1,9})+)", bare)
    sizes = [int(n) for n in lattice[1].split()] if lattice else []
    if len(sizes) != 3 or min(sizes) < 1:
        told = f"has a lattice of {' x '.join(map(str, sizes))}" if sizes else "has no lattice of voxels"
        raise ScanError(f"{path}: {told}; BONe reads volumes with three axes, no surfaces or lines.")
    fields = re.findall(
        r"\bLattice\s*\{\s*(\w+)(\[\d+\])?\s+\w+\s*\}\s*=?\s*(@\d+)(?:\(\s*(\w+)\s*,\s*\d+\s*\))?", bare
    )
    if len(fields) != 1:
        raise ScanError(f"{path}: holds {len(fields)} fields on its lattice; a volume is one.")
    kind, components, mark, packing = fields[0]
    if kind not in TYPES or components or packing not in PACKED:
        how = f", packed with {packing}" if packing else ""
        raise ScanError(
            f"{path}: holds {kind}{components} numbers{how}; BONe reads single whole and floating-point "
            "numbers, plain, or packed with HxZip or HxByteRLE."
        )
    stored = np.dtype(TYPES[kind]).newbyteorder(">" if encoding == "BINARY" else "<")
    if packing == "HxByteRLE" and stored.itemsize > 1:
        raise ScanError(f"{path}: packs {kind} numbers with HxByteRLE, of which BONe reads bytes only.")
    if mark != found:
        raise ScanError(f"{path}: its voxels should stand behind {mark}, where {found} is. It is damaged.")
    coordinates = re.search(r'\bCoordType\s+"(\w+)"', bare)
    if coordinates and coordinates[1] != "uniform":
        raise ScanError(
            f"{path}: its voxels have {coordinates[1]} coordinates; BONe reads uniform ones. Resample it "
            "(Resample Transformed Image) in Avizo first."
        )
    packed = "ascii" if encoding == "ASCII" else PACKED[packing]
    return _Layout(_header(path, bare, sizes, stored), stored, offset, packed)


def _header(path: Path, text: str, sizes: list[int], stored: np.dtype) -> Header:
    box = re.search(rf"\bBoundingBox((?:\s+{NUMBER}){{6}})", text)
    size, origin = None, (0.0, 0.0, 0.0)
    named = re.search(r'\bCoordinates\s+"([^"]*)"', text)
    unit, factor = known_unit(named[1] if named else "")
    if box:
        x0, x1, y0, y1, z0, z1 = (float(n) for n in box[1].split())
        size, origin = geometry_of(sizes, ((x0, y0, z0), (x1, y1, z1)), scale=factor)
    if size is None or (unit == "" and set(size) == {1.0}):
        size, unit, origin = None, "um", (0.0, 0.0, 0.0)
    return Header(
        volume_name(path),
        (sizes[2], sizes[1], sizes[0]),
        stored,
        size,
        unit,
        origin,
        path=path,
        format="amira",
        voxel_size_from="AmiraMesh's BoundingBox" if size else "",
        classes=_classes(text),
    )


def _classes(text: str) -> tuple[LabelClass, ...]:
    """The materials. Those of Avizo call label 0 Exterior."""
    start = re.search(r"\bMaterials\s*\{", text)
    if start is None:
        return ()
    found = {}
    for number, (name, body) in enumerate(_entries(text[start.end() :])):
        told = re.search(r"\bId\s+(\d{1,6})", body)
        value = int(told[1]) - 1 if told else number
        colour = re.search(rf"\bColor\s+({NUMBER})\s+({NUMBER})\s+({NUMBER})", body)
        shares = [min(max(float(part), 0.0), 1.0) for part in colour.groups()] if colour else []
        shown = "#" + "".join(f"{round(share * 255):02x}" for share in shares) if shares else None
        if 0 <= value <= 65535:
            plain = "background" if value == 0 and name == "Exterior" else name
            found[value] = LabelClass(value, plain, shown)
    return tuple(sorted(found.values()))


def _entries(text: str) -> list[tuple[str, str]]:
    """`NAME { BODY }` after `NAME { BODY }`, up to the brace that ends their list."""
    entries, depth, name, begin = [], 0, "", 0
    for token in re.finditer(r'"[^"\n]*"|[{}]|[^\s{},"]+', text):
        if token[0] == "{":
            depth += 1
            begin = token.end() if depth == 1 else begin
        elif token[0] == "}":
            depth -= 1
            if depth < 0:
                break
            if depth == 0:
                entries.append((name, text[begin : token.start()]))
        elif depth == 0:
            name = token[0].strip('"')
    return entries


def open_amira(path: Path) -> Volume:
    """An AmiraMesh as a volume. Raises ScanError: no lattice, several fields, vectors, truncated."""
    header, stored, offset, packed = _layout(path)
    return volume_of(header, path, stored=stored, offset=offset, packed=packed)


def peek_amira(path: Path) -> Header:
    """Header of an AmiraMesh."""
    return _layout(path).header


def storage_of(path: Path) -> Storage:
    """How an AmiraMesh lies on disk."""
    with open_amira(path) as volume:
        return storage(volume)
