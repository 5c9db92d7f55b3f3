"""Local thickness of a structure of any size, block by block; equal to that of the whole.

In:  a structure that is read slice by slice, the size of its voxels.
Out: Thickness: how many voxels have which diameter, the mean of every slice, some slices as pictures.
A voxel depends on the spheres that reach it, and those on the nearest voxel outside. So a block is read with
a halo of twice the largest radius around it, which is found as it goes: where spheres are larger than the
halo, the block is done again with a larger one. Spheres of a radius above `fine_radius` voxels are fitted on
voxels twice as large (half of which belong to the structure), those above twice that on voxels four times as
large, and so on; smaller ones always voxel by voxel.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import psutil

from ..errors import HardwareError, called
from ..progress import Progress
from ..volumes.output import size_in_words
from .spheres import BYTES_A_VOXEL, Box, Spheres, cover, squared_distances
from .structures import Slices, each_slice, reduced

log = logging.getLogger("bone.measures")

LEAST_CORE = 32  # voxels
MOST_BYTES = 2 << 30  # for a block
SHARE = 0.4  # of the free memory
ROUGH_VOXELS = 1 << 22  # on which the largest radius is estimated
STEPS = 1000
DIAGONAL = 1.75  # a little more than the diagonal of a cube
WAIT_S = 0.1
MARGIN = 4  # voxels by which spheres of two resolutions overlap


@dataclass
class Thickness:
    """Of each diameter (ascending, in the unit of the spacing) how many voxels have it.

    factor: how many times as large the voxels were on which the largest spheres were fitted. slice_means: of
    every slice, nan where the structure is not in it. pictures: diameter (y, x) of some slices, by number.
    """

    diameters: np.ndarray
    voxels: np.ndarray
    factor: int
    slice_means: np.ndarray
    pictures: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return float(np.average(self.diameters, weights=self.voxels))

    @property
    def sd(self) -> float:
        """Standard deviation over the voxels of the structure."""
        return math.sqrt(float(np.average((self.diameters - self.mean) ** 2, weights=self.voxels)))

    @property
    def largest(self) -> float:
        return float(self.diameters[-1])

    def histogram(self, bins: int) -> tuple[np.ndarray, np.ndarray]:
        """Edges, from 0 on, and the share of voxels between them."""
        edges = np.linspace(0, self.largest * (1 + 1e-6), bins + 1)
        found, _ = np.histogram(self.diameters, edges, weights=self.voxels)
        return edges, found / self.voxels.sum()


class _Plan:
    """How a volume is cut into blocks.

    spacing: of voxels, the least 1. halo: around a block, in the same unit.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float],
        radius: float,
        memory_bytes: int | None,
    ):
        self.shape, self.spacing, self.halo = shape, spacing, radius + 2 * DIAGONAL * max(spacing)
        free = int(psutil.virtual_memory().available)
        self.most_bytes = memory_bytes or max(min(MOST_BYTES, int(SHARE * free)), 1 << 28)
        edge = (self.most_bytes / BYTES_A_VOXEL) ** (1 / 3)
        self.core = [
            max(LEAST_CORE, n if n <= edge else int(edge - 4 * self.reach(self.halo, axis)))
            for axis, n in enumerate(shape)
        ]
        if math.prod(shape) * BYTES_A_VOXEL <= self.most_bytes:
            self.core = list(shape)
        reading = [
            min(n, c + 4 * self.reach(self.halo, a))
            for a, (n, c) in enumerate(zip(shape, self.core, strict=True))
        ]
        self.bytes = math.prod(reading) * BYTES_A_VOXEL
        self.check(self.bytes)

    def reach(self, length: float, axis: int) -> int:
        """Voxels along an axis."""
        return math.ceil(length / self.spacing[axis])

    def check(self, needed: int) -> None:
        """Raise HardwareError where a block would not fit."""
        free = int(psutil.virtual_memory().available)
        if needed > 0.8 * free:
            raise HardwareError(
                f"local thickness needs {size_in_words(needed)} of memory for a block, {size_in_words(free)} "
                f"are free. Lower {called('fine_radius')}, crop the labels, or leave it out: --no-thickness."
            )

    def blocks(self) -> Iterator[Box]:
        """The cores of all blocks, of nearly equal size."""
        axes = []
        for n, core in zip(self.shape, self.core, strict=True):
            count = math.ceil(n / core)
            ends = [n * i // count for i in range(count + 1)]
            axes.append([slice(a, b) for a, b in itertools.pairwise(ends)])
        yield from itertools.product(*axes)

    def around(self, core: Box, length: float) -> Box:
        """The core and what is within a length of it, inside the volume."""
        z, y, x = (
            slice(max(0, part.start - self.reach(length, axis)), min(n, part.stop + self.reach(length, axis)))
            for axis, (part, n) in enumerate(zip(core, self.shape, strict=True))
        )
        return z, y, x


class _Level(NamedTuple):
    """One resolution. scale: 1, 2, 4, ... limit: radius of the largest sphere fitted here; None: all."""

    structure: Slices
    scale: int
    plan: _Plan
    limit: float | None


def thickness(
    structure: Slices,
    spacing: Sequence[float],
    *,
    progress: Progress,
    name: str,
    fine_radius: int = 24,
    pictures: Sequence[float] = (),
    memory_bytes: int | None = None,
) -> Thickness | None:
    """Local thickness; None where the structure is empty, or where nothing is outside of it.

    spacing: (z, y, x). name: for messages. pictures: places along z, as shares of the depth, of which slices
    are kept. memory_bytes: for a block; None: from the free memory. Raises HardwareError where a block
    does not fit, Cancelled.
    """
    unit = min(spacing)
    steps = (spacing[0] / unit, spacing[1] / unit, spacing[2] / unit)
    rough = _rough_radius(
        structure, steps, lambda share: progress(int(20 * share), STEPS, f"Looking at {name}")
    )
    if rough is None:
        return None
    levels = _levels(structure, steps, rough, fine_radius, memory_bytes)
    work = [[*level.plan.blocks()] for level in levels]
    sizes = [[math.prod(part.stop - part.start for part in core) for core in cores] for cores in work]
    total, done = sum(map(sum, sizes)), 0
    _tell(name, levels, len(work[0]), rough)
    sums = _Sum(structure.shape, sorted({int(share * (structure.shape[0] - 1)) for share in pictures}))
    spheres, coarse = Spheres(steps), None
    for level, cores, voxels in reversed([*zip(levels, work, sizes, strict=True)]):
        whole = np.zeros(level.structure.shape, np.float32) if level.scale > 1 else None
        for core, size in zip(cores, voxels, strict=True):

            def look(share: float, done: int = done, size: int = size) -> None:
                step = 20 + int((STEPS - 20) * (done + share * size) / total)
                progress(step, STEPS, f"Fitting spheres in {name}")

            found = _block(level, core, spheres, coarse, look)
            if found is None:
                return None
            if whole is None:
                sums.add(core, found)
            else:
                whole[core] = found
            done += size
        coarse = whole
    return sums.thickness(unit, levels[-1].scale)


def _levels(
    structure: Slices,
    steps: tuple[float, float, float],
    rough: float,
    fine_radius: int,
    memory_bytes: int | None,
) -> list[_Level]:
    """Finest first."""
    count = 1 + max(0, math.ceil(math.log2(rough / fine_radius)))
    found: list[_Level] = []
    for number in range(count):
        if number:
            structure = reduced(structure, 2, 0.5)
        is_last = number == count - 1
        limit = None if is_last else float(fine_radius + MARGIN)
        radius = rough / 2**number if is_last else fine_radius + MARGIN
        found.append(_Level(structure, 2**number, _Plan(structure.shape, steps, radius, memory_bytes), limit))
    return found


def _tell(name: str, levels: Sequence[_Level], blocks: int, rough: float) -> None:
    log.info(
        "%s: spheres of a radius of up to about %.0f voxels, in %s, with up to %s of memory.",
        name[0].upper() + name[1:],
        rough,
        f"{blocks} blocks" if blocks > 1 else "one piece",
        size_in_words(max(level.plan.bytes for level in levels)),
    )


def _rough_radius(structure: Slices, spacing: Sequence[float], look: Callable[[float], None]) -> float | None:
    """About the largest radius, in voxels; None where the structure is empty or has no outside."""
    factor = max(1, math.ceil((math.prod(structure.shape) / ROUGH_VOXELS) ** (1 / 3)))
    rough = reduced(structure, factor, 0.75, look=look).array
    if not rough.any() or rough.all():
        parts = [(one.any(), one.all()) for one in each_slice(structure)]
        if not any(some for some, _ in parts) or all(full for _, full in parts):
            return None
        return float(factor) if not rough.any() else max(structure.shape) / 2
    squared = _watched(lambda: squared_distances(rough, spacing), lambda: look(1.0))
    return math.sqrt(float(squared.max())) * factor


def _watched(work: Callable[[], np.ndarray], look: Callable[[], None]) -> np.ndarray:
    """What `work` gives, which takes seconds in one call; `look` may raise meanwhile."""
    found: list[np.ndarray] = []
    faults: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as fault:  # told where it is waited for
            faults.append(fault)

    thread = threading.Thread(target=run, daemon=True)  # a stop does not wait for it
    thread.start()
    while thread.is_alive():
        thread.join(WAIT_S)
        look()
    if faults:
        raise faults[0]
    return found[0]


def _block(
    level: _Level, core: Box, spheres: Spheres, coarse: np.ndarray | None, look: Callable[[float], None]
) -> np.ndarray | None:
    """float32: squared radius of the largest sphere at each voxel of a core; None where nothing is outside.

    coarse: the same on voxels twice as large, of the whole.
    """
    plan, halo = level.plan, level.plan.halo
    while True:
        region, inner = plan.around(core, 2 * halo), plan.around(core, halo)
        is_whole = all(part == slice(0, n) for part, n in zip(region, plan.shape, strict=True))
        if is_whole:
            inner = region
        plan.check(math.prod(part.stop - part.start for part in region) * BYTES_A_VOXEL)
        mask = _read(level.structure, region)
        here = _within(core, region)
        if not mask[here].any():
            return np.zeros(mask[here].shape, np.float32)
        if mask.all():
            if level.limit is not None and coarse is not None:
                return _above(coarse, core)
            if is_whole:
                return None
            halo *= 2
            continue
        squared = _watched(functools.partial(squared_distances, mask, plan.spacing), lambda: look(0.0))
        own = _within(inner, region)
        largest = math.sqrt(float(squared[own].max()))
        if is_whole or level.limit is not None or largest <= halo - DIAGONAL * max(plan.spacing):
            break
        halo = max(largest + 2 * DIAGONAL * max(plan.spacing), 1.3 * halo)
    known = np.zeros_like(squared)
    known[own] = squared[own]  # farther out the nearest voxel outside may not have been read
    found = cover(known, spheres, here, limit=level.limit, look=lambda share: look(0.15 + 0.85 * share))
    if coarse is None or level.limit is None:
        return found
    large = _above(coarse, core)
    large[(large <= (level.limit - MARGIN) ** 2) & (found > 0)] = 0
    most: np.ndarray = np.maximum(found, large)
    if (least := mask[here] & (most == 0)).any():  # between two resolutions
        most[least] = np.minimum(squared[here][least], level.limit**2)
    return np.where(mask[here], most, np.float32(0))


def _above(coarse: np.ndarray, core: Box) -> np.ndarray:
    """What the voxels twice as large say of a core, in its own voxels."""
    z, y, x = (
        np.minimum(np.arange(part.start, part.stop) // 2, n - 1)
        for part, n in zip(core, coarse.shape, strict=True)
    )
    found: np.ndarray = coarse[z[:, None, None], y[:, None], x] * np.float32(4)
    return found


def _read(structure: Slices, box: Box) -> np.ndarray:
    found = np.empty([part.stop - part.start for part in box], bool)
    for z in range(box[0].start, box[0].stop):
        found[z - box[0].start] = structure.read(z, z + 1)[0][box[1], box[2]]
    return found


def _within(box: Box, other: Box) -> Box:
    """A box as seen from the first voxel of another."""
    z, y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, other, strict=True))
    return z, y, x


class _Sum:
    """Collects what the blocks give."""

    def __init__(self, shape: tuple[int, int, int], pictures: Sequence[int]):
        self._counts: dict[float, int] = {}
        self._sums, self._voxels = np.zeros(shape[0]), np.zeros(shape[0], np.int64)
        self._pictures = {z: np.zeros(shape[1:], np.float32) for z in pictures}

    def add(self, core: Box, squared: np.ndarray) -> None:
        values, counts = np.unique(squared[squared > 0], return_counts=True)
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            self._counts[value] = self._counts.get(value, 0) + count
        for z in range(core[0].start, core[0].stop):
            own = squared[z - core[0].start]
            self._sums[z] += float(np.sqrt(own, dtype=np.float64).sum())
            self._voxels[z] += np.count_nonzero(own)
            if z in self._pictures:
                self._pictures[z][core[1], core[2]] = own

    def thickness(self, unit: float, factor: int) -> Thickness | None:
        if not self._counts:
            return None
        values = sorted(self._counts)
        means = np.full(len(self._sums), np.nan)
        np.divide(2 * unit * self._sums, self._voxels, out=means, where=self._voxels > 0)
        return Thickness(
            2 * unit * np.sqrt(np.array(values)),
            np.array([self._counts[value] for value in values], np.int64),
            factor,
            means,
            {z: 2 * unit * np.sqrt(own) for z, own in self._pictures.items()},
        )
