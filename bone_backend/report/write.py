"""Write report.html at the end of a fit.

In:  what the fit has kept: its record and its best model.
Out: report.html in the run folder: curves, scores, examples, and all that is needed to repeat the run.
A run never fails because of its report; what goes wrong is a warning in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..errors import BoneError, Cancelled
from ..model_files import model_file
from ..progress import Progress
from ..runs.folder import RECORD, REPORT
from ..runs.records import read_record
from ..volumes.output import write_text
from .page import page
from .review import Review, review

if TYPE_CHECKING:
    from ..runs.keeper import Keeper

log = logging.getLogger("bone.fitting")


def write(keeper: Keeper, progress: Progress | None = None) -> None:
    """Write the report of a fit that `keeper` has finished.

    progress: told while the validation scans are reviewed with the best model, which then is in the fit's
    network; without it the review is left out, as after a stop, and the report takes no time.
    """
    if not keeper.world.is_first:
        return
    try:
        found, left_out = _review(keeper, progress)
        record = read_record(keeper.folder.path / RECORD)
        write_text(keeper.folder.path / REPORT, page(record, review=found, left_out=left_out))
    except Exception as error:  # whatever it is: the run itself is safe on disk
        log.warning("The report could not be written: %s", error, exc_info=not isinstance(error, BoneError))
        return
    log.info("Report: %s", keeper.folder.path / REPORT)


def _review(keeper: Keeper, progress: Progress | None) -> tuple[Review | None, str]:
    """The review, or why there is none."""
    best = keeper.position.best_file
    if not best:
        return None, "because no epoch was finished"
    if progress is None:
        return None, "because the run was stopped or broke off"
    path = keeper.folder.path / best
    try:
        keeper.network.load_state_dict(model_file.load_state(path, model_file.read_header(path)))
        windows = [(found.percentiles["0.5"], found.percentiles["99.5"]) for found in keeper.statistics]
        names = [pair.name for pair in keeper.pairs]
        found = review(
            keeper.training,
            labels=keeper.labels,
            names=names,
            windows=windows,
            multiple=keeper.spec.multiples,
            progress=progress,
        )
        return found, ""
    except Cancelled:
        return None, "because it was stopped while they were made"
    except (BoneError, RuntimeError, MemoryError) as error:
        log.warning("The report has no examples: %s", error)
        return None, f"because of a fault: {error}"
