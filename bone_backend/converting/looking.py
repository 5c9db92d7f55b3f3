"""One look at every voxel before a conversion, where something depends on the values.

In:  a volume.
Out: its lowest and highest value, whether all are whole, and the different values where there are few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..progress import Progress
from ..volumes.abstract import Volume

FEW = 64  # values; more are those of a scan
PIECE_BYTES = 16 << 20


@dataclass(frozen=True)
class Seen:
    """low, high: nan where every voxel is no number. values: voxels of each value, None where there are more
    than FEW. has_no_numbers: some voxels are nan or infinite.
    """

    low: float
    high: float
    is_whole: bool
    has_no_numbers: bool
    values: tuple[int, ...] | None

    @property
    def are_labels(self) -> bool:
        """Whether these can be labels: few whole numbers from 0 to 65535."""
        return self.values is not None and self.low >= 0 and self.high <= 65535


def look(volume: Volume, progress: Progress) -> Seen:
    """Read a volume once. progress: is called for each slab."""
    low, high, is_whole, has_none = math.inf, -math.inf, True, False
    values: set[int] | None = set()
    depth, is_float = volume.header.shape[0], volume.header.dtype.kind == "f"
    for z0, z1 in volume.slabs(PIECE_BYTES):
        progress(z0, depth, f"Looking at {volume.header.name}")
        for plane in volume.read(z0, z1):
            if is_float:
                sound = plane[np.isfinite(plane)]
                has_none |= sound.size < plane.size
                is_whole = is_whole and bool((sound == np.rint(sound)).all())
            else:
                sound = plane
            if sound.size:
                low, high = min(low, sound.min().item()), max(high, sound.max().item())
            values = _more(values, sound) if is_whole and values is not None else None
    if low > high:
        low = high = math.nan
    few = tuple(sorted(values)) if values is not None and not has_none else None
    return Seen(low, high, is_whole, has_none, few)


def _more(values: set[int], plane: np.ndarray) -> set[int] | None:
    """The values with those of another slice; None for too many."""
    if plane.dtype.itemsize <= 2 and plane.dtype.kind == "u":
        found = np.flatnonzero(np.bincount(plane.ravel()))
    else:
        found = np.unique(plane)
    both = values.union(int(value) for value in found[: FEW + 1])
    return None if len(found) > FEW or len(both) > FEW else both
