"""What `bone check` shows: a line for each pair, what its grey values and labels are, then every finding.

In:  the result of bone_backend/checking/check.py.
Out: text.
"""

from __future__ import annotations

from typing import Any

from .columns import percent, sentence, size, table

MOST_LABELS = 5  # columns of labels, besides one for all others


def page(found: dict[str, Any]) -> str:
    """The tables of pairs, the findings, and what a fit would do."""
    heads = ["pair", "size (z, y, x)", "voxels, \N{MICRO SIGN}m", "scan", "mask", "labels"]
    lines = table(heads, [_row(row) for row in found["pairs"]])
    lines += _contents(found["pairs"]) + _subjects(found["pairs"])
    for finding in found["findings"]:
        of = f"pair {finding['pair']}: " if finding["pair"] else ""
        end = "" if finding["text"].endswith(("?", ".")) else "."
        told = f"{finding['kind'].upper()}: {of}{finding['text']}{end}"
        lines += ["", *(sentence(line) for line in told.split("\n"))]
    if found["fit"]:
        lines += ["", *map(sentence, found["fit"]["told"])]
    faults, doubts, pairs = found["faults"], found["doubts"], len(found["pairs"])
    told = f"{pairs} pair{'s' * (pairs != 1)}, {size(found['gib'] * 2**30)} in memory: "
    told += f"{faults} fault{'s' * (faults != 1)} with which no fit begins, " if faults else "no fault, "
    told += f"{doubts} doubt{'s' * (doubts != 1)}." if doubts else "no doubt."
    lines += ["", sentence(told)]
    return "\n".join(lines + [f"Page: {found['page']}"] * bool(found["page"]))


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


def _contents(rows: list[dict[str, Any]]) -> list[str]:
    """Grey values of the two tissues, and the share of each label, scan by scan."""
    values = sorted({int(value) for row in rows for value in row.get("labels", {})})
    shown, others = values[:MOST_LABELS], values[MOST_LABELS:]
    heads = ["pair", "two tissues", *(f"label {value}" for value in shown), *["others"] * bool(others)]
    lines = []
    for row in rows:
        labels = {int(value): voxels for value, voxels in row.get("labels", {}).items()}
        tissues = (row.get("statistics") or {}).get("tissues")
        if not labels and not tissues:
            continue
        total = max(sum(labels.values()), 1)
        shares = [percent(labels.get(value, 0) / total) for value in shown]
        rest = [percent(sum(labels.get(value, 0) for value in others) / total)] * bool(others)
        greys = f"{tissues['low']:.4g}, {tissues['high']:.4g}" if tissues else "-"
        lines.append([f"{row['number']} {row['name']}", greys, *shares, *rest])
    return ["", *table(heads, lines)] if lines else []


def _subjects(rows: list[dict[str, Any]]) -> list[str]:
    """Who comes from whom, where that is given."""
    of: dict[str, list[str]] = {}
    for row in rows:
        if row["subject"]:
            of.setdefault(row["subject"], []).append(str(row["number"]))
    told = "; ".join(f"{name}: {', '.join(numbers)}" for name, numbers in of.items())
    return ["", sentence(f"Subjects and their pairs: {told}.")] if of else []
