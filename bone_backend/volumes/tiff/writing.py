"""Write volumes as TIFF: one file of many pages, or a folder with one file per slice.

In:  a header, then slabs in order.
Out: the finished file or folder, renamed into place when it is whole.
Uncompressed voxels are one block behind a header that tifffile lays out once: writing is as fast as the disk.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OutputError
from ...files.whole import Whole
from ..abstract import VolumeWriter
from ..header import Header
from ..output import prepare
from .calibration import description, resolution
from .decoding import import_tifffile

BIG = (".btf", ".tf8")  # endings by which other programs know a BigTIFF
CLASSIC_LIMIT = 2**32 - 2**25  # offsets in a classic TIFF have 32 bits; the rest is for the pages' headers


def _little_endian(slab: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(slab, dtype=slab.dtype.newbyteorder("<"))


def _tags(header: Header, slices: int) -> dict[str, Any]:
    """What pages are written with; the description holds unit, z spacing and origin as ImageJ has them."""
    notes = "".join(f"Label {item.value}: {item.name}\n" for item in header.classes)
    more = import_tifffile().tifffile.imagej_metadata_tag({"Info": notes}, "<") if notes else ()
    return {
        "extratags": more,  # Fiji shows it: Image > Show Info
        "photometric": "minisblack",
        "metadata": None,
        "description": description(header, slices),
        "resolution": resolution(header),
        "resolutionunit": 1,  # none: the unit is ImageJ's
        "software": "BONe",
    }


class TiffFileWriter(VolumeWriter):
    """Writes one TIFF with a page per slice; BigTIFF above 4 GB (Fiji opens it through Bio-Formats)."""

    def __init__(
        self,
        path: Path,
        header: Header,
        *,
        overwrite: bool = False,
        compression: str | None = None,
        bigtiff: bool | None = None,
    ):
        super().__init__(path, header)
        if path.is_dir():
            raise OutputError(f"{path}: is a folder. Choose another name for the file.")
        prepare(path, overwrite=overwrite, needed_bytes=0 if compression else header.nbytes)
        self._compression = compression
        self._whole = Whole(path)
        depth, height, width = header.shape
        if bigtiff is None:
            bigtiff = path.suffix.lower() in BIG or header.nbytes + 2000 * depth > CLASSIC_LIMIT
        self._tiff = import_tifffile().TiffWriter(
            self._whole.temporary, bigtiff=bigtiff, byteorder="<", ome=False
        )
        self._file: io.BufferedWriter | io.BufferedRandom | None = None
        if compression is None:
            try:
                offset, _ = self._tiff.write(
                    shape=(depth, height, width),
                    dtype=header.dtype.newbyteorder("<"),
                    returnoffset=True,
                    **_tags(header, depth),
                )
                self._tiff.close()
                self._file = self._whole.temporary.open("r+b")
                self._file.seek(offset)
            except BaseException:
                self._discard()
                raise

    def _append(self, slab: np.ndarray) -> None:
        if self._file is not None:
            self._file.write(memoryview(_little_endian(slab)).cast("B"))
            return
        for number, image in enumerate(_little_endian(slab), self.written):
            tags = _tags(self.header, self.header.shape[0])
            if number:
                tags["description"] = None
            self._tiff.write(image, compression=self._compression, contiguous=False, **tags)

    def _finish(self) -> None:
        (self._file or self._tiff).close()
        self._whole.keep()

    def _discard(self) -> None:
        for file in (self._tiff, self._file):
            try:
                if file is not None:
                    file.close()
            except OSError:  # a full disk: what was buffered cannot be written
                pass
        self._whole.discard()


class TiffFolderWriter(VolumeWriter):
    """Writes a folder `name/` with slices name_0000.tif, name_0001.tif ..."""

    def __init__(
        self, path: Path, header: Header, *, overwrite: bool = False, compression: str | None = None
    ):
        super().__init__(path, header)
        if path.exists() and overwrite:
            check_replaceable(path)
        prepare(path, overwrite=overwrite, needed_bytes=0 if compression else header.nbytes)
        self._compression = compression
        self._whole = Whole(path)
        self._whole.temporary.mkdir()
        self._digits = max(4, len(str(header.shape[0] - 1)))
        self._head = self._tail = b""
        if compression is None:
            self._lay_out()

    def _lay_out(self) -> None:
        """The bytes before and behind the voxels, which are the same for every slice."""
        buffer = io.BytesIO()
        with import_tifffile().TiffWriter(buffer, bigtiff=False, byteorder="<") as tiff:
            offset, count = tiff.write(
                shape=self.header.shape[1:],
                dtype=self.header.dtype.newbyteorder("<"),
                returnoffset=True,
                **_tags(self.header, 1),
            )
        whole = buffer.getbuffer()
        self._head, self._tail = bytes(whole[:offset]), bytes(whole[offset + count :])

    def _append(self, slab: np.ndarray) -> None:
        for number, image in enumerate(_little_endian(slab), self.written):
            path = self._whole.temporary / f"{self.path.name}_{number:0{self._digits}d}.tif"
            if self._compression is not None:
                import_tifffile().imwrite(
                    path, image, byteorder="<", compression=self._compression, **_tags(self.header, 1)
                )
                continue
            with path.open("wb", buffering=0) as file:
                for part in (self._head, memoryview(image).cast("B"), self._tail):
                    done = 0
                    while done < len(part):
                        done += file.write(part[done:])

    def _finish(self) -> None:
        self._whole.keep()

    def _discard(self) -> None:
        self._whole.discard()


def check_replaceable(path: Path, *, stem: str = "", ending: str = ".tif") -> None:
    """Raise OutputError unless path is a folder of slices named as above: others are not ours to delete.

    stem: that their names begin with; "" is the folder's name.
    """
    if not path.is_dir():
        raise OutputError(f"{path}: is a file. Choose another name for the folder of slices.")
    ours = re.compile(rf"{re.escape(stem or path.name)}_\d+{re.escape(ending)}")
    other = next((p.name for p in sorted(path.iterdir()) if p.is_dir() or not ours.fullmatch(p.name)), None)
    if other is not None:
        raise OutputError(
            f"{path}: also holds {other}, which BONe did not write. Choose another folder, or empty it."
        )
