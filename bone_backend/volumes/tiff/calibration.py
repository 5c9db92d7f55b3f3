"""Voxel size, unit and origin in TIFF files: ImageJ, OME and plain resolution tags.

In:  the first directory of a TIFF and its words; or, for writing, a Header.
Out: voxel size (z, y, x) with unit and origin; or the description and resolution that carry them.
Written as Fiji does: pixels per unit as resolution; `unit`, `spacing` (z) and origin in the description.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ...errors import OutputError, ScanError
from ..header import UM_PER_UNIT, Header, LabelClass, Triple, known_unit
from . import tags
from .directory import Directory
from .words import Words

# Resolutions that drawing programs and libraries write when they know nothing: pixels per inch.
_DEFAULT_DPI = (1, 72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 300, 360, 400, 600, 1200)
_TAG_UNITS = {2: "inch", 3: "cm", 4: "mm", 5: "um"}  # 4 and 5 as tifffile writes them
_NAME = re.compile(r"(.*?)(?: (#[0-9a-f]{6}))?", re.DOTALL)  # of a class, and its colour
_LARGEST = 2**32 - 1  # numerator and denominator of a TIFF rational


class Calibration(NamedTuple):
    """Voxel size (z, y, x) in unit, or None; origin of the first voxel's centre in unit.

    is_z_told: False where z is only taken to be as x and y. source: the part of the file that says it.
    classes: what the label values mean.
    """

    voxel_size: Triple | None
    unit: str
    origin: Triple
    is_z_told: bool = True
    source: str = ""
    classes: tuple[LabelClass, ...] = ()


UNKNOWN = Calibration(None, "um", (0.0, 0.0, 0.0))


def read_calibration(directory: Directory, words: Words) -> Calibration:
    """What the first page of a file and its description say of the voxel size.

    OME first, then ImageJ, then the resolution tags alone. The unit of ImageJ's description holds for its
    resolution tags too, as in ImageJ. Where nothing gives the z spacing, voxels are taken to be isotropic if
    x and y agree, else the size is unknown. Unknown are also: a spacing that is no number above 0, the unit
    "pixel" with size 1, no unit with resolution 1, and, without ImageJ or OME, the resolutions that drawing
    programs write by default (72, 96, 300 pixels per inch and the like).
    """
    found = _read_calibration(directory, words)
    return found._replace(source=calibration_source(words), classes=_classes(words.notes))


def _read_calibration(directory: Directory, words: Words) -> Calibration:
    if words.program == "OME":
        return _from_ome(words.notes)
    y = _length(directory.numbers(tags.Y_RESOLUTION))
    x = _length(directory.numbers(tags.X_RESOLUTION))
    tag_unit = _TAG_UNITS.get(directory.whole(tags.RESOLUTION_UNIT, 2 if x else 1), "")
    notes = words.notes
    if "unit" in notes or "spacing" in notes or words.program == "ImageJ":
        return _from_notes(notes, y, x, tag_unit)
    if x is None or y is None or _is_default(x, y, tag_unit):
        return UNKNOWN
    return _complete(None, y, x, tag_unit)


def calibration_of_notes(notes: Mapping[str, str], source: str) -> Calibration:
    """The same from ImageJ's lines alone, with pixelheight and pixelwidth. source: where they stand."""
    y, x = (_number(notes.get(f"pixel{side}")) for side in ("height", "width"))
    found = _from_notes(notes, y, x, "") if y and x else UNKNOWN
    return found._replace(source=source, classes=_classes(notes))


def is_signed_offset(where: str, words: Words, sample_format: int) -> bool:
    """Whether ImageJ stored signed 16-bit numbers with 32,768 added: its function is c0 + c1 * stored.

    Raises ScanError for any other function that turns the stored numbers into others.
    """
    notes = words.notes if words.program == "ImageJ" else {}
    if "cf" not in notes:
        return False
    terms = [_number(notes.get(f"c{i}", "0")) for i in range(5)]
    line = notes["cf"].strip() == "0" and not any(terms[2:])
    if line and terms[:2] == [0.0, 1.0]:
        return False
    if line and terms[:2] == [-32768.0, 1.0]:
        return sample_format == 1
    told = ", ".join(
        f"{name}={notes[name]}" for name in ("cf", "c0", "c1", "c2", "c3", "vunit") if name in notes
    )
    raise ScanError(
        f"{where}: its grey values are calibrated by a function of ImageJ ({told}), so that the stored "
        "numbers are not the values. In Fiji, choose Analyze > Calibrate > Function: None, and save it "
        "again; or convert it to 32 bit (Image > Type), which stores the values."
    )


def _length(resolution: np.ndarray) -> float | None:
    """Length of a pixel from pixels per unit (numerator, denominator); None where that is nonsense."""
    if resolution.shape != (1, 2) or resolution[0, 0] <= 0 or resolution[0, 1] <= 0:
        return None
    return float(resolution[0, 1]) / float(resolution[0, 0])


def _is_default(x: float, y: float, unit: str) -> bool:
    """Whether a resolution without further words is one that programs write when they know nothing."""
    if unit == "":
        return x == 1 and y == 1
    per_inch = 1 / x if unit == "inch" else 2.54 / x
    return any(abs(per_inch - dpi) < 5e-4 * dpi for dpi in _DEFAULT_DPI) or (x == 1 and y == 1)


def _complete(z: float | None, y: float | None, x: float | None, unit: str) -> Calibration:
    """A calibration from what is known of the three sizes; isotropic where only x = y is known."""
    if x is None or y is None:
        return UNKNOWN
    is_z_told = z is not None
    if z is None:
        if abs(x - y) > 1e-6 * x:
            return UNKNOWN
        z = x
    sizes = (float(z), float(y), float(x))
    if not all(math.isfinite(s) and s > 0 for s in sizes):
        return UNKNOWN
    return Calibration(sizes, unit, (0.0, 0.0, 0.0), is_z_told)


def _from_notes(notes: Mapping[str, Any], y: float | None, x: float | None, tag_unit: str) -> Calibration:
    """ImageJ's description, or tifffile's own, together with the resolution tags."""
    unit, factor = known_unit(str(notes.get("unit", "")))
    z = _number(notes.get("spacing"))
    if "spacing" in notes and z is None:
        return UNKNOWN
    if not str(notes.get("unit", "")).strip() and tag_unit:
        if x is not None and y is not None and _is_default(x, y, tag_unit):
            return UNKNOWN
        unit = tag_unit
    if unit == "" and x in (None, 1.0) and y in (None, 1.0):
        if z in (None, 0.0, 1.0):
            return UNKNOWN
        x = y = 1.0
    if x is None and y is None:  # Fiji leaves the resolution out where it is one pixel per unit
        x = y = 1.0
    sizes = _complete(abs(z) * factor if z else None, y and y * factor, x and x * factor, unit)
    if sizes.voxel_size is None:
        return sizes
    origin = tuple(
        -(_number(notes.get(f"{axis}origin")) or 0.0) * size
        for axis, size in zip("zyx", sizes.voxel_size, strict=True)
    )
    return sizes._replace(origin=(origin[0] + 0.0, origin[1] + 0.0, origin[2] + 0.0))


def _number(value: Any) -> float | None:
    """A number from text, with a point or a comma before the decimals; None for anything else.

    >>> _number("0,0195"), _number("1.5"), _number("1,234.5")
    (0.0195, 1.5, None)
    """
    try:
        number = float(str(value).strip().replace(",", "."))
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _from_ome(pixels: Mapping[str, str]) -> Calibration:
    """PhysicalSizeZ, Y, X of the first image; µm where no unit is given (OME schema 2016-06)."""
    sizes: list[float | None] = []
    unit = known_unit(pixels.get("PhysicalSizeXUnit", "µm"))[0]
    for axis in "ZYX":
        size = _number(pixels.get(f"PhysicalSize{axis}"))
        if size is None and f"PhysicalSize{axis}" in pixels:
            return UNKNOWN
        axis_unit, factor = known_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        if size is not None and axis_unit != unit:
            if not axis_unit or not unit:
                return UNKNOWN
            factor *= UM_PER_UNIT[axis_unit] / UM_PER_UNIT[unit]
        sizes.append(None if size is None else size * factor)
    if unit == "" and set(sizes) <= {1.0, None}:
        return UNKNOWN
    return _complete(sizes[0], sizes[1], sizes[2], unit)


def description(header: Header, slices: int) -> str:
    """ImageJ's description of a stack of so many slices (1 for a slice of a folder)."""
    lines = ["ImageJ=1.54f"]
    if slices > 1:
        lines += [f"images={slices}", f"slices={slices}"]
    if header.voxel_size is not None:
        if header.unit:
            lines.append(f"unit={header.unit}")
        if header.is_z_told:
            lines.append(f"spacing={header.voxel_size[0]!r}")
        for axis, start, size in zip("zyx", header.origin, header.voxel_size, strict=True):
            if start:
                lines.append(f"{axis}origin={-start / size!r}")
    lines += [f"class_{item.value}={_class_line(item)}" for item in header.classes]
    return "\n".join([*lines, "loop=false", ""])


def _class_line(item: LabelClass) -> str:
    """Name and colour of a class as one line of a description, which is ASCII."""
    name = " ".join(item.name.split()).encode("unicode_escape").decode("ascii")
    return f"{name} {item.colour}" if item.colour else name


def _classes(notes: Mapping[str, Any]) -> tuple[LabelClass, ...]:
    """The classes that BONe noted in ImageJ's description: class_VALUE=NAME #rrggbb."""
    found = []
    for key, told in notes.items():
        value = re.fullmatch(r"class_(\d{1,5})", key)
        if value and isinstance(told, str) and told.strip():
            name, colour = _NAME.fullmatch(told.strip()).groups()  # type: ignore[union-attr]
            with contextlib.suppress(UnicodeError):
                name = name.encode("ascii").decode("unicode_escape")
            found.append(LabelClass(int(value[1]), name, colour))
    return tuple(sorted(found))


def resolution(header: Header) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixels per unit along x and y, each as a numerator and denominator that fit into 32 bits.

    >>> import numpy as np
    >>> resolution(Header("skull", (2, 2, 2), np.dtype("u1"), (141.1, 141.1, 141.1)))
    ((10, 1411), (10, 1411))
    """
    if header.voxel_size is None:
        return (1, 1), (1, 1)
    y, x = header.voxel_size[1:]
    return _rational(header.name, x), _rational(header.name, y)


def _rational(name: str, size: float) -> tuple[int, int]:
    """1 / size as (numerator, denominator) below 2**32, as close as the format allows."""
    if not 1 / _LARGEST < size < _LARGEST:
        raise OutputError(
            f"{name}: a voxel size of {size} cannot be stored in a TIFF; give it in another unit."
        )
    if size <= 1:
        part = Fraction(size).limit_denominator(_LARGEST)
        return part.denominator, part.numerator
    part = Fraction(1 / size).limit_denominator(_LARGEST)
    simple = Fraction(repr(size))  # 141.1 -> 1411/10, if it fits
    if simple.numerator <= _LARGEST:
        part = 1 / simple
    return part.numerator, part.denominator


def calibration_source(words: Words) -> str:
    """Which part of a file `read_calibration` takes the voxel size from, in words."""
    if words.program == "OME":
        return "OME metadata"
    is_noted = "unit" in words.notes or "spacing" in words.notes or words.program == "ImageJ"
    return "ImageJ's description" if is_noted else "resolution tags"
