"""Pairs from a table that somebody keeps, as CSV: scan, mask, subject.

In:  a file with commas, semicolons or tabs; with or without a line of names.
Out: (scan, mask, subject) of each line. Paths are looked for beside the file. All faults are told at once,
each with its line; then nothing is taken.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

from ..errors import ScanError
from ..files.inside import file_of
from ..files.names import from_home, in_full
from ..files.table_columns import misspelt, unused

log = logging.getLogger("bone.pairing")

ENDINGS = (".csv", ".tsv")
COLUMNS = ("scan", "mask", "subject")
OTHER_NAMES = {"image": "scan", "label": "mask", "labels": "mask", "animal": "subject", "specimen": "subject"}
SEPARATORS = ",;\t"
MOST_BYTES, MOST_TOLD = 2**22, 8


def read_pairs(path: Path) -> list[tuple[str, str, str]]:
    """The pairs of a file. Raises ScanError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ScanError(f"{path.name} is larger than a table of pairs can be (4 MiB).")
        text = path.read_text(encoding="utf-8-sig")
        lines = text.splitlines()
        separator = max(SEPARATORS, key=(lines or [""])[0].count)
        reader = csv.reader(lines, delimiter=separator, strict=True)
        rows = [[cell.strip() for cell in row] for row in reader]
    except csv.Error as fault:
        where = f"{path.name}, line {reader.line_num}"
        raise ScanError(
            f"{where}: its quotation marks do not match ({fault}). Take them away, or put one on either side "
            "of a cell."
        ) from fault
    except (OSError, UnicodeDecodeError) as fault:
        why = getattr(fault, "strerror", None) or fault
        raise ScanError(f"{path.name} cannot be read ({why}). Save it as CSV in UTF-8.") from fault
    numbered = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    if not numbered:
        raise ScanError(
            f"{path.name} is empty. Its first line is scan,mask,subject; each other line is a pair."
        )
    if all(len(row) == 1 for _, row in numbered):
        raise ScanError(
            f"{path.name}: no commas, semicolons or tabs stand between its columns. Save it as CSV."
        )
    columns, numbered = _columns(path, numbered)
    pairs, faults, seen = [], list[str](), dict[Path, int]()
    for number, row in numbered:
        found, told = _pair(path.parent, row, columns)
        scan = Path(found[0])
        if not told and scan in seen:
            told = [f"scan {row[columns['scan']]} is that of line {seen[scan]} again"]
        seen.setdefault(scan, number)
        faults += [f"{path.name}, line {number}: {fault}." for fault in told]
        pairs.append(found)
    if faults:
        more = [f"... and {len(faults) - MOST_TOLD} more."] if len(faults) > MOST_TOLD else []
        raise ScanError([*faults[:MOST_TOLD], *more])
    if not pairs:
        raise ScanError(f"{path.name} has no line with a scan and its mask.")
    return pairs


def _columns(
    path: Path, rows: Sequence[tuple[int, list[str]]]
) -> tuple[dict[str, int], list[tuple[int, list[str]]]]:
    """Which column is which, and the lines below the names."""
    first = [cell.lower() for cell in rows[0][1]] if rows else []
    named = {OTHER_NAMES.get(cell, cell): number for number, cell in enumerate(first)}
    if not named.keys() & set(COLUMNS):
        return {name: number for number, name in enumerate(COLUMNS)}, [*rows]
    where = f"{path.name}, line {rows[0][0]}"
    if told := misspelt(named, COLUMNS):
        raise ScanError(f"{where}: {told}")
    lost = [name for name in COLUMNS[:2] if name not in named]
    if lost:
        told = f"there is no column {lost[0]}; name them scan, mask, subject"
        raise ScanError(f"{where}: {told}.")
    if told := unused(named, COLUMNS):
        log.warning("%s: %s", path.name, told)
    return {name: number for name, number in named.items() if name in COLUMNS}, [*rows[1:]]


def _pair(
    folder: Path, row: Sequence[str], columns: dict[str, int]
) -> tuple[tuple[str, str, str], list[str]]:
    """The pair of a line, and what is wrong with it."""
    cells = {name: row[number] if number < len(row) else "" for name, number in columns.items()}
    faults, paths = [], []
    for name in COLUMNS[:2]:
        text = cells[name]
        place = in_full(folder / from_home(text)) if text else folder
        if not text:
            faults.append(f"there is no {name}")
        elif not file_of(place).exists():
            faults.append(f"{name} {text} does not exist (looked for at {place})")
        paths.append(str(place))
    if not faults and paths[0] == paths[1]:
        faults.append("scan and mask are the same file")
    return (paths[0], paths[1], cells.get("subject", "")), faults
