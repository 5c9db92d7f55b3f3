"""A small copy of a large volume, from which slices along y and x come at once.

In:  a volume, and the folder in which copies are kept.
Out: every fourth slice, in each the mean of 4 x 4 voxels (of labels: one voxel itself) as uint8, in a .npy
file that is mapped. Made once, in a thread, in one pass over a quarter of the voxels; known again by path,
size and time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bone_backend.errors import BoneError
from bone_backend.volumes.volume import Volume, open_volume

FACTOR = 4
KEPT_DAYS = 30.0
FOLDER = "overviews"


@dataclass(frozen=True)
class Overview:
    """voxels: uint8 (z, y, x), one for FACTOR^3. low, high: the greys that 0 and 255 stand for."""

    voxels: np.ndarray
    low: float
    high: float


class Making:
    """An overview that is being made or read; `overview` is None until then. share: 0 to 1."""

    def __init__(self, path: Path, folder: Path, *, low: float, high: float, is_labels: bool):
        self.overview: Overview | None = None
        self.share, self.fault = 0.0, ""
        self._path, self._folder = path, folder
        self._low, self._high, self._is_labels = low, high, is_labels
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="bone overview", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop making it; what was made is thrown away."""
        self._is_over.set()

    def wait(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            with open_volume(self._path) as volume:
                found = self._folder / f"{_mark(volume, self._is_labels)}.npy"
                if not found.exists():
                    self._folder.mkdir(parents=True, exist_ok=True)
                    remove_old(self._folder)
                    self._make(volume, found)
            if not self._is_over.is_set():
                range_ = json.loads(found.with_suffix(".json").read_text(encoding="utf-8"))
                self.overview = Overview(np.load(found, mmap_mode="r"), range_["low"], range_["high"])
                self.share = 1.0
        except (OSError, BoneError, ValueError, KeyError) as error:
            self.fault = str(error)

    def _make(self, volume: Volume, target: Path) -> None:
        depth, height, width = volume.header.shape
        rows = range(0, depth, FACTOR)
        shape = (len(rows), -(-height // FACTOR), -(-width // FACTOR))
        part = target.with_name(f".{target.stem}.{os.getpid()}.part")
        made = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        try:
            for number, z in enumerate(rows):
                if self._is_over.is_set():
                    return
                made[number] = self._small(volume.read(z, z + 1)[0])
                self.share = (number + 1) / len(rows)
            made.flush()
            text = json.dumps({"low": self._low, "high": self._high})
            target.with_suffix(".json").write_text(text, encoding="utf-8")
            part.replace(target)
        finally:
            del made
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _small(self, plane: np.ndarray) -> np.ndarray:
        if self._is_labels:
            return (plane[::FACTOR, ::FACTOR] & 255).astype(np.uint8)
        means = block_means(plane)
        scale = 255.0 / max(self._high - self._low, 1e-12)
        return np.clip((means - self._low) * scale, 0, 255).astype(np.uint8)


def block_means(plane: np.ndarray) -> np.ndarray:
    """float32 means of 4 x 4 pixels (y, x); at the far edges of what is there.

    >>> block_means(np.arange(10).reshape(2, 5)).tolist()
    [[4.0, 6.5]]
    """
    height, width = plane.shape
    if height % FACTOR or width % FACTOR:
        ys, xs = np.arange(0, height, FACTOR), np.arange(0, width, FACTOR)
        sums = np.add.reduceat(np.add.reduceat(plane.astype(np.float32), ys, axis=0), xs, axis=1)
        counts = np.outer(np.minimum(FACTOR, height - ys), np.minimum(FACTOR, width - xs))
        return (sums / counts).astype(np.float32)
    blocks = plane.reshape(height // FACTOR, FACTOR, width // FACTOR, FACTOR)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _mark(volume: Volume, is_labels: bool) -> str:
    """A name that changes when the volume does."""
    files = volume.files or ((volume.header.path,) if volume.header.path else ())
    state = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in (*files[:1], *files[-1:])
        if path
    ]
    told = json.dumps([str(volume.header.path), volume.header.shape, len(files), state, is_labels])
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def remove_old(folder: Path) -> None:
    """Remove copies that nobody has used for a month."""
    for path in folder.glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - max(path.stat().st_atime, path.stat().st_mtime) > KEPT_DAYS * 86400:
                path.unlink()
