"""Folders of BMP, PNG, JPEG or JPEG 2000 slices as volumes.

In:  a folder of slices of one format, numbered as TIFF slices are.
Out: a Volume that decodes slice by slice; the voxel size is that of a scanner's file beside them.
Every header is checked before a volume is given out. JPEG is warned of: it has changed the grey values.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..beside import told_beside
from ..formats import IMAGE_ENDINGS
from ..header import Header, Storage, volume_name
from ..tiff.calibration import calibration_of_notes
from ..tiff.folder import has_slices, slice_files
from .decoding import decode
from .probing import Image, probe
from .writing import notes_of

log = logging.getLogger("bone.volumes")


def is_image_folder(folder: Path) -> bool:
    """Whether a folder holds images and no TIFF; False where it cannot be read."""
    try:
        return not has_slices(folder) and _kind(folder) is not None
    except OSError:
        return False


def _kind(folder: Path) -> str | None:
    """The format of most images in a folder."""
    names = [entry.name.lower() for entry in folder.iterdir() if not entry.name.startswith(".")]
    counts = Counter(
        kind for kind, endings in IMAGE_ENDINGS.items() for name in names if name.endswith(endings)
    )
    return counts.most_common(1)[0][0] if counts else None


def _files(folder: Path) -> tuple[str, list[Path]]:
    try:
        kind = _kind(folder)
    except OSError as fault:
        raise ScanError(f"{folder}: the folder cannot be read ({fault.strerror}).") from fault
    assert kind is not None
    return kind, slice_files(folder, endings=IMAGE_ENDINGS[kind], words=kind)


def _header(folder: Path, files: list[Path], image: Image) -> Header:
    """With the voxel size that BONe wrote into PNG slices, else that of a scanner's file beside them."""
    shape = (len(files), *image.shape)
    header = Header(volume_name(folder), shape, image.dtype, path=folder, format="image-folder")
    notes = notes_of(files[0]) if files[0].suffix.lower() == ".png" else {}
    own = calibration_of_notes(notes, "the text in the slices")
    if notes:
        header = replace(header, classes=own.classes)
    if own.voxel_size is not None:
        told = own._asdict()
        return replace(header, voxel_size_from=told.pop("source"), **told)
    if beside := told_beside(folder, shape):
        told = beside._asdict()
        return replace(header, voxel_size_from=told.pop("source"), **told)
    return header


def peek_folder(folder: Path) -> Header:
    """Shape and numbers from the names and the first slice."""
    _, files = _files(folder)
    return _header(folder, files, probe(files[0]))


def open_folder(folder: Path) -> Volume:
    """A folder of images as a volume. Raises ScanError: a gap, another size, colours, damaged."""
    kind, files = _files(folder)
    images = [probe(file) for file in files]
    (most, _), *others = Counter(image[:3] for image in images).most_common()
    if others:
        number = next(i for i, image in enumerate(images) if image[:3] != most)
        odd = images[number]
        raise ScanError(
            f"{folder}: {files[number].name} is {odd.bits} bit {odd.shape}, but most slices are "
            f"{most[2]} bit {most[0]} (y, x). All slices of a volume have one size and number type."
        )
    if kind == "JPEG":
        log.warning(
            "%s: JPEG changes grey values, most near edges; as a mask it is useless. Export the slices as "
            "TIFF, PNG or BMP where you can.",
            folder,
        )
    return ImageVolume(_header(folder, files, images[0]), images, tuple(files))


def storage_of(folder: Path) -> Storage:
    """How a folder of images lies on disk."""
    kind, files = _files(folder)
    return Storage(files, {"BMP": "none", "PNG": "Deflate"}.get(kind, kind))


class ImageVolume(Volume):
    """A volume whose slices are image files; a few threads decode slabs."""

    def __init__(self, header: Header, images: list[Image], files: tuple[Path, ...]):
        self.header, self.files, self._images = header, files, images

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        workers = min(z1 - z0, 4, os.cpu_count() or 1)
        if workers == 1:
            for z in range(z0, z1):
                out[z - z0] = decode(self.files[z], self._images[z])
            return
        with ThreadPoolExecutor(workers) as threads:
            decoded = threads.map(decode, self.files[z0:z1], self._images[z0:z1])
            for place, plane in zip(out, decoded, strict=True):
                place[...] = plane
