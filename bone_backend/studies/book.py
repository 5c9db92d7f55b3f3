"""What became of the runs of a study: kept run by run, told, and written as table and report.

In:  a plan; the outcome of each run as it ends.
Out: which runs are to be done; their states on disk; results.csv, study.html; what the command tells.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..durations import measured
from ..errors import BoneError, FittingError, OutputError
from ..machine.versions import versions
from ..side_by_side.slots import Job
from . import inputs, states
from . import results as table
from .plan import Plan, Run
from .rehearsal import labels_gib
from .report import page as report
from .report.words import counted
from .states import DONE, FAILED, State

log = logging.getLogger("bone.study")

RESULTS_EVERY_S = 60.0


class Book:
    """The states of all runs, and what is written of them."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.states = {run.name: states.read_state(plan.folder / run.name) for run in plan.runs}
        self._by_name = {run.name: run for run in plan.runs}
        self._began = self._written = time.monotonic()

    def begin(self, *, retry_failed: bool) -> list[Run]:
        """What is to be done. Tells what is done already, what differs, what failed. Raises OutputError."""
        plan = self.plan
        for note in plan.notes:
            log.info("%s", note)
        again = [run for run in plan.runs if self.states[run.name].key not in ("", run.key)]
        if again:
            log.warning("%s", self._differs(again))
        done = [run for run in plan.runs if self._is(run, DONE)]
        failed = [run for run in plan.runs if self._is(run, FAILED)]
        closed = {run.name for run in (*done, *([] if retry_failed else failed))}
        left = [run for run in plan.runs if run.name not in closed]
        if leaks := plan.leaks:
            told = ", ".join(f"{name} ({', '.join(scans)})" for name, scans in leaks.items())
            log.warning("Scans of one subject are fitted on and tested in one run: %s.", told)
        number = counted(len(plan.runs), "run")
        log.info("%s: %d done, %d failed, %d to do.", number, len(done), len(failed), len(left))
        self._check_disk(left)
        content: dict[str, Any] = {
            "name": plan.name,
            "file": plan.file.model_dump(mode="json"),
            "versions": versions(),
        }
        content["runs"] = [[run.name, run.words] for run in plan.runs]
        states.write_study(plan.folder, {**content, "begun": datetime.now(UTC).isoformat(timespec="seconds")})
        inputs.write_known(plan.folder, plan.inputs)
        return left

    def _is(self, run: Run, state: str) -> bool:
        found = self.states[run.name]
        return found.state == state and found.key == run.key

    def _differs(self, again: Sequence[Run]) -> str:
        changed = inputs.changed(inputs.read_known(self.plan.folder), self.plan.inputs)
        told = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        why = f"{told} changed" if changed else "options, folds or scans in the study file changed"
        runs = "; ".join(run.words for run in again[:5]) + (" ..." if len(again) > 5 else "")
        return f"Since the last start {why}: {counted(len(again), 'run')} to be done again ({runs})."

    def _check_disk(self, left: Sequence[Run]) -> None:
        needed = labels_gib(self.plan, left)
        free = shutil.disk_usage(self.plan.folder).free / 2**30
        if needed > free:
            raise OutputError(
                f"output {self.plan.folder}: the labels of {len(left)} runs need {needed:.2f} GiB, but "
                f"{free:.2f} GiB are free there. Make room, or name a folder on another disk."
            )

    def ended(self, job: Job, outcome: dict[str, Any] | BaseException) -> None:
        """Keep what became of a run."""
        run = self._by_name[job["name"]]
        if isinstance(outcome, BaseException):
            told = str(outcome) if isinstance(outcome, BoneError) else f"{type(outcome).__name__}: {outcome}"
            self.states[run.name] = State(FAILED, run.key, cause=told)
            log.warning("%s failed: %s", run.words, told)
            try:
                states.write_state(self.plan.folder / run.name, self.states[run.name])
            except OutputError as error:  # then it is tried again at the next start
                log.warning("%s", error)
            return
        self.states[run.name] = State(DONE, run.key, result=outcome)
        known = [scan["mean_iou"] for scan in outcome["scans"] if scan["mean_iou"] is not None]
        log.info(
            "%s: mIoU %.4f over %s, fitted in %s",
            run.words,
            sum(known) / max(len(known), 1),
            counted(len(outcome["scans"]), "scan"),
            measured(outcome["fit_seconds"]),
        )
        if time.monotonic() - self._written > RESULTS_EVERY_S:
            self.write(with_report=False)
            self._written = time.monotonic()

    def _scores(self) -> list[table.Score]:
        return list(table.scores(self.plan, self.states))

    def count(self, state: str) -> int:
        """Runs in this state."""
        return sum(self._is(run, state) for run in self.plan.runs)

    def write(self, *, with_report: bool = True) -> None:
        """results.csv and study.html of what is done so far."""
        found = self._scores()
        if not found:
            return
        table.write(self.plan.folder, found, self.plan)
        if with_report:
            report.write(self.plan, self.states, found)

    def finish(self) -> dict[str, Any]:
        """Write all, and tell it. Raises FittingError where runs failed."""
        self.write()
        failed = [(run, self.states[run.name].cause) for run in self.plan.runs if self._is(run, FAILED)]
        if failed:
            there = f" What the others gave is in {self.plan.folder}." if self.count(DONE) else ""
            raise FittingError(
                [f"{run.words}: {cause}" for run, cause in failed]
                + [
                    f"{len(failed)} of {len(self.plan.runs)} runs failed.{there} "
                    "Try them again with --retry-failed."
                ]
            )
        return report.told(self.plan, self._scores()) | {"seconds": round(time.monotonic() - self._began, 1)}
