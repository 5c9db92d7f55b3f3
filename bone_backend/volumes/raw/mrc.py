"""MRC files of electron tomography (.mrc, .rec, .map): a header of 1,024 bytes, then the voxels.

In:  a file.
Out: a Volume that is read in place.
The layout is MRC2014 (Cheng et al. 2015, J. Struct. Biol. 192, 146; www.ccpem.ac.uk/mrc_format/mrc2014.php):
at 0 the size (x, y, z), 12 the mode, 28 the sampling, 40 the cell in angstrom, 64 the order of the axes, 92
bytes of a second header, 208 "MAP ", 212 the byte order. Mode 0 is signed but where IMOD says at 152 and 156
that it wrote unsigned bytes.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, Storage, Triple, volume_name
from ..medical.voxels import storage, volume_of
from .block import MOST_VOXELS, begins

LENGTH = 1024
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
REFUSED = {3: "complex numbers", 4: "complex numbers", 101: "4-bit numbers"}
IMOD = 1146047817
NM_PER_ANGSTROM = 0.1


class _Layout(NamedTuple):
    header: Header
    stored: np.dtype
    offset: int


def is_mrc(path: Path) -> bool:
    """Whether a file has the mark of MRC2014; False where it cannot be read."""
    start = begins(path, 216)
    return start[208:212] in (b"MAP ", b"MAP\0") and start[212:213] in (b"\x44", b"\x11")


def _layout(path: Path) -> _Layout:
    """The header of a file, checked."""
    start = begins(path, LENGTH)
    if len(start) < LENGTH or not is_mrc(path):
        raise ScanError(
            f"{path}: is no MRC file, whatever its name says, or it is damaged: the mark MAP is missing."
        )
    order = "<" if start[212] == 0x44 else ">"
    x, y, z, mode = struct.unpack_from(f"{order}4i", start)
    if mode not in MODES:
        what = REFUSED.get(mode, f"numbers of mode {mode}")
        raise ScanError(f"{path}: holds {what}; BONe reads the modes {', '.join(map(str, MODES))} of MRC.")
    if min(x, y, z) < 1 or x * y * z > MOST_VOXELS:
        raise ScanError(f"{path}: its size is {x} x {y} x {z} voxels. Its header is damaged; copy it again.")
    if struct.unpack_from(f"{order}3i", start, 64) not in ((1, 2, 3), (0, 0, 0)):
        raise ScanError(f"{path}: its axes stand in another order than x, y, z. Save it in that order.")
    sampling = struct.unpack_from(f"{order}3i", start, 28)
    (space,) = struct.unpack_from(f"{order}i", start, 88)
    if space >= 401 and 0 < sampling[2] < z:
        raise ScanError(f"{path}: holds {z // sampling[2]} volumes; BONe reads one. Save it alone.")
    (second,) = struct.unpack_from(f"{order}i", start, 92)
    if not 0 <= second <= 1 << 30:
        raise ScanError(f"{path}: its second header has {second} bytes. Its header is damaged.")
    cell = struct.unpack_from(f"{order}3f", start, 40)
    size = _size(cell, sampling)
    header = Header(
        volume_name(path),
        (z, y, x),
        _numbers(start, order, mode),
        size,
        "nm",
        path=path,
        format="mrc",
        voxel_size_from="MRC's cell" if size else "",
    )
    return _Layout(header, _numbers(start, order, mode), LENGTH + second)


def _numbers(start: bytes, order: str, mode: int) -> np.dtype:
    stamp, flags = struct.unpack_from(f"{order}2i", start, 152)
    if mode == 0 and stamp == IMOD and not flags & 1:
        return np.dtype("u1")
    return np.dtype(MODES[mode]).newbyteorder("<" if order == "<" else ">")


def _size(cell: tuple[float, ...], sampling: tuple[int, ...]) -> Triple | None:
    """The voxel size (z, y, x) in nm, from angstrom; None where the cell is none."""
    if not all(math.isfinite(side) and side > 0 for side in cell) or min(sampling) < 1:
        return None
    x, y, z = (side / n * NM_PER_ANGSTROM for side, n in zip(cell, sampling, strict=True))
    return z, y, x


def open_mrc(path: Path) -> Volume:
    """An MRC file as a volume. Raises ScanError: none such, several volumes, truncated."""
    header, stored, offset = _layout(path)
    return volume_of(header, path, stored=stored, offset=offset)


def peek_mrc(path: Path) -> Header:
    """Header of an MRC file."""
    return _layout(path).header


def storage_of(path: Path) -> Storage:
    """How an MRC file lies on disk."""
    with open_mrc(path) as volume:
        return storage(volume)
