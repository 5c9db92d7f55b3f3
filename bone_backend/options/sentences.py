"""Faults of single options as sentences for people.

In:  what pydantic found, and what is known of the option.
Out: one sentence: what was given, what is allowed. No word of pydantic's, no index that counts from 0.
A sentence names an option as it stands in a configuration file; doors put their own words in its place.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..errors import called
from .field import OptionField

MOST_SHOWN = 60  # characters of a wrong value
MOST_WORDS = 6  # of a list that is shown as it was typed

# Kinds of pydantic's errors -> what was expected; {} is the range.
_EXPECTED = {
    "int_parsing": "give a whole number{}",
    "int_type": "give a whole number{}",
    "int_from_float": "give a whole number{}",
    "int_parsing_size": "give a whole number{}",
    "float_parsing": "give a number{}",
    "float_type": "give a number{}",
    "finite_number": "give a number{}",
    "bool_parsing": "give true or false",
    "bool_type": "give true or false",
    "string_type": "give a text",
    "string_unicode": "give a text in UTF-8",
    "string_too_short": "it must not be empty",
    "path_type": "give a path",
    "tuple_type": "give a list",
    "list_type": "give a list",
    "none_required": "leave it out",
}
_NUMBERS = {"int": "a whole number", "float": "a number"}
_LIMITS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")


def no_option(name: str, title: str, known: Iterable[str]) -> str:
    """A name that is none."""
    near = difflib.get_close_matches(name[:MOST_SHOWN], list(known), n=1)
    return f"{shown(name, quoted=False)} is no option of {title}." + (
        f" Did you mean {near[0]}?" if near else ""
    )


def no_number(field: OptionField, value: bool) -> str:
    """Yes or no where a number is wanted; pydantic would take it for 1 or 0."""
    form = f"give {_NUMBERS[field.kind]}" if field.kind in _NUMBERS else _form(field)
    return f"{called(field.name)} is {str(value).lower()}: {form}{_range(field)}{_or_open(field)}."


def not_given(field: OptionField) -> str:
    """An option that has no default and was not given.

    It is told how to give it: with a flag, or as a word.
    """
    is_word = not field.help[1:2].isupper()  # as an abbreviation is
    told = (field.help[0].lower() if is_word else field.help[0]) + field.help[1:]
    are, them = ("are", "them") if field.label.endswith("s") else ("is", "it")
    how = f"as {field.name.upper()}" if field.positional else f"with {field.flag}"
    return f"{field.label} {are} missing. Name {them} {how}: {told}"


def sentence(field: OptionField, item: Any) -> str:
    """A value that does not hold. item: one of pydantic's errors."""
    kind, given = item["type"], item["input"]
    inside = [part for part in item["loc"][1:] if not _is_tag(part)]
    where = _place(field.name, inside)
    if kind == "missing" and inside:
        return f"{where} is missing: {_form(field)}."
    if kind == "extra_forbidden":
        return f"{where} means nothing there: {_form(field)}."
    if kind == "string_pattern_mismatch":
        told = _pattern_in_words(field.metavar, item)
    elif kind == "literal_error":
        of_item = re.findall(r"'([^']*)'", item["ctx"]["expected"])  # of a list of choices
        told = _choice_in_words(field.choices or tuple(of_item), given)
    elif kind in _LIMITS:
        told = _expected(field, inside, item)
    elif kind in ("string_too_long", "too_long", "too_short") and not inside:
        told = _length_in_words(item)
    elif kind.startswith(("model_", "dict_", "dataclass_", "too_")) or (kind.endswith("_type") and inside):
        told = _form(field)
    elif kind in _EXPECTED:
        kind = "int_type" if kind == "finite_number" and field.kind == "int" else kind
        told = _EXPECTED[kind].format("" if inside else _range(field))
    elif kind == "value_error":  # one of our own
        told = str(item["ctx"]["error"])
    else:
        told = _form(field)
    told = told[0].lower() + told[1:].rstrip(".")
    if told.startswith(("give ", "choose ")) and not told.endswith("?"):
        told += _or_open(field)
    return f"{where} is {shown(given)}: {told}{'' if told.endswith('?') else '.'}"


def is_text(value: str) -> bool:
    """Whether a text can be the name of a file: no zero, nothing that is half a letter."""
    try:
        return "\0" not in value and os.fsencode(value) is not None
    except UnicodeEncodeError:
        return False


def shown(value: Any, *, quoted: bool = True) -> str:
    """A wrong value, no longer than a line takes.

    >>> shown("x" * 100, quoted=False) == "x" * 57 + "..."
    True
    """
    if isinstance(value, (str, bytes)):
        value = value[: MOST_SHOWN + 1]
    elif isinstance(value, int) and value.bit_length() > 200:  # its digits would take minutes, or are refused
        return f"a number of about {int(value.bit_length() * 0.30103)} digits"
    elif isinstance(value, list) and 0 < len(value) <= MOST_WORDS and all(isinstance(v, str) for v in value):
        value = " ".join(value)  # as it was typed
    elif isinstance(value, (dict, list, tuple, set)):
        return {dict: "a table", set: "a set"}.get(type(value), "a list") + f" of {len(value)}"
    text = repr(value) if quoted else str(value)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def _is_tag(part: object) -> bool:
    """Whether a part of pydantic's place names one of its own validators and not a part of the value."""
    return isinstance(part, str) and ("-" in part or "[" in part or part in ("int", "float", "str", "tuple"))


def _place(name: str, inside: Sequence[Any]) -> str:
    """Where in an option a value stands: "the mask of pair 2", "the colour in value 1 of class_names"."""
    numbers = [part + 1 for part in inside if isinstance(part, int)]
    words = [shown(part, quoted=False) for part in inside if not isinstance(part, int)]
    told = called(name)
    if numbers:
        told = f"pair {numbers[0]}" if name == "pairs" else f"value {numbers[0]} of {told}"
    link = "of" if name == "pairs" else "in"
    return f"the {words[0]} {link} {told}" if words else told


def _form(field: OptionField) -> str:
    """How a value is written."""
    if field.name == "pairs":
        return "a pair is a scan, its mask, and perhaps a subject"
    return (
        f"write it as {field.metavar}"
        if field.metavar
        else "give " + {**_NUMBERS, "bool": "true or false"}.get(field.kind, "a text")
    )


def _or_open(field: OptionField) -> str:
    """The words that may stand for a number, such as the one that leaves the choice to the program."""
    if field.none_word == "none":
        return ""
    return f", or {' or '.join(w for w in (field.metavar or field.none_word).split('|') if w.islower())}"


def _range(field: OptionField) -> str:
    """ " from 1 to 64"; of a limit that is itself not allowed, "above 0"."""
    low, high = field.low, field.high
    if low is not None and high is not None and not (field.is_above or field.is_below):
        return f" from {_number(low)} to {_number(high)}"
    parts = []
    if low is not None:
        parts.append(f"{'above' if field.is_above else 'from'} {_number(low)}")
    if high is not None:
        parts.append(f"{'below' if field.is_below else 'up to'} {_number(high)}")
    return " " + " and ".join(parts) if parts else ""


def _expected(field: OptionField, inside: Sequence[Any], item: Any) -> str:
    """The range of the option, or of one number in its list."""
    if not inside:
        return f"give {'a whole number' if field.kind == 'int' else 'a number'}{_range(field)}"
    limit = next(iter(item["ctx"].values()))
    words = {"greater_than": "above", "greater_than_equal": "from", "less_than": "below"}
    beyond = " on" if item["type"] == "greater_than_equal" else ""
    return f"give numbers {words.get(item['type'], 'up to')} {_number(limit)}{beyond}"


def _number(limit: float) -> str:
    return f"{limit:.15g}"


def _choice_in_words(choices: Sequence[Any], given: Any) -> str:
    names = [str(choice) for choice in choices]
    near = difflib.get_close_matches(str(given)[:MOST_SHOWN], names, n=1, cutoff=0.5)
    told = f"choose {', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else f"choose {names[0]}"
    return told + (f"; did you mean {near[0]}?" if near else "")


def _length_in_words(item: Any) -> str:
    context = item.get("ctx", {})
    most, least = context.get("max_length"), context.get("min_length")
    what = "characters" if item["type"].startswith("string") else "values"
    return f"it may have {most} {what} at most" if most is not None else f"it needs {least} {what} at least"


def _pattern_in_words(metavar: str | None, item: Any) -> str:
    """What may be written instead, so that nobody has to read a regular expression."""
    if metavar:
        return "write it as " + " or ".join(metavar.rsplit("|", 1)).replace("|", ", ")
    # Such a pattern says which characters a text is made of; those that do not hold by themselves are told.
    pattern = item["ctx"]["pattern"]
    wrong = dict.fromkeys(repr(letter) for letter in item["input"] if not re.search(pattern, letter))
    return f"these characters cannot stand in it: {' '.join(wrong)}"
