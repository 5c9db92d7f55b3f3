"""The advanced changes of training patches: one row for each, and how a user writes them down.

In:  a JSON text or a mapping, e.g. {"gamma": 0.3, "elastic": {"probability": 0.2, "strength_px": 4}}.
Out: one canonical text, the faults found in it, or a table of name -> numbers with every default filled in.
A row holds a transform's limits, what is drawn for it, and how the preview shows it; what it does to voxels
is the function of its name in dataset/transforms.py. Strengths of grey values are in tenths of the normalised
range: with ZScore one standard deviation, with tissue half the distance of the two class means.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import Fault, called
from .sentences import shown

Numbers = Mapping[str, float]


class Parameter(NamedTuple):
    """One number of a transform that a user may set: its default, its limits (both allowed), its meaning."""

    default: float
    low: float
    high: float
    help: str


class Column(NamedTuple):
    """One number of a patch's record, drawn evenly between two ends that follow from the transform's numbers.

    high: None where nothing is drawn and the record holds `low`. neutral: the value that changes nothing.
    is_ratio: drawn evenly in its logarithm. least: what is below becomes this. shown: in the preview, where
    that is not an end.
    """

    name: str
    low: Callable[[Numbers], float]
    high: Callable[[Numbers], float] | None = None
    neutral: float = 0.0
    is_ratio: bool = False
    least: float | None = None
    shown: float | None = None

    def end(self, numbers: Numbers, *, is_high: bool) -> float:
        """The value in a picture of the transform at its strongest."""
        if self.shown is not None:
            return self.shown
        return (self.high if is_high and self.high else self.low)(numbers)


class Transform(NamedTuple):
    """One row. columns: of the record, those that decide whether a patch is changed; also: that say how.

    caption: of a picture, from the columns' values. both_ends: the preview shows the low ends too, not only
    the high ones. moves: voxels are moved, those of the mask too, all moving transforms on one grid.
    per_tile: drawn once for all patches of a tile.
    """

    words: str
    numbers: dict[str, Parameter]
    columns: tuple[Column, ...]
    caption: str
    also: tuple[Column, ...] = ()
    both_ends: bool = False
    moves: bool = False
    per_tile: bool = False

    @property
    def neutral(self) -> dict[str, float]:
        """Column -> the value at which it changes nothing."""
        return {column.name: column.neutral for column in self.columns}

    def strongest(self, numbers: Numbers) -> list[dict[str, float]]:
        """The records of the pictures that show it at its strongest, column -> value."""
        ends = (False, True) if self.both_ends else (True,)
        columns = (*self.columns, *self.also)
        return [{column.name: column.end(numbers, is_high=end) for column in columns} for end in ends]

    def told(self, record: Numbers) -> str:
        """The change of a record in words; nothing where it is too small to be seen in them."""
        text = self.caption.format(**{name: float(record[name]) for name in self.neutral})
        return "" if text.replace("-", "+") == self.caption.format(**self.neutral) else text


PROBABILITY = "probability"

# In the order in which they are applied, which is that of a scanner: the specimen moves; its blur, its grey
# scale, its grain, its rings, and the join of two parts of a scan.
TRANSFORMS: dict[str, Transform] = {
    "rotation": Transform(
        words="by a random angle in the slice plane",
        numbers={"degrees": Parameter(10, 0, 180, "largest angle, to either side")},
        # degrees, as torch.rot90 from y to x
        columns=(Column("rotation", lambda n: -n["degrees"], lambda n: n["degrees"]),),
        caption="rotation {rotation:+.0f}°",
        moves=True,
    ),
    "scaling": Transform(
        words="larger or smaller, in 3D along z too",
        numbers={"share": Parameter(0.1, 0, 0.5, "largest growth or shrinking: 0.1 is 0.9 to 1.1 times")},
        # factor, above 1 enlarges
        columns=(Column("scaling", lambda n: 1 - n["share"], lambda n: 1 + n["share"], neutral=1.0),),
        caption="scaling × {scaling:.2f}",
        both_ends=True,
        moves=True,
    ),
    "shrink": Transform(
        words="to fewer voxels (or some more), in 3D along z too, so that the network meets thin structures; "
        "greys are averaged over what falls into one voxel",
        numbers={
            "smallest": Parameter(0.3, 0.1, 1, "smallest size, 1 is as it is"),
            "largest": Parameter(1.2, 1, 2, "largest size, above 1 enlarges"),
        },
        columns=(Column("shrink", lambda n: n["smallest"], lambda n: n["largest"], neutral=1.0),),
        caption="shrink × {shrink:.2f}",
        both_ends=True,
        moves=True,
    ),
    "elastic": Transform(
        words="smooth random displacement (cubic B-splines)",
        numbers={
            "strength_px": Parameter(3, 0, 20, "largest standard deviation of the displacement"),
            "spacing_px": Parameter(32, 8, 256, "distance of the knots between which it is smooth"),
        },
        columns=(Column("elastic", lambda n: 0.0, lambda n: n["strength_px"]),),
        also=(Column("spacing", lambda n: n["spacing_px"]),),
        caption="elastic {elastic:.1f} px",
        moves=True,
    ),
    "blur": Transform(
        words="Gaussian, in 3D along z too",
        numbers={"sigma_px": Parameter(1, 0, 5, "largest standard deviation")},
        columns=(Column("blur", lambda n: 0.0, lambda n: n["sigma_px"]),),
        caption="blur {blur:.1f} px",
    ),
    "gamma": Transform(
        words="grey curve between the patch's darkest and brightest voxel, which stay",
        numbers={
            "low": Parameter(0.7, 0.2, 1, "smallest exponent"),
            "high": Parameter(1.5, 1, 5, "largest exponent"),
        },
        columns=(Column("gamma", lambda n: n["low"], lambda n: n["high"], neutral=1.0, is_ratio=True),),
        caption="gamma {gamma:.2f}",
        both_ends=True,
    ),
    "noise": Transform(
        words="white Gaussian grain",
        numbers={"strength": Parameter(0.3, 0, 5, "largest standard deviation")},
        columns=(Column("noise", lambda n: 0.0, lambda n: n["strength"]),),
        caption="noise {noise:.2f}",
    ),
    "ring": Transform(
        words="rings around the middle of the scan's slices, the same in all slices of a patch",
        numbers={
            "strength": Parameter(0.3, 0, 5, "largest standard deviation of their height"),
            "share": Parameter(0.1, 0, 1, "share of the radii that are touched"),
        },
        columns=(Column("ring", lambda n: 0.0, lambda n: n["strength"]),),
        also=(Column("ring_share", lambda n: n["share"]),),
        caption="rings {ring:.2f}",
    ),
    "step": Transform(
        words="from a slice on another gain and offset, as where two parts of a scan join; in 2D all of it",
        numbers={"strength": Parameter(0.2, 0, 5, "largest change of gain (relative) and of offset")},
        columns=(
            Column("gain", lambda n: 1 - n["strength"], lambda n: 1 + n["strength"], neutral=1.0, least=0.0),
            Column("shift", lambda n: -n["strength"], lambda n: n["strength"]),
        ),
        also=(Column("step_at", lambda n: 0.0, lambda n: 1.0, shown=0.5),),  # 0..1 of the patch's slices
        caption="step × {gain:.2f} {shift:+.2f}",
        per_tile=True,
    ),
}


def written(value: object) -> str:
    """The table as one JSON text, empty for none. value: a JSON text, a mapping, or None.

    Raises ValueError where it is neither.

    >>> written({"gamma": 0.3})
    '{"gamma": 0.3}'
    """
    if value is None:
        return ""
    if isinstance(value, str):
        if not value.strip():
            return ""
        try:
            value = json.loads(value)
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
        except ValueError as error:
            raise ValueError(f"it is no JSON ({error}); write it as {EXAMPLE}") from error
    if not isinstance(value, Mapping):
        raise ValueError(f"write it as {EXAMPLE}")
    try:
        return json.dumps(value) if value else ""
    except (TypeError, ValueError, RecursionError) as error:  # a date, or tables without end
        raise ValueError(f"write it as {EXAMPLE}") from error


EXAMPLE = '{"gamma": 0.3, "elastic": {"probability": 0.2, "strength_px": 4}}'


def faults(text: str) -> list[Fault]:
    """Every fault of a table, in words. text: as `written` gives it."""
    found: list[Fault] = []
    for name, value in _entries(text).items():
        if name not in TRANSFORMS:
            found.append(_fault(f"{shown(name, quoted=False)} is no transform.{_near(name, TRANSFORMS)}"))
        elif isinstance(value, Mapping):
            found += _entry_faults(name, value)
        elif not _is_within(value, 0, 1):
            found.append(_fault(f"{name} is {shown(value)}; its probability is a number from 0 to 1."))
    return found


def _fault(told: str) -> Fault:
    return Fault(f"{called('transforms')}: {told}")


def _entry_faults(name: str, values: Mapping[str, Any]) -> list[Fault]:
    known = {PROBABILITY: Parameter(0, 0, 1, ""), **TRANSFORMS[name].numbers}
    found: list[Fault] = []
    if PROBABILITY not in values:
        found.append(_fault(f'{name} has no probability; add it, e.g. {{"probability": 0.2}}.'))
    for key, value in values.items():
        if key not in known:
            found.append(_fault(f"{name} has no number {shown(key, quoted=False)}.{_near(key, known)}"))
        elif not _is_within(value, known[key].low, known[key].high):
            limits = f"{known[key].low:g} to {known[key].high:g}"
            found.append(_fault(f"{name}: {key} is {shown(value)}; it is a number from {limits}."))
    return found


def read(text: str) -> dict[str, dict[str, float]]:
    """Name -> probability and every other number, of a text without faults. Transforms of probability 0 are
    left out.

    >>> read('{"gamma": 0.3, "blur": 0}')
    {'gamma': {'low': 0.7, 'high': 1.5, 'probability': 0.3}}
    """
    table = {}
    for name, value in _entries(text).items():
        given = value if isinstance(value, Mapping) else {PROBABILITY: value}
        defaults = {key: parameter.default for key, parameter in TRANSFORMS[name].numbers.items()}
        numbers = {key: float(number) for key, number in {**defaults, **given}.items()}
        if numbers[PROBABILITY] > 0:
            table[name] = numbers
    return table


def _entries(text: str) -> dict[str, Any]:
    return json.loads(text) if text else {}


def _is_within(value: object, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _near(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name[:60], known, n=1)
    return f" Did you mean {near[0]}?" if near else f" There are {', '.join(known)}."
