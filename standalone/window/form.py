"""The options of a command as a form holds them; knows no Qt.

In:  a command's table of options, and what a person typed or chose, field by field.
Out: which fields are shown now, plain values, and every fault beside its own field, in labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bone_backend.errors import BoneError, Fault
from bone_backend.jobs.commands import COMMANDS
from bone_backend.options.field import OptionField, in_labels
from bone_backend.options.fields import Options
from bone_backend.options.recipes import RECIPES

# What Easy shows, at most five; names that a table does not have are left out.
EASY = {
    "fit": ("pairs", "class_names", "minutes", "output", "name"),
    "predict": ("scan", "model", "output"),
    "iou": ("reference", "prediction"),
}
_PLACES = re.compile(r" (Name each with --pair SCAN MASK|Give every scan once)\.")


@dataclass
class Checked:
    """What came of a check. options: None where there are faults. missing: labels of what is not given yet.

    beside: faults by the name of the field beside which they stand; "" for those of no field in sight.
    """

    options: Options | None = None
    missing: list[str] = field(default_factory=list)
    beside: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return self.options is not None and not self.missing


class Form:
    """The fields of one command and what was given for them.

    facts: what is known of no field, e.g. {"mode": "2D"} of the model of a prediction.
    """

    def __init__(self, command: str):
        self.command = command
        self.table = COMMANDS[command].table()
        self.fields = {one.name: one for one in self.table.option_fields()}
        self.given: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}

    @property
    def easy(self) -> tuple[str, ...]:
        return tuple(name for name in EASY[self.command] if name in self.fields)

    def groups(self) -> dict[str, list[OptionField]]:
        """The fields by group, in the order of the table."""
        found: dict[str, list[OptionField]] = {}
        for one in self.fields.values():
            found.setdefault(one.group, []).append(one)
        return found

    def default(self, name: str) -> Any:
        """What holds where nothing is given: what the recipe says, else the table."""
        recipe = RECIPES.get(str(self.given.get("recipe")), {}) if name != "recipe" else {}
        return recipe.get(name, self.fields[name].default)

    def value(self, name: str) -> Any:
        """What was given, else the default."""
        return self.given.get(name, self.default(name))

    def set(self, name: str, value: Any) -> None:
        """Take a plain value; one that equals the default is no choice of the user's."""
        default = self.default(name)
        is_empty = value in (None, "", [], ()) or value == self.fields[name].none_word  # e.g. "auto"
        if value == default or (is_empty and default in (None, "", ())):
            self.given.pop(name, None)
        else:
            self.given[name] = value

    def reset(self, name: str) -> None:
        self.given.pop(name, None)

    def reset_all(self) -> None:
        self.given.clear()

    def is_changed(self, name: str) -> bool:
        return name in self.given and not self.fields[name].required

    def _known(self) -> dict[str, Any]:
        return {name: self.value(name) for name in self.fields} | self.facts

    def is_applicable(self, name: str) -> bool:
        """Whether the field means something beside the others; what asks for a missing fact does."""
        one, known = self.fields[name], self._known()
        lacking = {other: () for other in one.applies if other not in known}
        return one.is_applicable(known | {other: one.applies[other][0] for other in lacking})

    def is_shown(self, name: str, *, everything: bool) -> bool:
        """Easy shows its few, and what was changed, so that nothing counts that is not seen."""
        if not self.is_applicable(name):
            return False
        return everything or name in self.easy or self.is_changed(name)

    def values(self) -> dict[str, Any]:
        """What was given, as plain values; what means nothing now is left out."""
        return {name: value for name, value in self.given.items() if self.is_applicable(name)}

    def missing(self) -> list[str]:
        """The required fields without a value."""
        if "resume" in self.given:
            return []
        return [name for name, one in self.fields.items() if one.required and name not in self.given]

    def check(self) -> Checked:
        """Check everything at once, without a look at files."""
        missing = self.missing()
        found = Checked(missing=[self.fields[name].label for name in missing])
        try:
            options = self.table.parse(self.values())
        except BoneError as error:
            for fault in error.faults:
                if not (len(fault.names) == 1 and fault.names[0] in missing):
                    self.place(fault, found.beside)
            return found
        found.options = None if missing else options
        return found

    def place(self, fault: Fault, beside: dict[str, list[str]]) -> None:
        """Put a fault, in labels, beside the first field that its sentence calls, or else is about."""
        told: list[str] = []
        fault.put(lambda name: told.append(name) or name)
        near = [name for name in (*told, *fault.names) if name in self.fields]
        target = next((name for name in near if self.is_applicable(name)), "")
        words = self.in_words(fault)
        if words not in beside.setdefault(target, []):
            beside[target].append(words)

    def in_words(self, fault: Fault) -> str:
        """A fault with labels for the options that it calls, and for flags and names that it writes."""
        return in_labels(fault, self.fields.values(), without=_PLACES)


def as_text(one: OptionField, value: Any) -> str:
    """A value as it stands in a line of text.

    >>> from bone_backend.options.programs import IoUOptions
    >>> fields = {one.name: one for one in IoUOptions.option_fields()}
    >>> as_text(fields["map_labels"], [[255, 1], "7:0"]), as_text(fields["ignore_label"], None)
    ('255:1 7:0', '')
    """
    if value is None:
        return one.none_word if one.none_word != "none" else ""
    if one.kind == "list":
        return " ".join(_item(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _item(item: Any) -> str:
    if isinstance(item, Mapping) and "value" in item:
        return ":".join(str(item[key]) for key in ("value", "name", "colour") if item.get(key) is not None)
    return ":".join(map(str, item)) if isinstance(item, (list, tuple)) else str(item)


def from_text(one: OptionField, text: str) -> Any:
    """What was typed, as a plain value: a list of its words, a number, None where it is empty.

    >>> from bone_backend.options.programs import IoUOptions
    >>> fields = {one.name: one for one in IoUOptions.option_fields()}
    >>> from_text(fields["map_labels"], "255:1, 7:0"), from_text(fields["ignore_label"], "7")
    (['255:1', '7:0'], 7)
    """
    text = text.strip()
    if one.kind == "list":
        return [word.strip() for word in re.split(r"[,;\s]+", text) if word.strip()]
    if not text or (one.is_optional and text.lower() == one.none_word):
        return "" if one.default == "" else None
    if one.kind in ("int", "float"):
        try:
            return int(text) if one.kind == "int" else float(text)
        except ValueError:
            return text  # parse says what is wrong with it
    return text


def hint(one: OptionField) -> str:
    """Unit and limits, as they stand behind a field; of one that Easy shows, the number of auto instead.

    >>> from bone_backend.options.programs import FitOptions
    >>> fields = {one.name: one for one in FitOptions.option_fields()}
    >>> hint(fields["minutes"]), hint(fields["patches_per_tile"]), hint(fields["overwrite"])
    ('min; auto: 5', '1 to 1024', '')
    """
    limits = "" if one.lengths or one.easy else one.limits
    told = ", ".join(part for part in (one.unit, limits) if part)
    number = re.search(rf"\b{one.none_word}: (\d+)\b", one.help) if one.easy and one.none_word else None
    return f"{told}; {number[0]}" if number else told


def alternatives(one: OptionField) -> tuple[str, ...]:
    """The words that an option such as random|imagenet|FILE.pth can be; those in capitals are free."""
    if one.kind not in ("text", "int", "float") or not one.metavar or "|" not in one.metavar:
        return ()
    return tuple(word for word in one.metavar.split("|") if word == word.lower() and word != one.none_word)


def words_of(one: OptionField) -> tuple[str, ...]:
    """The words of which a list such as confidence|entropy|probabilities may hold some.

    >>> from bone_backend.options.programs import PredictOptions
    >>> {one.name: words_of(one) for one in PredictOptions.option_fields() if one.name == "maps"}
    {'maps': ('confidence', 'entropy', 'probabilities')}
    """
    found = (one.metavar or "").split("|")
    return tuple(found) if one.kind == "list" and len(found) > 1 and all(map(str.islower, found)) else ()
