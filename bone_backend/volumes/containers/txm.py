"""Reconstructed scans of Zeiss Xradia (.txm): an OLE file, which olefile reads, with a stream a slice.

In:  a file.
Out: a Volume that reads slice by slice. Projections (.txrm, .xrm) are refused: they are no slices.
The layout is that of public readers (DXchange of Argonne, xrmreader of Erlangen): ImageInfo/ImageWidth,
ImageHeight, NoOfImages and DataType (5 uint16, 10 float32) are uint32, PixelSize is a float32 in um, slice n
is ImageData{(n + 99) // 100}/Image{n}, n from 1. All little-endian.
"""

from __future__ import annotations

import contextlib
import math
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PackageError, ScanError
from ..abstract import Volume
from ..header import Header, Storage, volume_name

MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
TYPES = {5: "<u2", 10: "<f4"}
PROJECTIONS = (".txrm", ".xrm")


def _import_olefile() -> Any:
    try:
        import olefile
    except ImportError as fault:
        raise PackageError("TXM files need the package olefile: pip install olefile") from fault
    return olefile


def is_txm(path: Path) -> bool:
    """Whether a file is OLE and named as Zeiss's; others write OLE too. False where it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(8) == MARK and path.suffix.lower() in (".txm", *PROJECTIONS)
    except OSError:
        return False


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What olefile says of a bad file as a ScanError."""
    try:
        yield
    except (ScanError, PackageError):
        raise
    except Exception as fault:  # olefile raises many kinds for damaged files
        words = " ".join(str(fault).split())[:160]
        raise ScanError(f"{path}: is truncated or damaged ({words}). Copy or export it again.") from fault


def _open(path: Path) -> Any:
    with path.open("rb") as file:
        if file.read(8) != MARK:
            raise ScanError(f"{path}: is no file of Zeiss Xradia, whatever its name says, or it is damaged.")
    if path.suffix.lower() in PROJECTIONS:
        raise ScanError(f"{path}: holds X-ray projections. Open the reconstructed scan, a .txm, instead.")
    return _import_olefile().OleFileIO(path)


def _value(path: Path, ole: Any, name: str, code: str) -> Any:
    """One number of the header."""
    place = f"ImageInfo/{name}"
    if not ole.exists(place):
        raise ScanError(f"{path}: does not say its {name}. It is damaged, or no scan of Zeiss Xradia.")
    found = ole.openstream(place).read(4)
    if len(found) < 4:
        raise ScanError(f"{path}: does not say its {name}. It is truncated or damaged.")
    return struct.unpack(f"<{code}", found)[0]


def _stream_of(number: int) -> str:
    """Where a slice lies.

    >>> _stream_of(100), _stream_of(101)
    ('ImageData1/Image100', 'ImageData2/Image101')
    """
    return f"ImageData{(number + 99) // 100}/Image{number}"


def _header(path: Path, ole: Any) -> Header:
    depth, height, width, kind = (
        _value(path, ole, name, "I") for name in ("NoOfImages", "ImageHeight", "ImageWidth", "DataType")
    )
    if kind not in TYPES:
        raise ScanError(f"{path}: holds numbers of type {kind}; BONe reads 5 (uint16) and 10 (float32).")
    size = path.stat().st_size
    if min(depth, height, width) < 1 or depth * height * width * np.dtype(TYPES[kind]).itemsize > size:
        raise ScanError(
            f"{path}: announces {width} x {height} x {depth} voxels, more than its {size:,} bytes can hold. "
            "It is truncated or damaged; copy it again."
        )
    pixel = _value(path, ole, "PixelSize", "f") if ole.exists("ImageInfo/PixelSize") else math.nan
    is_known = math.isfinite(pixel) and pixel > 0
    return Header(
        volume_name(path),
        (depth, height, width),
        np.dtype(TYPES[kind]),
        (pixel, pixel, pixel) if is_known else None,
        "um",
        path=path,
        format="txm",
        voxel_size_from="TXM's PixelSize" if is_known else "",
    )


class TxmVolume(Volume):
    """Slices that are streams of an OLE file. One thread at a time reads."""

    def __init__(self, header: Header, path: Path, ole: Any):
        self.header, self.files = header, (path,)
        self._ole, self._lock = ole, threading.Lock()

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        path = self.files[0]
        with self._lock, _told(path):
            for z in range(z0, z1):
                found = self._ole.openstream(_stream_of(z + 1)).read()
                if len(found) != self.header.slice_bytes:
                    raise ScanError(
                        f"{path}: slice {z + 1} of {self.header.shape[0]} has {len(found):,} bytes, "
                        f"{self.header.slice_bytes:,} are announced. It is damaged; copy it again."
                    )
                stored = np.frombuffer(found, self.header.dtype.newbyteorder("<"))
                out[z - z0] = stored.reshape(out.shape[1:])

    def close(self) -> None:
        with self._lock:
            self._ole.close()


def open_txm(path: Path) -> Volume:
    """A reconstructed scan as a volume. Raises ScanError: projections, none such, a slice is missing."""
    with _told(path), contextlib.ExitStack() as opened:
        ole = opened.enter_context(contextlib.closing(_open(path)))
        header = _header(path, ole)
        for number in range(1, header.shape[0] + 1):
            name = _stream_of(number)
            if not ole.exists(name) or ole.get_size(name) != header.slice_bytes:
                raise ScanError(
                    f"{path}: slice {number} of {header.shape[0]} is missing or cut off. Copy it again."
                )
        opened.pop_all()
        return TxmVolume(header, path, ole)


def peek_txm(path: Path) -> Header:
    """Header of a reconstructed scan."""
    with _told(path), contextlib.closing(_open(path)) as ole:
        return _header(path, ole)


def storage_of(path: Path) -> Storage:
    """How it lies on disk."""
    return Storage([path], "none (a stream a slice)")
