"""AmiraMesh files: uniform scalar fields and label fields with materials.

In:  a .am file (ASCII or binary; byte, short, ushort, int, float or double; raw, HxByteRLE or HxZip).
Out: a field of the stand-in; and back, raw little-endian.
The lattice variable decides: `Labels` makes a label field, anything else a scalar field.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np

from .fields import LABEL, SCALAR, HxRegScalarField3

TYPES = {"byte": "u1", "short": "i2", "ushort": "u2", "int": "i4", "float": "f4", "double": "f8"}
NAMES = {np.dtype(code): name for name, code in TYPES.items()}


def read(path):
    """The field in the file `path`, not in the project. ValueError when it is no such file."""
    content = path.read_bytes()
    if not re.match(rb"# (AmiraMesh|Avizo)", content):
        raise ValueError(f"{path.name} is no AmiraMesh file.")
    start = re.search(rb"\n@1[ \t\r]*\n", content)
    if start is None:
        raise ValueError(f"{path.name} has no data section @1.")
    header = content[: start.start()].decode("latin-1")
    header = re.sub(r"(?m)^\s*#(?!.*(AmiraMesh|Avizo)).*$", "", header)
    shape = tuple(int(n) for n in _found(r"define\s+Lattice\s+(\d+)\s+(\d+)\s+(\d+)", header, path).groups())
    lattice = _found(r"Lattice\s*\{\s*(\w+)\s+(\w+)\s*\}\s*=?\s*@1(?:\((\w+),(\d+)\))?", header, path)
    kind, variable, coding, size = lattice.groups()
    order = ">" if "BINARY" in header[:80] and "LITTLE" not in header[:80] else "<"
    voxels = _voxels(
        content[start.end() :],
        np.dtype(order + TYPES[kind]),
        shape,
        coding,
        size,
        ascii_="ASCII" in header[:80],
    )
    field = HxRegScalarField3(LABEL if variable == "Labels" else SCALAR, path.name.replace(" ", "-"))
    field.set_array(voxels.astype(voxels.dtype.newbyteorder("=")).reshape(shape, order="F"))
    box = re.search(r"BoundingBox\s+([-+\d.eE ]+)", header)
    if box is not None:
        numbers = [float(n) for n in box.group(1).split()]
        field.bounding_box = (numbers[0::2], numbers[1::2])
    field._mock_materials = _materials(header)
    return field


def _found(pattern, header, path):
    match = re.search(pattern, header)
    if match is None:
        raise ValueError(f"{path.name}: nothing like '{pattern}' in its header.")
    return match


def _voxels(body, dtype, shape, coding, size, *, ascii_):
    """The voxels as a flat array, x fastest."""
    count = int(np.prod(shape))
    if ascii_:
        return np.array(body.split()[:count], dtype=float).astype(dtype)
    if coding == "HxZip":
        body = zlib.decompress(body[: int(size)])
    elif coding == "HxByteRLE":
        body = _run_lengths(body[: int(size)])
    elif coding is not None:
        raise ValueError(f"the coding {coding} is not known.")
    return np.frombuffer(body, dtype=dtype, count=count)


def _run_lengths(body):
    """Undo HxByteRLE: n < 128 repeats the next byte n times, n > 128 copies the next n - 128 bytes."""
    out = bytearray()
    at = 0
    while at < len(body):
        n = body[at]
        if n & 128:
            n &= 127
            out += body[at + 1 : at + 1 + n]
            at += 1 + n
        else:
            out += body[at + 1 : at + 2] * n
            at += 2
    return bytes(out)


def _materials(header):
    """{name: {'Id': int, 'Color': [r, g, b]}} of the Materials block; without Id: its place."""
    block = re.search(r"Materials\s*\{((?:[^{}]|\{[^{}]*\})*)\}", header)
    materials = {}
    for place, (quoted, plain, inner) in enumerate(
        re.findall(r"(?:\"([^\"]+)\"|([\w.+-]+))\s*\{([^{}]*)\}", block.group(1) if block else ""), start=1
    ):
        number = re.search(r"\bId\s+(\d+)", inner)
        color = re.search(r"\bColor\s+([-+\d.eE ]+)", inner)
        material = {"Id": int(number.group(1)) if number else place}
        if color is not None:
            material["Color"] = [float(n) for n in color.group(1).split()]
        materials[quoted or plain] = material
    return materials


def write(path, field):
    """Write `field` to `path` as binary little-endian AmiraMesh; a label field with its materials."""
    low, high = field.bounding_box
    is_label = field._cpp_classname == LABEL
    array = field._mock_array
    lines = [
        "# AmiraMesh BINARY-LITTLE-ENDIAN 2.1",
        "",
        "define Lattice " + " ".join(map(str, array.shape)),
        "",
    ]
    lines.append("Parameters {")
    if is_label:
        lines.append("    Materials {")
        for name, material in field._mock_material_dict().items():
            color = " ".join(f"{c:g}" for c in material.get("Color", (1, 1, 1)))
            lines.append(
                f"        {name} {{\n            Id {material['Id']},\n            Color {color}\n        }}"
            )
        lines.append("    }")
    box = " ".join(f"{v:.17g}" for pair in zip(low, high, strict=True) for v in pair)
    lines += [f"    BoundingBox {box},", '    CoordType "uniform"', "}", ""]
    lines += [
        f"Lattice {{ {NAMES[array.dtype]} {'Labels' if is_label else 'Data'} }} @1",
        "",
        "# Data section follows",
        "@1",
        "",
    ]
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    Path(path).write_bytes("\n".join(lines).encode() + little.tobytes(order="F") + b"\n")
