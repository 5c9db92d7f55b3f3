"""Deal whole scans, or whole subjects, to training and validation.

In:  the size of each scan (patches an epoch), its subject, the asked share for training, a seed.
Out: two sorted tuples of scan indices, none empty, nothing in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import OptionError


def split_scans(
    sizes: Sequence[int],
    share: float,
    *,
    seed: int,
    subjects: Sequence[str | None] | None = None,
    named: Sequence[int] = (),
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices of the training and the validation scans.

    sizes: positive, one a scan. share: asked share of the sum for training, between 0 and 1. subjects: scans
    of one subject stay together; None means a subject of its own. named: numbers, from 1, of the validation
    scans where they are chosen; then nothing is dealt out. The sum of the training scans is the
    closest to share * sum(sizes) that whole subjects allow with at least one subject on each side; among
    equals the seed decides.
    Raises OptionError when there are fewer than two subjects.

    >>> split_scans([100, 100, 100, 100, 100], 0.8, seed=1)[1]
    (4,)
    """
    if named:
        chosen_ones = {number - 1 for number in named}
        return tuple(i for i in range(len(sizes)) if i not in chosen_ones), tuple(sorted(chosen_ones))
    groups = _groups(len(sizes), subjects)
    if len(groups) < 2:
        raise OptionError(
            "pairs come from one subject only; a split into training and validation by subject needs at "
            "least two. Leave the subject out if the scans are independent."
        )
    order = np.random.default_rng([seed, 0x5917]).permutation(len(groups))
    shuffled = [groups[i] for i in order]
    weights = [sum(sizes[i] for i in group) for group in shuffled]
    chosen = _closest_subset(weights, share * sum(sizes))
    train = tuple(sorted(i for g in chosen for i in shuffled[g]))
    rest = set(range(len(shuffled))) - set(chosen)
    return train, tuple(sorted(i for g in rest for i in shuffled[g]))


def _groups(count: int, subjects: Sequence[str | None] | None) -> list[list[int]]:
    """Scan indices of each subject, in order of first appearance."""
    groups: dict[object, list[int]] = {}
    for index in range(count):
        subject = subjects[index] if subjects else None
        groups.setdefault(("scan", index) if subject is None else ("subject", subject), []).append(index)
    return list(groups.values())


def _closest_subset(weights: Sequence[int], target: float) -> tuple[int, ...]:
    """The subset, neither empty nor all, whose sum is nearest to the target (first found of the fewest on a
    tie).

    Sums are reached one weight after the other; the number of distinct sums is kept below 20,000 by thinning,
    which changes the result only for more than about 14 scans of all different sizes, and then by under 0.01
    %.
    """
    reached: dict[int, tuple[int, ...]] = {0: ()}
    for index, weight in enumerate(weights):
        for total, members in list(reached.items()):
            reached.setdefault(total + weight, (*members, index))
        if len(reached) > 20_000:
            grain = sum(weights) / 20_000
            thin: dict[int, tuple[int, tuple[int, ...]]] = {}
            for total, members in reached.items():
                thin.setdefault(int(total / grain), (total, members))
            reached = dict(thin.values())
    proper = [members for members in reached.values() if 0 < len(members) < len(weights)]
    return min(proper, key=lambda members: abs(sum(weights[i] for i in members) - target))
