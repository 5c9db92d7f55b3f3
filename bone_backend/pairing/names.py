"""Which scan belongs to which mask, told by their names.

In:  files and folders.
Out: pairs (scan, mask). `match` leaves alone what has no partner, for a person to complete; `paired` refuses
every doubt, for a command.
"""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import OptionError
from ..files.inside import file_of, parts_of
from ..volumes.formats import FOLDER_ENDINGS, SLICE_ENDINGS, format_of, is_volume_named

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
SCAN_WORDS = {"image", "images", "img", "scan", "scans", "raw", "ct", "grey", "gray", "volume"}
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
    if files and _are_slices(files) and format_of(path) is not None:
        return [path]
    found = [volume for item in files for volume in volumes_in(item)]
    if levels:
        found += [volume for item in inside if item.is_dir() for volume in volumes_in(item, levels - 1)]
    return found


def _are_slices(files: Sequence[Path]) -> bool:
    """Whether files are the slices of one volume: more than two images whose names differ in one number."""
    images = [item for item in files if item.suffix.lower() in SLICES]
    shapes = {re.sub(r"\d+(?=\D*$)", "#", item.stem) for item in images if "_spr" not in item.stem}
    return len(images) > 2 and len(shapes) == 1


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
    if not scans and not masks:
        faults = ["no scans or masks were found there"]
    if faults:
        more = [f"... and {len(faults) - MOST_TOLD} more"] if len(faults) > MOST_TOLD else []
        advice = "Rename them so that each scan and its mask share a name, or name them with --pair."
        raise OptionError([*(f"{fault}." for fault in (*faults[:MOST_TOLD], *more)), advice])
    return made


def pairs_in(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The pairs in a folder that holds scans and masks, told apart by the words in their names."""
    found = [volume for path in paths for volume in volumes_in(path)]
    return paired([path for path in found if not is_mask(path)], [path for path in found if is_mask(path)])


def pairs_of(scans: Sequence[Path], masks: Sequence[Path]) -> list[tuple[Path, Path]]:
    """The pairs of a folder of scans and a folder of masks."""
    return paired(*([volume for path in paths for volume in volumes_in(path)] for paths in (scans, masks)))
