"""What the folder of a study is, and how far the study is; also while it runs.

In:  the folder.
Out: plain values: runs by their states, what failed and why.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..studies.states import DONE, FAILED, STARTED, STUDY, WAITING, State, folder_of_study, read_state

REPORT = "study.html"


def is_study(path: Path) -> bool:
    """Whether a study has begun in the folder."""
    return (path / STUDY).is_file()


def facts(path: Path) -> dict[str, Any]:
    """Raises OutputError where the file that says what the folder is of is damaged."""
    try:
        values = folder_of_study(path)
        runs = {str(name): str(words) for name, words in values["runs"]}
        title = str(values["name"])
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"{path / STUDY} is damaged ({error}). Start the study again.") from error
    found = {name: read_state(path / name) for name in runs}

    def named(state: str) -> list[str]:
        return [runs[name] for name, one in found.items() if one.state == state]

    report = path / REPORT
    return {
        "kind": "study",
        "path": str(path),
        "name": title,
        "runs": len(runs),
        "done": len(named(DONE)),
        "started": named(STARTED),
        "waiting": len(named(WAITING)),
        "failed": {runs[name]: one.cause for name, one in found.items() if one.state == FAILED},
        "report": str(report) if report.is_file() else None,
        "each": [
            {"run": runs[name], "state": one.state, "mean_iou": _mean_iou(one), "cause": one.cause}
            for name, one in found.items()
        ],
    }


def _mean_iou(state: State) -> float | None:
    """Over the scans of a run that is done."""
    scans = (state.result or {}).get("scans") or []
    known = [scan["mean_iou"] for scan in scans if scan.get("mean_iou") is not None]
    return sum(known) / len(known) if known else None
