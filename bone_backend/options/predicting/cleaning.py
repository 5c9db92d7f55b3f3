"""What may be cleaned in labels, and how it is written: CLASS:WHAT or CLASS:WHAT=NUMBER.

In:  words such as "1:largest", "bone:islands=0.001mm3".
Out: the same word in one spelling; steps in the order in which they are done.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator

Unit = Literal["radius", "volume", ""]


class Way(NamedTuple):
    """One thing that is done. unit: of its number; needs: whether that must be given. words: what it does."""

    unit: Unit
    needs: bool
    words: str


# In the order in which they are done, whatever the order in which they are asked for.
WAYS = {
    "median": Way("radius", False, "smooth borders: a voxel belongs to it where most around it do"),
    "opening": Way("radius", False, "cut off what is thinner than the radius on both sides"),
    "closing": Way("radius", False, "close gaps of background that are thinner than that"),
    "islands": Way("volume", True, "remove parts that are smaller"),
    "largest": Way("", False, "keep the largest part only"),
    "fill": Way(
        "volume", False, "fill holes: background that it encloses, where a volume is given smaller ones"
    ),
    "fill-slices": Way(
        "volume", False, "the same slice by slice; the volume is that of the hole in its slice"
    ),
}
LARGEST_RADIUS = 5
MM3 = "mm3"
LONGEST_CLASS = 60


@dataclass(frozen=True)
class Step:
    """of: a label value or the name of a class. number: radius in voxels, or volume; is_mm3: in mm3."""

    of: str
    way: str
    number: float | None = None
    is_mm3: bool = False

    def __str__(self) -> str:
        if self.number is None:
            return f"{self.of}:{self.way}"
        return f"{self.of}:{self.way}={self.number:g}{MM3 * self.is_mm3}"


def read(word: str) -> Step:
    """One step. Raises ValueError in words.

    >>> str(read("1:islands=50")), read("bone:fill=0.5mm3").is_mm3, str(read("1:median=1"))
    ('1:islands=50', True, '1:median')
    """
    of, colon, rest = word.strip().rpartition(":")
    name, equals, number = rest.partition("=")
    of, name, number = of.strip(), name.strip().lower(), number.strip().lower()
    if not colon or not of or len(of) > LONGEST_CLASS:
        raise ValueError("write it as CLASS:WHAT, e.g. 1:largest")
    if name not in WAYS:
        meant = difflib.get_close_matches(name, WAYS, n=1)
        told = f"; did you mean {of}:{meant[0]}?" if meant else ""
        raise ValueError(f"what is done must be one of {', '.join(WAYS)}{told}")
    way = WAYS[name]
    if not equals:
        if way.needs:
            raise ValueError(f"say below which volume, e.g. {of}:{name}=100 (voxels) or {of}:{name}=0.01mm3")
        return Step(of, name)
    is_mm3 = way.unit == "volume" and number.endswith(MM3)
    try:
        found = float(number.removesuffix(MM3) if is_mm3 else number)
    except ValueError:
        found = float("nan")
    if way.unit == "radius" and found in range(1, LARGEST_RADIUS + 1):
        return Step(of, name, found if found != 1 else None)
    if way.unit == "volume" and 0 < found < float("inf"):
        return Step(of, name, found, is_mm3)
    allowed = {
        "radius": f"a radius of 1 to {LARGEST_RADIUS} voxels",
        "volume": "a volume in voxels or mm3, e.g. 100 or 0.01mm3",
        "": "no number",
    }
    raise ValueError(f"{name} takes {allowed[way.unit]}")


def _written(value: object) -> object:
    return str(read(value)) if isinstance(value, str) else value


def in_order(words: Sequence[str]) -> list[Step]:
    """The steps as they are done: by way, then in the order in which they were asked for."""
    order = list(WAYS)
    return sorted(map(read, dict.fromkeys(words)), key=lambda step: order.index(step.way))


def in_words(told: Mapping[str, Any]) -> str:
    """What a step has done.

    >>> in_words({"step": "bone:largest", "changed": 1234, "of": 58762})
    'bone:largest: 1,234 voxels changed, 2.1 % of the class'
    """
    changed, of = told["changed"], told.get("of")
    share = f", {share_in_words(changed / of)} of the class" if of else ""
    return f"{told['step']}: {changed:,} voxels changed{share}"


def share_in_words(share: float) -> str:
    """With two digits that say something.

    >>> share_in_words(0.021), share_in_words(0.00002), share_in_words(1.5)
    ('2.1 %', '0.002 %', '150 %')
    """
    return f"{float(f'{100 * share:.2g}'):g} %"


Clean = Annotated[str, BeforeValidator(_written)]
