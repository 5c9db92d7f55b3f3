"""Which scans may come from one animal or person, told by their names: a guess, for a person to judge.

In:  the names of scans, and the subjects that were given.
Out: for each scan the subject that was given, or what its name has in common with that of another scan.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from ..pairing.names import MASK_WORDS, SCAN_WORDS

#: words that tell two scans of one subject apart: side, bone, time
WITHIN = re.compile(
    r"(left|right|l|r|li|re|prox(imal)?|dist(al)?|pre|post|baseline|followup|follow|up|before|after|"
    r"femur|tibia|fibula|humerus|radius|ulna|skull|spine|vertebra|mandible|knee|hip|"
    r"[ltc]\d{1,2}|(day|week|month|wk|d|w|t|tp|time|timepoint|scan|visit|rep|repeat|part)\d+|"
    r"day|week|month|time|timepoint|visit|repeat|rescan)"
)


def guessed(names: Sequence[str], given: Sequence[str | None]) -> list[str | None]:
    """The subject of each scan where names tell that two are of one; None elsewhere, and where one is given.

    >>> guessed(["m12_left", "m12_right", "m13_left", "femur_1", "femur_2"], [None] * 5)
    ['m12', 'm12', None, None, None]
    """
    stems = [None if known else _stem(name) for name, known in zip(names, given, strict=True)]
    often = Counter(stem for stem in stems if stem)
    return [stem if stem and often[stem] > 1 else None for stem in stems]


def _stem(name: str) -> str | None:
    """The name without what tells scans of one subject apart; None where there is no such thing in it."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
    words = [word for word in words if word.lower() not in SCAN_WORDS | MASK_WORDS]
    kept = [word for word in words if not WITHIN.fullmatch(word.lower())]
    is_telling = any(character.isdigit() for word in kept for character in word)
    return "_".join(kept) if len(kept) < len(words) and is_telling else None
