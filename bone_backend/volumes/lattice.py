"""Between a field of Avizo and a volume: axes, voxel size, origin.

In:  an array (x, y, z) and its bounding box, ((xmin, ymin, zmin), (xmax, ymax, zmax)) of voxel centres.
Out: a volume (z, y, x), which is a view and no copy; and back, slab by slab.
The box reaches from the centre of the first voxel to that of the last: extent = (n - 1) * voxel size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ScanError
from ..progress import Progress, silent
from .abstract import Volume
from .array import ArrayVolume
from .header import Triple

Box = Sequence[Sequence[float]]


def geometry_of(shape: Sequence[int], box: Box, *, scale: float = 1.0) -> tuple[Triple | None, Triple]:
    """Voxel size and origin, both (z, y, x), from a lattice (nx, ny, nz) and its box, times `scale`.

    An axis of one voxel takes the box's extent along it. The voxel size is None where the box says none.

    >>> geometry_of((3, 2, 5), ((0, 0, 10), (1, 0.25, 12)))
    ((0.5, 0.25, 0.5), (10.0, 0.0, 0.0))
    """
    low, high = ([float(value) * scale for value in corner] for corner in box)
    size = [(b - a) / max(int(n) - 1, 1) for a, b, n in zip(low, high, shape, strict=True)]
    z, y, x = (float(value) for value in reversed(low))
    origin = (z, y, x)
    if not all(math.isfinite(s) and s > 0 for s in size):
        return None, origin if all(math.isfinite(value) for value in low) else (0.0, 0.0, 0.0)
    return (size[2], size[1], size[0]), origin


def box_of(
    shape: Sequence[int], voxel_size: Triple, *, origin: Triple = (0.0, 0.0, 0.0)
) -> tuple[Triple, Triple]:
    """The box of a volume (z, y, x): the inverse of `geometry_of`.

    >>> box_of((5, 2, 3), (0.5, 0.25, 0.5), origin=(10.0, 0.0, 0.0))
    ((0.0, 0.0, 10.0), (1.0, 0.25, 12.0))
    """
    low = [float(value) for value in reversed(origin)]
    steps = [max(int(n) - 1, 1) * float(s) for n, s in zip(shape, voxel_size, strict=True)]
    high = [a + step for a, step in zip(low, reversed(steps), strict=True)]
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def volume_of(array: np.ndarray, box: Box, *, name: str, unit: str = "", scale: float = 1.0) -> ArrayVolume:
    """A field's array (x, y, z) as a volume (z, y, x) on the same memory.

    unit: of the box's numbers times `scale`; "" is unknown. An x-fastest array becomes a C-ordered one.
    Raises ScanError where it is no volume.
    """
    if array.ndim != 3 or 0 in array.shape:
        raise ScanError(f"{name}: its lattice is {array.shape}; a volume has three axes, each at least 1.")
    voxel_size, origin = geometry_of(array.shape, box, scale=scale)
    return ArrayVolume(array.transpose(2, 1, 0), voxel_size=voxel_size, unit=unit, name=name, origin=origin)


def read_xyz(volume: Volume, *, progress: Progress = silent, message: str = "Reading") -> np.ndarray:
    """A whole volume as an array (x, y, z), x fastest as in Avizo, filled slab by slab."""
    depth, height, width = volume.header.shape
    array = np.empty((width, height, depth), volume.header.dtype, order="F")
    turned = array.transpose(2, 1, 0)
    for z0, z1 in volume.slabs():
        progress(z0, depth, message)
        volume.read(z0, z1, out=turned[z0:z1])
    progress(depth, depth, message)
    return array
