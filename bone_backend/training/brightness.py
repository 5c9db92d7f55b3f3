"""How bright the classes of a mask are: how many voxels lie above the threshold between the two tissues.

In:  a scan and its mask, open, and the two tissues of the scan.
Out: for each class how many voxels of a sample are dark and how many bright; model files keep them.
A prediction learns from them whether the labels of this model follow the greys, and which of them are bright.
"""

from __future__ import annotations

import numpy as np

from ..dataset.checks import Labels
from ..intensity.tissues import Tissues
from ..volumes.patch_source import PatchSource

SLICES, FEWEST_SLICES = 32, 4  # that are looked at, evenly spread; fewer where slices are large
MOST_VOXELS = 1 << 26


def bright_voxels(
    scan: PatchSource, mask: PatchSource, labels: Labels, tissues: Tissues | None
) -> list[list[int]] | None:
    """[dark, bright] voxels of each class in a sample of slices; None: no two separate tissues."""
    if tissues is None or not tissues.are_separate:
        return None
    depth, height, width = scan.header.shape
    number = min(depth, max(FEWEST_SLICES, min(SLICES, MOST_VOXELS // (height * width))))
    found = np.zeros((labels.num_classes, 2), np.int64)
    for z in np.unique(np.linspace(0, depth - 1, number).round().astype(int)).tolist():
        classes = labels.table[mask.read_slice(z)]
        is_counted = classes >= 0
        codes = classes[is_counted] * 2 + (scan.read_slice(z)[is_counted] > tissues.threshold)
        found += np.bincount(codes, minlength=found.size).reshape(found.shape)
    return [[int(count) for count in row] for row in found]
