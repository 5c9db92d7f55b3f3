"""What goes into a study, by content: scans, masks and first weights, hashed; and the labels in each mask.

In:  paths, and what was found of them at an earlier start.
Out: an Input for each path. A file is read again only where its size or date is another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..dataset.checks import count_labels
from ..errors import OutputError, ScanError
from ..files.json_files import read_json
from ..files.whole import write_text
from ..progress import Part, Progress
from ..volumes.volume import open_volume

FILE = "inputs.json"
PIECE_BYTES = 4 << 20


@dataclass(frozen=True)
class Input:
    """stamp: of names, sizes and dates. sha256: of all bytes, in the order of the slices. values: labels that
    occur in a mask."""

    stamp: str
    sha256: str
    values: tuple[int, ...] = ()


def look_at(
    scans: Iterable[Path],
    masks: Iterable[Path],
    others: Iterable[Path],
    *,
    known: Mapping[str, Input],
    progress: Progress,
) -> dict[str, Input]:
    """Path -> what it holds. known: of an earlier start. Raises ScanError with every file that is damaged."""
    wanted = [(path, False) for path in (*scans, *others)] + [(path, True) for path in masks]
    found: dict[str, Input] = {}
    faults: list[str] = []
    for number, (path, is_mask) in enumerate(wanted):
        part = Part(progress, first=number, share=1, steps=max(len(wanted), 1))
        try:
            found[str(path)] = _look(path, is_mask, known.get(str(path)), part)
        except (ScanError, OSError) as error:
            faults += (
                error.faults if isinstance(error, ScanError) else [f"{path}: {error.strerror or error}."]
            )
    if faults:
        raise ScanError(faults)
    return found


def _look(path: Path, is_mask: bool, known: Input | None, progress: Progress) -> Input:
    files = [path]
    if path.is_dir() or is_mask:
        with open_volume(path) as volume:
            files = list(volume.files) or files
    stamp = _stamp(files)
    if known is not None and known.stamp == stamp:
        return known
    digest = hashlib.sha256()
    for number, file in enumerate(files):
        with file.open("rb") as content:
            while piece := content.read(PIECE_BYTES):
                progress(number, len(files), f"Reading {path.name}")
                digest.update(piece)
    values: tuple[int, ...] = ()
    if is_mask:
        with open_volume(path) as mask:
            values = tuple(count_labels(mask, progress=progress, message=f"Counting labels of {path.name}"))
    return Input(stamp, digest.hexdigest(), values)


def _stamp(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        about = file.stat()
        digest.update(
            f"{file.name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()[:32]


def read_known(folder: Path) -> dict[str, Input]:
    """What an earlier start found; nothing where its file is damaged, so that all is read again."""
    try:
        values = read_json(folder / FILE)
        return {
            str(path): Input(str(one["stamp"]), str(one["sha256"]), tuple(int(v) for v in one["values"]))
            for path, one in values.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_known(folder: Path, found: Mapping[str, Input]) -> None:
    """Raises OutputError."""
    content: dict[str, Any] = {path: asdict(one) for path, one in found.items()}
    write_text(folder / FILE, json.dumps(content, indent=1) + "\n")


def changed(before: Mapping[str, Input], now: Mapping[str, Input]) -> list[str]:
    """Paths whose content is another one than at the earlier start."""
    return [path for path, one in now.items() if path in before and before[path].sha256 != one.sha256]


def cannot_be_written(folder: Path, error: OutputError) -> str:
    """For the log."""
    return f"{folder / FILE} could not be written; scans are read again at the next start. {error}"
