"""What the window remembers from one start to the next; knows no Qt.

In:  a file in the state folder of the user (in the folder that BONE_CACHE names, where it is set).
Out: plain values; nothing where the file is not there or damaged. Losing it costs nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from bone_backend.errors import BoneError
from bone_backend.files.whole import write_text
from bone_backend.volumes.cache import cache_folder

NAME = "window.json"
MOST_RECENT, MOST_RUNS = 8, 12


def state_folder() -> Path:
    """Where programs of this platform keep what they remember; the cache folder where there is no home."""
    if os.environ.get("BONE_CACHE"):
        return cache_folder()
    from platformdirs import user_state_path

    try:
        usual = user_state_path("bone", appauthor=False)
    except RuntimeError:
        return cache_folder()
    return usual if usual.is_absolute() else cache_folder()


class Memory:
    """Values by name, each written when it is set."""

    def __init__(self, path: Path | None = None):
        self.path = path or state_folder() / NAME
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

    def runs(self) -> list[dict[str, Any]]:
        """Runs that were begun here, the last first; also those whose folder has vanished since."""
        return [entry for entry in self.get("runs", []) if is_entry(entry)]

    def add_run(self, command: str, place: str, **more: str) -> None:
        """place: the run folder of a fit, the labels of a prediction. more: what it was made from."""
        entry = {"command": command, "place": place, "when": time.strftime("%Y-%m-%d %H:%M"), **more}
        self.set("runs", [entry, *self._others(entry)][:MOST_RUNS])

    def forget_run(self, entry: dict[str, Any]) -> None:
        self.set("runs", self._others(entry))

    def _others(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        return [other for other in self.runs() if not same(entry, other)]


def as_text(entry: dict[str, Any]) -> str:
    """A recent run in a menu.

    >>> as_text({"command": "fit", "place": "/data/runs/femur", "when": "2026-05-01 09:30"})
    'Fit: runs/femur, 2026-05-01 09:30'
    """
    place = Path(str(entry.get("place", "")))
    verb = {"fit": "Fit", "predict": "Labels"}.get(str(entry.get("command")), "Run")
    return f"{verb}: {place.parent.name}/{place.name}, {entry.get('when', '')}"


def is_entry(entry: Any) -> bool:
    """Whether it is what `Memory.add_run` wrote."""
    return isinstance(entry, dict) and all(
        isinstance(entry.get(k), str) for k in ("command", "place", "when")
    )


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two entries are of one run."""
    keys = ("command", "place")
    return json.dumps([one.get(k) for k in keys]) == json.dumps([other.get(k) for k in keys])
