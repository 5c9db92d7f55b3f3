"""Write OME-Zarr 0.4 (.ome.zarr): an image with its smaller scales, labels with names and colours.

In:  a header, then slabs in order.
Out: a folder, in place when it is whole. Labels with classes lie in labels/segmentation, with "image-label",
and are the image of the folder too, so that programs which know no labels show them.
Zarr 2 and Blosc, since every program that reads OME-Zarr reads those. Chunks that are all 0 are not stored.
Scales are half of the one before: labels every second voxel, grey values the mean of 2 x 2 x 2.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from ... import __version__
from ...errors import OutputError, PackageError
from ...files.json_files import read_json
from ...files.whole import Whole
from ..abstract import VolumeWriter
from ..header import Header
from ..output import prepare

LABELS = "labels/segmentation"
LAYER_BYTES = 64 << 20  # of a layer of chunks, about
SMALLEST = 128  # voxels along the longest axis of the smallest scale, about
UNITS = {"nm": "nanometer", "um": "micrometer", "mm": "millimeter", "cm": "centimeter", "m": "meter"} | {
    "inch": "inch"
}
CREATOR = "BONe"


def layer_depth(height: int, width: int, itemsize: int) -> int:
    """The slices of a layer of chunks: a power of two, at most 64.

    >>> layer_depth(100, 100, 1), layer_depth(4000, 4000, 2)
    (64, 2)
    """
    fitting = max(1, LAYER_BYTES // (height * width * itemsize))
    return 1 << min(6, fitting.bit_length() - 1)


class _Scale:
    """One array: takes slices in order, and gives each layer of chunks to the next scale at half its size.

    step: voxels of the finest scale to one of this.
    """

    def __init__(self, folder: Path, header: Header, *, step: int, is_labels: bool):
        self.folder, self.step, self._is_labels = folder, step, is_labels
        depth, height, width = (max(1, -(-n // step)) for n in header.shape)
        self.shape, self._dtype = (depth, height, width), header.dtype.newbyteorder("<")
        deep = layer_depth(height, width, header.dtype.itemsize)
        wide = 128 if deep >= 32 else 256
        self.chunk = (deep, wide, wide)
        self._buffer = np.zeros((min(deep, depth), height, width), header.dtype)
        self._filled = self._layers = 0
        self.next: _Scale | None = None
        folder.mkdir(parents=True)

    def write(self, slab: np.ndarray) -> None:
        """Append slices (n, y, x)."""
        while len(slab):
            count = min(len(slab), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + count] = slab[:count]
            self._filled += count
            slab = slab[count:]
            if self._filled == len(self._buffer):
                self._flush()

    def finish(self) -> None:
        """The last layer, and the header."""
        if self._filled:
            self._flush()
        header = {
            "zarr_format": 2,
            "shape": self.shape,
            "chunks": self.chunk,
            "dtype": self._dtype.str,
            "compressor": {"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 1, "blocksize": 0},
            "fill_value": 0,
            "order": "C",
            "filters": None,
            "dimension_separator": "/",
        }
        _write_json(self.folder / ".zarray", header)
        if self.next is not None:
            self.next.finish()

    def _flush(self) -> None:
        layer = self._buffer[: self._filled]
        high, wide = self.chunk[1:]
        for j in range(-(-self.shape[1] // high)):
            for i in range(-(-self.shape[2] // wide)):
                part = layer[:, j * high : (j + 1) * high, i * wide : (i + 1) * wide]
                if not part.any():
                    continue
                whole = np.zeros(self.chunk, self._dtype)
                whole[: part.shape[0], : part.shape[1], : part.shape[2]] = part
                place = self.folder / str(self._layers) / str(j) / str(i)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(_packed(whole))
        if self.next is not None:
            self.next.write(self._halved(layer))
        self._layers, self._filled = self._layers + 1, 0

    def _halved(self, layer: np.ndarray) -> np.ndarray:
        """A layer at half its size; a layer has an even number of slices but at the end."""
        if self._is_labels:
            return layer[::2, ::2, ::2]
        odd = [(0, n % 2) for n in layer.shape]
        even = np.pad(layer, odd, mode="edge") if any(more for _, more in odd) else layer
        z, y, x = (n // 2 for n in even.shape)
        mean = even.reshape(z, 2, y, 2, x, 2).mean(axis=(1, 3, 5), dtype=np.float32)
        return np.rint(mean).astype(layer.dtype) if layer.dtype.kind in "iu" else mean.astype(layer.dtype)


def _packed(chunk: np.ndarray) -> bytes:
    import imagecodecs

    size = chunk.dtype.itemsize
    return bytes(
        imagecodecs.blosc_encode(chunk.tobytes(), level=3, compressor="zstd", shuffle=1, typesize=size)
    )


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


class OmeZarrWriter(VolumeWriter):
    """Writes an OME-Zarr. Raises OutputError where another folder than one of BONe's is in the way."""

    def __init__(self, path: Path, header: Header, *, overwrite: bool = False):
        super().__init__(path, header)
        try:
            import imagecodecs  # noqa: F401
        except ImportError as fault:
            raise PackageError(
                "Writing Zarr needs the package imagecodecs: pip install imagecodecs"
            ) from fault
        if path.exists() and overwrite:
            check_replaceable(path)
        prepare(path, overwrite=overwrite, needed_bytes=0)
        self._whole = Whole(path)
        self._is_labels = bool(header.classes)
        self._base = LABELS + "/" if self._is_labels else ""
        self._whole.temporary.mkdir()
        self._scales = self._laid_out()

    def _laid_out(self) -> list[_Scale]:
        scales: list[_Scale] = []
        step = 1
        while not scales or max(scales[-1].shape) > SMALLEST:
            if scales and scales[-1].chunk[0] == 1:
                break  # a layer of one slice cannot be halved
            folder = self._whole.temporary / f"{self._base}{len(scales)}"
            scales.append(_Scale(folder, self.header, step=step, is_labels=self._is_labels))
            step *= 2
        for one, smaller in itertools.pairwise(scales):
            one.next = smaller
        return scales

    def _append(self, slab: np.ndarray) -> None:
        self._scales[0].write(slab)

    def _finish(self) -> None:
        self._scales[0].finish()
        root = self._whole.temporary
        _write_json(root / ".zgroup", {"zarr_format": 2})
        _write_json(root / ".zattrs", {"multiscales": [self._image(self._base)], "creator": _creator()})
        if self._is_labels:
            group, name = LABELS.split("/")
            for folder in (root / group, root / LABELS):
                _write_json(folder / ".zgroup", {"zarr_format": 2})
            _write_json(root / group / ".zattrs", {"labels": [name]})
            told = {"multiscales": [self._image("")], "image-label": self._labels()}
            _write_json(root / LABELS / ".zattrs", told)
        self._whole.keep()

    def _image(self, base: str) -> dict[str, Any]:
        """The image with its scales below a folder."""
        header = self.header
        sizes, origin = header.voxel_size or (1.0, 1.0, 1.0), header.origin
        unit = {"unit": UNITS[header.unit]} if header.voxel_size and header.unit else {}
        sets = []
        for number, scale in enumerate(self._scales):
            shift = 0.0 if self._is_labels else (scale.step - 1) / 2
            steps = [size * scale.step for size in sizes]
            place = [start + shift * size for start, size in zip(origin, sizes, strict=True)]
            moves = [{"type": "scale", "scale": steps}, {"type": "translation", "translation": place}]
            sets.append({"path": f"{base}{number}", "coordinateTransformations": moves})
        return {
            "version": "0.4",
            "name": header.name,
            "axes": [{"name": axis, "type": "space", **unit} for axis in "zyx"],
            "datasets": sets,
            "type": "nearest" if self._is_labels else "mean",
        }

    def _labels(self) -> dict[str, Any]:
        """Names and colours of the classes; background is transparent."""
        colours = [
            {"label-value": item.value, "rgba": [*_rgb(item.colour), 255 if item.value else 0]}
            for item in self.header.classes
            if item.colour
        ]
        names = [{"label-value": item.value, "name": item.name} for item in self.header.classes]
        return {"version": "0.4", "colors": colours, "properties": names, "source": {"image": "../../"}}

    def _discard(self) -> None:
        self._whole.discard()


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _creator() -> dict[str, str]:
    return {"name": CREATOR, "version": __version__}


def check_replaceable(path: Path) -> None:
    """Raise OutputError unless a folder is an OME-Zarr that BONe wrote: others are not ours to delete."""
    if not path.is_dir():
        raise OutputError(f"{path}: is a file. Choose another name for the folder.")
    try:
        told = read_json(path / ".zattrs")
    except (OSError, ValueError):
        told = {}
    if not any(path.iterdir()):
        return
    creator = told.get("creator") if isinstance(told, dict) else None
    if not isinstance(creator, dict) or creator.get("name") != CREATOR:
        raise OutputError(f"{path}: is no OME-Zarr that BONe wrote. Choose another name, or remove it.")
