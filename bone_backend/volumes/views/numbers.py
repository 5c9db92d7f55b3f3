"""A volume with numbers of another type: as they are, or a range of them spread over the new type.

In:  a volume, the type, and the values (low, high) that become the ends of the new type, or None.
Out: a Volume. As they are: a value that the type does not hold raises. With a range: what lies outside
becomes the end, and is counted, so that it can be told.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...errors import ScanError, called
from ..abstract import Volume

ENDS = {"uint8": (0, 255), "uint16": (0, 65535), "int16": (-32768, 32767), "float32": (0.0, 1.0)}


class NumbersVolume(Volume):
    """spread: (low, high) that become the ends of the type (float32: 0 and 1, and nothing is cut off).

    below, above, no_number: voxels that were cut off so far, and those that are no number and became the
    lower end. Slices that are read twice count twice.
    """

    def __init__(self, source: Volume, dtype: np.dtype, *, spread: tuple[float, float] | None = None):
        self._source, self.files = source, source.files
        self.header = replace(source.header, dtype=dtype)
        self._spread = spread
        self.below = self.above = self.no_number = 0

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        for z in range(z0, z1):
            plane = self._source.read(z, z + 1)[0]
            if self._spread is None:
                self._as_they_are(plane, out[z - z0])
            else:
                self._over_the_type(plane, out[z - z0], *self._spread)

    def _as_they_are(self, plane: np.ndarray, out: np.ndarray) -> None:
        if out.dtype.kind in "iu":
            limits = np.iinfo(out.dtype)
            with np.errstate(invalid="ignore"):
                is_held = (plane >= limits.min) & (plane <= limits.max)
                if plane.dtype.kind == "f":
                    is_held &= plane == np.rint(plane)
            if not is_held.all():
                raise ScanError(not_held(self.header.name, out.dtype, plane[~is_held].reshape(-1)[0]))
        np.copyto(out, plane, casting="unsafe")

    def _over_the_type(self, plane: np.ndarray, out: np.ndarray, low: float, high: float) -> None:
        first, last = ENDS[out.dtype.name]
        scaled = plane.astype(np.float64)
        self.below += int((scaled < low).sum())
        self.above += int((scaled > high).sum())
        scaled -= low
        scaled *= (last - first) / (high - low)
        scaled += first
        if out.dtype.kind in "iu":
            is_none = np.isnan(scaled)
            self.no_number += int(is_none.sum())
            scaled[is_none] = first
            np.clip(np.rint(scaled, out=scaled), first, last, out=scaled)
        np.copyto(out, scaled, casting="unsafe")

    def close(self) -> None:
        self._source.close()


def not_held(name: str, dtype: np.dtype, value: float, more: str = "") -> str:
    """Why values cannot be kept as they are."""
    return (
        f"{name}: holds {value:.6g}{more}, which {dtype} cannot hold as it is. Say which grey values become "
        f"its lowest and its highest number: {called('grey_range')} LOW HIGH."
    )
