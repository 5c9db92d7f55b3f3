"""The command line's flags, made from the options.

In:  an Options class; the parsed words of one command.
Out: an argparse parser with one flag per option; a dictionary of the values that were given.
A flag that was not given is absent from the dictionary, so that a configuration file can fill it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from bone_backend.errors import OptionError
from bone_backend.option_fields import OptionField, Options
from bone_backend.options import dump
from bone_backend.run_folder import write_text

from .option_files import read_config


def add_flags(parser: argparse.ArgumentParser, options: type[Options]) -> None:
    """Give the parser one flag (or word) for every option, in the option's group."""
    groups: dict[str, Any] = {}
    for field in options.option_fields():
        if field.group not in groups:
            groups[field.group] = parser.add_argument_group(field.group)
        _add_flag(groups[field.group], field)
    place = parser.add_argument_group("Configuration")
    place.add_argument(
        "--config", type=Path, metavar="FILE", help="Read options from a JSON, TOML or YAML file; flags win."
    )
    place.add_argument(
        "--save-config",
        type=Path,
        metavar="FILE",
        help="Write the options as used to a JSON or YAML file and go on.",
    )


def _add_flag(group: Any, field: OptionField) -> None:
    told = _help(field)
    if field.positional:
        # A configuration file may give it, so that its absence is told with all other faults.
        group.add_argument(
            field.name, nargs="?", default=argparse.SUPPRESS, metavar=field.name.upper(), help=told
        )
    elif field.kind == "bool":
        group.add_argument(
            field.flag,
            dest=field.name,
            action=argparse.BooleanOptionalAction,
            default=argparse.SUPPRESS,
            help=told,
        )
    elif field.kind == "list" and field.flag == "--pair":
        group.add_argument(
            field.flag,
            dest=field.name,
            action="append",
            nargs="+",
            default=argparse.SUPPRESS,
            metavar=("SCAN", "MASK"),
            help=told,
        )
    elif field.kind == "list":
        group.add_argument(
            field.flag,
            dest=field.name,
            action="extend",
            nargs="+",
            default=argparse.SUPPRESS,
            metavar=field.metavar,
            help=told,
        )
    else:
        group.add_argument(
            field.flag, dest=field.name, default=argparse.SUPPRESS, metavar=_metavar(field), help=told
        )


def _metavar(field: OptionField) -> str:
    if field.metavar:
        return field.metavar
    if field.choices and len(field.choices) < 10:
        return "|".join(str(choice) for choice in field.choices)
    return {"int": "N", "float": "X", "text": "TEXT", "choice": "NAME"}.get(field.kind, "PATH")


def _help(field: OptionField) -> str:
    told = [field.help]
    if field.applies:
        told.append(
            "Only for "
            + ", ".join(f"{name} {' or '.join(map(str, allowed))}" for name, allowed in field.applies.items())
            + "."
        )
    if len(field.choices) >= 10:
        told.append("One of: " + ", ".join(str(choice) for choice in field.choices) + ".")
    limits = [
        f"from {field.low:g}" if field.low is not None else "",
        f"to {field.high:g}" if field.high is not None else "",
    ]
    brackets = [" ".join(part for part in limits if part), field.unit]
    if field.required:
        brackets.append("required")
    elif field.default not in (None, ()):
        brackets.append(f"default {field.default}")
    brackets = [part for part in brackets if part]
    return (" ".join(told) + (f" [{'; '.join(brackets)}]" if brackets else "")).replace("%", "%%")


def gather(words: argparse.Namespace, options: type[Options]) -> Options:
    """The checked options: configuration file first, flags over it. Raises OptionError with all faults."""
    known = {field.name: field for field in options.option_fields()}
    values = read_config(words.config) if words.config else {}
    values |= {name: value for name, value in vars(words).items() if name in known}
    made = options.parse(
        {name: _plain(known[name], value) if name in known else value for name, value in values.items()}
    )
    if words.save_config:
        write_config(words.save_config, made)
    return made


def _plain(field: OptionField, value: Any) -> Any:
    """'none' clears an option that may be empty; numbers of a closed choice come as numbers."""
    if field.is_optional and isinstance(value, str) and value.lower() == "none":
        return None
    if field.is_closed and isinstance(value, str):
        return next((choice for choice in field.choices if str(choice).lower() == value.lower()), value)
    return value


def write_config(path: Path, options: Options) -> None:
    """Write the options as JSON or YAML, whole or not at all. Raises OutputError."""
    values = dump(options)
    suffix = path.suffix.lower()
    if suffix not in (".json", ".yaml", ".yml"):
        raise OptionError(f"save-config {path} must end in .json, .yaml or .yml.")
    text = (
        json.dumps(values, indent=2) + "\n" if suffix == ".json" else yaml.safe_dump(values, sort_keys=False)
    )
    write_text(path, text)
