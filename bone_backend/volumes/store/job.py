"""The command "cache": what the cache holds, and how it is emptied.

In:  whether to clear it.
Out: plain values: where it is, its limit, what lies there, what was removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from ...files.whole import remove_left_over, temporary_path
from ...options.programs import CacheOptions
from ...progress import Progress
from ..cache import BACKENDS, cache_folder
from ..output import made_folder
from . import room

STORE, STATISTICS = "store", "statistics"


def cache_job(options: CacheOptions, progress: Progress) -> dict[str, Any]:
    """The command "cache"."""
    place = cache_folder()
    folder = place / STORE
    limit = room.limit_bytes(folder)
    progress(0, 1, "Looking into the cache")
    removed: list[room.Entry] = []
    forgotten = speeds_forgotten = 0
    if options.clear:
        removed, _ = room.clear(folder)
        remove_left_over(place)
        forgotten = _forget(place / STATISTICS)
        speeds_forgotten = _forget(place / BACKENDS)
    found, used = room.entries(folder), room.used_now(folder)
    statistics = [*(place / STATISTICS).glob("*.json")]
    return {
        "place": str(place),
        "from": "BONE_CACHE" if os.environ.get("BONE_CACHE") else "",
        "limit_bytes": limit,
        "limit": os.environ.get(room.VARIABLE, "").strip() or room.DEFAULT,
        "is_writable": _is_writable(place),
        "free_bytes": shutil.disk_usage(_there(place)).free,
        "volumes": [
            {"path": str(entry.path), "bytes": entry.size, "used": entry.used, "in_use": entry.path in used}
            for entry in reversed(found)
        ],
        "bytes": sum(entry.size for entry in found),
        "statistics": len(statistics),
        "speeds": len([*(place / BACKENDS).glob("*.json")]),
        "cleared": options.clear,
        "removed": len(removed),
        "removed_bytes": sum(entry.size for entry in removed),
        "forgotten": forgotten,
        "speeds_forgotten": speeds_forgotten,
    }


def _forget(folder: Path) -> int:
    """Remove what is remembered there, a file each."""
    count = 0
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError):
            path.unlink()
            count += 1
    return count


def _is_writable(place: Path) -> bool:
    """Whether files can be made there; a folder that had to be made for that is removed again."""
    try:
        with made_folder(place):
            probe = temporary_path(place / "probe")
            probe.touch()
            probe.unlink()
    except OSError:
        return False
    return True


def _there(place: Path) -> Path:
    while not place.exists() and place != place.parent:
        place = place.parent
    return place
