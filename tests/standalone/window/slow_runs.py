"""Runs of a study that nobody has computed, and that take a second each, so that they can be watched."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bone_backend.progress import Progress
from bone_backend.studies import states
from mocks import study_runs

TAKES_S = 1.0


def run_job(options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """A run that has begun for a while before it is done."""
    states.begin(Path(options["folder"]), options["key"])
    time.sleep(TAKES_S)
    return study_runs.run_job(options, progress)
