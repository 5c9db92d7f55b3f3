"""What `bone check` shows: a line for each pair, what its grey values and labels are, then every finding.

In:  the result of bone_backend/checking/check.py.
Out: text.
"""

from __future__ import annotations

from typing import Any

from bone_backend.checking.words import laid
from bone_backend.volumes.classes import class_name
from bone_backend.volumes.header import GIVEN

from .cards import name_of
from .columns import percent, printable, sentence, size, table, width

MOST_LABELS = 5  # columns of labels, besides one for all others


def page(found: dict[str, Any]) -> str:
    """The tables of pairs, the findings, and what a fit would do."""
    heads = ["pair", "size (z, y, x)", "voxels, \N{MICRO SIGN}m", "scan", "mask", "labels"]
    lines = table(heads, [_row(row) for row in found["pairs"]])
    if any(row["scan"].get("voxel_size_from") == GIVEN for row in found["pairs"]):
        lines += ["", "The voxel sizes are given by --voxel-size."]
    lines += _contents(found["pairs"], found["classes"]) + _subjects(found["pairs"])
    for finding in found["findings"]:
        of = f"pair {finding['pair']}: " if finding["pair"] else ""
        end = "" if finding["text"].endswith(("?", ".")) else "."
        told = f"{finding['kind'].upper()}: {of}{finding['text']}{end}"
        lines += ["", *(sentence(line) for line in told.split("\n"))]
    for line in laid(found["pairs"]):
        lines += ["", sentence(line)]
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


def _contents(rows: list[dict[str, Any]], classes: list[dict[str, Any]]) -> list[str]:
    """Grey values of the two tissues, and the share of each label, scan by scan; labels by their names."""
    values = [item["value"] for item in classes]
    shown, others = values[:MOST_LABELS], values[MOST_LABELS:]
    names = {item["value"]: printable(item["name"]) for item in classes}
    told = [name_of(names, value) for value in shown]
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
    if not lines:
        return []
    end = ["others"] * bool(others)
    made = table(["pair", "two tissues", *told, *end], lines)
    if max(map(len, made)) <= width() and not others:
        return ["", *made]
    made = table(["pair", "two tissues", *(f"label {value}" for value in shown), *end], lines)
    are_named = any(names[value] != class_name(value) for value in values)
    known = ", ".join(name_of(names, value) for value in values)
    return ["", *made, *(["", sentence(f"Labels: {known}.")] if are_named else [])]


def _subjects(rows: list[dict[str, Any]]) -> list[str]:
    """Who comes from whom, where that is given."""
    of: dict[str, list[str]] = {}
    for row in rows:
        if row["subject"]:
            of.setdefault(row["subject"], []).append(str(row["number"]))
    told = "; ".join(f"{name}: {', '.join(numbers)}" for name, numbers in of.items())
    return ["", sentence(f"Subjects and their pairs: {told}.")] if of else []
