"""study.html: what came out of a study, as one page of HTML that needs nothing from outside.

In:  the plan, the states of its runs, the scores of those that are done.
Out: the page in the folder of the study, in the style of a fit's report; and what the command tells.
A study never fails because of its report; what goes wrong is a warning in the log.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ...durations import measured
from ...errors import BoneError
from ...files.whole import write_text
from ...report.charts import Line, line_chart
from ...report.rendering import Markup, rendered
from ...report.scatter import Point, scatter_chart
from ...volumes.classes import COLOURS, MEAN
from ..evaluation.evidence import smallest_p
from ..evaluation.ranking import WEIGHT
from ..evaluation.summary import Comparison, Summary, compare_all, effects, without_leaks
from ..plan import Plan
from ..results import FILE as RESULTS
from ..results import Score
from ..states import FAILED, State
from . import words
from .hard import hard_section

log = logging.getLogger("bone.study")

FILE = "study.html"
MOST_COLOURED, OTHERS = len(COLOURS), "#bbbbbb"
MOST_TABLES = 12  # of folds and seeds; the others are in results.csv


def write(plan: Plan, states: Mapping[str, State], scores: Sequence[Score]) -> None:
    """Write the page of what is done so far. scores: at least one."""
    try:
        write_text(plan.folder / FILE, page(plan, states, scores))
    except Exception as error:  # whatever it is: the runs themselves are safe on disk
        log.warning("The report could not be written: %s", error, exc_info=not isinstance(error, BoneError))
        return
    log.info("Report: %s", plan.folder / FILE)


def page(plan: Plan, states: Mapping[str, State], scores: Sequence[Score]) -> str:
    """The whole page."""
    found = compare_all(plan, scores)
    colours = _colours(found)
    text = rendered(
        "study.html",
        head=_head(plan, states, found, scores),
        warnings=_warnings(plan, states, found, scores),
        ranking=_ranking(found, colours),
        tables=[_table(one) for one in found.ranked[:MOST_TABLES]],
        left_out=max(len(found.ranked) - MOST_TABLES, 0),
        effects=_effects(found),
        hard=hard_section(plan, found, scores),
        charts=_charts(found, scores, colours),
        runs=_runs(plan, states, scores),
        models=_models(found, scores),
        repeat=words.repeat(plan),
    )
    return str(text)


def told(plan: Plan, scores: Sequence[Score]) -> dict[str, Any]:
    """What the command gives, as plain values."""
    found = compare_all(plan, scores)
    return {
        "study": plan.name,
        "folder": str(plan.folder),
        "results": str(plan.folder / RESULTS),
        "report": str(plan.folder / FILE),
        "runs": len(plan.runs),
        "best": found.best.name,
        "ranking": [
            {
                "configuration": one.name,
                "mean_iou": one.miou,
                "sd": None if math.isnan(one.table.whole.sd) else one.table.whole.sd,
                "score": found.ranking.scores[one.name],
                "rank": found.ranking.ranks[one.name],
                "p": one.p,
            }
            for one in found.ranked
        ],
    }


def _colours(found: Comparison) -> dict[str, str]:
    """Of the configurations that stand out in plots: the first in the ranking."""
    names = [one.name for one in found.ranked]
    return {name: COLOURS[i] if i < MOST_COLOURED else OTHERS for i, name in enumerate(names)}


def _head(
    plan: Plan, states: Mapping[str, State], found: Comparison, scores: Sequence[Score]
) -> dict[str, Any]:
    best, runs = found.best, {score.run.name: score.result for score in scores}
    seconds = sum(float(result["fit_seconds"]) for result in runs.values())
    tiles = [
        {"title": "Best mIoU", "value": words.number(best.miou), "note": best.name},
        {"title": "SD over fold × seed", "value": words.number(best.table.whole.sd), "note": best.name},
        {
            "title": "Runs done",
            "value": f"{len(runs)} of {len(plan.runs)}",
            "note": words.states_told(plan, states),
        },
        {"title": "Time of all fits", "value": measured(seconds), "note": words.devices(runs.values())},
    ]
    return {
        "name": plan.name,
        "told": words.of_what(plan),
        "tiles": tiles,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
    }


def _warnings(
    plan: Plan, states: Mapping[str, State], found: Comparison, scores: Sequence[Score]
) -> list[str]:
    """What a reader must know before the numbers."""
    lines = list(plan.notes)
    if plan.leaks:
        listed = "; ".join(f"{name}: {', '.join(scans)}" for name, scans in plan.leaks.items())
        line = (
            f"Scans of one subject stand on both sides of a fold ({listed}), so the scores of these scans "
            "are better than those of an animal that was never seen."
        )
        rest = without_leaks(plan, scores)
        line += f" Over the other scans the mean IoU is {words.number(rest)}." if rest is not None else ""
        if found.best.by_subject is not None:
            line += (
                f" With folds by subject {found.best.name} has {words.spread(found.best.by_subject.whole)}, "
                f"as given {words.spread(found.best.table.whole)}; the ranking has both of all."
            )
        else:
            line += " With split_by_subject = true the study measures folds by subject too."
        lines.append(line)
    pieces = [one for one in found.summaries if one.pieces > 1]
    if pieces:
        names = ", ".join(f"{one.name} (up to {one.pieces})" for one in pieces)
        lines.append(
            f"The memory did not suffice for whole batches, which were taken in pieces: {names}. Batch "
            "normalisation then sees smaller batches than in the other runs."
        )
    partial = [one.name for one in found.summaries if one.runs * len(found.summaries) < _most_runs(found)]
    if partial:
        lines.append(f"Not all runs are done: {', '.join(partial)} stands on fewer runs than the others.")
    failed = sum(states[run.name].state == FAILED for run in plan.runs if run.name in states)
    if failed:
        lines.append(f"{failed} runs failed; the table of runs tells why.")
    return lines


def _most_runs(found: Comparison) -> int:
    return max(one.runs for one in found.summaries) * len(found.summaries)


def _ranking(found: Comparison, colours: Mapping[str, str]) -> dict[str, Any]:
    scans, is_mended = len(found.best.by_scan), any(one.by_subject for one in found.summaries)
    rows = [
        {
            "rank": found.ranking.ranks[one.name],
            "name": one.name,
            "colour": colours[one.name],
            "is_best": one is found.best,
            "cells": [
                f"{found.ranking.scores[one.name]:.3f}",
                words.spread(one.table.whole),
                words.interval(one.interval),
                words.spread(one.dice.whole),
                "best" if one is found.best else words.p_value(one.p),
                *([words.spread(one.by_subject.whole if one.by_subject else None)] if is_mended else []),
            ],
            "costs": words.figures(one.figures),
        }
        for one in found.ranked
    ]
    return {
        "rows": rows,
        "heads": ["score", "mIoU ± SD", "95 % interval", "Dice ± SD", "p", *["by subject"] * is_mended],
        "cost_heads": words.FIGURES,
        "left_out": found.ranking.left_out,
        "weights": {words.MEASURE_WORDS[name]: part for name, part in found.ranking.weights.items()},
        "weight": WEIGHT,
        "scans": scans,
        "smallest_p": f"{smallest_p(scans):.2g}",
        "is_compared": len(rows) > 1,
        "sweep": {
            "weights": [f"{weight:.2f}" for weight in found.sweep],
            "rows": [
                {"name": one.name, "ranks": [ranks[one.name] for ranks in found.sweep.values()]}
                for one in found.ranked
            ],
        },
    }


def _table(one: Summary) -> dict[str, Any]:
    """Folds in rows and seeds in columns, mIoU and Dice."""
    tables = (one.table, one.dice)
    seeds = one.table.seeds
    rows = [
        {
            "name": fold,
            "cells": [[words.spread(table.cells.get((fold, seed))) for table in tables] for seed in seeds],
            "margin": [words.spread(table.by_fold[fold]) for table in tables],
        }
        for fold in one.table.folds
    ]
    return {
        "name": one.name,
        "seeds": seeds,
        "rows": rows,
        "bottom": [[words.spread(table.by_seed[seed]) for table in tables] for seed in seeds],
        "whole": [words.spread(table.whole) for table in tables],
    }


def _effects(found: Comparison) -> list[dict[str, Any]]:
    told = []
    for option, values in effects(found).items():
        highest = max(one.miou for one in values)
        numbers = [one.value for one in values]
        is_scale = len(values) > 2 and all(type(value) is int for value in numbers)
        rows = sorted(values, key=lambda one: one.value) if is_scale else values
        told.append(
            {
                "option": option.removeprefix("predict.").replace("_", " "),
                "rows": [
                    {
                        "value": str(one.value),
                        "miou": words.number(one.miou),
                        "less": "best" if one.miou == highest else f"−{highest - one.miou:.4f}",
                        "count": one.configurations,
                    }
                    for one in rows
                ],
                "chart": line_chart(
                    f"mIoU by {option.replace('_', ' ')}",
                    [Line("mean mIoU", [one.miou for one in rows], MEAN)],
                    x=[int(one.value) for one in rows],
                    x_label=option.replace("_", " "),
                )
                if is_scale
                else None,
            }
        )
    return told


def _charts(found: Comparison, scores: Sequence[Score], colours: Mapping[str, str]) -> list[Markup]:
    """Learning curves of all runs, and what the scores cost."""
    runs = {score.run.name: score for score in scores}
    longest = max((len(score.result["curve"]) for score in runs.values()), default=0)
    seen: set[str] = set()
    lines = []
    for score in sorted(
        runs.values(), key=lambda one: found.ranking.ranks.get(one.run.configuration.name, 0)
    ):
        name, curve = score.run.configuration.name, list(score.result["curve"])
        colour = colours.get(name, OTHERS)
        told = name if colour != OTHERS else "others"
        lines.append(Line("" if told in seen else told, [*curve, *[None] * (longest - len(curve))], colour))
        seen.add(told)
    points = [
        Point(
            float(one.figures["seconds"] or math.nan),
            one.miou,
            str(found.ranking.ranks[one.name]),
            one.name,
            colours[one.name],
        )
        for one in found.summaries
    ]
    return [
        line_chart("Validation mIoU of all runs", lines, x=range(1, longest + 1)),
        scatter_chart(
            "Test mIoU and time of a fit", points, x_label="seconds of a fit, mean; the number is the rank"
        ),
    ]


def _runs(plan: Plan, states: Mapping[str, State], scores: Sequence[Score]) -> list[dict[str, str]]:
    means: dict[str, list[float]] = {}
    for score in scores:
        means.setdefault(score.run.name, []).append(score.iou)
    rows = []
    for run in plan.runs:
        state = states.get(run.name, State())
        is_now = state.key == run.key
        seconds = (state.result or {}).get("fit_seconds")
        known = [value for value in means.get(run.name, []) if not math.isnan(value)]
        rows.append(
            {
                "name": run.words,
                "state": state.state if is_now else "waiting",
                "miou": words.number(sum(known) / len(known)) if known else "",
                "time": measured(float(seconds)) if seconds is not None and is_now else "",
                "cause": state.cause if is_now else "",
                "folder": run.name,
            }
        )
    return rows


def _models(found: Comparison, scores: Sequence[Score]) -> list[str]:
    """Models of the best configuration, a line each: those of its folds can label together."""
    return list(
        dict.fromkeys(
            f"{score.run.name}/{score.result['model']}"
            for score in scores
            if score.run.configuration.name == found.best.name and not score.is_mended
        )
    )
