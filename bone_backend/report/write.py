"""Write report.html at the end of a fit.

In:  what the fit has kept: its record and its best model.
Out: report.html in the run folder: curves, scores, examples, and all that is needed to repeat the run.
A run never fails because of its report; what goes wrong is a warning in the log.
"""

from __future__ import annotations

import logging
from pathlib import Path

from ..errors import BoneError, Cancelled
from ..files.whole import write_text
from ..model_files import model_file
from ..progress import Progress
from ..runs.files import RECORD, REPORT
from ..runs.records import read_record
from ..runs.state import FitState
from .page import page
from .review import Review, review

log = logging.getLogger("bone.fitting")


def write(state: FitState, run: Path, progress: Progress | None = None) -> None:
    """Write the report of a fit that has ended, and whose record is in the folder `run`.

    progress: told while the validation scans are reviewed with the best model, which then is in the fit's
    network; without it the review is left out, as after a stop, and the report takes no time.
    """
    if not state.world.is_first:
        return
    try:
        found, left_out = _review(state, run, progress)
        record = read_record(run / RECORD)
        write_text(run / REPORT, page(record, review=found, left_out=left_out))
    except Exception as error:  # whatever it is: the run itself is safe on disk
        log.warning("The report could not be written: %s", error, exc_info=not isinstance(error, BoneError))
        return
    log.info("Report: %s", run / REPORT)


def _review(state: FitState, run: Path, progress: Progress | None) -> tuple[Review | None, str]:
    """The review, or why there is none."""
    best = state.position.best_file
    if not best:
        return None, "because no epoch was finished"
    if progress is None:
        return None, "because the run was stopped or broke off"
    path = run / best
    try:
        state.network.load_state_dict(model_file.load_state(path, model_file.read_header(path)))
        windows = [(found.percentiles["0.5"], found.percentiles["99.5"]) for found in state.data.statistics]
        found = review(
            state.training,
            labels=state.data.labels,
            names=state.data.names,
            windows=windows,
            multiple=state.spec.multiples,
            progress=progress,
        )
        return found, ""
    except Cancelled:
        return None, "because it was stopped while they were made"
    except (BoneError, RuntimeError, MemoryError) as error:
        log.warning("The report has no examples: %s", error)
        return None, f"because of a fault: {error}"
