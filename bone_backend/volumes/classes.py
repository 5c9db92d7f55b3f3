"""Value, name and colour of every class, and the colours of all that is no class.

In:  label values, and the names and colours that the user gave some of them.
Out: one description a class; the one table of colours from which report, curves and pictures are drawn.
No class is red, which means "wrong", and none but label 0 is black: the colours go round without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

BACKGROUND = "#000000"
# Told apart by colour-blind eyes: those of Okabe & Ito (2008) without vermilion, which is too near to red,
# then indigo and olive of Tol (2021).
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#cc79a7", "#332288", "#999933")
# What is wrong, drawn on a scan faded to white, where red is dark for every eye. The second is for whoever
# gives a class a red of their own.
WRONG, WRONG_BESIDE_RED = "#e00020", "#b000e0"
NOT_ANNOTATED = "#ffffff"
TRAINING, VALIDATION, MEAN = "#0072b2", "#d55e00", "#444444"  # of curves
NEAR = 120  # distance of two colours in RGB below which they may be taken for each other


def class_name(value: int) -> str:
    """What a class is called that nobody named.

    >>> class_name(0), class_name(3)
    ('background', 'class 3')
    """
    return "class " + str(value) if value else "background"


def class_colour(value: int) -> str:
    """The colour of a class that nobody gave one.

    >>> class_colour(0), class_colour(1), class_colour(9)
    ('#000000', '#e69f00', '#e69f00')
    """
    return COLOURS[(value - 1) % len(COLOURS)] if value else BACKGROUND


def describe_classes(values: Iterable[int], given: Iterable[Any] = ()) -> list[dict[str, Any]]:
    """{"value", "name", "colour"} of every class.

    given: objects with value, name and colour (None: ours), in any order; may lack some of the values.
    """
    known = {item.value: item for item in given}
    found = []
    for value in values:
        item = known.get(value)
        found.append(
            {
                "value": value,
                "name": item.name if item else class_name(value),
                "colour": (item.colour if item else None) or class_colour(value),
            }
        )
    return found


class Table(NamedTuple):
    """One name and colour for every value, from several masks. doubts: where they disagree, in words."""

    classes: list[Any]
    doubts: list[str]


def one_table(
    masks: Sequence[tuple[str, Iterable[Any]]],
    *,
    given: Iterable[Any] = (),
    map_labels: Sequence[tuple[int, int]] = (),
    advice: str = "",
) -> Table:
    """What the values of several masks mean together.

    masks: of each its name and its classes, objects with value, name and colour, by the values that are
    stored. given: the user's, by the values after mapping; they win, and take the masks' colours where they
    have none. Of masks that disagree the first counts. advice: stands at the end of a doubt.
    """
    chosen = {item.value: item for item in given}
    found: dict[int, tuple[str, Any]] = {}
    doubts = []
    for mask, classes in masks:
        for value, item in _mapped(classes, dict(map_labels)).items():
            if value not in found:
                found[value] = mask, item
            elif value not in chosen and _plain(item.name) != _plain(found[value][1].name):
                first, taken = found[value]
                doubts.append(
                    f'Label {value} is called "{taken.name}" in {first}, but "{item.name}" in {mask}{advice}.'
                )
    for value, item in chosen.items():
        colour = item.colour or (found[value][1].colour if value in found else None)
        found[value] = "", Named(value, item.name, colour)
    return Table([found[value][1] for value in sorted(found)], doubts)


class Named(NamedTuple):
    """A class with its name."""

    value: int
    name: str
    colour: str | None


def _mapped(classes: Iterable[Any], mapping: Mapping[int, int]) -> dict[int, Any]:
    """The named classes of a mask by their new values; none where several become one."""
    found: dict[int, list[Any]] = {}
    for item in classes:
        if item.name and item.name != class_name(item.value):
            value = mapping.get(item.value, item.value)
            found.setdefault(value, []).append(Named(value, item.name, item.colour))
    return {value: items[0] for value, items in found.items() if len(items) == 1}


def _plain(name: str) -> str:
    """A name without what formats change: Avizo's are one word."""
    return re.sub(r"[^\w]+", "_", name).strip("_").casefold()


def columns(classes: Sequence[Mapping[str, Any]], *, prefix: str) -> dict[int, str]:
    """The name of each class's column in a table for machines, by label value.

    Blanks become underscores; where two classes share a name, the value is told too.

    >>> columns([{"value": 0, "name": "background"}, {"value": 1, "name": "spongy bone"}], prefix="iou_")
    {0: 'iou_background', 1: 'iou_spongy_bone'}
    """
    names = {int(item["value"]): "_".join(str(item["name"]).split()) for item in classes}
    shared = [*names.values()]
    return {
        value: f"{prefix}{name}" + (f"_{value}" if shared.count(name) > 1 or not name else "")
        for value, name in names.items()
    }


def rgb(colour: str) -> tuple[int, int, int]:
    """
    >>> rgb("#e69f00")
    (230, 159, 0)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def wrong_colour(colours: Iterable[str]) -> str:
    """The colour of what is wrong beside these colours of classes.

    >>> wrong_colour(["#000000", "#e69f00"]), wrong_colour(["#000000", "#ff0000"])
    ('#e00020', '#b000e0')
    """
    red = rgb(WRONG)
    is_taken = any(
        sum((a - b) ** 2 for a, b in zip(rgb(colour), red, strict=True)) < NEAR**2 for colour in colours
    )
    return WRONG_BESIDE_RED if is_taken else WRONG
