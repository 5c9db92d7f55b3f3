"""A slice along y in full, for a view that rests; knows no Qt.

In:  a volume whose voxels lie uncompressed in files.
Out: the plane, read row by row in a thread; nothing where somebody has moved on meanwhile.
A slice along x would be one voxel of every row, so the whole file: it stays that of the small copy.
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

    def __init__(self, volumes: Mapping[str, Volume], index: int):
        self.planes: dict[str, np.ndarray] | None = None
        self.index = index
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
        found = {}
        try:
            for kind, volume in self._volumes.items():
                depth, _height, width = volume.header.shape
                plane = np.empty((depth, width), volume.header.dtype)
                with FileSource(volume) as source:
                    for z in range(depth):
                        if self._is_over.is_set():
                            return
                        source.read_patch(z, self.index, 0, out=plane[z : z + 1])
                found[kind] = plane
        except (BoneError, OSError, ValueError):
            return  # the small copy stays; a slice along z tells what is wrong with the file
        self.planes = found
