"""What the viewer shows, as arrays: slices of a scan, labels over it, errors; knows no Qt.

In:  paths of a scan, of labels, of a reference, of an overlay, each of the same shape; any may be missing.
Out: planes (row, column) along z, y or x, with how many voxels one of their pixels spans; one voxel in words.
z slices come from the file by position. Small volumes are kept in memory; of large ones y and x come from a
small copy.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bone_backend.errors import BoneError, ScanError
from bone_backend.scores import meaning
from bone_backend.volumes.cache import cache_folder
from bone_backend.volumes.classes import class_colour, class_name
from bone_backend.volumes.volume import Volume, open_volume

from .greys import Greys
from .overview import FACTOR, FOLDER, Making
from .sharpen import Sharpening

MOST_SHARP_BYTES = 8 * 2**30  # that are read for one slice along x, which lies in every row of a file
SMALL_BYTES = 48 * 2**20  # of a volume that is kept whole
AXES = ("z", "y", "x")
SAMPLE_SLICES = 9  # for the range of greys
KINDS = ("scan", "labels", "reference", "overlay")
LABELS = ("labels", "reference")


@dataclass(frozen=True)
class Plane:
    """values: (row, column), as stored, or uint8 of a small copy. step: voxels that a pixel spans.

    low, high: the greys for which 0 and 255 stand in a small copy; None where values are greys themselves.
    """

    values: np.ndarray
    step: int = 1
    low: float | None = None
    high: float | None = None


class Layer:
    """One volume of a view. kind: of KINDS."""

    def __init__(self, path: Path, kind: str = "scan"):
        self.path, self.is_labels = path, kind in LABELS
        self.volume: Volume = open_volume(path)
        self.header = self.volume.header
        self._whole: np.ndarray | None = None
        self._last: tuple[int, np.ndarray] | None = None  # the slice along z that was read last
        self._making: Making | None = None
        self.greys = None if self.is_labels else Greys(self.sample())
        self.low, self.high = 0.0, 255.0
        if self.greys is not None:
            self.low, self.high = self.greys.suited() if kind == "scan" else self.greys.extent()

    @property
    def is_small(self) -> bool:
        return self.header.nbytes <= SMALL_BYTES

    @property
    def share(self) -> float:
        """How much of the small copy is made; 1 where none is needed."""
        return 1.0 if self.is_small or self._making is None else self._making.share

    @property
    def fault(self) -> str:
        return self._making.fault if self._making else ""

    def sample(self) -> np.ndarray:
        """Voxels of some slices, (n,)."""
        depth, height, width = self.header.shape
        step = max(1, int((height * width / 65536) ** 0.5))
        chosen = np.unique(np.linspace(0, depth - 1, min(depth, SAMPLE_SLICES)).round().astype(int)).tolist()
        parts = [self.volume.read(z, z + 1)[0, ::step, ::step].reshape(-1) for z in chosen]
        return np.concatenate(parts)

    def plane(self, axis: int, index: int) -> Plane | None:
        """None where it is not there yet."""
        if axis == 0 and self._whole is None:
            return Plane(self._slice(index))
        if self.is_small:
            if self._whole is None:
                self._whole = self.volume.read(0, self.header.shape[0])
            return Plane(np.take(self._whole, index, axis=axis))
        small = self._overview()
        if small is None:
            return None
        plane = np.ascontiguousarray(np.take(small.voxels, index // FACTOR, axis=axis))
        return Plane(plane, FACTOR, small.low, small.high)

    def means(self) -> list[float | None] | None:
        """Mean of each slice along z, of a large volume from its small copy; None while that is made."""
        if self.is_small:
            if self._whole is None:
                self._whole = self.volume.read(0, self.header.shape[0])
            return [_mean(plane) for plane in self._whole]
        small = self._overview()
        if small is None:
            return None
        found: list[float | None] = [None] * self.header.shape[0]
        for number, plane in enumerate(small.voxels):
            found[number * FACTOR] = small.low + float(plane.mean()) * (small.high - small.low) / 255
        return found

    def prepare(self) -> None:
        """Begin with the small copy, where one is needed."""
        if not self.is_small and self._making is None:
            self._making = Making(
                self.path, cache_folder() / FOLDER, low=self.low, high=self.high, is_labels=self.is_labels
            )

    def _overview(self) -> Any:
        self.prepare()
        return self._making.overview if self._making else None

    def voxel(self, z: int, y: int, x: int) -> float | int:
        """The value as stored."""
        source = self._whole[z] if self._whole is not None else self._slice(z)
        return source[y, x].item()

    def _slice(self, z: int) -> np.ndarray:
        if self._last is None or self._last[0] != z:
            self._last = z, self.volume.read(z, z + 1)[0]
        return self._last[1]

    def close(self) -> None:
        if self._making:
            self._making.end()
        self.volume.close()


def _mean(plane: np.ndarray) -> float | None:
    """Of the voxels that are numbers; None where none is."""
    kept = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane
    return float(kept.mean(dtype=np.float64)) if kept.size else None


class View:
    """A scan, and labels over it. reference: beside it, `labels` are judged. overlay: see `add_overlay`.

    names, colours: of label values. Raises ScanError where a volume cannot be read or is of another shape.
    """

    def __init__(
        self,
        scan: str | None = None,
        labels: str | None = None,
        reference: str | None = None,
        overlay: str | None = None,
    ):
        self.layers: dict[str, Layer] = {}
        try:
            for kind, path in zip(KINDS, (scan, labels, reference, overlay), strict=True):
                if path:
                    self.layers[kind] = Layer(Path(path), kind)
            self._check()
        except BaseException:
            self.close()
            raise
        self.names: dict[int, str] = {}
        self._values: list[int] | None = None  # that some slices hold, once somebody asks
        self.colours: dict[int, str] = {}
        self._meaning = meaning.LabelMeaning()
        if "labels" in self.layers:
            self._meaning = meaning.of_record(Path(str(labels)), self.shape) or self._meaning
            self.names |= dict(self._meaning.names)

    def _check(self) -> None:
        if not self.layers:
            raise ScanError("There is nothing to show.")
        first, *others = self.layers.values()
        for other in others:
            if other.header.shape != first.header.shape:
                told = f"{other.path.name} is {other.header.sides} but {first.path.name} is"
                raise ScanError(f"{told} {first.header.sides} (z, y, x); they cannot lie over each other.")

    def add_overlay(self, path: str) -> None:
        """Lay a volume of numbers over the others, such as a confidence, in place of the one before.

        Raises ScanError where it cannot be read or is of another shape; then nothing has changed.
        """
        before = self.layers.pop("overlay", None)
        try:
            self.layers["overlay"] = Layer(Path(path), "overlay")
            self._check()
        except BaseException:
            self.drop_overlay()
            if before is not None:
                self.layers["overlay"] = before
            raise
        if before is not None:
            before.close()

    def overlay_means(self) -> list[float | None] | None:
        """Mean of the overlay in each slice along z; None for the slices that a small copy leaves out.

        None altogether where there is no overlay, or its small copy is not there yet.
        """
        layer = self.layers.get("overlay")
        return layer.means() if layer else None

    def drop_overlay(self) -> None:
        layer = self.layers.pop("overlay", None)
        if layer is not None:
            layer.close()

    @property
    def first(self) -> Layer:
        return next(iter(self.layers.values()))

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.first.header.shape

    @property
    def has_errors(self) -> bool:
        return {"labels", "reference"} <= self.layers.keys()

    @property
    def title(self) -> str:
        return self.first.header.name

    def spacing(self, axis: int) -> tuple[float, float]:
        """Height and width of a voxel in a slice along an axis, the smaller 1."""
        sizes = self.first.header.voxel_size or (1.0, 1.0, 1.0)
        both = [size for number, size in enumerate(sizes) if number != axis]
        return both[0] / min(both), both[1] / min(both)

    def plane(self, kind: str, axis: int, index: int) -> Plane | None:
        layer = self.layers.get(kind)
        return layer.plane(axis, index) if layer else None

    def take_meaning(self, map_labels: Iterable[Sequence[int]], ignore_label: int | None) -> None:
        """How a comparison has read the reference."""
        mapped = tuple((int(old), int(new)) for old, new in map_labels)
        self._meaning = replace(self._meaning, map_labels=mapped, ignore_label=ignore_label)

    def differs(self, labels: Plane, reference: Plane) -> np.ndarray:
        """Where labels are not those of the reference, as bool (row, column).

        The reference is read as the record of the labels says: values mapped, some not counted.
        """
        meant = reference.values.astype(np.int64)
        for old, new in self._meaning.map_labels:
            meant[reference.values == old] = new
        wrong = meant != labels.values
        if self._meaning.ignore_label is not None:
            wrong &= meant != self._meaning.ignore_label
        return wrong

    def sharpen(self, axis: int, index: int) -> Sharpening | None:
        """Begin to read in full what small copies show; None where it would take too long."""
        large = {kind: layer for kind, layer in self.layers.items() if not layer.is_small}
        if axis == 0 or not large or any(layer.volume.slices is None for layer in large.values()):
            return None
        if axis == 2 and sum(layer.header.nbytes for layer in large.values()) > MOST_SHARP_BYTES:
            return None
        return Sharpening({kind: layer.volume for kind, layer in large.items()}, axis, index)

    def share(self) -> float:
        """How much of the small copies is made."""
        return min(layer.share for layer in self.layers.values())

    def fault(self) -> str:
        return next((layer.fault for layer in self.layers.values() if layer.fault), "")

    def known_names(self) -> dict[int, str]:
        """Names of the classes; where nobody named any, of the values that some slices hold. Not of 0."""
        if not any(self.names):
            if self._values is None:
                self._values = []
                with contextlib.suppress(BoneError, OSError):  # which the slice itself tells
                    samples = [layer.sample() for kind, layer in self.layers.items() if kind in LABELS]
                    self._values = sorted({int(value) for sample in samples for value in np.unique(sample)})
            return {value: class_name(value) for value in self._values if value}
        return {value: name for value, name in self.names.items() if value}

    def name(self, value: int) -> str:
        return self.names.get(value) or class_name(value)

    def colour(self, value: int) -> str:
        return self.colours.get(value) or class_colour(value)

    def take_classes(self, classes: Mapping[int, tuple[str, str | None]]) -> None:
        """Names and colours that the user gave."""
        self.names |= {value: name for value, (name, _) in classes.items() if name}
        self.colours |= {value: colour for value, (_, colour) in classes.items() if colour}

    def facts(self, place: tuple[int, int, int]) -> str:
        """One voxel in words: where it is, its grey, its label with the name.

        place: (z, y, x), within the volume.
        """
        z, y, x = place
        told = [f"z {z:,}  y {y:,}  x {x:,}"]
        sizes = self.first.header.voxel_size_um
        if sizes:
            lengths = (f"{index * size:,.0f}" for index, size in zip(place, sizes, strict=True))
            told.append(f"{'  '.join(lengths)} µm")
        words = {"scan": "grey", "labels": "label", "reference": "reference", "overlay": "overlay"}
        for kind, layer in self.layers.items():
            value = layer.voxel(z, y, x)
            shown = f"{value} {self.name(int(value))}" if layer.is_labels else f"{value:,.6g}"
            told.append(f"{words[kind]} {shown}")
        return "   ·   ".join(told)

    def close(self) -> None:
        for layer in self.layers.values():
            layer.close()


def as_bytes(plane: Plane, low: float, high: float) -> np.ndarray:
    """Greys from `low` (0) to `high` (255) as uint8 (row, column).

    >>> as_bytes(Plane(np.array([[0, 100, 200, 300]], np.uint16)), 100, 200).tolist()
    [[0, 0, 255, 255]]
    """
    values = plane.values
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return grey_table(plane, low, high).take(values, mode="clip")
    with np.errstate(invalid="ignore"):
        scaled = (values.astype(np.float32) - low) * (255.0 / max(high - low, 1e-9))
        return np.nan_to_num(np.clip(scaled, 0, 255)).astype(np.uint8)


def grey_table(plane: Plane, low: float, high: float) -> np.ndarray:
    """The byte for each value that a plane of uint8 or uint16 can hold."""
    if plane.low is not None and plane.high is not None:
        scale = (plane.high - plane.low) / 255.0
        low, high = (low - plane.low) / scale, (high - plane.low) / scale
    greys = np.arange(256**plane.values.dtype.itemsize, dtype=np.float32)
    return np.clip((greys - low) * (255.0 / max(high - low, 1e-9)), 0, 255).astype(np.uint8)


def outlines(labels: np.ndarray) -> np.ndarray:
    """Labels (row, column) at the inner edge of each region only, 0 elsewhere.

    >>> outlines(np.pad(np.ones((3, 3), np.uint8), 1))[1:4, 1:4].tolist()
    [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    """
    inside = np.ones(labels.shape, bool)
    for axis in (0, 1):
        is_equal = np.diff(labels, axis=axis) == 0
        before = [slice(None), slice(None)]
        after = [slice(None), slice(None)]
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        inside[tuple(before)] &= is_equal
        inside[tuple(after)] &= is_equal
    return np.where(inside, 0, labels).astype(np.uint8)


def as_indices(plane: Plane) -> np.ndarray:
    """Labels as uint8 (row, column); those above 255 begin anew."""
    values = plane.values
    return values if values.dtype == np.uint8 else (values.astype(np.int64) & 255).astype(np.uint8)
