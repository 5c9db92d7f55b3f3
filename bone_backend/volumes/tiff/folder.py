"""Which files of a folder are the slices of one volume, and in which order.

In:  a folder.
Out: its TIFF files in the order of their numbers (slice_2 before slice_10, -1 before 0, 0.5 before 1.0,
0f before 10 in hexadecimal); ScanError for none, one, a gap, or two series.
Only names are looked at here; what the files hold is checked in reading.py.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

from ...errors import ScanError
from ..formats import TIFF_ENDINGS, in_words

_NUMBER = re.compile(r"(\d+)")
# A hyphen after one of these, or at the start of a name, is no separator: it is the sign of a number.
_SIGNED = re.compile(r"((?:(?<=[_ =(])|^)-\d+(?:\.\d+)?|\d+)")
# Tried where whole numbers make no series: steps such as 0.25, a sign after a letter.
_OTHER_NUMBERS = (re.compile(r"(-?\d+)"), re.compile(r"(-?\d+\.\d+)"), re.compile(r"(-?\d+(?:\.\d+)?)"))
# Endings of images that are often slices too, but none that BONe reads.
_IMAGES = (".gif", ".webp", ".tga")
# SkyScan's preview of a scan, which lies among its slices.
_PREVIEW = re.compile(r"_spr\.\w+$", re.IGNORECASE)


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
    return name.lower().endswith(TIFF_ENDINGS) and not name.startswith(".")


def has_slices(folder: Path) -> bool:
    """Whether something in a folder is named as a TIFF; False where it cannot be read."""
    try:
        return any(is_tiff_name(entry.name) for entry in folder.iterdir())
    except OSError:
        return False


def slice_files(folder: Path, *, endings: tuple[str, ...] = TIFF_ENDINGS, words: str = "TIFF") -> list[Path]:
    """The TIFF files of a folder (or those with other endings) in natural order; others do not matter.

    Raises ScanError for an empty or single-slice folder, a missing or repeated number, or two series.
    """
    try:
        with os.scandir(folder) as entries:
            found = [(e.name, e.is_dir()) for e in entries]
    except OSError as fault:
        raise ScanError(f"{folder}: the folder cannot be read ({fault.strerror}).") from fault
    names = sorted(
        (
            name
            for name, is_folder in found
            if name.lower().endswith(endings)
            and not (is_folder or name.startswith(".") or _PREVIEW.search(name))
        ),
        key=natural_key,
    )
    if not names:
        raise ScanError(_nothing_found(folder, found))
    if len(names) == 1:
        raise ScanError(
            f"{folder}: holds one {words} only ({names[0]}); a volume has at least 2 slices. "
            f"If that file is a stack, give the file itself: {folder / names[0]}"
        )
    return [folder / name for name in _ordered(folder, names)]


def _ordered(folder: Path, names: list[str]) -> list[str]:
    """The names in the order of their numbers, whole ones or others; they come in natural order."""
    if any("-" in name for name in names):
        signed = _series(names, _SIGNED)
        if signed and min(signed) < 0 and _irregular(sorted(signed)) is None:
            return _by_number(names, signed)
    try:
        _check_numbers(folder, names)
        return names
    except ScanError:
        for numbers in (*(_series(names, pattern) for pattern in _OTHER_NUMBERS), _hexadecimal(names)):
            if numbers is None or _are_plain(names, numbers):
                continue
            ordered, ascending = _by_number(names, numbers), sorted(numbers)
            gap = _irregular(ascending)
            if gap is None:
                return ordered
            is_dense = ascending[-1] - ascending[0] <= 2 * len(names) * min(
                (b - a for a, b in itertools.pairwise(ascending) if b > a), default=Decimal(1)
            )
            if is_dense and ascending[gap] < ascending[gap + 1]:
                raise ScanError(
                    f"{folder}: a slice is missing in the numbered series, between {ordered[gap]} and "
                    f"{ordered[gap + 1]}. Add it, or number the slices without gaps."
                ) from None
        raise


def _are_plain(names: list[str], numbers: list[Decimal]) -> bool:
    """Whether these are the whole numbers from 0 up that were looked at before."""
    return all(
        number == number.to_integral_value() >= 0 and str(number) in name
        for name, number in zip(names, numbers, strict=True)
    )


def _by_number(names: list[str], numbers: list[Decimal]) -> list[str]:
    return [name for _, name in sorted(zip(numbers, names, strict=True))]


def _series(names: list[str], pattern: re.Pattern[str]) -> list[Decimal] | None:
    """The number that counts in each name, where the names differ in one number of this pattern only."""
    split = [pattern.split(_stem(name)) for name in names]
    if len({tuple(parts[::2]) for parts in split}) > 1:
        return None
    columns = zip(*(parts[1::2] for parts in split), strict=True)
    varying = [column for column in columns if len(set(column)) > 1]
    return [Decimal(number) for number in varying[0]] if len(varying) == 1 else None


def _hexadecimal(names: list[str]) -> list[Decimal] | None:
    """The same for names that differ in one hexadecimal number only."""
    stems = [_stem(name) for name in names]
    start = _common(stems)
    end = _common([stem[start:][::-1] for stem in stems])
    middles = [stem[start : len(stem) - end] for stem in stems]
    has_letters = re.search("[a-f]", "".join(middles))
    if not has_letters or not all(re.fullmatch("[0-9a-f]{1,16}", middle) for middle in middles):
        return None
    return [Decimal(int(middle, 16)) for middle in middles]


def _common(texts: list[str]) -> int:
    """How many letters the texts begin with alike."""
    return sum(
        1 for _ in itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    )


def _irregular(numbers: list[Decimal]) -> int | None:
    """Where ascending numbers leave their step, or stand still; None where they do not."""
    steps = [b - a for a, b in itertools.pairwise(numbers)]
    return next((i for i, step in enumerate(steps) if step != min(steps) or step == 0), None)


def _stem(name: str) -> str:
    return name.lower().rsplit(".", 1)[0]


def _nothing_found(folder: Path, found: list[tuple[str, bool]]) -> str:
    """What to say of a folder without TIFFs; names the sub-folders that have some, and other images."""
    better = []
    for name in sorted((name for name, is_folder in found if is_folder), key=natural_key):
        try:
            if any(is_tiff_name(file.name) for file in (folder / name).iterdir()):
                better.append(name)
        except OSError:
            continue
    if better:
        listed = ", ".join(str(folder / name) for name in better[:5])
        return f"{folder}: has no TIFF slices itself, but its sub-folders do. Give one of them: {listed}"
    endings = Counter(Path(name).suffix.lower() for name, is_folder in found if not is_folder)
    images = [(count, ending) for ending, count in endings.items() if ending in _IMAGES]
    if images:
        count, ending = max(images)
        return (
            f"{folder}: has no TIFF slices (.tif, .tiff), but {count} files that end in {ending}. Save them "
            "as TIFF first (Fiji: File > Import > Image Sequence, then File > Save As > Tiff)."
        )
    if endings.keys() & {".dcm", ".ima"}:
        return (
            f"{folder}: its files end as DICOM does, but none is a DICOM slice with an image. Export the "
            "series again, or as TIFF."
        )
    return f"{folder}: has no TIFF slices (.tif, .tiff). Give {in_words()}."


def _check_numbers(folder: Path, names: list[str]) -> None:
    """Raise ScanError unless the names form one series without gaps (or are no numbered series at all)."""
    series: dict[tuple[str, ...], list[tuple[tuple[int, ...], str]]] = defaultdict(list)
    for name in names:
        parts = _NUMBER.split(_stem(name))
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
    others += f" and {sum(map(len, groups[4:]))} more" if groups[4:] else ""
    rest = sum(map(len, groups[1:]))
    if rest <= len(groups[0]) // 10 or rest == 1:
        advice = f"If {'that is' if rest == 1 else 'those are'} no slice of it (a preview, say), move "
        advice += f"{'it' if rest == 1 else 'them'} to another folder."
    else:
        advice = "Keep the slices of one volume in a folder of their own."
    raise ScanError(
        f"{folder}: {len(groups[0])} files are named like {groups[0][0][1]}, but there is also {others}. "
        f"{advice}"
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
