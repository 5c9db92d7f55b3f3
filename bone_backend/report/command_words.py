"""The command line that gives a set of options again.

In:  options.
Out: words for a shell: the flags whose value is not the default, or not that of the recipe that is named.
The other direction is standalone/flags.py; a test goes there and back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..options.fields import OptionField, Options
from ..options.recipes import RECIPES


def option_words(options: Options, *, leave_out: Iterable[str] = ()) -> list[list[str]]:
    """Groups of words, a flag and its values each; what is at its default is left out, and so is `leave_out`.

    >>> from bone_backend.options.programs import IoUOptions
    >>> option_words(IoUOptions.parse({"reference": "mask.tif", "prediction": "labels.tif"}))
    [['mask.tif'], ['labels.tif']]
    """
    left, recipe = set(leave_out), RECIPES.get(getattr(options, "recipe", ""), {})
    found: list[list[str]] = []
    fields = options.option_fields()
    rests = {field.rest for field in fields}
    for field in fields:
        value = getattr(options, field.name)
        default = recipe.get(field.name, field.default)
        if field.name in left or (not field.required and value == default):
            continue
        words = _words(field, options.model_dump(mode="json", include={field.name})[field.name])
        if field.name in rests:  # they stand behind the first
            found[-1] += words[0][1:]
        else:
            found += words
    return found


def _words(field: OptionField, value: Any) -> list[list[str]]:
    if field.positional:
        return [[str(value)]]
    if isinstance(value, bool):
        return [[field.flag if value else "--no-" + field.flag.removeprefix("--")]]
    if value is None:
        return [[field.flag, "none"]]
    if field.kind != "list" or not isinstance(value, list):
        return [[field.flag, json.dumps(value) if isinstance(value, (dict, list)) else str(value)]]
    if field.flag == "--pair":
        return [
            [field.flag, pair["scan"], pair["mask"], *([pair["subject"]] if pair["subject"] else [])]
            for pair in value
        ]
    return [[field.flag, *(_item(item) for item in value)]]


def _item(item: Any) -> str:
    """One value of a list: OLD:NEW, VALUE:NAME[:#rrggbb], or as it is."""
    if isinstance(item, (list, tuple)):
        return ":".join(map(str, item))
    if isinstance(item, dict) and "value" in item and "name" in item:
        return ":".join(str(item[key]) for key in ("value", "name", "colour") if item.get(key) is not None)
    return json.dumps(item) if isinstance(item, dict) else str(item)
