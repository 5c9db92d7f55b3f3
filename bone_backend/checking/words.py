"""What a fit of checked pairs would do, in sentences.

In:  the split and the needs as plan.py finds them.
Out: a sentence for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..durations import estimated
from ..volumes.output import size_in_words

MOST_TOLD = 60  # pairs
GIB = 2**30


def split_in_words(split: Mapping[str, Any]) -> str:
    """Who trains and who validates.

    >>> split_in_words({"training": [1, 2], "validation": [3], "slabs": {}})
    'A fit would train with pairs 1, 2 and validate with 3.'
    """
    if split["slabs"]:
        parts = [f"{number} ({first + 1}-{last})" for number, (first, last) in split["slabs"].items()]
        told = _listed(parts)
        return f"A fit would train with every pair and validate with a slab of each (its slices): {told}."
    train, validate = (_listed([str(n) for n in split[side]]) for side in ("training", "validation"))
    return f"A fit would train with pairs {train} and validate with {validate}."


def refusal(faults: int) -> str:
    """
    >>> refusal(1)
    'A fit would refuse these pairs until the fault is mended.'
    """
    return f"A fit would refuse these pairs until the fault{'s are' if faults > 1 else ' is'} mended."


def laid(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of each mask that a fit lays on its scan: how. rows: of the pairs.

    >>> laid([{"number": 2, "mask": {"matched": "y turned over"}}, {"number": 3, "mask": {}}])
    ['Note: pair 2: its mask is laid on its scan by what both say of their place: y turned over.']
    """
    return [
        f"Note: pair {row['number']}: its mask is laid on its scan by what both say of their place: {how}."
        for row in rows
        if (how := row["mask"].get("matched"))
    ]


def needs_in_words(needs: Mapping[str, Any]) -> str:
    """What it takes of the machine."""
    minutes = estimated(needs["minutes"] * 60) if needs["minutes"] else "as long as its epochs take"
    told = f"With its defaults it would take {minutes} and about {needs['ram_gib']:g} GiB of RAM"
    if many := needs["unpacked_volumes"]:
        unpacked, free = (size_in_words(int(needs[key] * GIB)) for key in ("unpacked_gib", "cache_free_gib"))
        told += (
            f"; it would unpack {many} volume{'s' * (many != 1)} into the cache, {unpacked} ({free} are free)"
        )
    return f"{told}. bone fit --dry-run measures it."


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MOST_TOLD]) + (
        f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    )
