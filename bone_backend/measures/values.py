"""Which label values there are, and how many voxels each has in every slice.

In:  labels, slab by slab.
Out: counts (slice, value); a ScanError for what is no label volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import ScanError
from ..progress import Progress
from ..volumes.volume import Volume

SLAB_BYTES = 16 << 20
FEW, MOST = 20, 1000  # labels: up to here nobody asks; more no table can hold
NOISY = 0.5  # share of neighbours that differ: grey values .8 to 1, labels below .2


@dataclass(frozen=True)
class Values:
    """values: that occur, ascending. voxels: int64 (slice, value). sides: for each value whether it is at the
    first and last voxel along y and along x.
    """

    values: tuple[int, ...]
    voxels: np.ndarray
    sides: np.ndarray

    def of(self, values: tuple[int, ...]) -> np.ndarray:
        """int64 (slice,): voxels of some values together."""
        return self.voxels[:, [self.values.index(value) for value in values]].sum(axis=1)

    def reach_sides(self, values: tuple[int, ...]) -> bool:
        """Whether they, together, are at two or more of the four sides in y and x."""
        places = [self.values.index(value) for value in values]
        return bool(self.sides[places].any(axis=0).sum() >= 2)


def count(labels: Volume, progress: Progress) -> Values:
    """Count them. Raises ScanError for floats, negative values, or a scan in the place of labels."""
    header = labels.header
    if header.dtype.kind not in "iub":
        raise ScanError(
            f"{header.name}: holds {header.dtype} values; labels are whole numbers. Give the labels, "
            "not the scan."
        )
    depth = header.shape[0]
    tables: list[dict[int, int]] = []
    sides: dict[int, np.ndarray] = {}
    met: set[int] = set()
    for z0, z1 in labels.slabs(SLAB_BYTES):
        progress(z0, depth, "Counting labels")
        slab = labels.read(z0, z1)
        if slab.dtype == bool:
            slab = slab.view(np.uint8)
        for one in slab:
            found = _counts(one)
            tables.append(found)
            met |= found.keys()
        _check(slab, met, header.name)
        for number, face in enumerate((slab[:, 0], slab[:, -1], slab[:, :, 0], slab[:, :, -1])):
            for value in np.unique(face).tolist():
                sides.setdefault(int(value), np.zeros(4, bool))[number] = True
    values = tuple(sorted(met))
    voxels = np.array([[table.get(value, 0) for value in values] for table in tables], np.int64)
    none = np.zeros(4, bool)
    return Values(values, voxels, np.array([sides.get(value, none) for value in values]))


def _counts(one: np.ndarray) -> dict[int, int]:
    if one.dtype in (np.uint8, np.uint16):
        voxels = np.bincount(one.reshape(-1))
        values = np.flatnonzero(voxels)
        return dict(zip(values.tolist(), voxels[values].tolist(), strict=True))
    values, voxels = np.unique(one, return_counts=True)
    return dict(zip(map(int, values), map(int, voxels), strict=True))


def _check(slab: np.ndarray, met: set[int], name: str) -> None:
    if min(met) < 0:
        raise ScanError(f"{name}: holds {min(met)}; labels are 0 or more. Give the labels, not the scan.")
    if len(met) <= FEW:
        return
    is_inside = (slab[:, :, 1:] != 0) & (slab[:, :, :-1] != 0)
    pairs = int(np.count_nonzero(is_inside))
    differing = int(np.count_nonzero((slab[:, :, 1:] != slab[:, :, :-1]) & is_inside))
    if pairs and differing > NOISY * pairs:
        raise ScanError(
            f"{name}: holds {len(met)} different values or more, which change from voxel to voxel; this is a "
            "scan. Give its labels."
        )
    if len(met) > MOST:
        raise ScanError(
            f"{name}: holds {len(met)} labels or more, too many to measure. Give labels of tissues."
        )
