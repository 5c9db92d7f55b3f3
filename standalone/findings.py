"""What `bone check` shows: a line for each pair, then every finding in a sentence.

In:  the result of bone_backend/checking/check.py.
Out: text.
"""

from __future__ import annotations

from typing import Any

from .columns import sentence, size, table


def page(found: dict[str, Any]) -> str:
    """The table of pairs, the findings, and how many there are."""
    heads = ["pair", "size (z, y, x)", "voxels, \N{MICRO SIGN}m", "scan", "mask", "labels"]
    lines = table(heads, [_row(row) for row in found["pairs"]])
    for finding in found["findings"]:
        of = f"pair {finding['pair']}: " if finding["pair"] else ""
        lines += ["", sentence(f"{finding['kind'].upper()}: {of}{finding['text'].rstrip('.')}.")]
    faults, doubts, pairs = found["faults"], found["doubts"], len(found["pairs"])
    told = f"{pairs} pair{'s' * (pairs != 1)}, {size(found['gib'] * 2**30)} in memory: "
    told += f"{faults} fault{'s' * (faults != 1)} with which no fit begins, " if faults else "no fault, "
    told += f"{doubts} doubt{'s' * (doubts != 1)}." if doubts else "no doubt."
    return "\n".join([*lines, "", sentence(told)])


def _row(row: dict[str, Any]) -> list[str]:
    scan, mask = row["scan"], row["mask"]
    sizes = scan.get("voxel_size_um")
    voxels = "unknown" if "shape" in scan else "-"
    if sizes:
        told = [f"{one:.4g}" for one in sizes]
        voxels = told[0] if len(set(told)) == 1 else " x ".join(told)
    labels = [*row.get("labels", {})]
    shown = " ".join(map(str, labels[:6])) + (" ..." if len(labels) > 6 else "")
    shape = " x ".join(map(str, scan["shape"])) if "shape" in scan else "-"
    cells = [f"{row['number']} {row['name']}", shape, voxels, scan.get("dtype", "-"), mask.get("dtype", "-")]
    return [*cells, shown or "-"]
