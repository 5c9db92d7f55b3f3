"""What `bone check` found, as one page of HTML that needs nothing from outside.

In:  the findings as plain values, and slices of each pair.
Out: the text of the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..checking.planes import Look
from ..checking.words import laid
from ..intensity.normalisation import Normalisation
from ..intensity.summary import Statistics
from ..volumes.classes import TRAINING, VALIDATION
from ..volumes.header import GIVEN
from ..volumes.output import size_in_words
from .greys import MOST_ROWS, Row, drawn
from .pictures import NOT_COUNTED, data_uri, label_png, png
from .rendering import rendered
from .tables import words_for_time

MOST_COLUMNS = 8  # labels in the table; all others together in one more
MOST_COLOURS = 64
ODD = "unlike the others"
GIB = 2**30

Found = Mapping[str, Any]


def page(found: Found, looks: Mapping[int, Sequence[Look]]) -> str:
    """The whole page. looks: slices of the pairs, by number."""
    classes = found["classes"]
    of_pair: dict[int | None, list[Any]] = {}
    for finding in found["findings"]:
        of_pair.setdefault(finding["pair"], []).append(finding)
    text = rendered(
        "check.html",
        tiles=_tiles(found),
        findings=found["findings"],
        told=[*laid(found["pairs"]), *(found["fit"]["told"] if found["fit"] else [])],
        pairs=[_pair(row, found, of_pair.get(row["number"], [])) for row in found["pairs"]],
        labels=_labels(found, classes),
        greys=_greys(found),
        pictures=[
            _pictures(row, looks[row["number"]], classes, of_pair)
            for row in found["pairs"]
            if looks.get(row["number"])
        ],
        legend=[item for item in classes if item["value"]][:MOST_COLOURS],
        left_out=len(found["pairs"]) - len(looks),
    )
    return str(text)


def _tiles(found: Found) -> list[dict[str, str]]:
    return [
        {
            "title": "Pairs",
            "value": f"{len(found['pairs'])}",
            "note": f"{size_in_words(int(found['gib'] * GIB))} in memory",
        },
        {"title": "Faults", "value": f"{found['faults']}", "note": "with which no fit begins"},
        {"title": "Doubts", "value": f"{found['doubts']}", "note": "to be looked at"},
        {"title": "Time", "value": words_for_time(found["seconds"]), "note": "every voxel was read"},
    ]


def _pair(row: Found, found: Found, findings: Sequence[Found]) -> dict[str, Any]:
    """A line of the table of pairs, for its scan and its mask."""
    sides = []
    for side in ("scan", "mask"):
        facts = row[side]
        sides.append(
            {
                "side": side,
                "path": facts["path"],
                "format": facts.get("format", "cannot be read"),
                "shape": " × ".join(map(str, facts.get("shape", []))),
                "dtype": facts.get("dtype", ""),
                "voxel": _size(facts),
                "source": _source(facts.get("voxel_size_from") or ""),
                "matched": facts.get("matched", ""),
            }
        )
    kinds = {finding["kind"] for finding in findings}
    guess = f"subject: perhaps {row['guessed_subject']} (a guess)" if row["guessed_subject"] else ""
    notes = [
        "fault" if "fault" in kinds else "doubt" if kinds else "",
        f"subject: {row['subject']}" if row["subject"] else guess,
        _use(row["number"], found["fit"]),
    ]
    return {
        "number": row["number"],
        "name": row["name"],
        "notes": [note for note in notes if note],
        "sides": sides,
    }


def _source(told_by: str) -> str:
    return f"given by {told_by}" if told_by == GIVEN else told_by


def _size(facts: Found) -> str:
    if "shape" not in facts:
        return ""
    told = [f"{one:.4g}" for one in facts["voxel_size_um"] or []]
    return f"{told[0] if len(set(told)) == 1 else ' × '.join(told)} µm" if told else "unknown"


def _use(number: int, fit: Found | None) -> str:
    split = fit["split"] if fit else None
    if not split:
        return ""
    uses = [side for side in ("training", "validation") if number in split[side]]
    return " and ".join(uses)


def _labels(found: Found, classes: Sequence[Found]) -> dict[str, Any] | None:
    """Voxels and share of each label, mask by mask."""
    shown, others = classes[:MOST_COLUMNS], {item["value"] for item in classes[MOST_COLUMNS:]}
    rows = []
    for row in found["pairs"]:
        labels = {int(value): voxels for value, voxels in row.get("labels", {}).items()}
        if labels:
            total = sum(labels.values())
            cells = [_cell(labels.get(item["value"], 0), total) for item in shown]
            rest = [_cell(sum(n for value, n in labels.items() if value in others), total)] * bool(others)
            rows.append({"name": f"{row['number']} {row['name']}", "cells": cells + rest})
    return {"classes": shown, "has_others": bool(others), "rows": rows} if rows else None


def _cell(voxels: int, total: int) -> dict[str, str]:
    share = voxels / max(total, 1)
    return {"share": f"{share:.2%}" if voxels else "none", "voxels": f"{voxels:,}" if voxels else ""}


def _greys(found: Found) -> dict[str, Any] | None:
    """The grey values of all scans as they are stored, on one scale."""
    odd = {one["pair"] for one in found["findings"] if "unlike those of most" in one["text"]}
    plain = Normalisation("as stored", shift=0.0, scale=1.0, low=-np.inf, high=np.inf)
    rows = []
    for row in found["pairs"]:
        tissues = Statistics.from_dict(row["statistics"]).tissues if row.get("statistics") else None
        if tissues is not None and tissues.histogram is not None:
            use = ODD if row["number"] in odd else ""
            rows.append(
                Row(
                    f"{row['number']} {row['name']}",
                    use,
                    (tissues.low, tissues.high),
                    tissues.histogram,
                    plain,
                )
            )
    if not rows:
        return None
    first = sorted(rows, key=lambda row: row.use != ODD)[:MOST_ROWS]  # those that are marked at any rate
    shown = [row for row in rows if row in first]
    colours = {"": TRAINING, ODD: VALIDATION}
    picture = drawn(shown, scale="grey value as it is stored", colours=colours)
    return {"picture": picture, "left_out": len(rows) - len(shown)}


def _pictures(
    row: Found, looks: Sequence[Look], classes: Sequence[Found], of_pair: Mapping[int | None, Sequence[Found]]
) -> dict[str, Any]:
    """Slices of a pair, each as it is and with its mask on it."""
    colours = [item["colour"] for item in classes[:MOST_COLOURS]]
    places = np.array([item["value"] for item in classes[:MOST_COLOURS]] or [0])
    slices = []
    for look in looks:
        height, width = look.grey.shape
        layer = ""
        if look.labels is not None:
            index = np.clip(np.searchsorted(places, look.labels), 0, len(places) - 1)
            index = np.where(places[index] == look.labels, index, NOT_COUNTED).astype(np.uint8)
            layer = data_uri(label_png(index, colours))
        slices.append(
            {
                "id": f"pair{row['number']}slice{look.z}",
                "z": look.z + 1,
                "grey": data_uri(png(look.grey)),
                "layer": layer,
                "width": width,
                "height": height,
                "is_sharp": width < 250,
            }
        )
    texts = [finding["text"] for finding in of_pair.get(row["number"], [])]
    return {"name": f"{row['number']} {row['name']}", "slices": slices, "texts": texts}
