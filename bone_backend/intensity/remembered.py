"""Remember the statistics of a scan for as long as its files do not change.

In:  the scan's path and files, and what was asked.
Out: what was found the last time, or None; one small JSON file per scan and question in the cache folder.
A file counts as unchanged when its size, its date to the nanosecond and samples of its bytes are the same.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files.json_files import opened, read_json, sealed
from ..files.whole import remove_left_over, whole_file
from ..volumes.cache import ADVICE, cache_folder
from .summary import check_written

VERSION = 5  # goes up when the numbers of an unchanged scan would change
SAMPLE_BYTES = 64 * 1024

LOG = logging.getLogger("bone.statistics")


def fingerprint(path: Path, files: Sequence[Path], question: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies a scan's statistics: the question, the path, and a hash over its files.

    The hash covers name, size and date of each file, the first 64 KiB of the first and of the middle file,
    and the last 64 KiB of the last.
    """
    digest = hashlib.sha256()
    for file in files:
        about = file.stat()
        told = f"{file.name}\0{about.st_size}\0{about.st_mtime_ns}\n"
        digest.update(told.encode("utf-8", "surrogateescape"))
    for file, is_end in ((files[0], False), (files[len(files) // 2], False), (files[-1], True)):
        with file.open("rb") as content:
            if is_end:
                content.seek(max(0, file.stat().st_size - SAMPLE_BYTES))
            digest.update(content.read(SAMPLE_BYTES))
    return {
        "version": VERSION,
        "path": str(path.resolve()),
        "question": json.loads(json.dumps(question)),
        "files": digest.hexdigest(),
    }


def read(mark: Mapping[str, Any]) -> dict[str, Any] | None:
    """The statistics kept for this fingerprint, or None."""
    try:
        kept = read_statistics(_place(mark))
    except FileNotFoundError:
        return None
    except OSError as fault:
        LOG.info("the statistics of an earlier time cannot be read: %s", fault)
        return None
    except ValueError as fault:
        LOG.warning("%s is damaged (%s). The scan is measured again.", _place(mark), fault)
        return None
    return kept["statistics"] if kept["fingerprint"] == mark else None


def read_statistics(path: Path) -> dict[str, Any]:
    """What stands in a file of the cache: "fingerprint" and "statistics", compared with their checksum.

    Raises OSError, and ValueError where they are not as `write` writes them.
    """
    kept = opened(read_json(path))
    if kept.keys() != {"fingerprint", "statistics"}:
        raise ValueError("it has other keys")
    check_written(kept["statistics"])
    return kept


def write(mark: Mapping[str, Any], statistics: Mapping[str, Any]) -> None:
    """Keep statistics; a cache that cannot be written is a line in the log, not a fault."""
    place = _place(mark)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(place.parent)
        with whole_file(place) as file:
            kept = sealed({"fingerprint": mark, "statistics": statistics})
            file.write(json.dumps(kept, indent=1).encode())
    except (OSError, OutputError) as fault:
        LOG.info("the statistics are not kept for next time: %s. %s", fault, ADVICE)


def _place(mark: Mapping[str, Any]) -> Path:
    key = json.dumps([mark["version"], mark["path"], mark["question"]], sort_keys=True)
    return cache_folder() / "statistics" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
