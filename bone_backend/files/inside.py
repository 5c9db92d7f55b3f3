"""A path, and what is chosen inside its file.

In:  a path as it was typed: scan.h5#/entry/data, scan.ome.zarr#1, scan.raw#512x512x300,uint16.
Out: the file or folder on the disk, and the text behind "#"; a name that has a "#" of its own stays whole.
Standard library only.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

MARK = "#"
_LAYOUT = re.compile(r"\d+x\d+x\d+\b")


def parts_of(path: Path | str) -> tuple[Path, str]:
    """The file or folder, and what is chosen inside it; "" where the path is that of a file.

    >>> parts_of(Path("no_such_file.tif#1"))[1]
    ''
    """
    text = os.fspath(path)
    if MARK not in text or os.path.lexists(text):
        return Path(path), ""
    at = text.find(MARK)
    while at > 0:
        if os.path.exists(text[:at]):  # noqa: PTH110 (never raises)
            return Path(text[:at]), text[at + 1 :].replace(os.sep, "/")
        at = text.find(MARK, at + 1)
    return Path(path), ""


def file_of(path: Path | str) -> Path:
    """The file or folder on the disk that a path means."""
    return parts_of(path)[0]


def name_inside(inside: str) -> str:
    """What is added to the name of a volume that is chosen inside a file; "" where nothing has to be.

    >>> name_inside("/entry/data"), name_inside("512x512x300,uint16")
    ('data', '')
    """
    if _LAYOUT.match(inside):
        return ""
    last = inside.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^\w.+-]+", "_", last).strip("_")
