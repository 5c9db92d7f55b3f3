"""Clean labels, class by class, slab by slab, as if the whole volume were in memory.

In:  labels on disk, steps.
Out: the labels cleaned in place, and how many voxels each step has changed.
The order is that of `WAYS`: borders are smoothed first, then parts are removed, then holes are filled. A
voxel that a class loses gets the label that surrounds it most (of a part that is removed: that touches it
with most faces; else in the window that was looked at), the smaller of equals, or 0 where there is none.
Closing and filling add background voxels only. Beyond the volume nothing is known: its border neither cuts
off nor adds.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import OptionError, called
from ..intensity.tally import count_values
from ..options.predicting.cleaning import Step, in_order, in_words
from ..progress import Progress
from ..volumes.header import Header
from .labels import ClassMap
from .parts import Joined, Parts, label

log = logging.getLogger("bone.prediction")

SLAB_VOXELS = 4 << 20
BACKGROUND = 0


class Slabs(Protocol):
    """Labels (z, y, x) that are read and written slab by slab."""

    @property
    def header(self) -> Header: ...

    def read(self, z0: int, z1: int, /) -> np.ndarray:
        """Slices z0 to z1."""

    def put(self, z0: int, slab: np.ndarray, /) -> None:
        """Slices from z0 on."""


class Sink(Protocol):
    """What takes slices in order."""

    def write(self, slab: np.ndarray, /) -> None: ...


@dataclass(frozen=True)
class Planned:
    """A step for one label value. number: radius, or volume in voxels; None where it has none."""

    step: Step
    value: int
    name: str
    number: float | None


def plan(words: Sequence[str], class_map: ClassMap, header: Header) -> list[Planned]:
    """The steps in their order. Raises OptionError for a class that is not known, or mm3 without a size."""
    faults, found = [], []
    known = dict(zip(class_map.values, class_map.names, strict=True))
    size = header.voxel_size_um
    for step in in_order(words):
        values = [v for v, name in known.items() if step.of in (str(v), name)]
        if not values:
            told = ", ".join(f"{value} {name}" for value, name in known.items())
            meant = difflib.get_close_matches(step.of, known.values(), n=1)
            told += f". Did you mean {meant[0]}:{str(step).rpartition(':')[2]}?" if meant else "."
            faults.append(f"{called('clean')} {step}: the model knows no class {step.of}; it has {told}")
            continue
        number = step.number
        if step.is_mm3 and number is not None:
            if size is None:
                faults.append(
                    f"{called('clean')} {step}: the voxel size of {header.name} is not known. Give voxels."
                )
                continue
            number = number / (size[0] * size[1] * size[2] * 1e-9)
        found.append(Planned(step, values[0], known[values[0]], number))
    if faults:
        raise OptionError(faults)
    return found


def clean(
    labels: Slabs,
    steps: Sequence[Planned],
    *,
    values: Sequence[int],
    progress: Progress,
    before: Mapping[str, int] | None = None,
    slab: int = 0,
) -> list[dict[str, Any]]:
    """Do all steps in place. values: all label values that there can be. before: how many voxels each has.
    slab: slices at a time, 0: as many as suit the memory.

    Gives for each step what it was, how many voxels it "changed", and where that is known "of" how many that
    the class had before all cleaning.
    """
    shape = labels.header.shape
    slab = slab or max(1, SLAB_VOXELS // (shape[1] * shape[2]))
    kinds = np.unique([BACKGROUND, *values])
    told = []
    for number, one in enumerate(steps):

        def look(z: int, share: float, one: Planned = one, number: int = number) -> None:
            done = int(1000 * (number + (share + z / shape[0]) / 2))
            progress(done, 1000 * len(steps), f"Cleaning: {one.name}, {one.step.way}")

        changed = _WAYS[one.step.way](labels, one, kinds, slab, look)
        told.append({"step": str(one.step), "value": one.value, "changed": changed})
        if before:
            told[-1]["of"] = before.get(str(one.value), 0)
        log.info("Cleaning %s.", in_words(told[-1]))
    return told


def copy(labels: Slabs, output: Sink) -> dict[str, int]:
    """Write the labels where they belong; gives the voxels of each label value that there is."""
    slab = max(1, SLAB_VOXELS // (labels.header.shape[1] * labels.header.shape[2]))
    counts = np.zeros(1 << (8 * labels.header.dtype.itemsize), np.int64)
    for _, block in _blocks(labels, slab):
        counts += count_values(block)
        output.write(block)
    return {str(value): int(counts[value]) for value in np.flatnonzero(counts)}


Look = Callable[[int, float], None]


def _median(labels: Slabs, one: Planned, kinds: np.ndarray, slab: int, look: Look) -> int:
    radius = int(one.number or 1)

    def change(block: np.ndarray) -> np.ndarray:
        mask = block == one.value
        is_most = 2 * _counts(mask, radius, mode="reflect") > (2 * radius + 1) ** 3
        found = _without(block, mask & ~is_most, one.value, kinds, radius)
        found[is_most] = one.value
        return found

    return _local(labels, change, halo=radius, slab=slab, look=look)


def _opening(labels: Slabs, one: Planned, kinds: np.ndarray, slab: int, look: Look) -> int:
    radius = int(one.number or 1)

    def change(block: np.ndarray) -> np.ndarray:
        mask = block == one.value
        kept = _dilated(_eroded(mask, radius), radius)
        return _without(block, mask & ~kept, one.value, kinds, 2 * radius)

    return _local(labels, change, halo=2 * radius, slab=slab, look=look)


def _closing(labels: Slabs, one: Planned, _kinds: np.ndarray, slab: int, look: Look) -> int:
    radius = int(one.number or 1)

    def change(block: np.ndarray) -> np.ndarray:
        mask = block == one.value
        closed = _eroded(_dilated(mask, radius), radius)
        return np.where(closed & (block == BACKGROUND), block.dtype.type(one.value), block)

    return _local(labels, change, halo=2 * radius, slab=slab, look=look)


def _islands(labels: Slabs, one: Planned, kinds: np.ndarray, slab: int, look: Look) -> int:
    def chosen(parts: Joined) -> np.ndarray:
        return parts.sizes < (one.number or 0)

    return _remove(labels, one, kinds, slab, look, chosen)


def _largest(labels: Slabs, one: Planned, kinds: np.ndarray, slab: int, look: Look) -> int:
    def chosen(parts: Joined) -> np.ndarray:
        is_other = np.ones(len(parts.sizes), bool)
        if len(is_other):
            is_other[np.argmax(parts.sizes)] = False  # the first of equals
        return is_other

    return _remove(labels, one, kinds, slab, look, chosen)


def _remove(
    labels: Slabs,
    one: Planned,
    kinds: np.ndarray,
    slab: int,
    look: Look,
    chosen: Callable[[Joined], np.ndarray],
) -> int:
    """Give the parts that are chosen the label that touches them most."""
    parts = Parts(kinds=len(kinds))
    for z0, block in _blocks(labels, slab):
        look(z0, 0.0)
        kind = np.searchsorted(kinds, block)
        parts.add(block == one.value, kind, is_last=z0 + len(block) == labels.header.shape[0])
    joined = parts.join()
    new = np.where(joined.around.any(axis=1), kinds[joined.around.argmax(axis=1)], BACKGROUND)
    table = np.where(chosen(joined), new, one.value).astype(labels.header.dtype)
    changed = 0
    for z0, block in _blocks(labels, slab):
        look(z0, 1.0)
        mask = block == one.value
        found = np.where(mask, joined.of(mask, table), block)
        changed += int(np.count_nonzero(found != block))
        labels.put(z0, found)
    return changed


def _fill(labels: Slabs, one: Planned, _kinds: np.ndarray, slab: int, look: Look) -> int:
    parts = Parts()
    for z0, block in _blocks(labels, slab):
        look(z0, 0.0)
        parts.add(block != one.value, is_last=z0 + len(block) == labels.header.shape[0])
    joined = parts.join()
    is_hole = ~joined.reaching & (joined.sizes < (np.inf if one.number is None else one.number))
    changed = 0
    for z0, block in _blocks(labels, slab):
        look(z0, 1.0)
        is_filled = joined.of(block != one.value, is_hole) & (block == BACKGROUND)
        changed += int(np.count_nonzero(is_filled))
        labels.put(z0, np.where(is_filled, block.dtype.type(one.value), block))
    return changed


def _fill_slices(labels: Slabs, one: Planned, _kinds: np.ndarray, slab: int, look: Look) -> int:
    def change(block: np.ndarray) -> np.ndarray:
        local, count = label(block != one.value, in_slices=True)
        is_hole = np.bincount(local.reshape(-1), minlength=count + 1) < (
            np.inf if one.number is None else one.number
        )
        is_hole[0] = False
        for face in (local[:, 0], local[:, -1], local[:, :, 0], local[:, :, -1]):
            is_hole[face.reshape(-1)] = False
        return np.where(is_hole[local] & (block == BACKGROUND), block.dtype.type(one.value), block)

    return _local(labels, change, halo=0, slab=slab, look=look)


_WAYS: dict[str, Callable[[Slabs, Planned, np.ndarray, int, Look], int]] = {
    "median": _median,
    "opening": _opening,
    "closing": _closing,
    "islands": _islands,
    "largest": _largest,
    "fill": _fill,
    "fill-slices": _fill_slices,
}


def _blocks(labels: Slabs, slab: int) -> Iterator[tuple[int, np.ndarray]]:
    depth = labels.header.shape[0]
    for z0 in range(0, depth, slab):
        yield z0, labels.read(z0, min(z0 + slab, depth))


def _local(
    labels: Slabs, change: Callable[[np.ndarray], np.ndarray], *, halo: int, slab: int, look: Look
) -> int:
    """Change each voxel by what lies within `halo` slices of it, in place; gives how many have changed."""
    depth, changed = labels.header.shape[0], 0
    before = labels.read(0, 1)[:0]  # slices as they were, above the slab
    for z0 in range(0, depth, slab):
        look(z0, z0 / depth)
        z1 = min(z0 + slab, depth)
        block = np.concatenate([before, labels.read(z0, min(z1 + halo, depth))])
        inner = slice(len(before), len(before) + z1 - z0)
        found = change(block)[inner]
        changed += int(np.count_nonzero(found != block[inner]))
        before = block[max(0, inner.stop - halo) : inner.stop].copy() if halo else block[:0]
        labels.put(z0, found)
    return changed


def _counts(mask: np.ndarray, radius: int, *, mode: str) -> np.ndarray:
    """int32: how many voxels of a mask lie in the cube around each. mode: beyond the volume, as scipy's."""
    from scipy import ndimage

    found = mask.astype(np.int32)
    for axis in range(3):
        found = ndimage.convolve1d(found, np.ones(2 * radius + 1), axis, mode=mode, cval=0)
    return found


def _without(
    block: np.ndarray, removed: np.ndarray, value: int, kinds: np.ndarray, radius: int
) -> np.ndarray:
    """The labels with others for those that a class loses: what is most frequent in the cube around."""
    found = block.copy()
    if not removed.any():
        return found
    most = np.zeros(int(np.count_nonzero(removed)), np.int32)
    new = np.full(most.shape, BACKGROUND, block.dtype)
    for kind in kinds:
        if kind != value:
            count = _counts(block == kind, radius, mode="constant")[removed]
            new[count > most] = kind
            most = np.maximum(most, count)
    found[removed] = new
    return found


def _eroded(mask: np.ndarray, radius: int) -> np.ndarray:
    from scipy import ndimage

    found: np.ndarray = ndimage.binary_erosion(mask, ball(radius), border_value=1)
    return found


def _dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    from scipy import ndimage

    found: np.ndarray = ndimage.binary_dilation(mask, ball(radius))
    return found


def ball(radius: int) -> np.ndarray:
    """bool (z, y, x): the voxels whose centres lie within the radius.

    >>> [int(ball(radius).sum()) for radius in (1, 2)]
    [7, 33]
    """
    z, y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1, -radius : radius + 1]
    found: np.ndarray = z**2 + y**2 + x**2 <= radius**2
    return found
