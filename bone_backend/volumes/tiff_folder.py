"""Which files of a folder are the slices of one volume, and in which order.

In:  a folder.
Out: its TIFF files in natural order (slice_2 before slice_10); ScanError for none, one, a gap, or two series.
Only names are looked at here; what the files hold is checked in tiff.py.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import defaultdict
from pathlib import Path

from ..errors import ScanError

_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".tf2")
_NUMBER = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """A key that sorts names by text and by the value of the numbers in them, the suffix last.

    >>> sorted(["slice_10.tif", "slice_2.tif"], key=natural_key)
    ['slice_2.tif', 'slice_10.tif']
    """
    stem, _, _ = name.lower().rpartition(".")
    parts = _NUMBER.split(stem or name.lower())  # text and digits in turn, so that text never meets a number
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), name


def is_tiff_name(name: str) -> bool:
    """Whether a file of this name is taken for a TIFF; hidden files are not."""
    return name.lower().endswith(_SUFFIXES) and not name.startswith(".")


def slice_files(folder: Path) -> list[Path]:
    """The TIFF files of a folder in natural order; other files beside them do not matter.

    Raises ScanError for an empty or single-slice folder, a missing or repeated number, or two series.
    """
    try:
        with os.scandir(folder) as entries:
            found = [(e.name, e.is_dir()) for e in entries]
    except OSError as fault:
        raise ScanError(f"{folder}: the folder cannot be read ({fault.strerror}).") from fault
    names = sorted(
        (name for name, is_folder in found if is_tiff_name(name) and not is_folder), key=natural_key
    )
    if not names:
        raise ScanError(_nothing_found(folder, [name for name, is_folder in found if is_folder]))
    if len(names) == 1:
        raise ScanError(
            f"{folder}: holds one TIFF only ({names[0]}); a volume has at least 2 slices. "
            f"If that file is a stack, give the file itself: {folder / names[0]}"
        )
    _check_numbers(folder, names)
    return [folder / name for name in names]


def _nothing_found(folder: Path, folders: list[str]) -> str:
    """What to say of a folder without TIFFs; names the sub-folders that have some."""
    better = []
    for name in sorted(folders, key=natural_key):
        try:
            if any(is_tiff_name(file.name) for file in (folder / name).iterdir()):
                better.append(name)
        except OSError:
            continue
    if better:
        listed = ", ".join(str(folder / name) for name in better[:5])
        return f"{folder}: has no TIFF slices itself, but its sub-folders do. Give one of them: {listed}"
    return (
        f"{folder}: has no TIFF slices (.tif, .tiff). Give a folder of slices, a TIFF stack or a .npy file."
    )


def _check_numbers(folder: Path, names: list[str]) -> None:
    """Raise ScanError unless the names form one series without gaps (or are no numbered series at all)."""
    series: dict[tuple[str, ...], list[tuple[tuple[int, ...], str]]] = defaultdict(list)
    for name in names:
        parts = _NUMBER.split(name.lower().rsplit(".", 1)[0])
        series[tuple(parts[::2])].append((tuple(int(n) for n in parts[1::2]), name))
    if len(series) > 1:
        _check_one_series(folder, list(series.values()))
        return
    numbered = next(iter(series.values()))
    columns = list(zip(*(numbers for numbers, _ in numbered), strict=True))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    if not varying:
        raise ScanError(f"{folder}: {names[0]} and {names[1]} are the same slice twice. Remove one of them.")
    if len(varying) > 1:
        counting = [i for i in varying if all(a < b for a, b in itertools.pairwise(columns[i]))]
        if not counting:
            raise ScanError(
                f"{folder}: the files count in two places of their names ({names[0]} ... {names[-1]}), "
                "as several series do. Keep the slices of one volume in a folder of their own."
            )
        varying = sorted(counting, key=lambda i: columns[i][-1] - columns[i][0])  # the others tell the time
        if columns[varying[0]][-1] - columns[varying[0]][0] > 2 * len(names):
            return
    _check_gaps(folder, names, columns[varying[0]], 2 * varying[0] + 1)


def _check_one_series(folder: Path, groups: list[list[tuple[tuple[int, ...], str]]]) -> None:
    """Raise ScanError if files of a numbered series lie together with files of another name."""
    groups = sorted(groups, key=len, reverse=True)
    if len(groups[0]) < 2:
        return  # every name differs: not numbered, natural order is all there is
    others = ", ".join(
        group[0][1] + (f" (and {len(group) - 1} more)" if len(group) > 1 else "") for group in groups[1:4]
    )
    raise ScanError(
        f"{folder}: {len(groups[0])} files are named like {groups[0][0][1]}, but there is also {others}. "
        "Keep the slices of one volume in a folder of their own."
    )


def _check_gaps(folder: Path, names: list[str], numbers: tuple[int, ...], part: int) -> None:
    """Raise ScanError if a number is missing between the first and the last, or comes twice.

    numbers: of each name, ascending; part: where the number stands when a name is split at its numbers.
    """
    gaps = [after - before for before, after in itertools.pairwise(numbers)]
    step = min(gaps)
    if step == 0:
        i = gaps.index(0)
        raise ScanError(f"{folder}: {names[i]} and {names[i + 1]} have the same number. Remove one of them.")
    i = next((k for k, gap in enumerate(gaps) if gap != step), -1)
    if i < 0:
        return
    missing = (numbers[-1] - numbers[0]) // step + 1 - len(numbers)
    parts = _NUMBER.split(names[i])
    parts[part] = str(numbers[i] + step).zfill(len(parts[part]))
    count = "a slice is missing" if missing == 1 else f"{missing} slices are missing"
    raise ScanError(
        f"{folder}: {count} in the numbered series{':' if missing == 1 else ', first'} {''.join(parts)} "
        f"(between {names[i]} and {names[i + 1]}). Add it, or number the slices without gaps."
    )
