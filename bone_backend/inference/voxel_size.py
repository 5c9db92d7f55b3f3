"""Whether a scan's voxels have the size that a model was fitted on.

In:  the voxel sizes of the scan and of the model's scans (z, y, x), um.
Out: one sentence where they differ enough to spoil the labels; "" otherwise, and where one is unknown.
A network knows bone by its size in voxels, and reads slices: a 2D model does not see how far apart they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..volumes.header import Triple

# A factor of less is within what specimens and augmentation vary by.
TOLERANCE = 1.25


def advice(model_sizes: Any, scan_size: Triple | None, *, mode: str) -> str:
    """What to say before a scan is labelled.

    model_sizes: `voxel_size_um` of a model file, one (z, y, x) or None for each scan of the fit; whatever
    else stands there is passed over. scan_size: um. mode: "2D", "2.5D" or "3D".

    >>> advice([(10, 10, 10), None], (20, 20, 20), mode="2D")
    'the model was fitted on voxels of 10 um, this scan has 20 um; if the labels are poor, try --resample.'
    """
    sizes = known(model_sizes)
    if not sizes or scan_size is None:
        return ""
    low, high = ([pick(size[axis] for size in sizes) for axis in range(3)] for pick in (min, max))
    seen = range(1, 3) if mode == "2D" else range(3)
    if all(low[i] / TOLERANCE <= scan_size[i] <= high[i] * TOLERANCE for i in seen):
        return ""
    if mode == "2D":  # nobody has to wonder about an axis that does not count
        low, high, scan = low[1:], high[1:], list(scan_size[1:])
    else:
        scan = list(scan_size)
    return (
        f"the model was fitted on voxels of {_told(low, high)}, this scan has {_told(scan, scan)}; "
        "if the labels are poor, try --resample."
    )


def known(sizes: Any) -> list[Triple]:
    """The voxel sizes (z, y, x; um) that a model file tells; whatever else stands there is passed over."""
    return [size for size in sizes if _is_size(size)] if isinstance(sizes, (list, tuple)) else []


def apart(one: Any, other: Any, *, mode: str) -> tuple[str, str] | None:
    """The voxel sizes of two models in words, where no scan can have the right size for both.

    one, other: as `model_sizes` of `advice`.

    >>> apart([(10, 10, 10)], [(50, 50, 50), None], mode="2D")
    ('10 um', '50 um')
    >>> apart([(10, 10, 10)], [(12, 12, 12)], mode="2D"), apart([(10, 10, 10)], None, mode="2D")
    (None, None)
    """
    seen = range(1, 3) if mode == "2D" else range(3)
    ranges = []
    for sizes in (one, other):
        found = known(sizes)
        if not found:
            return None
        ranges.append([[pick(size[axis] for size in found) for axis in seen] for pick in (min, max)])
    (low, high), (least, most) = ranges
    if all(low[i] <= most[i] * TOLERANCE and least[i] <= high[i] * TOLERANCE for i in range(len(low))):
        return None
    return _told(low, high), _told(least, most)


def _is_size(size: Any) -> bool:
    return (
        isinstance(size, (list, tuple))
        and len(size) == 3
        and all(type(s) in (int, float) and math.isfinite(s) and s > 0 for s in size)
    )


def _told(low: Sequence[float], high: Sequence[float]) -> str:
    """A voxel size, or from which to which: one number where all axes have the same."""
    if max(low) <= min(low) * 1.001 and max(high) <= min(high) * 1.001:
        return f"{_range(low[0], high[0])} um"
    axes = "z, y, x" if len(low) == 3 else "y, x"
    return f"{' x '.join(map(_range, low, high))} um ({axes})"


def _range(low: float, high: float) -> str:
    return f"{low:.4g}" if high <= low * 1.001 else f"{low:.4g} to {high:.4g}"
