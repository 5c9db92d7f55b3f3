"""Runs that wait, kept from one window to the next; knows no Qt.

In:  the folder in which the window remembers, and the runs that wait in it.
Out: a file of its own for each window that is open, so that two do not share a queue; what windows before
have kept goes to the first one that asks. Losing it costs nothing but the list.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bone_backend.errors import BoneError
from bone_backend.files.json_files import read_json
from bone_backend.files.makers import Maker, this_process
from bone_backend.files.whole import write_text
from bone_backend.options.programs import dump

from .runs import Run

NAME = "waiting-{}.json"


class KeptRuns:
    """The file of one window; there is none while nothing waits."""

    def __init__(self, folder: Path):
        self.path = folder / NAME.format(secrets.token_hex(4))
        self._written = ""
        self._taken: list[Path] = []

    def keep(self, runs: Sequence[Run]) -> None:
        """Write those that wait; whatever the disk says, the window goes on."""
        self._write(runs, this_process().mark)

    def leave(self, runs: Sequence[Run]) -> None:
        """The window ends: whoever opens next may have them."""
        self._write(runs, None)

    def take(self) -> list[dict[str, Any]]:
        """What windows that have ended have kept: {"command", "options", "what"}; nobody else gets it now."""
        found: list[dict[str, Any]] = []
        for path in sorted(self.path.parent.glob(NAME.format("*"))):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, BoneError):
                told = read_json(path)
                owner = Maker.of_mark(str(told["window"]))
                if owner is not None and not owner.has_ended:
                    continue
                runs = [run for run in told["runs"] if _is_run(run)]
                mine = path.with_name(NAME.format(secrets.token_hex(4)))
                path.rename(mine)  # fails for all but one window
                self._taken.append(mine)
                found += runs
        return found

    def _write(self, runs: Sequence[Run], window: str | None) -> None:
        told = [{"command": run.command, "options": dump(run.options), "what": run.what} for run in runs]
        text = json.dumps({"window": window, "runs": told}, indent=1) if told else ""
        with contextlib.suppress(OSError, BoneError):
            if text and text != self._written:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write_text(self.path, text)
            elif not text:
                self.path.unlink(missing_ok=True)
            self._written = text
            while self._taken:  # they stand in the file of this window by now
                self._taken.pop().unlink(missing_ok=True)


def _is_run(told: Any) -> bool:
    return (
        isinstance(told, dict)
        and all(isinstance(told.get(name), str) for name in ("command", "what"))
        and isinstance(told.get("options"), dict)
    )
