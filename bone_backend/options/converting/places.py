"""Boxes, voxel sizes and ranges as a user writes them.

In:  "100:200,:,0:512", "0.02mm", "40,20,20um", ["-1000", "3000"].
Out: checked values: a box as text (`box_of` reads it), a voxel size (z, y, x) in um, a range (low, high).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

UM = {"nm": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
SIZES = "SIZE"  # how they are called; no "|" stands in it, which would mean alternatives
PART = re.compile(r"(\d{0,9}):(\d{0,9})")
Ends = tuple[tuple[int, int | None], ...]


def ends_of(crop: str) -> Ends:
    """Start and stop of z, y and x; None: the end.

    >>> ends_of("100:200,:,5:")
    ((100, 200), (0, None), (5, None))
    """
    parts = [PART.fullmatch(part.strip()) for part in crop.split(",")]
    if len(parts) != 3 or not all(parts):
        raise ValueError("write it as Z0:Z1,Y0:Y1,X0:X1, e.g. 100:200,:,0:512")
    return tuple((int(part[1] or 0), int(part[2]) if part[2] else None) for part in parts if part)


def _crop(value: str) -> str:
    for axis, (start, stop) in zip("zyx", ends_of(value), strict=True):
        if stop is not None and stop <= start:
            raise ValueError(f"along {axis} nothing lies between {start} and {stop}")
    return value


def box_of(crop: str | None, shape: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The box in a volume of that shape (z, y, x). ValueError where it reaches beyond it."""
    ends = ends_of(crop or ":,:,:")
    box = tuple((start, n if stop is None else stop) for (start, stop), n in zip(ends, shape, strict=True))
    for axis, (start, stop), n in zip("zyx", box, shape, strict=True):
        if stop > n or start >= n:
            raise ValueError(f"{start}:{stop} along {axis} reaches beyond its {n} voxels")
    return box


def _sizes(value: object) -> object:
    """One size or three, in um."""
    if isinstance(value, (int, float)):
        value = [value]
    if isinstance(value, (list, tuple)):
        value = ",".join(map(str, value))
    if not isinstance(value, str):
        return value
    text = value.strip("()[] ").lower()
    unit = next((unit for unit in sorted(UM, key=len, reverse=True) if text.endswith(unit)), "")
    try:
        sizes = [float(part) * UM.get(unit, 1.0) for part in text.removesuffix(unit).split(",")]
    except ValueError:
        sizes = []
    if len(sizes) not in (1, 3) or not all(math.isfinite(size) and 0 < size < 1e9 for size in sizes):
        raise ValueError("write it as one length above 0 or as three, z,y,x, e.g. 20um, 0.02mm or 40,20,20")
    return tuple(sizes * 3 if len(sizes) == 1 else sizes)


def _range(value: tuple[float, float]) -> tuple[float, float]:
    low, high = value
    if not low < high:
        raise ValueError(f"{low:g} is not below {high:g}; write it as LOW HIGH")
    return value


Crop = Annotated[str, AfterValidator(_crop)]
VoxelSize = Annotated[tuple[float, float, float], BeforeValidator(_sizes)]  # um
GreyRange = Annotated[tuple[float, float], AfterValidator(_range)]
