"""The options of a fit that goes on where an earlier one has ended.

In:  the run folder, and the values that are given now.
Out: all values for `FitOptions.parse`, and a fault for each value that would change what is fitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import OptionError, called
from ..files.names import real
from ..runs.files import stored_options
from .field import AUTO, OptionField
from .fields import Options


def resumed(fit: type[Options], folder: Path, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values with which the run in `folder` goes on, and a fault for each given one that would change it.

    Values are compared as the options hold them, not as they are written. Those that do not hold at all are
    left in, to be told with all other faults. Raises OptionError where the folder is none of a run.
    """
    stored = _stored(fit, folder)
    fields = {field.name: field for field in fit.option_fields()}
    checked: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name not in fields or fields[name].may_change:
            kept[name] = value
            continue
        try:
            checked[name] = fit.check_one(name, value)
        except ValidationError:
            kept[name] = value
    kept = {name: value for name, value in kept.items() if not _is_left_open(fit, fields, name, value)}
    before = stored.with_paths(real)
    now = stored.model_copy(update=checked).with_paths(real)
    changes = [
        f"{called(name)} cannot be changed when a run is resumed; leave it out."
        for name in checked
        if not (fields[name].none_word == AUTO and getattr(now, name) is None)  # what the run has chosen
        and not _is_same(name, getattr(now, name), getattr(before, name))
        and not (name == "output" and getattr(now, name) == real(folder))  # also where the folder was moved
        and (name, getattr(now, name)) != ("overwrite", False)
    ]
    return {**dict(stored), "output": folder, **kept}, changes


def _stored(fit: type[Options], folder: Path) -> Options:
    """The options in a run folder; what an older version did not write is at its default."""
    values = {"recipe": "paper", **stored_options(folder)}  # what there was before there were recipes
    try:
        return fit.parse({**values, "resume": None})
    except OptionError as error:
        raise OptionError(
            f"{called('resume')} {folder}: its options.json does not hold in this version of BONe; go on "
            f"with the one that began the run. {' '.join(fault[:300] for fault in error.faults)}"
        ) from error


def _is_left_open(fit: type[Options], fields: Mapping[str, OptionField], name: str, value: Any) -> bool:
    """Whether the value says auto, where the run has chosen already."""
    if name not in fields or fields[name].none_word != AUTO:
        return False
    try:
        return fit.check_one(name, value) is None
    except ValidationError:
        return False


def _is_same(name: str, one: Any, other: Any) -> bool:
    if name == "transforms" and one and other:  # tables, whose order means nothing
        one, other = json.loads(one), json.loads(other)
    return bool(one == other)
