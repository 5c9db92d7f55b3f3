"""What is odd about one pair beside the others, and about all of them together.

In:  the rows of all pairs, and what was seen in their voxels.
Out: findings: (kind, number of the pair or None, sentence).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..intensity.summary import Statistics
from ..volumes.classes import class_name

# Micro-CT has voxels of 0.3 to 200 um, clinical CT up to 5 mm; all beyond was told in a wrong unit.
LEAST_UM, MOST_UM = 0.05, 10_000.0
FEWEST = 3  # scans, of which one can be unlike the others
UNLIKE = 0.5  # of the distance between the two tissues, by which the median scan's may lie elsewhere
FAULT, DOUBT = "fault", "doubt"

Row = Mapping[str, Any]


class Finding(NamedTuple):
    """kind: with a fault no fit begins. pair: its number, None for all together."""

    kind: str
    pair: int | None
    text: str


def odd_ones(rows: Sequence[Row]) -> list[Finding]:
    """Scans whose numbers or voxel size differ from those of most, or cannot be right."""
    found = []
    for key, words in (("dtype", "numbers are"), ("voxel_size_um", "voxels are")):
        told = {
            row["number"]: _shown(row["scan"][key]) for row in rows if row["scan"].get(key) not in (None, [])
        }
        counts = Counter(told.values())
        if len(counts) < 2 or counts.most_common(1)[0][1] * 2 <= len(told):
            continue
        usual = counts.most_common(1)[0][0]
        found += [
            Finding(DOUBT, number, f"its scan's {words} {value}; those of most are {usual}")
            for number, value in told.items()
            if value != usual
        ]
    for row in rows:
        sizes = row["scan"].get("voxel_size_um") or []
        if any(not LEAST_UM <= size <= MOST_UM for size in sizes):
            shown = " x ".join(f"{size:.4g}" for size in sizes)
            text = f"its scan's voxels are {shown} um (z, y, x), as no scanner has: is the unit wrong?"
            found.append(Finding(DOUBT, row["number"], text))
    return found


def _shown(value: str | Sequence[float]) -> str:
    """
    >>> _shown("uint8"), _shown([50.0, 50.0, 25.5])
    ('uint8', '50 x 50 x 25.5 um (z, y, x)')
    """
    if isinstance(value, str):
        return value
    return " x ".join(f"{size:g}" for size in value) + " um (z, y, x)"


def odd_greys(statistics: Mapping[int, Statistics]) -> list[Finding]:
    """Scans whose two tissues lie elsewhere than those of the others. statistics: of each pair's scan."""
    tissues = {n: found.tissues for n, found in statistics.items() if found.tissues is not None}
    if len(tissues) < FEWEST:
        return []
    low = float(np.median([one.low for one in tissues.values()]))
    high = float(np.median([one.high for one in tissues.values()]))
    reach = UNLIKE * (high - low)
    return [
        Finding(
            DOUBT,
            number,
            f"the grey values of its scan are unlike those of most: its two tissues lie at {one.low:.4g} and "
            f"{one.high:.4g}, of most at {low:.4g} and {high:.4g}. Another scanner, other settings, or "
            "inverted?",
        )
        for number, one in tissues.items()
        if abs(one.low - low) > reach or abs(one.high - high) > reach
    ]


def lone_labels(counts: Mapping[int, Mapping[int, int]], names: Mapping[int, str]) -> list[Finding]:
    """Labels that one mask alone holds, or of which there is one voxel.

    counts: of each pair's mask. names: of the values that are stored.
    """
    found = []
    holders = Counter(value for labels in counts.values() for value in labels)
    for number, labels in counts.items():
        single = [value for value, voxels in labels.items() if voxels == 1 and value]
        alone = [value for value in labels if holders[value] == 1 and value and value not in single]
        if len(counts) > 2 and 0 < len(alone) <= 8:
            told = ", ".join(f"{_called(value, names)} ({labels[value]:,} voxels)" for value in alone)
            found.append(Finding(DOUBT, number, f"its mask alone holds label {told}"))
        if 0 < len(single) <= 8:
            told = ", ".join(_called(value, names) for value in single)
            text = f"its mask holds label {told} in one voxel only: a slip of the pen? Paint it over"
            found.append(Finding(DOUBT, number, text))
    return found


def _called(value: int, names: Mapping[int, str]) -> str:
    """A label value with its name, where it has one.

    >>> _called(2, {2: "marrow"}), _called(3, {3: "class 3"})
    ('2 "marrow"', '3')
    """
    name = names.get(value, class_name(value))
    return str(value) if name == class_name(value) else f'{value} "{name}"'


def empty_masks(counts: Mapping[int, Mapping[int, int]]) -> list[Finding]:
    """Masks without any label; where all are so, that is a fault of all and told as such."""
    empty = [number for number, labels in counts.items() if labels and not set(labels) - {0}]
    if len(empty) == len(counts):
        return []
    return [Finding(DOUBT, number, "its mask is empty: nothing but label 0") for number in empty]


def same_subjects(rows: Sequence[Row]) -> list[Finding]:
    """Scans that may be of one subject, by their names."""
    guesses: dict[str, list[int]] = {}
    for row in rows:
        if row["guessed_subject"]:
            guesses.setdefault(row["guessed_subject"], []).append(row["number"])
    found = []
    for name, numbers in guesses.items():
        *others, last = map(str, numbers)
        text = (
            f"pairs {', '.join(others)} and {last} may be of one animal or person ({name}), by their names. "
            f"If so, name the subject for each (--pair SCAN MASK {name}, or a column subject), so that no "
            "scan validates what another has taught"
        )
        found.append(Finding(DOUBT, None, text))
    return found
