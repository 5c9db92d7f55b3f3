"""What is known of a volume before any voxel is read.

In:  shape, dtype, voxel size and unit as a file or a host gives them.
Out: Header, a frozen value; and the units that voxel sizes may have.
All triples are in the order (z, y, x).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import ScanError
from ..files.inside import name_inside, parts_of
from ..files.names import in_full, readable
from .formats import ENDINGS, FOLDER_ENDINGS

Triple = tuple[float, float, float]

UM_PER_UNIT = {"nm": 1e-3, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25400.0}

# Spellings seen in ImageJ, OME and scanner files -> (our unit, factor); "" means that no unit is known.
_SPELLINGS: dict[str, tuple[str, float]] = {
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers", "nanometres"), ("nm", 1.0)),
    **dict.fromkeys(("um", "µm", "μm", "âµm", "\\u00b5m", "\\u03bcm", "micron", "microns"), ("um", 1.0)),
    **dict.fromkeys(("micrometer", "micrometre", "micrometers", "micrometres"), ("um", 1.0)),
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), ("mm", 1.0)),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "centimeters", "centimetres"), ("cm", 1.0)),
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), ("m", 1.0)),
    **dict.fromkeys(("inch", "inches", "in", '"'), ("inch", 1.0)),
    **dict.fromkeys(("å", "angstrom", "ångström", "ångstrom"), ("nm", 0.1)),
    "pm": ("nm", 1e-3),
    "dm": ("cm", 10.0),
    "km": ("m", 1e3),
}


def known_unit(text: str | None) -> tuple[str, float]:
    """The unit that a text means, and the factor that turns a length in the text's unit into it.

    >>> known_unit("micron"), known_unit("Å"), known_unit("pixel")
    (('um', 1.0), ('nm', 0.1), ('', 1.0))
    """
    return _SPELLINGS.get((text or "").strip().strip("\0").lower(), ("", 1.0))


def volume_name(path: Path) -> str:
    """What a scan or mask is called, as text: the name without the ending of its format.

    >>> volume_name(Path("scans/femur_1.5um.ome.tif")), volume_name(Path("scans/femur.2"))
    ('femur_1.5um', 'femur.2')
    """
    path, inside = parts_of(path)
    name = in_full(path).name  # "." and ".." are called as the folders they mean
    endings = FOLDER_ENDINGS if path.is_dir() else (*FOLDER_ENDINGS, *ENDINGS)
    ending = next((end for end in endings if name.lower().endswith(end) and len(name) > len(end)), "")
    bare = name[: -len(ending)] if ending else name
    return readable("_".join(filter(None, [bare, name_inside(inside)])))


GIVEN = "--voxel-size"  # what says a voxel size that the user gave


class LabelClass(NamedTuple):
    """What a label value means: its class's name, and its colour as "#rrggbb" (None: not said)."""

    value: int
    name: str
    colour: str | None = None


def is_colour(text: object) -> bool:
    """Whether a text is a colour as BONe writes it: "#rrggbb"."""
    return isinstance(text, str) and re.fullmatch("#[0-9a-fA-F]{6}", text) is not None


@dataclass(frozen=True)
class Header:
    """Name, geometry and number type of a volume.

    shape:      (z, y, x) in voxels.
    dtype:      what `Volume.read` gives; always in native byte order.
    voxel_size: (z, y, x) in `unit`; None where the file does not say.
    unit:       "nm", "um", "mm", "cm", "m", "inch"; "" where the voxel size has no unit.
    origin:     centre of the first voxel (z, y, x), in `unit`.
    path:       the file or folder; None for an array.
    format:     "array", or the name of a row of formats.py.
    is_z_told:  False where a file says only x and y, and z is taken to be the same.
    voxel_size_from: the part of the file, or the file beside it, that says the voxel size; "" where unknown.
    direction:  of the axes z, y, x a unit vector each, (z, y, x) in the patient's space whose axes go to the
                head, the back and the left (LPS, as in DICOM); None where the file does not say.
    classes:    what label values mean, where the file says it.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    voxel_size: Triple | None = None
    unit: str = "um"
    origin: Triple = (0.0, 0.0, 0.0)
    path: Path | None = None
    format: str = "array"
    is_z_told: bool = True
    voxel_size_from: str = ""
    direction: tuple[Triple, Triple, Triple] | None = None
    classes: tuple[LabelClass, ...] = ()

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or any(int(n) < 1 for n in self.shape):
            raise ScanError(
                f"{self.name}: its shape is {tuple(self.shape)}; a volume is (z, y, x), each at least 1."
            )
        if self.unit not in UM_PER_UNIT and self.unit != "":
            raise ScanError(f'{self.name}: unit "{self.unit}" is not one of {", ".join(UM_PER_UNIT)}.')
        if self.voxel_size is not None:
            sizes = tuple(float(s) for s in self.voxel_size)
            if len(sizes) != 3 or not all(math.isfinite(s) and s > 0 for s in sizes):
                raise ScanError(f"{self.name}: voxel size {self.voxel_size} is not three lengths above 0.")
            object.__setattr__(self, "voxel_size", sizes)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "origin", tuple(float(o) for o in self.origin))
        object.__setattr__(self, "dtype", np.dtype(self.dtype).newbyteorder("="))

    @property
    def voxel_size_um(self) -> Triple | None:
        """(z, y, x) in micrometres; None where size or unit is unknown."""
        if self.voxel_size is None or self.unit == "":
            return None
        z, y, x = (s * UM_PER_UNIT[self.unit] for s in self.voxel_size)
        return z, y, x

    def has_other_voxels(self, other: Header, *, tolerance: float = 1e-3) -> bool:
        """Whether both voxel sizes are known and differ by more than a share; z counts where both tell it."""
        one, two = self.voxel_size_um, other.voxel_size_um
        if one is None or two is None:
            return False
        first = 0 if self.is_z_told and other.is_z_told else 1
        return any(abs(a - b) > tolerance * max(a, b) for a, b in zip(one[first:], two[first:], strict=True))

    def with_voxel_size_um(self, size: Triple) -> Header:
        """The same with a voxel size (z, y, x) that the user gives, in the header's own unit."""
        unit = self.unit if self.voxel_size is not None and self.unit else "um"
        z, y, x = (length / UM_PER_UNIT[unit] for length in size)
        origin = self.origin if self.unit else (0.0, 0.0, 0.0)
        told = {"voxel_size": (z, y, x), "unit": unit, "origin": origin}
        return replace(self, **told, is_z_told=True, voxel_size_from=GIVEN)  # type: ignore[arg-type]

    @property
    def sides(self) -> str:
        """The shape in words, e.g. "24 x 40 x 44"."""
        return " x ".join(map(str, self.shape))

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def slice_bytes(self) -> int:
        """Bytes of one slice (y, x) in memory."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the whole volume in memory."""
        return self.shape[0] * self.slice_bytes


class Storage(NamedTuple):
    """How a volume lies on disk: its files, and the name of the compression ("none")."""

    files: list[Path]
    compression: str


class SliceLocation(NamedTuple):
    """Where the voxels of one slice lie: y * x numbers of `dtype` (with its byte order) from `offset` on."""

    path: Path
    offset: int
    dtype: np.dtype
