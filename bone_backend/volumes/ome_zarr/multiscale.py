"""What an OME-Zarr says of its images: scales, axes, units, labels.

In:  a folder (.zarr), and what is chosen inside it: a scale, or labels (scan.ome.zarr#labels/bone).
Out: the array that was meant, its axes, voxel size and classes. Nothing outside of the folder is opened.
The layout is that of https://ngff.openmicroscopy.org, versions 0.4 (Zarr 2, .zattrs) and 0.5 (Zarr 3, "ome"
in zarr.json); older ones are read where they say the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import ScanError
from ...files.json_files import read_json
from ..header import UM_PER_UNIT, LabelClass, Triple, known_unit
from .array import Layout, has_array, read_layout

NAMES = (".zgroup", ".zattrs", ".zarray", "zarr.json")
SPACE = "zyx"
OLD_AXES = ("t", "c", "z", "y", "x")  # of versions that do not name them
MOST_TOLD = 8


class Chosen(NamedTuple):
    """An array. axes: where z, y, x are among its axes. place: voxel size, unit and origin."""

    folder: Path
    layout: Layout
    axes: tuple[int, int, int]
    voxel_size: Triple | None
    unit: str
    origin: Triple
    classes: tuple[LabelClass, ...]


def is_zarr(folder: Path) -> bool:
    """Whether a folder is a group or array of Zarr; False where it cannot be read."""
    try:
        return any((folder / name).is_file() for name in NAMES)
    except OSError:
        return False


def chosen(folder: Path, inside: str) -> Chosen:
    """The array that is meant. Raises ScanError, with what there is to choose."""
    parts = [part for part in inside.split("/") if part]
    if any(not re.fullmatch(r"[^\\/:\0]+", part) or part in (".", "..") for part in parts):
        raise ScanError(f"{folder}: {inside[:80]!r} is no place inside it.")
    if not is_zarr(folder):
        raise ScanError(
            f"{folder}: is no Zarr folder, whatever its name says: {', '.join(NAMES)} are missing."
        )
    group, scale = folder, ""
    for number, part in enumerate(parts):
        scales = _scales(group)
        rest = "/".join(parts[number:])
        if rest in scales:
            scale = rest
            break
        if not (group / part).is_dir():
            raise ScanError(f"{folder}: holds nothing called {inside[:80]}. {_offer(group, folder)}")
        group = group / part
    return _of_group(folder, group, scale)


def _of_group(folder: Path, group: Path, scale: str) -> Chosen:
    told = _attributes(group)
    images = told.get("multiscales")
    if images is None and has_array(group):
        return _plain(group)
    if not isinstance(images, list) or not images or not isinstance(images[0], Mapping):
        inner = _images_in(group)
        if len(inner) == 1:
            return _of_group(folder, inner[0], "")
        raise ScanError(f"{folder}: {_what(group, folder)} is no image. {_offer(group, folder)}")
    if len(images) > 1:
        raise ScanError(f"{folder}: holds {len(images)} images in one group, of which BONe reads none.")
    image = images[0]
    scales = _paths(image)
    if not scales:
        raise ScanError(f"{folder}: its image has no scales. It is damaged.")
    layouts = {path: read_layout(_below(folder, group, path)) for path in ([scale] if scale else scales)}
    finest = max(layouts, key=lambda path: math.prod(layouts[path].shape))
    return _with_place(folder, group, image, finest, layouts[finest], told)


def _with_place(
    folder: Path, group: Path, image: Mapping[str, Any], path: str, layout: Layout, told: Mapping[str, Any]
) -> Chosen:
    names, units = _axes_of(folder, image, layout)
    axes = _space_of(folder, names, layout)
    sizes, origin = _transformed(image, path, len(names))
    unit, factors = _unit(units, axes)
    size: Triple | None = None
    start = (0.0, 0.0, 0.0)
    if sizes is not None:
        z, y, x = (sizes[axis] * factor for axis, factor in zip(axes, factors, strict=True))
        if all(math.isfinite(one) and one > 0 for one in (z, y, x)) and not (unit == "" and z == y == x == 1):
            size = (z, y, x)
            moved = [origin[axis] * factor for axis, factor in zip(axes, factors, strict=True)]
            start = (moved[0], moved[1], moved[2]) if all(map(math.isfinite, moved)) else start
    place = _below(folder, group, path)
    labels = told.get("image-label") or _attributes(place.parent).get("image-label")
    return Chosen(place, layout, axes, size, unit, start, _classes(labels))


def _plain(group: Path) -> Chosen:
    """An array without any word of OME."""
    layout = read_layout(group)
    names = layout.names or [f"axis {n}" for n in range(len(layout.shape) - 3)] + list(SPACE)
    axes = _space_of(group, names, layout)
    return Chosen(group, layout, axes, None, "um", (0.0, 0.0, 0.0), ())


def _attributes(group: Path) -> Mapping[str, Any]:
    """The attributes of a group; of OME where it is one of version 0.5."""
    for name in ("zarr.json", ".zattrs"):
        place = group / name
        if not place.is_file():
            continue
        try:
            found = read_json(place)
        except (OSError, ValueError) as fault:
            raise ScanError(f"{place}: is damaged ({fault}). Copy it again.") from fault
        found = found if isinstance(found, Mapping) else {}
        if name == "zarr.json":
            found = found.get("attributes", {})
            found = found if isinstance(found, Mapping) else {}
            found = found.get("ome", found)
        return found if isinstance(found, Mapping) else {}
    return {}


def _paths(image: Any) -> list[str]:
    """The paths of the scales of an image, the finest first."""
    sets = image.get("datasets", []) if isinstance(image, Mapping) else []
    found = [one.get("path") for one in sets if isinstance(one, Mapping)] if isinstance(sets, list) else []
    return [path for path in found if isinstance(path, str)]


def _scales(group: Path) -> list[str]:
    images = _attributes(group).get("multiscales")
    return _paths(images[0]) if isinstance(images, list) and images else []


def _below(folder: Path, group: Path, path: str) -> Path:
    """The folder of a scale, which lies below its image."""
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") or re.search(r"[\\:\0]", part) for part in parts):
        raise ScanError(f"{folder}: a scale should lie in {path[:80]!r}, outside of it. It is damaged.")
    return group.joinpath(*parts)


def _images_in(group: Path) -> list[Path]:
    """The images one level below a group, as Bio-Formats writes them (0, 1, ...)."""
    try:
        inner = sorted(item for item in group.iterdir() if item.is_dir() and not item.name.startswith("."))
    except OSError as fault:
        raise ScanError(f"{group}: cannot be read ({fault.strerror or fault}).") from fault
    return [item for item in inner[:1000] if item.name not in ("labels", "OME") and _scales(item)]


def _what(group: Path, folder: Path) -> str:
    return "it" if group == folder else group.relative_to(folder).as_posix()


def _offer(group: Path, folder: Path) -> str:
    """What there is to choose."""
    base = f"{folder.name}#" + (f"{_what(group, folder)}/" if group != folder else "")
    found = [*_scales(group), *(item.name for item in _images_in(group))]
    labels = _attributes(group / "labels").get("labels", [])
    found += (
        [f"labels/{name}" for name in labels if isinstance(name, str)] if isinstance(labels, list) else []
    )
    told = ", ".join(f"{base}{name}" for name in found[:MOST_TOLD])
    return f"There are {told}." if told else "There is no image in it."


def _axes_of(folder: Path, image: Mapping[str, Any], layout: Layout) -> tuple[list[str], list[str]]:
    """Names and units of the axes."""
    told = image.get("axes") or OLD_AXES[-len(layout.shape) :]
    names = [str(axis.get("name") if isinstance(axis, Mapping) else axis).lower() for axis in told]
    units = [str(axis.get("unit") or "") if isinstance(axis, Mapping) else "" for axis in told]
    if len(names) != len(layout.shape):
        raise ScanError(
            f"{folder}: names {len(names)} axes of an array with {len(layout.shape)}. It is damaged."
        )
    return names, units


def _space_of(folder: Path, names: Any, layout: Layout) -> tuple[int, int, int]:
    """Where z, y and x are. Raises ScanError for several times or channels."""
    names = [str(name).lower() for name in names]
    shown = " x ".join(f"{name} {n}" for name, n in zip(names, layout.shape, strict=True))
    if len(layout.shape) < 3 or sorted(name for name in names if name in SPACE) != ["x", "y", "z"]:
        raise ScanError(f"{folder}: has the axes {shown}; a volume has z, y and x.")
    for name, n in zip(names, layout.shape, strict=True):
        if name not in SPACE and n != 1:
            raise ScanError(f"{folder}: has {n} along {name} ({shown}); a volume is one. Export one of them.")
    z, y, x = (names.index(name) for name in SPACE)
    return z, y, x


def _transformed(image: Mapping[str, Any], path: str, axes: int) -> tuple[list[float] | None, list[float]]:
    """Scale and translation of a scale: its own, and those of the whole image after it."""
    sizes, origin, is_told = [1.0] * axes, [0.0] * axes, False
    sets = [one for one in image["datasets"] if isinstance(one, Mapping) and one.get("path") == path]
    for place in (*sets[:1], image):
        steps = place.get("coordinateTransformations")
        for step in steps if isinstance(steps, list) else []:
            kind = step.get("type") if isinstance(step, Mapping) else None
            values = step.get(kind) if kind in ("scale", "translation") else None
            if not isinstance(values, list) or len(values) != axes:
                continue
            try:
                numbers = [float(value) for value in values]
            except (TypeError, ValueError, OverflowError):
                return None, origin
            if kind == "scale":
                is_told = True
                sizes = [a * b for a, b in zip(sizes, numbers, strict=True)]
                origin = [a * b for a, b in zip(origin, numbers, strict=True)]
            else:
                origin = [a + b for a, b in zip(origin, numbers, strict=True)]
    return (sizes if is_told else None), origin


def _unit(units: list[str], axes: tuple[int, int, int]) -> tuple[str, tuple[float, float, float]]:
    """The unit of z, y and x together, and what turns each into it; "" where one of them is unknown."""
    known = [known_unit(units[axis]) for axis in axes]
    names = {unit for unit, _ in known}
    if "" in names:
        return "", (1.0, 1.0, 1.0)
    if len(names) > 1:
        known = [("um", UM_PER_UNIT[unit] * factor) for unit, factor in known]
    return known[0][0], (known[0][1], known[1][1], known[2][1])


def _classes(told: Any) -> tuple[LabelClass, ...]:
    """The classes of a label image: colours, and names in its properties ("name", "class", ...)."""
    if not isinstance(told, Mapping):
        return ()
    names: dict[int, str] = {}
    colours: dict[int, str | None] = {}
    for entry in _entries(told, "properties"):
        name = next(
            (entry[key] for key in ("name", "class", "label-name") if isinstance(entry.get(key), str)), ""
        )
        names[entry["label-value"]] = name
    for entry in _entries(told, "colors"):
        colours[entry["label-value"]] = _colour(entry.get("rgba"))
    values = sorted({*names, *colours})
    return tuple(
        LabelClass(
            value, names.get(value) or ("background" if value == 0 else f"class {value}"), colours.get(value)
        )
        for value in values
    )


def _colour(rgba: Any) -> str | None:
    if not isinstance(rgba, list) or len(rgba) != 4:
        return None
    is_sound = all(type(n) is int and 0 <= n < 256 for n in rgba)
    return "#" + "".join(f"{n:02x}" for n in rgba[:3]) if is_sound else None


def _entries(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The entries of a list that are about a label."""
    found = told.get(name)
    return [
        entry
        for entry in (found[:65536] if isinstance(found, list) else [])
        if isinstance(entry, Mapping)
        and type(entry.get("label-value")) is int
        and 0 <= entry["label-value"] <= 65535
    ]
