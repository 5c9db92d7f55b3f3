"""Names and colours of classes from a table that somebody keeps, as CSV: value, name, colour.

In:  a file with commas, semicolons or tabs; with or without a line of names; colours as #rrggbb or none.
Out: {"value", "name", "colour"} of each line, as texts; ValueError with the number of the line.
Standard library only.
"""

from __future__ import annotations

import csv
from pathlib import Path

from .table_columns import misspelt

ENDINGS = (".csv", ".tsv")
COLUMNS = ("value", "name", "colour")
OTHER_NAMES = {"label": "value", "id": "value", "class": "name", "color": "colour"}
MOST_BYTES = 1 << 20


def read_classes(path: Path) -> list[dict[str, str]]:
    """The classes of a file. Raises ValueError in words that stand behind the name of an option."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path.name} is larger than a table of classes can be (1 MiB)")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        separator = max(",;\t", key=(lines or [""])[0].count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        told = getattr(fault, "strerror", None) or fault
        raise ValueError(f"{path.name} cannot be read ({told}); save it as CSV in UTF-8") from fault
    numbered = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    columns = {name: number for number, name in enumerate(COLUMNS)}
    if numbered and not numbered[0][1][0].isdigit():
        named = [OTHER_NAMES.get(cell.lower(), cell.lower()) for cell in numbered.pop(0)[1]]
        if told := misspelt(named, COLUMNS):
            raise ValueError(f"{path.name}: {told.removesuffix('.')}")
        if not {"value", "name"} <= {*named}:
            raise ValueError(f"the first line of {path.name} names no columns value and name")
        columns = {name: named.index(name) for name in COLUMNS if name in named}
    found = [_class(path, number, row, columns) for number, row in numbered]
    if not found:
        raise ValueError(f"{path.name} has no line with a value and a name")
    return found


def _class(path: Path, number: int, row: list[str], columns: dict[str, int]) -> dict[str, str]:
    """The class of a line; without a colour where it has none."""
    cells = {name: row[place] if place < len(row) else "" for name, place in columns.items()}
    if not cells["value"].isdigit() or not cells["name"]:
        raise ValueError(f"line {number} of {path.name} has no whole number as value, or no name")
    return {name: text for name, text in cells.items() if text}
