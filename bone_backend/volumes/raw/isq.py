"""Scans of Scanco's scanners (.isq): a header of blocks of 512 bytes, then 16-bit numbers.

In:  a file; behind "#" mu or density for calibrated values instead of the stored numbers.
Out: a Volume that is read in place; calibrated values are 32-bit decimal numbers, as they are read.
The layout is that of two public readers, IsqIO of Numerics88 AimIO and ITKIOScanco of Kitware (where VTK's
DICOM reader by D. Gobbi is named as its source):
byte 0 "CTDATA-HEADER_V1"; 16 type of data (3 a scan); 44 size in voxels, 56 size in um (x, y, z each);
88 mu_scaling (number / mu_scaling is 1/cm); 508 blocks of 512 bytes before the voxels, less one.
More blocks: a list of names at byte 512, of which "Calibration" has at 648 the unit, at 664 slope and at 672
intercept of the density (G_floating numbers of VMS): density = number / mu_scaling * slope + intercept.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header, Storage, Triple, volume_name
from ..medical.voxels import storage, volume_of
from .block import MOST_VOXELS, begins

MARK = b"CTDATA-HEADER_V1"
SCAN = 3
BLOCK = 512
MOST_BLOCKS = 1 << 12
KINDS = {1: "RAD radiograph", 2: "RSQ sinogram", 9: "RAD radiograph"}
STORED = np.dtype("<i2")
ASK = "#mu for 1/cm, #density for mg HA/ccm"


class Calibration(NamedTuple):
    """What turns a stored number into 1/cm (number / mu_scaling), and that into density; 0, nan: not said."""

    mu_scaling: float
    slope: float
    intercept: float

    def scale(self, path: Path, inside: str) -> tuple[float, float] | None:
        """Slope and intercept of what was chosen; None for stored numbers. Raises ScanError."""
        if inside == "":
            return None
        if inside not in ("mu", "density"):
            raise ScanError(f'{path}: "{inside[:40]}" cannot be chosen inside it; {ASK}.')
        known = (self.slope, self.intercept) if inside == "density" else (1.0, 0.0)
        if self.mu_scaling <= 0 or not all(map(math.isfinite, known)) or known[0] == 0:
            raise ScanError(
                f"{path}: holds no calibration for {inside}; its stored numbers are in {path.name}."
            )
        return known[0] / self.mu_scaling, known[1]


def vms_double(data: bytes) -> float:
    """A G_floating number of VMS: 16-bit words in turned order, another exponent."""
    words = struct.unpack("<4H", data)
    value: float = struct.unpack(">d", struct.pack(">4H", *words))[0]
    return value / 4


def is_isq(path: Path) -> bool:
    """Whether a file begins as a scan of Scanco; False where it cannot be read."""
    return begins(path, 16) == MARK


class _Layout(NamedTuple):
    header: Header
    offset: int
    calibration: Calibration


def _layout(path: Path) -> _Layout:
    """The header of a file, checked."""
    start = begins(path, BLOCK)
    if start[:16] != MARK:
        raise ScanError(
            f"{path}: is no ISQ file, whatever its name says, or it is damaged: it does not begin so."
        )
    if len(start) < BLOCK:
        raise ScanError(f"{path}: is truncated: its header ends early. Copy it again.")
    (kind,) = struct.unpack_from("<i", start, 16)
    if kind != SCAN:
        what = KINDS.get(kind, f"kind {kind}")
        raise ScanError(f"{path}: holds no reconstructed scan but {what}. Reconstruct it to an ISQ first.")
    x, y, z, *um = struct.unpack_from("<6i", start, 44)
    (mu_scaling,) = struct.unpack_from("<i", start, 88)
    (blocks,) = struct.unpack_from("<i", start, 508)
    if min(x, y, z) < 1 or x * y * z > MOST_VOXELS:
        raise ScanError(f"{path}: its size is {x} x {y} x {z} voxels. Its header is damaged; copy it again.")
    if not 0 <= blocks < MOST_BLOCKS:
        raise ScanError(f"{path}: {blocks} blocks should stand before its voxels. Its header is damaged.")
    size: Triple | None = None
    if min(um) > 0:
        size = (um[2] / z, um[1] / y, um[0] / x)
    header = Header(
        volume_name(path),
        (z, y, x),
        STORED,
        size,
        "um",
        path=path,
        format="isq",
        voxel_size_from="ISQ's header" if size else "",
    )
    offset = BLOCK * (blocks + 1)
    return _Layout(header, offset, _calibration(begins(path, min(offset, 1 << 20)), mu_scaling))


def _calibration(start: bytes, mu_scaling: int) -> Calibration:
    """The blocks between header and voxels: names at byte 512 (or 1024), sizes in blocks, then the blocks."""
    nothing = Calibration(float(mu_scaling), math.nan, math.nan)
    names, block = BLOCK, 2
    if start[names + 8 : names + 24] == b"MultiHeader     ":
        names, block = 2 * BLOCK, 3
    for number in range(4):
        entry = start[names + 128 * number : names + 128 * (number + 1)]
        if len(entry) < 28:
            return nothing
        (count,) = struct.unpack_from("<i", entry, 24)
        if not 0 <= count <= MOST_BLOCKS:
            return nothing
        if entry[8:24] == b"Calibration     ":
            found = start[block * BLOCK : (block + count) * BLOCK]
            if len(found) < 2 * BLOCK:
                return nothing
            return Calibration(float(mu_scaling), vms_double(found[664:672]), vms_double(found[672:680]))
        block += count
    return nothing


def _scaled(header: Header, scale: tuple[float, float] | None) -> Header:
    return header if scale is None else replace(header, dtype=np.dtype(np.float32))


def open_isq(path: Path, inside: str = "") -> Volume:
    """A scan of Scanco; inside: "", "mu" or "density". Raises ScanError: none such, truncated."""
    header, offset, calibration = _layout(path)
    scale = calibration.scale(path, inside)
    return volume_of(_scaled(header, scale), path, stored=STORED, offset=offset, scale=scale)


def peek_isq(path: Path, inside: str = "") -> Header:
    """Header of a scan of Scanco."""
    header, _, calibration = _layout(path)
    return _scaled(header, calibration.scale(path, inside))


def storage_of(path: Path, inside: str = "") -> Storage:
    """How it lies on disk."""
    with open_isq(path, inside) as volume:
        return storage(volume)
