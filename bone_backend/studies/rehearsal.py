"""What a study would take, told before it begins: a time for each run, memory and disk.

In:  a plan.
Out: the table of runs as plain values. A step of each configuration is measured on its first fold; the other
folds follow from the number of their slices, where the fit has a number of epochs and not a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..durations import estimated
from ..errors import BoneError, OptionError
from ..fitting import measure, ready
from ..options.programs import FitOptions, PredictOptions
from ..progress import Part, Progress
from ..training.distributed import join
from ..volumes.output import size_in_words
from .plan import Plan, Run
from .report.words import counted, of_what


@dataclass(frozen=True)
class _Pace:
    """Of one configuration. fit_s: of the run that was measured, `slices` are fitted on there; None where the
    fit has a time of its own, which is the same for all."""

    fit_s: float
    slices: int | None
    predict_s_per_voxel: float
    ram_gib: float
    gpu_gib: float | None
    disk_gib: float
    warnings: tuple[str, ...]

    def seconds(self, plan: Plan, run: Run) -> tuple[float, float]:
        """For the fit, and for its predictions."""
        share = 1.0 if self.slices is None else _slices(plan, run) / max(self.slices, 1)
        voxels = sum(math.prod(plan.headers[name].shape) for name in run.fold.test)
        overlap = run.predict.get("chunk_overlap", PredictOptions.model_fields["chunk_overlap"].default)
        again = (1 - float(overlap)) ** -2  # chunks overlap along y and x
        return self.fit_s * share, self.predict_s_per_voxel * voxels * again


def rehearsed(plan: Plan, *, at_once: int, progress: Progress) -> dict[str, Any]:
    """The table of runs. at_once: runs side by side. Raises OptionError for what cannot be built."""
    firsts = {run.configuration.name: run for run in reversed(plan.runs)}
    paces: dict[str, _Pace] = {}
    faults: list[str] = []
    for number, (name, run) in enumerate(sorted(firsts.items())):
        part = Part(progress, first=number, share=1, steps=len(firsts))
        try:
            paces[name] = _measured(plan, run, part)
        except BoneError as error:
            faults += [f"{name}: {fault}" for fault in error.faults]
    if faults:
        raise OptionError(faults)
    rows: list[dict[str, Any]] = []
    for run in plan.runs:
        pace = paces[run.configuration.name]
        fit_s, predict_s = pace.seconds(plan, run)
        rows.append({"run": run.words, "fit_s": fit_s, "predict_s": predict_s})
    total = sum(row["fit_s"] + row["predict_s"] for row in rows) / max(at_once, 1)
    disk = sum(paces[run.configuration.name].disk_gib for run in plan.runs) + labels_gib(plan, plan.runs)
    most = max(paces.values(), key=lambda pace: pace.ram_gib)
    told = [
        f"{counted(len(plan.runs), 'run')}: {of_what(plan)}.",
        f"Time: about {estimated(total)} in all, {at_once} at once.",
        f"Memory: up to {most.ram_gib:.1f} GiB of RAM for each run"
        + (f", {most.gpu_gib:.1f} GiB on its GPU" if most.gpu_gib is not None else "")
        + f"; disk: up to {size_in_words(round(disk * 2**30))}.",
        *plan.notes,
    ]
    warnings = {f"{name}: {line}" for name, pace in paces.items() for line in pace.warnings}
    return {"dry_run": True, "runs": rows, "seconds": total, "told": told, "warnings": sorted(warnings)}


def labels_gib(plan: Plan, runs: Sequence[Run]) -> float:
    """Of all labels that the runs make, 8 bit each."""
    sizes = {name: math.prod(header.shape) for name, header in plan.headers.items()}
    return sum(sizes[name] for run in runs for name in run.fold.test) / 2**30


def _slices(plan: Plan, run: Run) -> int:
    return sum(plan.headers[name].shape[0] for name in run.fold.fitted)


def _measured(plan: Plan, run: Run, progress: Progress) -> _Pace:
    options = FitOptions.parse(
        {**run.values, "seed": run.seed, "output": str(plan.folder / run.name / "fit")}
    )
    with join(options.device) as world, ready(options, world, progress=progress) as state:
        found, settled = measure(state, progress=progress), state.options
        has_time = settled.minutes is not None
        patches = max(min(found.batch_size, found.validation_patches), 1)
        voxels = settled.patch_size**2 * (settled.patch_depth if settled.mode == "3D" else 1)
    return _Pace(
        fit_s=found.total_s,
        slices=None if has_time else _slices(plan, run),
        predict_s_per_voxel=found.validation_batch_s / (patches * voxels),
        ram_gib=found.ram_gib,
        gpu_gib=found.gpu_gib,
        disk_gib=found.disk_gib,
        warnings=found.warnings,
    )
