"""How thick the labelled structures of a mask are, in voxels.

In:  a mask, open, and its classes.
Out: the mean thickness of the thinnest class; None where there is nothing to measure.
A fit on thick structures learns that bone is thick, and then misses that of a smaller animal, or of a coarser
scan. So its patches are shrunk too, as far as its structures allow (transform "shrink").
"""

from __future__ import annotations

import numpy as np

from ..dataset.checks import Labels
from ..volumes.patch_source import PatchSource

SLICES = 16  # that are looked at, evenly spread
LEAST_SHARE = 0.05  # of the labelled voxels, for a class to count


def thickness(mask: PatchSource, labels: Labels) -> float | None:
    """Voxels: half of the mean length of the runs of a class along y and x.

    That is 2 V / S, the thickness of a plate with volume V and surface S, where the faces of voxels count as
    1.5 times the surface of what they fill, as they do on average over all directions. Cubes of edge t have
    t / 2. Of the classes other than background the smallest, of those that hold 5 % of the labelled voxels.
    """
    depth = mask.header.shape[0]
    voxels, runs = np.zeros(labels.num_classes, np.int64), np.zeros(labels.num_classes, np.int64)
    for z in np.unique(np.linspace(0, depth - 1, SLICES).round().astype(int)).tolist():
        plane = labels.table[mask.read_slice(z)]
        for index in range(1, labels.num_classes):
            is_it = plane == index
            voxels[index] += is_it.sum()
            for turned in (is_it, is_it.T):
                runs[index] += turned[:, 0].sum() + (turned[:, 1:] & ~turned[:, :-1]).sum()
    counts = voxels > LEAST_SHARE * voxels.sum()
    counts[0] = False
    return float((voxels[counts] / runs[counts]).min()) if counts.any() else None
