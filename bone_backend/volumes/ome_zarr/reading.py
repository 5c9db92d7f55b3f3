"""Read OME-Zarr (.zarr): chunk by chunk, whatever the chunks.

In:  a folder; behind "#" a scale or labels; without it the finest scale of its image.
Out: a Volume. Slabs are put together from layers of chunks; a layer that does not fit into MOST_LAYER lies in
a temporary file while its slices are read, so that memory is bounded and no chunk is unpacked again for each.
Zarr's own library is not used: no release of it works with Avizo's numpy, and it unpacks what a chunk claims.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ...errors import OutputError
from ...files.whole import output_fault, remove, remove_left_over, temporary_path
from ..abstract import SLAB_BYTES, Volume
from ..cache import ADVICE, cache_folder
from ..header import Header, Storage, volume_name
from ..output import prepare, reserve
from .array import Chunks
from .codecs import WORDS
from .multiscale import Chosen, chosen, is_zarr

log = logging.getLogger("bone.volumes")

MOST_LAYER = 128 << 20  # bytes of a layer of chunks that is held in memory
LARGE = 32 << 20  # bytes of a chunk, above which one is unpacked at a time
THREADS = 4

__all__ = ["is_zarr", "open_zarr", "peek_zarr", "storage_of"]


def _header(path: Path, found: Chosen) -> Header:
    dtype = found.layout.dtype
    z, y, x = (found.layout.shape[axis] for axis in found.axes)
    return Header(
        volume_name(path),
        (z, y, x),
        np.dtype(np.uint8) if dtype.kind == "b" else dtype,
        found.voxel_size,
        found.unit,
        found.origin,
        path=path,
        format="ome-zarr",
        voxel_size_from="OME-Zarr's scale" if found.voxel_size else "",
        classes=found.classes,
    )


class ZarrVolume(Volume):
    """An array of chunks. One thread at a time reads; it unpacks several chunks side by side."""

    def __init__(self, header: Header, found: Chosen):
        self.header = header
        self._chunks, self._axes = Chunks(found.folder, found.layout), found.axes
        self.files = tuple(self._chunks.files())
        self._depth = found.layout.chunk[found.axes[0]]
        self._layer: tuple[int, np.ndarray] | None = None
        self._file: Path | None = None
        self._lock = threading.Lock()
        if len(self.files) == 1:
            log.warning("%s: none of its chunks is there; all of it is %s.", found.folder, found.layout.fill)

    def slabs(self, budget_bytes: int = SLAB_BYTES):
        """As of every volume, but whole layers of chunks where they fit."""
        layer = self._depth * self.header.slice_bytes
        return super().slabs(
            max(budget_bytes // layer * layer, layer if layer <= SLAB_BYTES else budget_bytes)
        )

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        with self._lock:
            z = z0
            while z < z1:
                first = z // self._depth * self._depth
                last = min(first + self._depth, self.header.shape[0])
                end = min(last, z1)
                if z == first and end == last:
                    self._unpack(first, out[z - z0 : end - z0])
                else:
                    out[z - z0 : end - z0] = self._held(first, last)[z - first : end - first]
                z = end

    def _held(self, first: int, last: int) -> np.ndarray:
        """The layer of chunks that begins at a slice, kept until another is asked for."""
        if self._layer is None or self._layer[0] != first:
            shape = (last - first, *self.header.shape[1:])
            layer = self._layer[1] if self._layer is not None and self._layer[1].shape == shape else None
            self._layer = None
            if layer is None:
                layer = self._room(shape)
            self._unpack(first, layer)
            self._layer = (first, layer)
        return self._layer[1]

    def _room(self, shape: tuple[int, ...]) -> np.ndarray:
        """Memory for a layer, or a temporary file where it is too large."""
        size = math.prod(shape) * self.header.dtype.itemsize
        if size <= MOST_LAYER:
            return np.empty(shape, self.header.dtype)
        self._forget()
        folder = cache_folder()
        remove_left_over(folder, name="layer")
        try:
            prepare(folder / "layer", overwrite=True, needed_bytes=size)
        except OutputError as fault:
            raise OutputError(
                f"{self.header.name} has to be unpacked layer by layer. {fault} {ADVICE}"
            ) from fault
        path = temporary_path(folder / "layer")
        self._file = path
        try:
            reserve(path, size)
            return np.memmap(path, dtype=self.header.dtype, mode="r+", shape=shape)
        except OSError as fault:
            self._forget()
            raise output_fault(path, fault) from fault

    def _unpack(self, first: int, out: np.ndarray) -> None:
        """All chunks of one layer into an array (slices, y, x)."""
        chunk, (z, y, x) = self._chunks.layout.chunk, self._axes
        counts = [-(-self.header.shape[1] // chunk[y]), -(-self.header.shape[2] // chunk[x])]
        places = list(itertools.product(*map(range, counts)))

        def one(place: tuple[int, ...]) -> None:
            index = [0] * len(chunk)
            index[z], index[y], index[x] = first // self._depth, *place
            found = self._chunks.read(tuple(index))
            y0, x0 = place[0] * chunk[y], place[1] * chunk[x]
            part = out[:, y0 : y0 + chunk[y], x0 : x0 + chunk[x]]
            if found is None:
                part[...] = self._chunks.layout.fill
                return
            others = tuple(slice(None) if axis in self._axes else 0 for axis in range(len(chunk)))
            kept = sorted(self._axes)
            turned = found[others].transpose([kept.index(axis) for axis in self._axes])
            part[...] = turned[: part.shape[0], : part.shape[1], : part.shape[2]]

        threads = 1 if self._chunks.chunk_bytes > LARGE else min(THREADS, len(places))
        if threads == 1:
            for place in places:
                one(place)
            return
        with ThreadPoolExecutor(threads, "bone-zarr") as pool:
            list(pool.map(one, places))

    def _forget(self) -> None:
        self._layer = None
        if self._file is not None:
            remove(self._file)
            self._file = None

    def close(self) -> None:
        with self._lock:
            self._forget()


def open_zarr(path: Path, inside: str = "") -> Volume:
    """An image of an OME-Zarr as a volume. Raises ScanError: none such, several to choose from, damaged."""
    found = chosen(path, inside)
    return ZarrVolume(_header(path, found), found)


def peek_zarr(path: Path, inside: str = "") -> Header:
    """Header of an image."""
    return _header(path, chosen(path, inside))


def storage_of(path: Path, inside: str = "") -> Storage:
    """How an image lies on disk."""
    found = chosen(path, inside)
    return Storage(Chunks(found.folder, found.layout).files(), WORDS[found.layout.codecs.packed])
