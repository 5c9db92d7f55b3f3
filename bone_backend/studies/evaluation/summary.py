"""What a study says of each configuration: its scores by fold and seed, how sure they are, its rank.

In:  the scores of all runs on all scans.
Out: a Summary of each configuration, in the order of the study; rankings; effects of what was varied; scans.
The mIoU of a configuration is the mean over its cells (fold and seed), as in the paper. Intervals and tests
are over scans, of each the mean over its seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..folds import SUBJECTS
from ..plan import Plan
from ..results import Score
from .evidence import holm, interval, paired_p
from .ranking import MEASURES, MIOU, Ranking, rank, sweep
from .table import FoldTable, dice_of, fold_table

ByScan = dict[str, float]


@dataclass(frozen=True)
class Summary:
    """Of one configuration. by_scan: means over the seeds. interval: of their mean. figures: what is ranked,
    see ranking.py. p: against the best, corrected; None for the best itself, and where nothing is to compare.
    by_subject: the table with the folds in which no subject is on both sides, where there are such runs.
    pieces: the most that a batch was taken in, of any of its runs."""

    name: str
    options: Mapping[str, Any]
    table: FoldTable
    dice: FoldTable
    by_scan: ByScan
    interval: tuple[float, float] | None
    figures: Mapping[str, float | None]
    p: float | None
    by_subject: FoldTable | None
    runs: int
    pieces: int

    @property
    def miou(self) -> float:
        """Mean over the cells."""
        return self.table.whole.mean


@dataclass(frozen=True)
class Comparison:
    """All configurations that have a run that is done."""

    summaries: tuple[Summary, ...]
    ranking: Ranking
    sweep: Mapping[float, Mapping[str, int]]
    best: Summary

    @property
    def ranked(self) -> list[Summary]:
        """The best first, by the weighted score; then by mIoU."""
        return sorted(self.summaries, key=lambda one: (-self.ranking.scores[one.name], -one.miou))


def compare_all(plan: Plan, scores: Sequence[Score]) -> Comparison:
    """scores: at least one. The best is the one with the highest mIoU."""
    by_name: dict[str, list[Score]] = defaultdict(list)
    for score in scores:
        by_name[score.run.configuration.name].append(score)
    given = {name: [one for one in found if not one.is_mended] for name, found in by_name.items()}
    order = [one for one in plan.configurations if given.get(one.name)]
    tables = {one.name: fold_table(_cells(given[one.name], lambda iou: iou)) for one in order}
    scans = {one.name: _by_scan(given[one.name]) for one in order}
    best = max(order, key=lambda one: _or_least(tables[one.name].whole.mean)).name
    others = [one.name for one in order if one.name != best]
    corrected = holm([paired_p(scans[name], scans[best]) for name in others])
    p = dict(zip(others, corrected, strict=True))
    summaries = tuple(
        Summary(
            name=one.name,
            options=one.options,
            table=tables[one.name],
            dice=fold_table(_cells(given[one.name], dice_of)),
            by_scan=scans[one.name],
            interval=interval(list(scans[one.name].values())),
            figures=_figures(given[one.name], tables[one.name].whole.mean),
            p=p.get(one.name),
            by_subject=_by_subject(plan, by_name[one.name]),
            runs=len({score.run.name for score in by_name[one.name]}),
            pieces=max(int(score.result.get("pieces") or 1) for score in by_name[one.name]),
        )
        for one in order
    )
    figures = {one.name: {**one.figures, MIOU: _or_least(one.miou)} for one in summaries}
    return Comparison(
        summaries, rank(figures), sweep(figures), next(one for one in summaries if one.name == best)
    )


def _or_least(value: float) -> float:
    return 0.0 if np.isnan(value) else value


def _cells(scores: Sequence[Score], of: Any) -> dict[tuple[str, int], list[float]]:
    cells: dict[tuple[str, int], list[float]] = defaultdict(list)
    for score in scores:
        cells[score.run.fold.name, score.run.seed].append(of(score.iou))
    return cells


def _by_scan(scores: Sequence[Score]) -> ByScan:
    found: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        if not np.isnan(score.iou):
            found[score.name].append(score.iou)
    return {scan: float(np.mean(values)) for scan, values in found.items()}


def _by_subject(plan: Plan, scores: Sequence[Score]) -> FoldTable | None:
    """Folds that had to be mended in their mended form, the others as they are."""
    if not plan.mended or not any(score.is_mended for score in scores):
        return None
    replaced = {fold.name.removeprefix(SUBJECTS) for fold in plan.mended}
    return fold_table(
        _cells([one for one in scores if one.is_mended or one.run.fold.name not in replaced], lambda iou: iou)
    )


def _figures(scores: Sequence[Score], miou: float) -> dict[str, float | None]:
    """Means over the runs; None where a run has no such figure."""
    runs = {score.run.name: score.result for score in scores}
    names = {name: "fit_seconds" if name == "seconds" else name for name in MEASURES}
    found: dict[str, float | None] = {MIOU: miou}
    for name, key in names.items():
        values = [result.get(key) for result in runs.values()]
        known = [float(value) for value in values if value is not None]
        found[name] = float(np.mean(known)) if len(known) == len(values) else None
    return found


@dataclass(frozen=True)
class Effect:
    """One value of an option that was varied. miou: mean over the configurations that have it."""

    option: str
    value: Any
    miou: float
    configurations: int


def effects(found: Comparison) -> dict[str, list[Effect]]:
    """Option -> its values, for each option that has several among the configurations."""
    names = dict.fromkeys(option for one in found.summaries for option in one.options)
    told: dict[str, list[Effect]] = {}
    for option in names:
        groups: dict[str, list[Summary]] = defaultdict(list)
        for one in found.summaries:
            if option in one.options:
                groups[str(one.options[option])].append(one)
        if len(groups) > 1:
            told[option] = [
                Effect(
                    option,
                    members[0].options[option],
                    float(np.nanmean([one.miou for one in members])),
                    len(members),
                )
                for members in groups.values()
            ]
    return told


def hardest(scores: Sequence[Score]) -> list[tuple[str, float, int]]:
    """Every scan, its mean mIoU over configurations and seeds, and how many those are; worst first."""
    found: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        if not score.is_mended and not np.isnan(score.iou):
            found[score.name].append(score.iou)
    told = [(scan, float(np.mean(values)), len(values)) for scan, values in found.items()]
    return sorted(told, key=lambda one: one[1])


def without_leaks(plan: Plan, scores: Sequence[Score]) -> float | None:
    """Mean mIoU over the scans of whose subject no other was fitted on; None without such scans."""
    touched = {scan for scans in plan.leaks.values() for scan in scans}
    kept = [
        one.iou for one in scores if not one.is_mended and one.name not in touched and not np.isnan(one.iou)
    ]
    return float(np.mean(kept)) if kept else None
