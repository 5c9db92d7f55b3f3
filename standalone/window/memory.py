"""What the window remembers from one start to the next; knows no Qt.

In:  a file in the cache folder.
Out: plain values; nothing where the file is not there or damaged. Losing it costs nothing.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from bone_backend.errors import BoneError
from bone_backend.files.whole import write_text
from bone_backend.volumes.cache import cache_folder

NAME = "window.json"
MOST_RECENT = 8


class Memory:
    """Values by name, each written when it is set."""

    def __init__(self, path: Path | None = None):
        self.path = path or cache_folder() / NAME
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            found = {}
        self._values: dict[str, Any] = found if isinstance(found, dict) else {}

    def get(self, name: str, default: Any) -> Any:
        """The value, where it is of the default's type."""
        value = self._values.get(name, default)
        return value if isinstance(value, type(default)) else default

    def set(self, name: str, value: Any) -> None:
        self._values[name] = value
        with contextlib.suppress(OSError, BoneError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self.path, json.dumps(self._values, indent=1))

    def recent(self) -> list[str]:
        """Configurations that were used, the last first, those that are still there."""
        return [path for path in self.get("recent", []) if isinstance(path, str) and Path(path).exists()]

    def add_recent(self, path: str) -> None:
        others = [other for other in self.recent() if other != path]
        self.set("recent", [path, *others][:MOST_RECENT])
