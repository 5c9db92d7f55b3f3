"""Voxels without a header of their own: .raw and .vol.

In:  a file, with a header of its name beside it, or with what it holds behind its name:
     scan.raw#WIDTHxHEIGHTxSLICES,TYPE[,big][,skip=BYTES][,VOXELSIZE UNIT]
Out: a Volume that is read in place. Nothing is guessed: what a name such as scan_512x512x300_uint16.raw
says is only offered, and only where it fits the size of the file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..formats import READ
from ..header import Header, Storage, Triple
from ..medical.voxels import storage
from .block import Block, block_of, lengths_of, opened, sizes_of

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
ASK = (
    "WIDTHxHEIGHTxSLICES,TYPE behind the name, e.g. {name}#512x512x300,uint16 or, with more of it, "
    "{name}#512x512x300,uint16,big,skip=1024,0.0195mm"
)
HEADERS = (".vgi", ".pcr", ".dat", ".mhd", ".nhdr")  # that may lie beside it


def has_header(path: Path) -> bool:
    """Whether a header lies beside voxels that are named as such."""
    return path.suffix.lower() in (".raw", ".vol") and bool(_headers(path))


def _headers(path: Path) -> list[Path]:
    """The headers of this name beside a file."""
    try:
        beside = sorted(item for item in path.parent.iterdir() if item.stem == path.stem)
    except OSError:
        return []
    return [item for item in beside if item.suffix.lower() in HEADERS and item.is_file()]


def _told(path: Path, inside: str) -> Block:
    """What stands behind the name of a file."""
    size, *more = (part.strip() for part in inside.split(","))
    kind = more[0].lower() if more else ""
    found = re.fullmatch(r"(\d{1,9})x(\d{1,9})x(\d{1,9})", size)
    if found is None or kind not in TYPES:
        raise ScanError(
            f"{path}#{inside[:80]}: does not say what the file holds. Write {ASK.format(name=path.name)}. "
            f"TYPE is one of {', '.join(TYPES)}."
        )
    order, skip = "<", 0
    lengths: tuple[Triple | None, str] = (None, "um")
    for word in more[1:]:
        if word in ("big", "little"):
            order = ">" if word == "big" else "<"
        elif at := re.fullmatch(r"skip=(\d{1,12})", word):
            skip = int(at[1])
        else:
            lengths = _lengths(path, word)
    return block_of(
        path,
        format="raw",
        shape=sizes_of(path, found.groups()),
        stored=np.dtype(order + np.dtype(kind).str[1:]),
        data=path,
        offset=skip,
        voxel_size=lengths[0],
        unit=lengths[1],
        told="what stands behind its name",
    )


def _lengths(path: Path, word: str) -> tuple[Triple | None, str]:
    """A voxel size such as 10um or 10x10x20um (x, y, z)."""
    found = re.fullmatch(r"([\d.]+(?:x[\d.]+x[\d.]+)?) ?([a-zµμ]+)", word)
    values = found[1].split("x") if found else []
    size, unit = lengths_of(values * 3 if len(values) == 1 else values, found[2] if found else "")
    if size is None or unit == "":
        raise ScanError(
            f'{path}: "{word[:40]}" behind its name is neither big, skip=BYTES, nor a voxel size such as '
            "10um or 10x10x20um (x, y, z)."
        )
    return size, unit


def _open(path: Path, inside: str) -> Volume:
    if inside:
        return opened(_told(path, inside), path)
    through = {header: _through(header) for header in _headers(path)}
    fitting = {header: found for header, found in through.items() if path in found.files}
    for found in set(through.values()) - set(fitting.values()):
        found.close()
    if not fitting:
        raise ScanError(f"{path}: has no header beside it ({', '.join(HEADERS)}). {_offer(path)}")
    kinds = {(found.header.shape, found.header.dtype) for found in fitting.values()}
    if len(kinds) > 1:
        names = " and ".join(header.name for header in fitting)
        raise ScanError(f"{path}: {names} tell different sizes or numbers of it. Open the right one of them.")
    return next(iter(fitting.values()))


def _through(header: Path) -> Volume:
    """What a header tells of."""
    row = next(row for row in READ if row.is_named(header.name))
    found: Volume = row.call("open", header)
    return found


def _offer(path: Path) -> str:
    """What to write behind the name; as its name has it, where that fits the size of the file."""
    sizes = re.search(r"(\d{1,6})x(\d{1,6})x(\d{1,6})", path.stem)
    try:
        length = path.stat().st_size
    except OSError:
        length = 0
    if sizes:
        voxels = int(sizes[1]) * int(sizes[2]) * int(sizes[3])
        fits = [kind for kind in TYPES if voxels * np.dtype(kind).itemsize == length]
        named = [kind for kind in fits if re.search(rf"(?<![a-z]){kind}(?!\d)", path.stem.lower())]
        if fits:
            kind = (named or [next((one for one in fits if one in ("uint8", "uint16")), "float32")])[0]
            return (
                f"Its name and its size fit {path.name}#{sizes[0]},{kind}: write that where it is right "
                f"(or {', '.join(one for one in fits if one != kind)})."
            )
    return f"Say what it holds: {ASK.format(name=path.name)}."


def open_plain(path: Path, inside: str = "") -> Volume:
    """Voxels with a header beside them, or with what they are behind the name. Raises ScanError."""
    return _open(path, inside)


def peek_plain(path: Path, inside: str = "") -> Header:
    """What is told of them."""
    with _open(path, inside) as volume:
        return volume.header


def storage_of(path: Path, inside: str = "") -> Storage:
    """How they lie on disk."""
    with _open(path, inside) as volume:
        return storage(volume)
