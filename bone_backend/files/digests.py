"""Fingerprints of files and volumes (SHA-256), by which it is known later whether they are the same.

In:  paths in order, or arrays slab by slab.
Out: hexadecimal digits. Standard library only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

PART_BYTES = 8 << 20


def of_files(paths: Sequence[Path], *, look: Callable[[float], None] = lambda share: None) -> str:
    """Over the bytes of all files, in order. look: is told which share is read; may raise. Raises OSError."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(PART_BYTES))
    for number, path in enumerate(paths):
        look(number / len(paths))
        size, done = max(path.stat().st_size, 1), 0
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
                done += count
                look((number + min(done / size, 1)) / len(paths))
    return digest.hexdigest()
