"""What `bone convert` shows: the output, what was done, and what its format could not hold.

In:  the result of bone_backend/converting/convert.py.
Out: lines of text for a terminal.
"""

from __future__ import annotations

from typing import Any

from bone_backend.durations import measured

from .columns import Row, rows


def page(found: dict[str, Any]) -> str:
    """The whole result."""
    size = found["voxel_size_um"]
    told = _size(size) if size else "unknown"
    classes = [f"{item['value']} {item['name']}" for item in found["classes"]]
    cut = {side: number for side, number in found["cut_off"].items() if number}
    facts: list[Row] = [
        ("Written", found["output"]),
        ("Format", found["format"]),
        ("Voxels", f"{' x '.join(map(str, found['shape']))} (z, y, x), {found['dtype']}"),
        ("Voxel size", told),
        ("Content", found["content"]),
        ("Classes", ", ".join(classes)),
        ("Done", "\n".join(found["done"])),
        ("Cut off", ", ".join(f"{number:,} voxels {side.replace('_', ' ')}" for side, number in cut.items())),
        ("Lost", "\n".join(found["lost"]) or "nothing"),
        ("Made up", "\n".join(found["made_up"])),
        ("Time, RAM", f"{measured(found['seconds'])}, peak {found['peak_ram_gib']:.2f} GiB"),
    ]
    return "\n".join(rows(facts))


def _size(size: list[float]) -> str:
    """In all directions, or along each axis."""
    if max(size) <= min(size) * 1.0001:
        return f"{size[0]:.5g} µm in all directions"
    return " x ".join(f"{length:.5g}" for length in size) + " µm (z, y, x)"
