"""Hand fields over on disk: each becomes a .npy file, written slab by slab, and goes when the run is over.

In:  fields of Avizo.
Out: paths that every command understands; nothing is left behind, not even by a run that crashed.
The memory of a field is read as it lies; there is never a second whole copy beside what Avizo itself makes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from ..dataset import checks
from ..errors import OutputError
from ..files.whole import output_fault, write_text
from ..progress import Progress
from ..volumes.abstract import Volume
from ..volumes.array import NpyWriter
from ..volumes.cache import ADVICE, cache_folder
from ..volumes.lattice import volume_of
from .host import Field, array_of, box_of

OWNER = "avizo.pid"
SLAB_BYTES = 32 * 2**20
GIB = 2**30


class Spill:
    """A folder for the fields of one run; names: what the user calls each path."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names: dict[str, str] = {}

    def path(self, number: int, name: str) -> Path:
        """Where a field goes: a folder of its own, so that its file can keep its name."""
        path = self.folder / f"{number:02d}" / f"{file_name(name)}.npy"
        self.names[str(path)] = name
        return path

    def write(
        self, field: Field, number: int, *, unit: tuple[str, float], progress: Progress, counts: bool = False
    ) -> tuple[Path, dict[int, int]]:
        """Write a field; also the voxels of each label value, where asked for (else empty)."""
        name = str(field.name)
        path = self.path(number, name)
        array = array_of(field)
        volume = volume_of(array, box_of(field), name=name, unit=unit[0], scale=unit[1])
        found = checks.count_labels(volume, progress=progress, message=f"Checking {name}") if counts else {}
        _write(volume, path, progress)
        return path, found

    def check_space(self, needed_bytes: int) -> None:
        """Raises OutputError where the disk cannot take that much."""
        free = shutil.disk_usage(self.folder).free
        if free < needed_bytes * 1.02 + 2**20:
            raise OutputError(
                f"{self.folder}: the fields need {needed_bytes / GIB:.1f} GiB there while it works, "
                f"but only {free / GIB:.1f} GiB are free. Free some space, or set the environment variable "
                "BONE_CACHE to a folder on a larger disk and start Avizo again."
            )


def _write(volume: Volume, path: Path, progress: Progress) -> None:
    depth = volume.header.shape[0]
    with NpyWriter(path, volume.header, overwrite=True, keeps_geometry=True) as writer:
        for z0, z1 in volume.slabs(SLAB_BYTES):
            progress(z0, depth, f"Handing over {volume.header.name}")
            writer.write(volume.read(z0, z1))


@contextlib.contextmanager
def spilling(key: str) -> Iterator[Spill]:
    """A Spill for as long as the context lasts. key: the same key gives the same paths.

    Raises OutputError where the cache folder cannot be written.
    """
    home, began = cache_folder() / "avizo", time.time()
    folder = home / hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    remove_orphans(home)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / OWNER, f"{os.getpid()} {psutil.Process().create_time():.0f}\n")
    except OutputError as fault:
        raise OutputError(f"{fault} {ADVICE}") from fault
    except OSError as fault:
        raise OutputError(f"{output_fault(folder, fault)} {ADVICE}") from fault
    try:
        yield Spill(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _forget_statistics(folder, since=began)
        with contextlib.suppress(OSError):
            home.rmdir()  # where it is empty


def _forget_statistics(folder: Path, *, since: float) -> None:
    """Remove what was remembered of the scans in a folder that is gone (intensity/remembered.py)."""
    for kept in (cache_folder() / "statistics").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            is_young = kept.stat().st_mtime >= since - 2
            if is_young and Path(json.loads(kept.read_text("utf-8"))["fingerprint"]["path"]).is_relative_to(
                folder.resolve()
            ):
                kept.unlink()


def remove_orphans(home: Path) -> None:
    """Remove what runs left whose process is gone."""
    for owner in home.glob(f"*/{OWNER}"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            number, began = owner.read_text(encoding="utf-8").split()
            if not _is_alive(int(number), float(began)):
                shutil.rmtree(owner.parent, ignore_errors=True)


def _is_alive(number: int, began: float) -> bool:
    try:
        return abs(psutil.Process(number).create_time() - began) < 2
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def file_name(name: str) -> str:
    """A field's name as a file's name on every system.

    >>> file_name("femur 3: left/right"), file_name("NUL")
    ('femur 3_ left_right', 'NUL_')
    """
    clean = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", name).strip(" .")[:80] or "field"
    is_reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", clean)
    return clean + "_" if is_reserved else clean
