"""Many fits from one file: cross-validation, comparison and ranking of models.

In:  StudyOptions.
Out: a folder with an ordinary run folder and ordinary labels for every run, results.csv and study.html.
Told once, in the order in which things happen. A study that was stopped or broke off goes on with the same
command: what is done is known by its options and by the content of its scans. A run that fails stops no
other.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import Cancelled
from .files.outputs import check_apart
from .progress import Part, Progress, silent
from .side_by_side import cluster, slots
from .studies import inputs, rehearsal, states
from .studies.book import Book
from .studies.evaluation import evidence
from .studies.options import StudyOptions
from .studies.plan import Plan, Run, make_plan
from .studies.states import DONE

log = logging.getLogger("bone.study")

WORK = "study-run"  # the command of one run
STOP = ".stop"
CHECK_SHARE = 2  # per cent of the progress


def study_job(options: StudyOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "study"."""
    return study(options, progress=progress)


def study(options: StudyOptions, *, progress: Progress = silent, work: str = WORK) -> dict[str, Any]:
    """Do all runs of a study that are not done, and write what came out.

    work: the command that does one run. Raises BoneError in the user's words before any work, FittingError
    at the end where runs failed, and Cancelled after a stop.
    """
    options.check_paths()
    evidence.check_installed()
    if options.cluster:
        cluster.check_installed()
    checking = Part(progress, first=0, share=CHECK_SHARE, steps=100)
    plan = make_plan(options, known=inputs.read_known(options.output), progress=checking)
    check_apart(plan.folder, [(f"the scan {scan.name}", scan.scan) for scan in plan.scans])
    check_apart(plan.folder, [(f"the mask {scan.name}", scan.mask) for scan in plan.scans])
    states.check_same_study(plan.folder, plan.name)
    rest = Part(progress, first=CHECK_SHARE, share=100 - CHECK_SHARE, steps=100)
    gpus = _gpus(plan)
    if options.dry_run:
        count = options.local_workers or options.at_once or max(gpus, 1)
        return rehearsal.rehearsed(plan, at_once=count, progress=rest)
    with states.held(plan.folder, doing="a study", look=lambda: progress(0, 100, "Waiting for the folder")):
        book = Book(plan)
        todo = book.begin(retry_failed=options.retry_failed)
        try:
            with _only_of_study():
                left: list[slots.Job] = [_job(plan, run) for run in todo]
                _run(options, left, gpus=gpus, ended=book.ended, progress=rest, work=work)
        except Cancelled as stop:
            book.write()
            stop.result = {"study_folder": str(plan.folder), "done": book.count(DONE), "runs": len(plan.runs)}
            raise
        return book.finish()


def _gpus(plan: Plan) -> int:
    """That have a run each; 0 on a CPU, and where a fit wants several: then one run at a time sees all."""
    if any(run.fit.gpus != "1" for run in plan.runs):
        return 0
    devices = {run.fit.device for run in plan.runs}
    return slots.gpus_of_this_machine(devices.pop() if len(devices) == 1 else "auto")


def _run(
    options: StudyOptions,
    todo: list[slots.Job],
    *,
    gpus: int,
    ended: slots.Ended,
    progress: Progress,
    work: str,
) -> None:
    """All that is to be done, where the options say."""
    if not todo:
        return
    if options.cluster:
        with cluster.connected(options.cluster, gpus=gpus, called="bone-study") as client:
            stop = Path(options.output).absolute() / STOP
            cluster.run_there(client, todo, stop=stop, ended=ended, progress=progress, work=work)
    elif not options.one_process:
        places = slots.surroundings(options.at_once, gpus, os.environ)
        slots.run_apart(todo, places[: len(todo)], ended=ended, progress=progress, work=work)
    else:
        slots.run_here(todo, ended=ended, progress=progress, work=work)


def _job(plan: Plan, run: Run) -> dict[str, Any]:
    """What a process needs to do a run, as plain values."""
    scans = plan.by_name
    return {
        "name": run.name,
        "words": run.words,
        "folder": str(plan.folder / run.name),
        "key": run.key,
        "fit": {**run.values, "seed": run.seed},
        "predict": dict(run.predict),
        "tests": [
            [name, scans[name].folder, str(scans[name].scan), str(scans[name].mask)] for name in run.fold.test
        ],
    }


@contextlib.contextmanager
def _only_of_study() -> Iterator[None]:
    """Keep the lines of single fits and predictions, which are in their logs, from who looks at the study."""

    def passes(record: logging.LogRecord) -> bool:
        return record.name in (log.name, cluster.log.name) or record.levelno >= logging.ERROR

    handlers = [one for one in logging.getLogger("bone").handlers if one.level > logging.DEBUG]
    for handler in handlers:
        handler.addFilter(passes)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(passes)
