"""Which scan belongs to which mask, told by their names.

In:  files and folders.
Out: pairs (scan, mask). `match` leaves alone what has no partner, for a person to complete; `paired` refuses
every doubt, for a command.
"""

from __future__ import annotations

import glob
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import OptionError, ScanError
from ..files.inside import file_of, parts_of
from ..files.names import in_full, readable
from ..volumes.formats import FOLDER_ENDINGS, SLICE_ENDINGS, format_of, in_words, is_volume_named
from ..volumes.header import volume_name

MASK_WORDS = {
    "mask",
    "masks",
    "label",
    "labels",
    "labelled",
    "seg",
    "segmentation",
    "groundtruth",
    "truth",
    "gt",
}
SCAN_WORDS = {"image", "images", "img", "im", "scan", "scans", "raw", "ct", "grey", "gray", "volume"}
MOST_LOOKED_INTO = 2  # levels of a dropped folder
SLICES = {*SLICE_ENDINGS}
MOST_TOLD = 8


def match(paths: Iterable[Path]) -> list[tuple[Path | None, Path | None]]:
    """Scans and masks that belong together by their names; what has no partner stands alone.

    A mask is told by a word in its name or its folder's (mask, labels, segmentation ...).
    """
    found = [volume for path in paths for volume in volumes_in(path)]
    scans = {path: key(path) for path in found if not is_mask(path)}
    masks = {path: key(path) for path in found if is_mask(path)}
    made: list[tuple[Path | None, Path | None]] = []
    for scan, name in scans.items():
        mask = next((path for path, other in masks.items() if other == name), None)
        if mask is None and len(scans) == len(masks) == 1:
            mask = next(iter(masks))
        if mask is not None:
            del masks[mask]
        made.append((scan, mask))
    return made + [(None, mask) for mask in masks]


def volumes_in(path: Path, levels: int = MOST_LOOKED_INTO) -> list[Path]:
    """The volume that a path is, or those in a folder of volumes; a folder of slices is one volume."""
    if path.is_file():
        return [path] if is_volume_named(path) else []
    if not path.is_dir():
        return []
    if path.name.lower().endswith(FOLDER_ENDINGS) and format_of(path) is not None:
        return [path]
    inside = sorted(item for item in path.iterdir() if not item.name.startswith("."))
    files = [item for item in inside if item.is_file()]
    if _are_slices(files) and format_of(path) is not None:
        return [path]
    found = [volume for item in files for volume in volumes_in(item)]
    if levels:
        found += [volume for item in inside if item.is_dir() for volume in volumes_in(item, levels - 1)]
    return found


def _are_slices(files: Sequence[Path]) -> bool:
    """Whether files are the slices of one volume: images whose names differ in one number; or DICOM.

    Stacks (femur_1.tif, femur_2.tif ...) are volumes of their own. Two series in one folder are one volume
    with a fault, which is told when it is opened.
    """
    images = [item for item in files if item.suffix.lower() in SLICES and "_spr" not in item.stem]
    others = [item for item in files if item not in images]
    if not files or any(is_volume_named(item) for item in others):
        return False
    if not images:
        return True
    series = Counter(re.sub(r"\d+(?=\D*$)", "#", item.stem) for item in images)
    some = {0, len(images) // 2, len(images) - 1}
    return min(series.values()) > 2 and not any(_is_stack(images[number]) for number in some)


def _is_stack(image: Path) -> bool:
    """Whether it holds several slices by itself; a damaged one is none."""
    row = format_of(image)
    try:
        return row is not None and bool(row.open) and row.call("peek", image).shape[0] > 1
    except (ScanError, OSError):
        return False


def words_of(path: Path) -> list[str]:
    name = path.name.partition(".")[0] if path.suffix else path.name
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]


def is_mask(path: Path) -> bool:
    """
    >>> is_mask(Path("femur_1_mask.tif")), is_mask(Path("masks/femur_1.tif")), is_mask(Path("femur_1.tif"))
    (True, True, False)
    """
    file, inside = parts_of(path)
    own, folder = set(words_of(file)) | set(words_of(Path(inside))), set(words_of(file.parent))
    if MASK_WORDS & own:
        return True
    return not SCAN_WORDS & (own | folder) and bool(MASK_WORDS & folder)


def key(path: Path) -> str:
    """What scan and mask of one pair have in common.

    >>> key(Path("femur_1_mask.tif")), key(Path("a/scans/femur-1.tif")), key(Path("a/masks"))
    ('femur 1', 'femur 1', 'a')
    """
    words = [word for word in words_of(path) if word not in MASK_WORDS | SCAN_WORDS]
    return " ".join(words) or (key(path.parent) if path.name != path.parent.name and path.parent.name else "")


def expanded(word: str) -> list[Path]:
    """The paths that a word means: itself, or those that fit a pattern such as scans/*_ct.tif.

    Raises OptionError where nothing is there.
    """
    path = Path(word).expanduser()
    if file_of(path).exists():
        return [path]
    found = sorted(Path(place) for place in glob.glob(str(path)))  # noqa: PTH207 (cmd.exe expands none)
    if not found:
        kind = "fits the pattern" if glob.has_magic(word) else "exists under"
        raise OptionError(f"nothing {kind} {word}.")
    return found


def paired(scans: Sequence[Path], masks: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Each scan with the mask of its name. Raises OptionError that tells every volume without one partner."""
    sides: tuple[dict[str, list[Path]], dict[str, list[Path]]] = (defaultdict(list), defaultdict(list))
    for side, paths in zip(sides, (scans, masks), strict=True):
        for path in paths:
            side[key(path)].append(path)
    made, faults = [], []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        grey, labels = sides[0][name], sides[1][name]
        if len(grey) == len(labels) == 1:
            made.append((grey[0], labels[0]))
        elif not labels:
            faults += [f"{path} has no mask: none is called {name or 'so'}" for path in grey]
        elif not grey:
            faults += [f"{path} has no scan: none is called {name or 'so'}" for path in labels]
        else:
            told = ", ".join(str(path) for path in (*grey, *labels))
            faults.append(f"these are called alike ({name or 'no name of their own'}): {told}")
    if faults:
        more = [f"... and {len(faults) - MOST_TOLD} more"] if len(faults) > MOST_TOLD else []
        advice = "Rename them so that each scan and its mask share a name, or name them with --pair."
        raise OptionError([*(f"{fault}." for fault in (*faults[:MOST_TOLD], *more)), advice])
    return made


def _all_in(paths: Sequence[Path], what: str) -> list[Path]:
    """All volumes in some places. Raises OptionError where there is none."""
    found = [volume for path in paths for volume in volumes_in(path)]
    if not found:
        places = ", ".join(map(str, paths[:MOST_TOLD]))
        raise OptionError(f"no {what} found in {places}. BONe reads {in_words()}.")
    return found


def pairs_in(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The pairs in a folder that holds scans and masks, told apart by the words in their names."""
    found = _all_in(paths, "scans or masks were")
    masks = sum(map(is_mask, found))
    if masks in (0, len(found)):
        what, lost = ("scans", "mask") if masks == 0 else ("masks", "scan")
        raise OptionError(
            f"{len(found)} {what[:-1] if len(found) == 1 else what} and no {lost} were found in "
            f"{', '.join(map(str, paths[:MOST_TOLD]))}. A mask is known by a word in its name, or its "
            "folder's (mask, label, seg ...); or name two folders with --scans and --masks."
        )
    return paired([path for path in found if not is_mask(path)], [path for path in found if is_mask(path)])


def pairs_of(scans: Sequence[Path], masks: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The pairs of a folder of scans and a folder of masks."""
    return paired(_all_in(scans, "scan was"), _all_in(masks, "mask was"))


def unique_names(scans: Sequence[Path]) -> list[str]:
    """A short name for each scan, no two the same.

    The name of its file or folder, with as many folders before it as it takes to tell all apart; with the
    ending of its format where only that differs.
    """
    places = [in_full(scan) for scan in scans]
    plain = [place.parent / volume_name(scan) for place, scan in zip(places, scans, strict=True)]
    for paths in (plain, places):
        for depth in range(1, max((len(path.parts) for path in paths), default=0) + 1):
            names = [readable("/".join(path.parts[-depth:])) for path in paths]
            if len(set(names)) == len(names):
                return names
    return [f"{readable(place.name)} ({number})" for number, place in enumerate(places, start=1)]
