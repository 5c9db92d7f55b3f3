"""What one option is, as the renderers (flags, ports, forms, docs) need it.

In:  what was declared of it (`fields.option`) and its type.
Out: an OptionField; its limits in words, and whether it means something beside the values of the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import Fault

# a flag, or a name with an underscore, but not in a path
_WRITTEN = re.compile(r"(?<![\w./\\-])(--[a-z-]+|[a-z]+(_[a-z]+)+)(?![\w/\\-]|\.\w)")
AUTO = "auto"  # written for None where the program then chooses

Kind = Literal["int", "float", "bool", "choice", "text", "path", "file", "folder", "save", "volume", "list"]


@dataclass(frozen=True)
class OptionField:
    """One option as the renderers need it."""

    name: str
    label: str
    help: str
    group: str
    kind: Kind
    default: Any  # None where there is none or where it is none
    required: bool
    unit: str
    choices: tuple[Any, ...]
    is_closed: bool  # no value but the choices
    low: float | None  # of each item, where it is a list
    high: float | None
    is_above: bool  # low itself is refused
    is_below: bool  # high itself is refused
    lengths: tuple[int, int] | None  # of a text, in characters
    is_optional: bool  # None is allowed
    applies: dict[str, tuple[Any, ...]]
    unless: dict[str, tuple[Any, ...]]
    advanced: bool
    often: bool
    easy: bool  # among the few that Easy shows
    positional: bool
    rest: str  # the list that takes further words; "" where there is one value
    flag: str
    metavar: str | None
    none_word: str  # how None is written
    may_change: bool  # when a run is resumed

    @property
    def limits(self) -> str:
        """What a number may be, in words, e.g. "above 0, up to 10000"; "" where there is no limit."""
        if self.lengths:
            return "{} to {} characters".format(*self.lengths)
        low, high = (None if limit is None else _number(limit) for limit in (self.low, self.high))
        if low is not None and high is not None and not self.is_above and not self.is_below:
            told = f"{low} to {high}"
        else:
            told = ", ".join(
                [f"above {low}" if self.is_above else f"{low} or more"] * (low is not None)
                + [f"{'below' if self.is_below else 'up to'} {high}"] * (high is not None)
            )
        return f"each {told}" if told and self.kind == "list" else told

    @property
    def is_output(self) -> bool:
        """Whether the program writes there."""
        return self.kind == "save" or self.name == "output"

    def is_applicable(self, values: Mapping[str, Any]) -> bool:
        """Whether it means something beside these values of the other options."""
        if any(values.get(other) in excluded for other, excluded in self.unless.items()):
            return False
        return all(values.get(other) in allowed for other, allowed in self.applies.items())


def in_labels(text: str, fields: Iterable[OptionField], *, without: re.Pattern[str] | None = None) -> str:
    """A text with labels for the options that a fault calls, and for anything that is written as an option
    only, a flag or a name with an underscore. without: what is taken out before, since it is for a terminal.
    """
    fields = [*fields]
    labels = {field.name: field.label for field in fields}
    told = Fault(text).put(lambda name: labels.get(name, name))
    told = without.sub("", told) if without else told
    written = {field.flag: field.label for field in fields}
    written |= {name: label for name, label in labels.items() if "_" in name}
    return _WRITTEN.sub(lambda found: written.get(found[0], found[0]), told)


def _number(value: float) -> str:
    return f"{int(value)}" if value == int(value) else f"{value:g}"
