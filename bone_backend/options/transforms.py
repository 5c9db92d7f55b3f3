"""The advanced changes of training patches: their names, their numbers, and how a user writes them down.

In:  a JSON text or a mapping, e.g. {"gamma": 0.3, "elastic": {"probability": 0.2, "strength_px": 4}}.
Out: one canonical text, the faults found in it, or a table of name -> numbers with every default filled in.
Strengths of grey values are in tenths of the normalised range: with ZScore one standard deviation, with
tissue half the distance of the two class means.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import Fault, called
from .sentences import shown


class Parameter(NamedTuple):
    """One number of a transform: its default, its limits (both allowed) and what it means."""

    default: float
    low: float
    high: float
    help: str


PROBABILITY = "probability"

TRANSFORMS: dict[str, dict[str, Parameter]] = {
    "rotation": {"degrees": Parameter(10, 0, 180, "largest angle in the slice plane, to either side")},
    "scaling": {"share": Parameter(0.1, 0, 0.5, "largest growth or shrinking: 0.1 is 0.9 to 1.1 times")},
    "elastic": {
        "strength_px": Parameter(3, 0, 20, "largest standard deviation of the displacement"),
        "spacing_px": Parameter(32, 8, 256, "distance of the knots between which it is smooth"),
    },
    "gamma": {
        "low": Parameter(0.7, 0.2, 1, "smallest exponent; darkest and brightest grey of a patch stay"),
        "high": Parameter(1.5, 1, 5, "largest exponent"),
    },
    "blur": {"sigma_px": Parameter(1, 0, 5, "largest standard deviation of the Gaussian")},
    "noise": {"strength": Parameter(0.3, 0, 5, "largest standard deviation of the grain")},
    "ring": {
        "strength": Parameter(0.3, 0, 5, "largest standard deviation of the rings' height"),
        "share": Parameter(0.1, 0, 1, "share of the radii that are touched"),
    },
    "step": {
        "strength": Parameter(0.2, 0, 5, "largest change of gain (relative) and of offset, from a slice on")
    },
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
    known = {PROBABILITY: Parameter(0, 0, 1, ""), **TRANSFORMS[name]}
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
        defaults = {key: parameter.default for key, parameter in TRANSFORMS[name].items()}
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
