"""How far labels in INT8 are from labels in float32: in figures, on chunks of the scan.

In:  the same networks in INT8 and by torch, chunks that INT8 was not calibrated on.
Out: an Int8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from ..labelling import lost_numbers
from ..labels import BACKGROUND, ClassMap
from ..merging import highest_class
from ..streaming import ChunkPredictor
from .int8 import Int8, Look, version


def compared(
    by_int8: ChunkPredictor,
    by_torch: ChunkPredictor,
    chunks: Sequence[torch.Tensor],
    *,
    class_map: ClassMap,
    threshold: float,
    calibrated: int,
    look: Look,
) -> Int8:
    """Label chunks (z, y, x) both ways. by_torch: in float32. calibrated: chunks that are not among them.

    Raises ScanError where torch gives no numbers.
    """
    voxels = labelled = otherwise = 0
    digest = hashlib.sha256()
    with torch.inference_mode():
        for chunk in chunks:
            look()
            (expected,), (found,) = (one.probabilities([chunk]) for one in (by_torch, by_int8))
            if torch.isnan(expected).any():
                raise lost_numbers(by_torch)
            digest.update(found.contiguous().numpy().tobytes())
            right, here = (_labels(one, class_map, threshold) for one in (expected, found))
            voxels += right.size
            labelled += int(np.count_nonzero((right != BACKGROUND) | (here != BACKGROUND)))
            otherwise += int(np.count_nonzero(right != here))
    return Int8(calibrated, len(chunks), voxels, labelled, otherwise, version(), digest.hexdigest()[:32])


def _labels(probabilities: torch.Tensor, class_map: ClassMap, threshold: float) -> np.ndarray:
    """Of a chunk's voxels."""
    limit = torch.full(probabilities.shape[1:], threshold)
    _, classes, uncertain = highest_class(probabilities, limit, background=class_map.background)
    return class_map.table[torch.maximum(classes, uncertain * len(probabilities)).numpy()]
