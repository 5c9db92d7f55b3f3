"""The voxel size that a scanner's program wrote into a file beside its slices.

In:  a folder of slices or a file, and its shape (z, y, x).
Out: voxel size, unit, and the name of the file that says it; None where none does, or where two disagree.
SkyScan's NRecon (`*_rec.log`), Nikon's CT Pro (`.xtekct`) and VGStudio (`.vgi`). A side file that
tells another width or height than the slices have is of another volume (a crop, say), and is left alone.
"""

from __future__ import annotations

import configparser
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .header import Triple, known_unit

MOST_BYTES = 1 << 20  # a log has some kB
MOST_FILES = 20  # that are looked into; a folder of reports is none of a scanner's


class Told(NamedTuple):
    """Voxel size (z, y, x) in unit, and where it stands."""

    voxel_size: Triple
    unit: str
    source: str


class _Found(NamedTuple):
    """What a side file says: sizes (z, y, x) in unit, and the width and height that it announces, or None."""

    sizes: tuple[float, ...]
    unit: str
    width: float | None
    height: float | None


def told_beside(path: Path, shape: tuple[int, int, int]) -> Told | None:
    """What side files say of a volume.

    Of a folder those in it count; of a file those beside it that bear its name. Never raises.
    """
    answers = {}
    for place in _candidates(path):
        found = _read(place)
        if found is None or not _is_of(found, shape):
            continue
        sizes = tuple(float(size) for size in found.sizes)
        if len(sizes) == 3 and all(math.isfinite(size) and size > 0 for size in sizes):
            answers[sizes, found.unit] = Told((sizes[0], sizes[1], sizes[2]), found.unit, place.name)
    return next(iter(answers.values())) if len(answers) == 1 else None


def _candidates(path: Path) -> list[Path]:
    """The side files that may belong to a volume, by their names."""
    folder = path if path.is_dir() else path.parent
    stem = "" if path.is_dir() else path.name.lower().split(".")[0]
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in _READERS)
    except OSError:
        return []
    if stem:
        names = [name for name in names if _bare(name) in (stem, stem.removesuffix("_rec"))]
    return [folder / name for name in names[:MOST_FILES]]


def _bare(name: str) -> str:
    return name.lower().rsplit(".", 1)[0].removesuffix("_rec")


def _read(path: Path) -> _Found | None:
    """What a side file says; None where it is no such file."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        return _READERS[path.suffix.lower()](path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, configparser.Error):
        return None


def _sections(text: str) -> dict[str, dict[str, str]]:
    """An INI file, sections and keys in lower case; later ones win."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=False, delimiters=("=",), comment_prefixes=(";",), allow_no_value=True
    )
    parser.read_string(text.lstrip("\ufeff"))
    return {
        name.lower(): {key: value or "" for key, value in parser[name].items()} for name in parser.sections()
    }


def _number(text: str | None) -> float | None:
    """A number with a point or a decimal comma."""
    return float(text.strip().replace(",", ".")) if text and text.strip() else None


def _skyscan(text: str) -> _Found | None:
    """NRecon: the pixel size of the reconstruction, not that of the camera."""
    told = _sections(text).get("reconstruction", {})
    size = _number(told.get("pixel size (um)"))
    if size is None:
        return None
    width, height = (_number(told.get(f"result image {side} (pixels)")) for side in ("width", "height"))
    return _Found((size, size, size), "um", width, height)


def _nikon(text: str) -> _Found | None:
    """CT Pro: VoxelSizeX, Y, Z in mm."""
    told = _sections(text).get("xtekct", {})
    sizes = [_number(told.get(f"voxelsize{axis}")) for axis in "zyx"]
    if any(size is None for size in sizes):
        return None
    return _Found(
        tuple(size for size in sizes if size is not None),
        "mm",
        _number(told.get("voxelsx")),
        _number(told.get("voxelsy")),
    )


def _vgstudio(text: str) -> _Found | None:
    """VGStudio: `resolution` (x y z) and `unit` of the geometry, `size` of the file."""
    resolution = re.findall(r"^\s*resolution\s*=\s*(.+)$", text, re.MULTILINE | re.IGNORECASE)
    if len({" ".join(line.split()) for line in resolution}) != 1:
        return None
    sizes = tuple(float(part) for part in resolution[0].split())
    named = re.search(r"^\s*unit\s*=\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    unit, factor = known_unit(named[1] if named else "")
    extent = re.search(r"^\s*size\s*=\s*(\d+)\s+(\d+)\s+\d+", text, re.MULTILINE | re.IGNORECASE)
    width, height = (float(extent[1]), float(extent[2])) if extent else (None, None)
    return _Found(tuple(size * factor for size in reversed(sizes)), unit, width, height)


def _is_of(found: _Found, shape: tuple[int, int, int]) -> bool:
    """Whether slices of this shape are those that the file announces."""
    return found.width in (None, shape[2]) and found.height in (None, shape[1])


_READERS: dict[str, Callable[[str], _Found | None]] = {
    ".log": _skyscan,
    ".xtekct": _nikon,
    ".vgi": _vgstudio,
}
