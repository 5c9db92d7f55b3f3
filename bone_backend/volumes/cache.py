"""Where unpacked scans, statistics and Avizo's fields are kept between runs.

In:  the environment: BONE_CACHE, else the user's cache folder of the platform.
Out: a folder in which this user may write; a folder of temporary files where there is no other.
The host asks too, and hands its answer to the worker.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
from pathlib import Path

from ..errors import OutputError
from ..files.names import from_home, in_full

log = logging.getLogger("bone.cache")

ADVICE = "Set the environment variable BONE_CACHE to a folder in which you may write, on a disk with room."
BACKENDS = "backends"  # the folder in it of what was measured of them (`inference/backends/remembered.py`)
_told: set[str] = set()


def cache_folder() -> Path:
    """The folder; the one that BONE_CACHE names need not be there yet.

    $BONE_CACHE as it is; else `bone` in the user's cache folder; else, with one warning, a folder of this
    user's own among the temporary files. Raises OutputError where not even that can be made.
    """
    named = os.environ.get("BONE_CACHE")
    if named:
        return in_full(from_home(named))
    usual = _usual()
    if usual is not None and _is_made(usual):
        return usual
    told = "There is no home folder" if usual is None else f"{usual} cannot be written"
    found = _among_temporary_files(told)
    if told not in _told:
        _told.add(told)
        log.warning("%s: unpacked scans and statistics are kept in %s. %s", told, found, ADVICE)
    return found


def _usual() -> Path | None:
    """The user's cache folder of the platform / bone; None without a home folder."""
    from platformdirs import user_cache_path  # on use: the worker is told BONE_CACHE and does without

    try:
        usual = user_cache_path("bone", appauthor=False, opinion=False)
    except RuntimeError:
        return None
    return usual if usual.is_absolute() else None


def _is_made(folder: Path) -> bool:
    """Whether the folder is there, after trying to make it, and this user may write in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def _among_temporary_files(told: str) -> Path:
    """The same folder in every run, and nobody else's: others may write beside it."""
    user = os.getuid() if sys.platform != "win32" else "user"
    try:
        folder = Path(tempfile.gettempdir()) / f"bone-cache-{user}"
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError as fault:
        raise OutputError(f"{told}, and neither can a temporary folder ({fault}). {ADVICE}") from fault
    is_ours = sys.platform == "win32" or (state.st_uid == os.getuid() and not state.st_mode & 0o022)
    if not (stat.S_ISDIR(state.st_mode) and is_ours):
        raise OutputError(f"{told}, and {folder} belongs to somebody else. {ADVICE}")
    return folder
