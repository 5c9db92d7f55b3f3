"""A run folder from outside: which files are of the run, its best model, whether it may be replaced.

In:  a path.
Out: paths; OutputError or ValueError in the user's words.
Standard library only, so that a door can ask before torch is loaded.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OptionError, OutputError, called
from ..files import locks
from ..files.json_files import read_json
from ..files.makers import MARK

OPTIONS, INPUTS, SPLIT, SCORES = "options.json", "inputs.json", "split.json", "scores.csv"
RECORD, LOG = "record.json", "log.txt"
CHECKPOINT, CHECKPOINT_BEFORE = "checkpoint.pth", "checkpoint_before.pth"
CHECKPOINTS = (CHECKPOINT, CHECKPOINT_BEFORE)  # the last state, and the one before it, should that be damaged
REPORT = "report.html"
NAMES = (OPTIONS, INPUTS, SPLIT, SCORES, RECORD, LOG, *CHECKPOINTS, REPORT)
LOCK = ".bone-lock"  # there while a fit runs
BEST, LAST = "*_best_epoch_*.pth", "*_last_epoch_*.pth"
FINISHED = ("done", "stopped early")
_LEFT_OVER = rf"\..+\.{MARK}-[0-9a-f]{{4}}\.part"
WORTH_KEEPING_S = 600.0  # of work in a checkpoint without a model

MODEL_ENDINGS = (".pth", ".pt", ".ckpt")
_BEST_NAME = re.compile(r"(.+)_best_epoch_(\d+)_val_jaccard_[\d.]+\.pth")


def best_name(name: str, *, epoch: int, score: float) -> str:
    """The published name of the best model.

    >>> best_name("femur", epoch=7, score=0.97361)
    'femur_best_epoch_7_val_jaccard_0.9736.pth'
    """
    return f"{name}_best_epoch_{epoch}_val_jaccard_{score:.4f}.pth"


def last_name(name: str, *, epoch: int) -> str:
    """The name of the last model.

    >>> last_name("femur", epoch=25)
    'femur_last_epoch_25.pth'
    """
    return f"{name}_last_epoch_{epoch}.pth"


def own_files(folder: Path) -> list[Path]:
    """All that a run has left in its folder, and nothing of anybody else."""
    found = [folder / name for name in NAMES]
    for pattern in (BEST, LAST, "tensorboard/events.out.tfevents.*"):
        found += folder.glob(pattern)
    return [path for path in found if path.is_file()]


def check_free(folder: Path, *, overwrite: bool, is_ours: bool = False) -> None:
    """Raise OutputError where a new run may not be made. is_ours: this process holds the lock.

    A run that ended before its first model, with less than ten minutes of work, is in nobody's way.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{called('output')} {folder} is a file; name a folder.")
    if not is_ours:
        check_quiet(folder)
    names = sorted(item.name for item in folder.iterdir())
    present = [name for name in names if not (name.startswith(LOCK) or re.fullmatch(_LEFT_OVER, name))]
    if not present:
        return
    if not (folder / OPTIONS).exists():
        raise OutputError(
            f"{called('output')} folder {folder} is not empty and holds no run of BONe (it has "
            f"{present[0]}). Name a new folder."
        )
    if not overwrite and is_worth_keeping(folder):
        raise OutputError(
            f"{called('output')} folder {folder} holds another run. Name a new folder, go on with that run "
            "with --resume, or replace it with --overwrite."
        )


def check_quiet(folder: Path) -> None:
    """Raise OutputError where a fit is running in the folder."""
    if found := locks.holder(folder / LOCK):
        raise OutputError(running(folder, found.doing, str(found)))


def running(folder: Path, doing: str, who: str) -> str:
    """What is told where somebody else is at work."""
    return (
        f"{called('output')} folder {folder}: {doing} is running in this folder ({who}). Wait for its end, "
        "stop it, or name another folder."
    )


def is_worth_keeping(folder: Path) -> bool:
    """Whether a run has a model, or more work in its checkpoint than is done again while one has a coffee."""
    if any(folder.glob(BEST)) or any(folder.glob(LAST)):
        return True
    if not (folder / CHECKPOINT).exists():
        return False
    seconds = _record(folder).get("seconds_in_all")  # none after a kill: then it was time for a checkpoint
    return not isinstance(seconds, (int, float)) or seconds >= WORTH_KEEPING_S


def check_resumable(folder: Path) -> None:
    """Raise OutputError where the run has come to its end and its checkpoint was not kept."""
    if (folder / CHECKPOINT).exists():
        return
    result = _record(folder).get("result")
    if isinstance(result, dict) and result.get("outcome") in FINISHED and any(folder.glob(BEST)):
        raise OutputError(
            f"The run in {folder} is finished ({result.get('epochs')} epochs), and a finished run keeps no "
            f"checkpoint, without which it cannot go on. Start a new fit from its best model: --weights "
            f"{folder}. If more epochs may be wanted later, fit with --keep-checkpoint."
        )


def stored_options(folder: Path) -> dict[str, Any]:
    """The options with which the run in a folder began, as plain values. Raises OptionError."""
    try:
        values = read_json(folder / OPTIONS)
        if not isinstance(values, dict):
            raise ValueError("it holds no options")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OptionError(
            f"{called('resume')} {folder} is no run folder: its options.json is missing."
        ) from error
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or error
        raise OptionError(
            f"{called('resume')} {folder}: its options.json is damaged ({fault}). Put back a copy, or start "
            "a new run."
        ) from error
    return values


def _record(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def found(path: Path) -> Path:
    """The one file or folder that a pattern with * or ? names; other paths as they are.

    cmd.exe does not expand patterns, and no shell expands them in quotes. What nothing matches stays as it
    is, to be told as missing. Raises ValueError where several match.
    """
    matches = matching(path)
    if len(matches) > 1:
        inside = {match.parent for match in matches}
        as_one = f", or the folder {inside.pop()} to take all as one volume" if len(inside) == 1 else ""
        told = ", ".join(match.name for match in matches[:3]) + (", ..." if len(matches) > 3 else "")
        raise ValueError(f"it matches {len(matches)} files ({told}); name one of them{as_one}")
    return matches[0] if matches else path


def model_of(path: Path) -> Path:
    """A model file as it is, of a run folder its best model; patterns as `found`. Raises ValueError."""
    matches = matching(path) or [path]
    if len(matches) > 1 or os.path.isdir(matches[0]):  # noqa: PTH112 (never raises)
        return best_model(matches)
    return matches[0]


def may_be_model(path: Path) -> bool:
    """Whether a path is named as a model file is, or is a run folder with a model in it."""
    return path.suffix.lower() in MODEL_ENDINGS or any(path.glob(BEST))


def matching(path: Path) -> list[Path]:
    """What a pattern with * or ? names; nothing for other paths."""
    is_pattern = glob.has_magic(str(path)) and not os.path.lexists(path)
    return sorted(map(Path, glob.glob(str(path)))) if is_pattern else []  # noqa: PTH207 (takes a whole path)


def best_model(places: Sequence[Path]) -> Path:
    """The best model among run folders and model files: of two of one run, the later one, which was better.

    Raises ValueError.
    """
    models = [path for place in places for path in (sorted(place.glob(BEST)) if place.is_dir() else [place])]
    named = [(path, match) for path in models if (match := _BEST_NAME.fullmatch(path.name))]
    told = ", ".join(str(path) for path in models[:3]) + (", ..." if len(models) > 3 else "")
    if not models:
        told = _hint(places[0]) or "; name a model file"
        raise ValueError(f"it is a folder without a best model (NAME_best_epoch_...pth){told}")
    if len(models) > 1 and (len(named) < len(models) or len({(p.parent, m[1]) for p, m in named}) > 1):
        raise ValueError(f"that is several models ({told}); name one of them")
    return max(named, key=lambda one: int(one[1][2]))[0] if named else models[0]


def _hint(folder: Path) -> str:
    inner = [str(place) for place in sorted({path.parent for path in folder.glob(f"*/{BEST}")})]
    if not inner:
        return ""
    one = "name it" if len(inner) == 1 else "name one"
    more = ", ..." if len(inner) > 3 else ""
    return f", but holds run folders; {one}: {', '.join(inner[:3])}{more}"
