"""What a file or folder is that BONe itself has made and that is neither model, run nor study.

In:  a path.
Out: plain values: what it is, facts by name, what to do with it; None where it is none of these.
Records and unfinished labels are known by what they say of themselves, tables by their columns, pages by the
line above their title.
"""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.json_files import parse_json, read_json
from ..runs.files import INPUTS, LOG, OPTIONS, SPLIT
from ..runs.files import RECORD as RUN_RECORD
from ..scores.meaning import KIND as RECORD_KIND
from ..scores.meaning import record_path
from ..volumes import kept
from . import exported
from . import run as run_facts

RECORD = record_path(Path("x")).name.removeprefix("x")
MOST_BYTES = 1 << 20  # of a page or table that are looked at
PAGE = re.compile(r"class=kind>BONe ([a-z ]+)</p><h1>(.*?)</h1>", re.DOTALL)
TABLES = {  # how the columns begin
    ("class", "iou", "dice"): "a table of bone iou: the scores of each class",
    ("z", "mean_iou", "counted_voxels"): "a table of bone iou: the scores of each slice",
    ("of", "index", "value", "unit"): "a table of bone measure: the indices of bone",
    ("slice", "z_mm"): "a table of bone measure: the profile, a row for each slice",
    ("slice", "z_voxels"): "a table of bone measure: the profile, a row for each slice",
    ("configuration", "fold", "seed"): "the results of a study: a row for each run and scan",
    ("epoch",): "the scores of a fit: a row for each epoch",
    ("scan", "mask"): "a table of pairs, for bone fit --pairs-from",
    ("scan", "output"): "a table of scans, for bone predict",
    ("scan",): "a table of scans, for bone predict",
}
OF_RUN = {
    OPTIONS: "the options of a fit",
    INPUTS: "what a fit has read",
    SPLIT: "which scans of a fit are for training and which for validation",
    RUN_RECORD: "the record of a fit",
    LOG: "the log of a fit",
}


def facts(path: Path) -> dict[str, Any] | None:
    """Never a fault: what is damaged is none of ours."""
    try:
        if path.is_dir():
            return _unfinished(path)
        if path.name in OF_RUN and run_facts.is_run(path.parent):
            return _told(path, OF_RUN[path.name], {}, f"The whole run: bone info {path.parent}")
        if path.name.endswith(RECORD):
            return _record(path)
        if path.suffix.lower() in exported.ENDINGS:
            return _exported(path)
        look = {".html": _page, ".csv": _table}.get(path.suffix.lower())
        return look(path) if look else None
    except (OSError, ValueError, TypeError, KeyError, csv.Error):
        return None


def _told(path: Path, what: str, known: Mapping[str, Any], advice: str) -> dict[str, Any]:
    found = {name: str(text) for name, text in known.items() if text not in (None, "")}
    return {"kind": "ours", "path": str(path), "what": what, "facts": found, "advice": advice}


def _unfinished(folder: Path) -> dict[str, Any] | None:
    """Labels in the making, or what is left of them."""
    state = read_json(folder / kept.STATE)
    if not isinstance(state, dict) or state.get("kind") != kept.KIND:
        return None
    lines = _lines(folder / kept.SLABS)
    passes = _lines(folder / "passes.jsonl")
    of_all = f" of {state['slices']:,}" if "slices" in state else ""
    known = {
        "Slices": f"{lines[-1]['end']:,}{of_all} are labelled" if lines else None,
        "Passes": f"in pass {passes[-1]['pass'] + 1}, up to slice {passes[-1]['end']:,}" if passes else None,
        "Bytes": f"{sum(file.stat().st_size for file in folder.iterdir()):,}",
    }
    advice = "The command that began it goes on here. Delete the folder to begin anew."
    return _told(folder, "unfinished labels, of a prediction that runs or was broken off", known, advice)


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [parse_json(line) for line in path.read_bytes().split(b"\n")[:-1]]


def _record(path: Path) -> dict[str, Any] | None:
    """What made labels."""
    told = read_json(path)
    if not isinstance(told, dict) or told.get("kind") != RECORD_KIND:
        return None
    labels = path.with_name(path.name.removesuffix(RECORD))
    result, options = told.get("result") or {}, told.get("options") or {}
    models = [told["model"], *(told.get("more_models") or [])]
    sure = (result.get("confidence") or {}).get("mean")
    known = {
        "Labels": labels if labels.exists() else f"{labels}, which is not there",
        "Scan": options.get("scan"),
        "Models": ", ".join(str(model["file"]) for model in models),
        "Classes": ", ".join(f"{one['value']} {one['name']}" for one in told["classes"]),
        "Confidence": f"mean {sure:.4f}" if isinstance(sure, float) else None,
        "Cleaned": ", ".join(str(one["step"]) for one in result.get("cleaning") or ()),
        "Device": result.get("device"),
        "Written": told.get("written"),
    }
    return _told(path, "the record of labels: what made them", known, f"bone verify {labels}")


def _exported(path: Path) -> dict[str, Any] | None:
    """A network for other programs."""
    card = exported.card_of(path)
    if card is None:
        return None
    network = " with ".join(str(part) for part in (card["architecture"], card.get("backbone")) if part)
    score = card.get("best_val_score")
    known = {
        "Network": f"{network}, {card.get('mode')}",
        "Classes": ", ".join(f"{one['value']} {one['name']}" for one in card.get("classes") or ()),
        "Greys": card.get("normalization"),
        "Patch size": card.get("patch_size"),
        "Score": f"{score:.4f} in validation" if isinstance(score, float) else None,
    }
    what = f"a fitted network for other programs, written by bone export as {path.suffix.lower()[1:]}"
    return _told(path, what, known, "bone predict needs the model file (.pth) that it was made from.")


def _page(path: Path) -> dict[str, Any] | None:
    """A report."""
    with path.open("rb") as file:
        found = PAGE.search(file.read(MOST_BYTES).decode("utf-8", errors="replace"))
    if found is None:
        return None
    words = {"fit report": "the report of a fit", "study": "the report of a study"}
    what = words.get(found[1], f"a page of BONe: {found[1]}")
    return _told(path, what, {"Of": html.unescape(found[2])}, "Open it in a browser.")


def _table(path: Path) -> dict[str, Any] | None:
    """A table that BONe writes or reads."""
    with path.open("rb") as file:
        text = file.read(MOST_BYTES).decode("utf-8-sig")
    first = text.partition("\n")[0]
    rows = csv.reader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    columns = tuple(name.strip().lower() for name in next(rows, []))
    what = next((told for begin, told in TABLES.items() if columns[: len(begin)] == begin), None)
    if what is None:
        return None
    count = sum(1 for row in rows if row)
    known = {"Rows": f"{count:,}" if path.stat().st_size <= MOST_BYTES else None, "Columns": len(columns)}
    return _told(path, what, known, "")
