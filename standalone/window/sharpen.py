"""A slice along y or x in full, for a view that rests; knows no Qt.

In:  a volume whose voxels lie uncompressed in files.
Out: the plane, read in a thread; nothing where somebody has moved on meanwhile.
A slice along y is one row of every slice. One along x is one voxel of every row, so that all of the file is
read, slice by slice.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from bone_backend.errors import BoneError
from bone_backend.volumes.abstract import Volume
from bone_backend.volumes.patch_source import FileSource


class Sharpening:
    """Reads one slice of some volumes. planes: by their names, when all are whole."""

    def __init__(self, volumes: Mapping[str, Volume], axis: int, index: int):
        """axis: 1 (y) or 2 (x)."""
        self.planes: dict[str, np.ndarray] | None = None
        self.axis, self.index = axis, index
        self._volumes = dict(volumes)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="bone sharp slice", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def end(self) -> None:
        """Nobody wants it any more; the files may be closed behind this."""
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            found = {kind: self._read(volume) for kind, volume in self._volumes.items()}
        except (BoneError, OSError, ValueError):
            return  # the small copy stays; a slice along z tells what is wrong with the file
        self.planes = {kind: plane for kind, plane in found.items() if plane is not None}
        if len(self.planes) < len(found):
            self.planes = None

    def _read(self, volume: Volume) -> np.ndarray | None:
        """(z, x) or (z, y); None where somebody has moved on."""
        depth, height, width = volume.header.shape
        is_along_y = self.axis == 1
        plane = np.empty((depth, width if is_along_y else height), volume.header.dtype)
        shape, corner = ((1, 1, width), (self.index, 0)) if is_along_y else ((1, height, 1), (0, self.index))
        with FileSource(volume) as source:
            for z in range(depth):
                if self._is_over.is_set():
                    return None
                source.read_patch(z, *corner, out=plane[z].reshape(shape))
        return plane
