"""Numbers and facts of a study in words, for its report.

In:  scores, spreads, p values, figures of runs; the plan.
Out: short texts; a dash where something is not known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ...durations import measured
from ...machine.versions import versions
from ..evaluation.ranking import MEASURES, MIOU
from ..evaluation.table import Spread
from ..plan import Plan
from ..states import DONE, FAILED, State

NONE = "–"
FIGURES = ("batch", "GPU use", "multiply-adds", "parameters", "GPU memory", "time of a fit")
MEASURE_WORDS = {MIOU: "mIoU", **{name: words for name, (words, _) in MEASURES.items()}}


def number(value: float | None) -> str:
    """A score with four digits."""
    return NONE if value is None or math.isnan(value) else f"{value:.4f}"


def spread(found: Spread | None) -> str:
    """Mean and standard deviation."""
    if found is None or not found.count:
        return NONE
    return number(found.mean) + ("" if math.isnan(found.sd) else f" ± {found.sd:.4f}")


def interval(found: tuple[float, float] | None) -> str:
    """Both ends."""
    return NONE if found is None else f"{found[0]:.4f} to {found[1]:.4f}"


def p_value(value: float | None) -> str:
    """
    >>> p_value(0.0312), p_value(0.00002), p_value(None)
    ('0.031', '< 0.0001', '–')
    """
    if value is None:
        return NONE
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def figures(found: Mapping[str, float | None]) -> list[str]:
    """In the order of FIGURES."""
    batch, gpu, adds = found["batch_size"], found["gpu_percent"], found["multiply_adds"]
    parameters, memory, seconds = found["parameters"], found["peak_gpu_gib"], found["seconds"]
    return [
        NONE if batch is None else f"{batch:g}",
        NONE if gpu is None else f"{gpu:.0f} %",
        NONE if adds is None else many(adds),
        NONE if parameters is None else many(parameters),
        NONE if memory is None else f"{memory:.2f} GiB",
        NONE if seconds is None else measured(seconds),
    ]


def counted(number: int, what: str) -> str:
    """
    >>> counted(1, "scan"), counted(1200, "run")
    ('1 scan', '1,200 runs')
    """
    return f"{number:,} {what}{'s' * (number != 1)}"


def many(value: float) -> str:
    """
    >>> many(6365184), many(29499), many(24.4e6), many(3.1e9)
    ('6.37 M', '29.5 k', '24.4 M', '3.1 G')
    """
    unit, factor = next(((u, f) for u, f in (("G", 1e9), ("M", 1e6), ("k", 1e3)) if value >= f), ("", 1))
    return f"{value / factor:.3g} {unit}".strip()


def states_told(plan: Plan, states: Mapping[str, State]) -> str:
    """How many runs failed, and how many are left."""
    now = [states[run.name].state for run in plan.runs if run.name in states]
    failed, done = now.count(FAILED), now.count(DONE)
    left = len(plan.runs) - failed - done
    return ", ".join([*[f"{failed} failed"] * bool(failed), *[f"{left} to do"] * bool(left)]) or "all"


def of_what(plan: Plan) -> str:
    """How large the study is."""
    parts = {
        "configuration": len(plan.configurations),
        "fold": len(plan.folds),
        "seed": len({run.seed for run in plan.runs}),
        "scan": len(plan.scans),
    }
    return ", ".join(counted(count, name) for name, count in parts.items())


def devices(results: Iterable[Mapping[str, Any]]) -> str:
    """Where the runs were."""
    return "; ".join(dict.fromkeys(str(result["device_name"]) for result in results))


def repeat(plan: Plan) -> dict[str, Any]:
    """All that is needed to do it again."""
    return {
        "file": json.dumps(
            plan.file.model_dump(mode="json", exclude_defaults=True), indent=2, ensure_ascii=False
        ),
        "folds": [{"name": fold.name, "test": ", ".join(fold.test)} for fold in (*plan.folds, *plan.mended)],
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
