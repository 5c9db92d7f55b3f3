"""HDF5 files: one data set of many. The header and packed chunks are read by h5py.

In:  a file; behind "#" the path of the data set (scan.h5#/entry/data), needed where there are several.
Out: a Volume; a data set that lies in one piece is read in place, others chunk by chunk.
Nothing outside of the file is opened: external links, external storage and virtual data sets are refused.
The voxel size is the attribute element_size_um (z, y, x), as Fiji, ilastik and others write it.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PackageError, ScanError
from ..abstract import Volume
from ..header import Header, SliceLocation, Storage, Triple, volume_name
from ..positional import PositionalVolume

MARK = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 10_000
MOST_LINKS = 16  # that lead on to each other
MOST_CHUNK = 256 << 20  # bytes, unpacked
MOST_TOLD = 8
PACKED = {"gzip": "Deflate", "lzf": "LZF", "szip": "SZIP"}


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError as fault:
        raise PackageError("HDF5 files need the package h5py: pip install h5py") from fault
    return h5py


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5: its mark stands at the start, or at 512, 1024, ...; False where unreadable."""
    try:
        with path.open("rb", buffering=0) as file:
            for at in (0, 512, 1024, 2048):
                file.seek(at)
                if file.read(8) == MARK:
                    return True
    except OSError:
        pass
    return False


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What h5py says of a bad file as a ScanError."""
    try:
        yield
    except (ScanError, PackageError):
        raise
    except Exception as fault:  # the HDF5 library raises many kinds for damaged files
        words = " ".join(str(fault).split())[:160]
        raise ScanError(f"{path}: is truncated or damaged ({words}). Copy or export it again.") from fault


def _file(path: Path) -> Any:
    if not is_hdf5(path):
        raise ScanError(f"{path}: is no HDF5 file, whatever its name says, or its start is damaged.")
    return _import_h5py().File(path, "r", locking=False)


def _found(path: Path, file: Any, inside: str) -> Any:
    """The data set that was chosen, or the only one that is a volume. Raises ScanError with a list."""
    h5py = _import_h5py()
    start = _walk(path, file, inside) if inside.strip("/") else file
    if isinstance(start, h5py.Dataset):
        return start
    volumes, others = _listed(path, start)
    if len(volumes) == 1:
        return volumes[0]
    if not volumes:
        held = f"; it holds {', '.join(others[:MOST_TOLD])}" if others else ""
        raise ScanError(f"{path}: holds no data set with three axes{held}.")
    told = ", ".join(f"{one.name} {tuple(one.shape)} {one.dtype}" for one in volumes[:MOST_TOLD])
    more = f" and {len(volumes) - MOST_TOLD} more" if len(volumes) > MOST_TOLD else ""
    raise ScanError(
        f"{path}: holds {len(volumes)} volumes: {told}{more}. Name the one that you mean: "
        f"{path.name}#{volumes[0].name}"
    )


def _walk(path: Path, file: Any, inside: str) -> Any:
    """The object of a path inside a file, link by link; none of them leads out of it."""
    h5py = _import_h5py()
    parts, here, followed = [part for part in inside.split("/") if part], file, 0
    while parts:
        name = parts.pop(0)
        link = here.get(name, getlink=True) if isinstance(here, h5py.Group) else None
        if link is None:
            at = (
                f"; {here.name} holds {', '.join(list(here)[:MOST_TOLD])}"
                if isinstance(here, h5py.Group)
                else ""
            )
            raise ScanError(f"{path}: holds nothing called {inside}{at}.")
        if isinstance(link, h5py.ExternalLink):
            raise ScanError(
                f"{path}: {inside} is a link to another file, {link.filename[:80]}. Open that one."
            )
        if isinstance(link, h5py.SoftLink):
            followed += 1
            if followed > MOST_LINKS:
                raise ScanError(f"{path}: {inside} is a link that leads in a circle.")
            parts = [part for part in link.path.split("/") if part] + parts
            here = file if link.path.startswith("/") else here
        else:
            here = here[name]
    return here


def _listed(path: Path, group: Any) -> tuple[list[Any], list[str]]:
    """The data sets below a group that are volumes, and the names of the others. Links are not followed."""
    h5py = _import_h5py()
    volumes: list[Any] = []
    others: list[str] = []
    seen = 0

    def look(_: str, found: Any) -> bool | None:
        nonlocal seen
        seen += 1
        if seen > MOST_OBJECTS:
            raise ScanError(f"{path}: holds more than {MOST_OBJECTS:,} objects. Name the data set behind #.")
        if isinstance(found, h5py.Dataset):
            if found.dtype.kind in "uifb" and len(_axes(found.shape or ())) == 3:
                volumes.append(found)
            else:
                others.append(f"{found.name} {found.shape}")
        return None

    group.visititems(look)
    return volumes, others


def _axes(shape: tuple[int, ...]) -> list[int]:
    """The axes of a volume; of more than three those are left out that have one voxel."""
    axes = list(range(len(shape)))
    for axis in range(len(shape)):
        if len(axes) > 3 and shape[axis] == 1:
            axes.remove(axis)
    return axes


def _header(path: Path, data: Any) -> Header:
    shape = tuple(int(n) for n in data.shape or ())
    axes = _axes(shape)
    if len(axes) != 3 or min(shape) < 1:
        raise ScanError(
            f"{path}: {data.name} has axes {shape}; a volume has three. Save one time or channel alone."
        )
    if data.dtype.kind not in "uifb" or data.dtype.itemsize > 8:
        raise ScanError(f"{path}: {data.name} holds {data.dtype}; a volume holds whole or decimal numbers.")
    if data.is_virtual or data.external:
        raise ScanError(
            f"{path}: {data.name} lies in other files (virtual or external storage). Save it into one file."
        )
    if data.chunks and math.prod(data.chunks) * data.dtype.itemsize > MOST_CHUNK:
        raise ScanError(f"{path}: {data.name} has chunks of {data.chunks}, more than BONe unpacks at once.")
    size = _size(data)
    z, y, x = (shape[axis] for axis in axes)
    return Header(
        volume_name(path),
        (z, y, x),
        np.dtype(np.uint8) if data.dtype.kind == "b" else data.dtype,
        size,
        "um",
        path=path,
        format="hdf5",
        voxel_size_from=f"element_size_um of {data.name}" if size else "",
    )


def _size(data: Any) -> Triple | None:
    """The attribute element_size_um; None where it is missing or no three lengths."""
    try:
        sizes = [float(one) for one in np.ravel(data.attrs["element_size_um"])]
    except Exception:  # missing, or damaged in any way
        return None
    if len(sizes) != 3 or not all(math.isfinite(one) and one > 0 for one in sizes):
        return None
    return sizes[0], sizes[1], sizes[2]


class Hdf5Volume(Volume):
    """A data set in chunks. One thread at a time reads."""

    def __init__(self, header: Header, path: Path, file: Any, data: Any):
        self.header, self.files = header, (path,)
        self._file, self._data, self._lock = file, data, threading.Lock()
        axes = _axes(data.shape)
        self._first, self._index = axes[0], [0 if n not in axes else slice(None) for n in range(data.ndim)]

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        index = list(self._index)
        index[self._first] = slice(z0, z1)
        with self._lock, _told(self.files[0]):
            found = self._data[tuple(index)]
        np.copyto(out, found, casting="unsafe")  # the dtype is the same, but for bool as uint8

    def close(self) -> None:
        with self._lock:
            self._file.close()


def open_hdf5(path: Path, inside: str = "") -> Volume:
    """A data set as a volume; inside: its path, "" for the only one. Raises ScanError."""
    with _told(path), contextlib.ExitStack() as opened:
        file = opened.enter_context(_file(path))
        data = _found(path, file, inside)
        header = _header(path, data)
        offset = data.id.get_offset() if data.chunks is None and data.dtype.kind in "uif" else None
        if offset is None:
            volume = Hdf5Volume(header, path, file, data)
            opened.pop_all()
            return volume
        offset += file.userblock_size
        stored = data.dtype
    if path.stat().st_size < offset + header.voxels * stored.itemsize:
        raise ScanError(f"{path}: is truncated: its voxels are shorter than announced. Copy it again.")
    step = math.prod(header.shape[1:]) * stored.itemsize
    return PositionalVolume(
        header, [SliceLocation(path, offset + z * step, stored) for z in range(header.shape[0])]
    )


def peek_hdf5(path: Path, inside: str = "") -> Header:
    """Shape, numbers and voxel size of a data set."""
    with _told(path), _file(path) as file:
        return _header(path, _found(path, file, inside))


def storage_of(path: Path, inside: str = "") -> Storage:
    """How a data set lies on disk."""
    with _told(path), _file(path) as file:
        data = _found(path, file, inside)
        packed = "none" if data.chunks is None else data.compression or "none (in chunks)"
        return Storage([path], PACKED.get(packed, packed))
