"""Value, name and colour of every class, and the colours of all that is no class.

In:  label values, and the names and colours that the user gave some of them.
Out: one description a class; the one table of colours from which report, curves and pictures are drawn.
No class is red, which means "wrong", and none but label 0 is black: the colours go round without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
