"""What the classes of two label volumes are called: by the user, the record or model, the volumes themselves.

In:  what is known of the labels, the headers of both, and names that the user gave.
Out: one name and colour a class; sentences on names that disagree, on values that are not there, and on two
     volumes that seem turned round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..options.types import ClassName
from ..volumes.classes import Named, one_table
from ..volumes.header import Header
from .meaning import LabelMeaning, turned


def named(
    meaning: LabelMeaning, reference: Header, prediction: Header, given: Sequence[ClassName]
) -> tuple[LabelMeaning, list[str]]:
    """The meaning with name and colour of each class, and where the two volumes disagree or
    seem turned round.

    given: the user's, which win; then those of the model or record, of the prediction, of the reference.
    """
    mask = one_table([("", reference.classes)], map_labels=meaning.map_labels).classes
    files = [(str(prediction.path), prediction.classes), (str(reference.path), mask)]
    told = [Named(value, name, meaning.colours.get(value)) for value, name in meaning.names.items()]
    advice = (
        f"; {'' if told else 'the first counts, '}compare the values of the two files or give --class-names"
    )
    doubts = one_table(files, given=given, advice=advice).doubts
    found = one_table(files, given=told).classes
    names = {item.value: item.name for item in (*found, *given)}
    colours = {item.value: item.colour for item in (*found, *given) if item.colour}
    doubts = [*doubts, *turned(reference.path, prediction.path)]
    return replace(meaning, names=names, colours=colours), doubts


def unknown_named(given: Sequence[ClassName], values: tuple[int, ...]) -> list[str]:
    """A word where the user names values that are not there."""
    unknown = [str(item.value) for item in given if item.value and item.value not in values]
    held = ", ".join(map(str, values[:8])) + (" ..." if len(values) > 8 else "")
    told = f"--class-names names {', '.join(unknown)}, which neither volume holds; they hold {held}."
    return [told] if unknown else []


def unknown_mapped(meaning: LabelMeaning, values: tuple[int, ...]) -> list[str]:
    """A word where the user maps values that are not there."""
    unknown = [str(old) for old, _ in meaning.map_labels if old not in values]
    held = ", ".join(map(str, values[:8])) + (" ..." if len(values) > 8 else "")
    told = f"map_labels names {', '.join(unknown)}, which neither volume holds; they hold {held}."
    return [told] if unknown and meaning.map_labels != ((0, 0),) else []
