"""Chunks of a scan, evenly spread: some to calibrate INT8 on, others to see what it has become.

In:  an open scan, what the networks see of it, along which axes it is labelled.
Out: chunks (z, y, x) as the networks see them, the same ones each time: nothing is drawn by chance.
What is looked at lies on planes of its own. The scan is read once, and only where a chunk lies.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from ...dataset.views import turned
from ...intensity.normalisation import Normalisation
from ...volumes.bricks import AXES
from ...volumes.volume import SLAB_BYTES, Volume
from .. import passes, streaming
from ..opening import Team
from ..windows import mirror, windows_along

CHUNKS = 32  # of all axes together, about
EVERY = 4  # of so many planes one is only looked at
EDGE_2D, EDGE_3D, DEPTH_3D = 256, 64, 32  # the most of a chunk, voxels
# Steps of an even sequence in the plane (powers of the inverse of the plastic number).
STEPS = (0.7548776662466927, 0.5698402909980532)


class Sample(NamedTuple):
    """float32 (z, y, x) each; along which axis a chunk was cut is no matter any more."""

    calibrating: list[torch.Tensor]
    comparing: list[torch.Tensor]


@dataclass
class _Chunk:
    """places: of its voxels in the scan, along z, y and x. axis: along which its slices lie."""

    places: tuple[np.ndarray, ...]
    axis: int
    is_compared: bool
    greys: np.ndarray = field(default_factory=lambda: np.empty(0))

    def seen(self, numbers: Normalisation) -> torch.Tensor:
        """As a network sees it."""
        raw = torch.from_numpy(np.ascontiguousarray(np.moveaxis(self.greys, self.axis, 0)))
        layout = passes.whole_slices((len(raw), *raw.shape[1:]))
        return streaming.prepare(raw, numbers, layout=layout, device=torch.device("cpu"))


def drawn(scan: Volume, team: Team, *, axes: str, look: Callable[[], None]) -> Sample:
    """Chunks for a team. look: called again and again, and may raise."""
    count = max(2, CHUNKS // len(axes))
    chunks = [one for axis in axes for one in _along(scan.header.shape, team, AXES.index(axis), count)]
    _read(scan, chunks, look)
    return Sample(
        *([c.seen(team.numbers) for c in chunks if c.is_compared == kind] for kind in (False, True))
    )


def _along(shape: tuple[int, int, int], team: Team, axis: int, count: int) -> Iterator[_Chunk]:
    """About so many chunks whose slices lie along an axis."""
    depth, *plane = turned(shape, axis)
    is_3d = team.model.mode == "3D"
    seen = min(team.chunks.z.size, DEPTH_3D) if is_3d else team.model.in_channels
    edges = [_edge(length, team, is_3d=is_3d) for length in plane]
    planes = max(1, min(count, depth // seen))
    firsts = np.linspace(0, max(0, depth - seen), planes).round().astype(int)
    each = math.ceil(count / planes)
    for number, (plane_number, turn) in enumerate(itertools.product(range(planes), range(each))):
        along = firsts[plane_number] + np.arange(seen)
        places = [mirror(along, depth) if is_3d else along.clip(0, depth - 1)]
        for step, length, edge in zip(STEPS, plane, edges, strict=True):
            start = round((0.5 + number * step) % 1 * max(0, length - edge))
            places.append(mirror(start + np.arange(edge), length))
        places.insert(axis, places.pop(0))
        kind = plane_number if planes > 1 else turn
        yield _Chunk(tuple(places), axis, is_compared=kind % EVERY == 1)


def _edge(length: int, team: Team, *, is_3d: bool) -> int:
    """Voxels of a chunk along an edge of a plane that is so long."""
    spec = team.model.spec
    multiple = max(spec.multiples[1:])
    least = max(spec.minimum, multiple)
    most = min(max(team.chunks.size[1:]), EDGE_3D if is_3d else EDGE_2D)
    size = math.ceil(max(most, least) / multiple) * multiple
    return windows_along(length, size, overlap=0, multiple=multiple, minimum=least).size


def _read(scan: Volume, chunks: Sequence[_Chunk], look: Callable[[], None]) -> None:
    """Fill all of them, from the first slice that is needed to the last."""
    for chunk in chunks:
        chunk.greys = np.empty([len(one) for one in chunk.places], scan.header.dtype)
    wanted = np.unique(np.concatenate([chunk.places[0] for chunk in chunks]))
    most = max(1, SLAB_BYTES // scan.header.slice_bytes)
    for run in np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1):
        for z0 in range(int(run[0]), int(run[-1]) + 1, most):
            z1 = min(z0 + most, int(run[-1]) + 1)
            look()
            slab = scan.read(z0, z1)
            for chunk in chunks:
                z, y, x = chunk.places
                (here,) = np.nonzero((z >= z0) & (z < z1))
                if len(here):
                    chunk.greys[here] = slab[np.ix_(z[here] - z0, y, x)]
