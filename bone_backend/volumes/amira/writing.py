"""Write labels as an AmiraMesh file (.am), which carries the names and colours of its materials; or a scan.

In:  labels (z, y, x), and value, name and colour of each class; or greys, without classes.
Out: one binary file that Amira and Avizo open as a label field, or a scalar field, whole or not at all.
The layout is that of label fields in public files; a material's Id is its label value + 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OutputError, ScanError
from ...files.whole import whole_file
from ...progress import Progress, silent
from ..abstract import Volume
from ..header import Header
from ..lattice import Box, box_of
from ..medical.voxels import BlockWriter
from ..output import prepare

LABELS = {np.dtype(np.uint8): "byte", np.dtype(np.uint16): "ushort"}
NUMBERS = LABELS | {
    np.dtype(np.int16): "short",
    np.dtype(np.int32): "int",
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
}
EXTERIOR = "Exterior"  # what Avizo calls label 0


def material_name(name: str, value: int) -> str:
    """A class's name as a material's: one word, and Avizo's own for background.

    >>> material_name("trabecular bone", 1), material_name("background", 0)
    ('trabecular_bone', 'Exterior')
    """
    if value == 0 and name.lower() in ("", "background"):
        return EXTERIOR
    word = re.sub(r"[^\w.+-]", "_", name, flags=re.ASCII).strip("_")
    return word if re.match(r"[A-Za-z]", word) else f"Material_{word or value}"


def write_labels(
    path: Path,
    labels: Volume,
    *,
    box: Box,
    classes: Sequence[Mapping[str, Any]],
    overwrite: bool = False,
    progress: Progress = silent,
) -> None:
    """Write a label volume, slab by slab.

    box: of voxel centres, ((xmin, ymin, zmin), (xmax, ymax, zmax)). classes: of each class {"value", "name",
    "colour": "#rrggbb" or None}. Raises ScanError for other types than uint8 and uint16, OutputError where it
    cannot be written.
    """
    if labels.header.dtype not in LABELS:
        raise ScanError(
            f"{labels.header.name}: holds {labels.header.dtype}; labels in AmiraMesh are uint8 or uint16."
        )
    prepare(path, overwrite=overwrite, needed_bytes=labels.header.nbytes)
    depth = labels.header.shape[0]
    with whole_file(path) as file:
        file.write(header_text(labels.header, box=box, classes=classes).encode("ascii"))
        for z0, z1 in labels.slabs():
            progress(z0, depth, f"Writing {path.name}")
            slab = labels.read(z0, z1)
            file.write(memoryview(slab.astype(slab.dtype.newbyteorder("<"), copy=False)).cast("B"))
        file.write(b"\n")


class AmiraWriter(BlockWriter):
    """Writes a label field slab by slab, with the classes of its header as materials; or greys, without.

    Raises OutputError for numbers that such a field does not hold.
    """

    def __init__(self, path: Path, header: Header, *, overwrite: bool = False):
        if header.dtype not in (LABELS if header.classes else NUMBERS):
            told = (
                "labels in AmiraMesh are uint8 or uint16"
                if header.classes
                else "AmiraMesh has no such numbers"
            )
            raise OutputError(f"{path}: would hold {header.dtype}; {told}.")
        box = box_of(header.shape, header.voxel_size or (1.0, 1.0, 1.0), origin=header.origin)
        classes = [item._asdict() for item in header.classes]
        unit = header.unit if header.voxel_size else ""
        is_field = not header.classes
        start = header_text(header, box=box, classes=classes, unit=unit, is_scalar=is_field).encode("ascii")
        super().__init__(path, header, start, overwrite=overwrite)


def header_text(
    header: Header,
    *,
    box: Box,
    classes: Sequence[Mapping[str, Any]],
    unit: str = "",
    is_scalar: bool = False,
) -> str:
    """What stands before the voxels. unit: of the box, where it is known. is_scalar: of greys, no labels."""
    depth, height, width = header.shape
    kind = NUMBERS[header.dtype]
    low, high = box
    numbers = " ".join(f"{float(value):.9g}" for pair in zip(low, high, strict=True) for value in pair)
    taken: set[str] = set()
    materials = "".join(
        _material(entry, taken) for entry in sorted(classes, key=lambda entry: entry["value"])
    )
    listed = "" if is_scalar else f"    Materials {{\n{materials}    }}\n"
    units = f'    Units {{\n        Coordinates "{unit}"\n    }}\n' if unit else ""
    return (
        "# AmiraMesh BINARY-LITTLE-ENDIAN 2.1\n\n\n"
        f"define Lattice {width} {height} {depth}\n\n"
        "Parameters {\n"
        f"{listed}{units}"
        f'    Content "{width}x{height}x{depth} {kind}, uniform coordinates",\n'
        f"    BoundingBox {numbers},\n"
        '    CoordType "uniform"\n'
        "}\n\n"
        f"Lattice {{ {kind} {'Data' if is_scalar else 'Labels'} }} @1\n\n"
        "# Data section follows\n@1\n"
    )


def _material(entry: Mapping[str, Any], taken: set[str]) -> str:
    value = int(entry["value"])
    name = material_name(str(entry.get("name") or ""), value)
    if name in taken:
        name = f"{name}_{value}"
    taken.add(name)
    lines = [f"            Id {value + 1}"]
    colour = entry.get("colour")
    if colour:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        lines = [lines[0] + ",", "            Color " + " ".join(f"{part:.4g}" for part in parts)]
    return f"        {name} {{\n" + "\n".join(lines) + "\n        }\n"
