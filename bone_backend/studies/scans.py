"""The scans of a study: name, scan, mask, subject, and where each is told its fold or its pool.

In:  rows of a table, in a CSV file or in the study file itself.
Out: StudyScans with whole paths; or one OptionError with every fault of every row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..files.names import from_home, in_full, real
from ..volumes.volume import volume_name

COLUMNS = ("name", "scan", "mask", "subject", "fold", "pool")
TRAINING, VALIDATION, TEST = "training", "validation", "test"
MOST_TABLE_BYTES = 4 << 20


@dataclass(frozen=True)
class StudyScan:
    """One pair of a study. subject: None where every scan is its own. fold, pool: "" where none is told."""

    name: str
    scan: Path
    mask: Path
    subject: str | None = None
    fold: str = ""
    pool: str = ""

    @property
    def folder(self) -> str:
        """Its name as that of a folder."""
        return folder_name(self.name)


def folder_name(name: str) -> str:
    """A name of the user's as one that every system takes.

    >>> folder_name("U-Net, resnet18 / 256 px")
    'u-net_resnet18_256_px'
    """
    return re.sub(r"[^\w.\-]+", "_", name.casefold()).strip("_.")[:80] or "unnamed"


def read_scans(told: str | Sequence[Mapping[str, Any]], *, beside: Path, data: Path) -> tuple[StudyScan, ...]:
    """The scans in their order.

    told: rows, or the path of a table, relative to the folder `beside`. data: where the paths of scans and
    masks start. Raises OptionError.
    """
    where = "scans"
    if isinstance(told, str):
        where, told = told, _table(beside / from_home(told))
    faults: list[str] = []
    scans = [_scan(row, f"{where}, row {number}", data, faults) for number, row in enumerate(told, start=1)]
    if not told:
        faults.append(f"{where}: there is no scan.")
    found = [scan for scan in scans if scan is not None]
    faults += _twice(found, where)
    if faults:
        raise OptionError(faults)
    return tuple(found)


def _table(path: Path) -> list[dict[str, Any]]:
    try:
        if path.stat().st_size > MOST_TABLE_BYTES:
            raise OptionError(f"scans {path} is larger than 4 MiB; a table of scans is much smaller.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise OptionError(
            f"scans {path} cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    separator = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    rows: list[dict[str, Any]] = []
    for row in csv.DictReader(lines, delimiter=separator):
        if None in row:
            raise OptionError(
                f"scans {path.name}, row {len(rows) + 1}: it has more cells than the first line."
            )
        rows.append({str(key).strip(): (value or "").strip() for key, value in row.items()})
    return rows


def _scan(row: Mapping[str, Any], where: str, data: Path, faults: list[str]) -> StudyScan | None:
    """One row, or None with its faults told."""
    before = len(faults)
    unknown = [key for key in row if key not in COLUMNS]
    if unknown:
        faults.append(f"{where}: there is no column {', '.join(unknown)}; there are {', '.join(COLUMNS)}.")
    values = {key: "" if row.get(key) is None else str(row[key]).strip() for key in COLUMNS}
    for key in ("scan", "mask"):
        if not values[key]:
            faults.append(f"{where}: {key} is empty; write its path.")
        elif not _place(values[key], data).exists():
            faults.append(f"{where}: the {key} {_place(values[key], data)} is not there.")
    if values["pool"] not in ("", TRAINING, VALIDATION, TEST):
        faults.append(f"{where}: pool is {values['pool']}; it is {TRAINING}, {VALIDATION} or {TEST}.")
    if len(faults) > before:
        return None
    scan, mask = (_place(values[key], data) for key in ("scan", "mask"))
    return StudyScan(
        name=values["name"] or volume_name(scan),
        scan=scan,
        mask=mask,
        subject=values["subject"] or None,
        fold=values["fold"],
        pool=values["pool"],
    )


def _place(path: str, data: Path) -> Path:
    return in_full(data / from_home(path))


def _twice(scans: Sequence[StudyScan], where: str) -> list[str]:
    faults: list[str] = []
    names: dict[str, StudyScan] = {}
    files: dict[Path, StudyScan] = {}
    for scan in scans:
        key = scan.folder
        if key in names:
            faults.append(
                f"{where}: two rows are named {scan.name}. Give each a name of its own (column name)."
            )
        names.setdefault(key, scan)
        place = real(scan.scan)
        if place in files and key != files[place].folder:
            other = files[place]
            folds = f" (folds {other.fold} and {scan.fold})" if scan.fold and scan.fold != other.fold else ""
            faults.append(
                f"{where}: {other.name} and {scan.name} are the same scan{folds}, {scan.scan}. "
                "Give every scan once."
            )
        files.setdefault(place, scan)
    return faults
