"""Where a study is written, what it makes, and where its runs go on.

In:  plain values from any door.
Out: StudyOptions. What the study itself is stands in its file (study_file.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from ..errors import Fault, OutputError, called
from ..files.outputs import Named, check_apart, ending_fault
from ..options.field import AUTO
from ..options.fields import Options, option
from ..options.types import AS_AUTO, FROM_AUTO, Cluster, InputPath, UserPath, local_workers


class StudyOptions(Options):
    """Many fits from one file: cross-validation, comparison and ranking of models."""

    title: ClassVar[str] = "BONe study"

    study: InputPath = option(
        group="Data",
        label="Study file",
        kind="file",
        positional=True,
        help="The study as a TOML file: scans, folds, seeds, options, and what is varied.",
    )
    output: UserPath = option(
        group="Data",
        label="Study folder",
        often=True,
        kind="folder",
        help="Folder for everything. The same command with the same folder goes on with a study that was "
        "stopped or broke off.",
    )
    data: UserPath | None = option(
        None,
        group="Data",
        label="Data",
        often=True,
        kind="folder",
        help="Folder that the paths of scans and masks start from, where they are relative; none: that of "
        "the study file.",
    )
    dry_run: bool = option(
        False,
        group="Runs",
        label="Dry run",
        often=True,
        help="Check everything, measure a step of each configuration, tell the table of runs with their "
        "times, and stop. Nothing is written.",
    )
    quick: bool = option(
        False,
        group="Runs",
        label="Quick",
        often=True,
        help="Shorten the study to see that all goes well: one seed, two folds, one epoch of one step on "
        "small patches, random first weights.",
    )
    retry_failed: bool = option(
        False,
        group="Runs",
        label="Retry failed",
        often=True,
        help="Try runs again that failed before. Otherwise they are told once more and left alone.",
    )
    at_once: Annotated[Annotated[int, Field(ge=1, le=256)] | None, FROM_AUTO, AS_AUTO] = option(
        None,
        group="Machine",
        label="At once",
        metavar="N|auto",
        none_word=AUTO,
        help="Runs side by side on this machine. auto: one for each GPU, one on a CPU.",
    )
    one_process: bool = option(
        False,
        group="Machine",
        label="One process",
        help="All runs in this process, one after the other, which saves some seconds a run. Otherwise each "
        "has a process of its own: what crashes there or fills the memory ends that run alone.",
    )
    cluster: Cluster | None = option(
        None,
        group="Machine",
        label="Cluster",
        metavar="ADDRESS|local:N",
        help="Run on the workers of this Dask scheduler, which offer the resource GPU=1 each, or on N "
        "workers that are started here. Needs the Python package distributed.",
    )

    def cross_faults(self) -> list[Fault]:
        faults = []
        folder = "as a folder (a name without ending)"
        if fault := ending_fault(self.output, what="a study is", written=(), or_folder=folder):
            faults.append(Fault(fault))
        if self.cluster and self.at_once:
            told = f"{called('at_once')} is for this machine; a cluster has as many runs at once as workers"
            faults.append(Fault(f"{told}. Leave it or {called('cluster')} out."))
        if self.one_process and (self.at_once or 1) > 1:
            told = f"{called('at_once')} is {self.at_once}, which needs a process for each run"
            faults.append(Fault(f"{told}. Leave {called('one_process')} out."))
        return faults

    def inputs(self) -> list[Named]:
        return [("the study file", self.study)]

    def check_paths(self) -> None:
        check_apart(self.output, self.inputs())
        if self.output.exists() and not self.output.is_dir():
            raise OutputError(f"{called('output')} {self.output} is a file; name a folder.")

    @property
    def data_folder(self) -> Path:
        """Where relative paths of scans start."""
        return self.data or self.study.absolute().parent

    @property
    def local_workers(self) -> int:
        """Workers that --cluster local:N starts here; 0 where the cluster is elsewhere."""
        return local_workers(self.cluster)
