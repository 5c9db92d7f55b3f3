"""Part scans into folds: each fold is tested once, by models that were fitted on the rest.

In:  the scans with their subjects, and how they are to be parted.
Out: Folds: which scans are tested, and which are fitted on; OptionError where that cannot be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import OptionError
from .scans import TEST, TRAINING, VALIDATION, StudyScan
from .study_file import GIVEN, POOLS

SUBJECTS = "by subject "  # begins the name of a fold that was mended so that no subject is in two


@dataclass(frozen=True)
class Fold:
    """One part of a study. test, fitted: names of scans; validation: of those, who validate (none: the fit
    divides them by train_split)."""

    name: str
    test: tuple[str, ...]
    fitted: tuple[str, ...]
    validation: tuple[str, ...] = ()


def way_of(folds: int | str | None, scans: Sequence[StudyScan]) -> int | str:
    """How the scans are parted: as the file says, else by the column that is there. Raises OptionError."""
    has_fold, has_pool = (any(getattr(scan, column) for scan in scans) for column in ("fold", "pool"))
    if isinstance(folds, int) and has_fold:
        raise OptionError(
            f'folds is {folds}, but the scans tell their folds. Say folds = "{GIVEN}" to take those.'
        )
    if folds is not None:
        return folds
    if has_fold and has_pool:
        raise OptionError(f'the scans have folds and pools; say folds = "{GIVEN}" or folds = "{POOLS}".')
    if not has_fold and not has_pool:
        raise OptionError(
            "folds is missing: say how many, e.g. folds = 5, or give the scans a column fold or pool."
        )
    return GIVEN if has_fold else POOLS


def part(
    scans: Sequence[StudyScan], folds: int | str | None, *, sizes: Sequence[int], seed: int
) -> tuple[Fold, ...]:
    """The folds of a study.

    sizes: of each scan, in patches or what is proportional to them. Raises OptionError with every fault.
    """
    way = way_of(folds, scans)
    if way == POOLS:
        return (_pools(scans),)
    if way == GIVEN:
        faults = [f"{scan.name} has no fold." for scan in scans if not scan.fold]
        if faults:
            raise OptionError(faults)
        numbers = {scan.name: scan.fold for scan in scans}
    else:
        assert isinstance(way, int)
        numbers = {name: str(n + 1) for name, n in deal(scans, way, sizes=sizes, seed=seed).items()}
    return folds_of(numbers)


def folds_of(numbers: dict[str, str]) -> tuple[Fold, ...]:
    """Folds from scan -> fold. Raises OptionError where there is only one."""
    names = sorted(set(numbers.values()), key=lambda name: (len(name), name))
    if len(names) < 2:
        raise OptionError(f"all scans are in fold {names[0]}; a cross-validation has two or more.")
    return tuple(
        Fold(
            name,
            test=tuple(scan for scan, fold in numbers.items() if fold == name),
            fitted=tuple(scan for scan, fold in numbers.items() if fold != name),
        )
        for name in names
    )


def deal(scans: Sequence[StudyScan], count: int, *, sizes: Sequence[int], seed: int) -> dict[str, int]:
    """Scan -> number of its fold, from 0: whole subjects, the largest first, each to the fold that has least.

    Among subjects of one size, and among folds that have as much, the seed decides. Raises OptionError where
    there are fewer subjects than folds.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for index, scan in enumerate(scans):
        key = ("scan", scan.name) if scan.subject is None else ("subject", scan.subject)
        groups.setdefault(key, []).append(index)
    if len(groups) < count:
        what = "scans" if all(scan.subject is None for scan in scans) else "subjects"
        raise OptionError(
            f"folds is {count}, but there are {len(groups)} {what}, so that a fold would have no scans. "
            f"Use folds = {max(len(groups), 2)} or fewer, or add scans."
        )
    drawn = np.random.default_rng([seed, 0xF01D])
    members = [list(groups.values())[i] for i in drawn.permutation(len(groups))]
    members.sort(key=lambda group: -sum(sizes[i] for i in group))
    order = drawn.permutation(count)
    totals, held = [0] * count, [0] * count
    found: dict[str, int] = {}
    for left, group in zip(range(len(members), 0, -1), members, strict=True):
        empty = [fold for fold in order if not held[fold]]
        open_folds = empty if len(empty) == left else list(order)  # none stays empty
        best = min(open_folds, key=lambda fold: totals[fold])
        totals[best] += sum(sizes[i] for i in group)
        held[best] += 1
        found |= {scans[i].name: int(best) for i in group}
    return {scan.name: found[scan.name] for scan in scans}


def _pools(scans: Sequence[StudyScan]) -> Fold:
    by_pool = {
        pool: tuple(scan.name for scan in scans if scan.pool == pool) for pool in (TRAINING, VALIDATION, TEST)
    }
    faults = [
        f"{scan.name} has no pool; it is {TRAINING}, {VALIDATION} or {TEST}."
        for scan in scans
        if not scan.pool
    ]
    faults += [f"no scan is in the pool {pool}." for pool in (TRAINING, TEST) if not by_pool[pool]]
    if faults:
        raise OptionError(faults)
    fitted = tuple(scan.name for scan in scans if scan.pool != TEST)
    return Fold("pools", by_pool[TEST], fitted, by_pool[VALIDATION])


def leaks(scans: Sequence[StudyScan], folds: Sequence[Fold]) -> dict[str, tuple[str, ...]]:
    """Subject -> its scans, of all that stand in a test and among those that are fitted on for it."""
    subject = {scan.name: scan.subject for scan in scans}
    found: dict[str, tuple[str, ...]] = {}
    for fold in folds:
        for name in {subject[scan] for scan in fold.test} & {subject[scan] for scan in fold.fitted} - {None}:
            assert name is not None
            found[name] = tuple(scan.name for scan in scans if scan.subject == name)
    return dict(sorted(found.items()))


def mended(scans: Sequence[StudyScan], folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """The folds that must be other ones for no subject to stand in two: each is where its first scan is.

    They have names of their own; folds that nothing changes are not among them.
    """
    at = {name: fold.name for fold in folds for name in fold.test}
    first: dict[str, str] = {}
    for scan in scans:
        if scan.subject is not None:
            first.setdefault(scan.subject, at[scan.name])
    moved = {scan.name: first[scan.subject] if scan.subject is not None else at[scan.name] for scan in scans}
    if len(set(moved.values())) < 2:
        raise OptionError(
            "split_by_subject leaves one fold only: all scans are of one subject. Leave it out."
        )
    before = {fold.name: fold for fold in folds}
    return tuple(
        Fold(SUBJECTS + fold.name, fold.test, fold.fitted)
        for fold in folds_of(moved)
        if before[fold.name].test != fold.test
    )


def limited(fold: Fold, scans: Sequence[StudyScan], count: int, *, seed: int) -> tuple[str, ...]:
    """So many of the scans that are fitted on, in an order that the seed draws; more of them hold fewer."""
    order = np.random.default_rng([seed, 0x5CA5]).permutation(len(fold.fitted))
    chosen = {fold.fitted[i] for i in order[:count]}
    return tuple(scan.name for scan in scans if scan.name in chosen)
