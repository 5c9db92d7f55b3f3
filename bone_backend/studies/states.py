"""Where each run of a study stands: a small file in the folder of the run, written whole or not at all.

In:  the folder of a study.
Out: the State of each run.
Files, and not a database: the workers of a cluster write them into a folder that they share, where a lock of
a database is not to be trusted. One study at a time has its folder, one worker at a time a run's.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files import locks
from ..files.json_files import read_json
from ..files.whole import (
    output_fault,
    put_in_place,
    remove,
    remove_left_over,
    temporary_path,
    write_text,
)

RUN, STUDY, LOCK = "run.json", "study.json", ".bone-lock"
QUICK = " (quick)"  # behind the name of a study in miniature
FIT, LABELS, SCORES = "fit", "labels", "scores"  # folders inside that of a run
WAITING, STARTED, DONE, FAILED = "waiting", "started", "done", "failed"
LONGEST_CAUSE = 2000


@dataclass(frozen=True)
class State:
    """Of one run. key: of what it was run with; "" where it never was. cause: why it failed. result: of a run
    that is done, see running.py."""

    state: str = WAITING
    key: str = ""
    cause: str = ""
    result: Mapping[str, Any] | None = None


def read_state(run: Path) -> State:
    """The state of the run in a folder; WAITING where its file is damaged, so that it is looked at anew."""
    try:
        values = read_json(run / RUN)
        state = str(values["state"])
        if state not in (STARTED, DONE, FAILED):
            return State()
        result = values.get("result")
        if state == DONE and not isinstance(result, dict):
            return State()
        return State(state, str(values["key"]), str(values.get("cause") or ""), result)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return State()


def write_state(run: Path, state: State) -> None:
    """Raises OutputError."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_fault(run, error) from error
    content = {
        "state": state.state,
        "key": state.key,
        "cause": state.cause[-LONGEST_CAUSE:],
        "result": state.result,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    hidden = temporary_path(run / RUN)
    try:  # without waiting for the disk: if the power fails, the last runs are done once more
        hidden.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
        put_in_place(hidden, run / RUN)
    except OSError as error:
        remove(hidden)
        raise output_fault(run / RUN, error) from error


def begin(run: Path, key: str) -> None:
    """Call a run started; what is there of a run with another key is removed first. Raises OutputError."""
    before = read_state(run)
    if before.key != key and run.is_dir():
        remove(run / RUN)
        for name in (SCORES, LABELS, FIT):
            remove(run / name)
    if run.is_dir():
        remove_left_over(run)
    write_state(run, State(STARTED, key))


@contextlib.contextmanager
def held(folder: Path, *, doing: str, look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Be the only one at work in the folder of a study or of a run, which is made. Raises OutputError."""

    def refusal(other: str, who: str) -> str:
        return f"{folder}: {other} is at work there ({who}). Wait for its end, or stop it."

    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locks.held(folder / LOCK, doing=doing, refusal=refusal, look=look))
        except OSError as error:
            raise output_fault(folder, error) from error
        yield


def check_same_study(folder: Path, name: str) -> None:
    """Raise OutputError where the folder has something else in it than this study."""
    if not folder.is_dir():
        return
    names = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    if not names:
        return
    try:
        values = read_json(folder / STUDY)
        other = str(values["name"])
    except FileNotFoundError:
        raise OutputError(
            f"output folder {folder} is not empty and holds no study of BONe (it has {names[0]}). "
            "Name a new folder."
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OutputError(
            f"{folder / STUDY} is damaged ({error}). Put back a copy, or remove it if the "
            "folder is this study's."
        ) from error
    if other == f"{name}{QUICK}":
        raise OutputError(
            f"output folder {folder} holds the quick trial of this study (--quick). Name a new folder for "
            "the study itself, or remove that one."
        )
    if name == f"{other}{QUICK}":
        raise OutputError(
            f"output folder {folder} holds this study itself; --quick needs a folder of its own. Name a new "
            f"one, e.g. {folder.name}_quick."
        )
    if other != name:
        raise OutputError(
            f"output folder {folder} holds another study, {other!r}; this one is {name!r}. Name a new folder."
        )


def write_study(folder: Path, values: Mapping[str, Any]) -> None:
    """What the folder is of, and the study file as it was last. Raises OutputError."""
    write_text(folder / STUDY, json.dumps(values, indent=1, default=str) + "\n")


def folder_of_study(path: Path) -> dict[str, Any]:
    """What `write_study` wrote. Raises ValueError where it is damaged."""
    return dict(read_json(path / STUDY))
