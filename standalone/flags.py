"""The command line's flags, made from the options.

In:  an Options class; the parsed words of one command.
Out: an argparse parser with one flag per option; a dictionary of the values that were given.
A flag that was not given is absent from the dictionary, so that a configuration file can fill it.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import yaml

from bone_backend.errors import OptionError
from bone_backend.option_fields import OptionField, Options
from bone_backend.options import dump
from bone_backend.outputs import check_apart, check_output, ending_fault
from bone_backend.ranks import Rank
from bone_backend.run_folder import write_text


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
        help="Write the options as used to a JSON or YAML file and go on; replaces none without --overwrite.",
    )
    if "overwrite" not in options.model_fields:
        place.add_argument(
            "--overwrite", action="store_true", help="Replace an existing file of --save-config."
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
    if Rank.of_environment().is_first:  # the first makes folders, which others then would find
        made.check_paths()
        if words.save_config:
            check_config_place(words, made)
            write_config(words.save_config, made)
    return made


def check_config_place(words: argparse.Namespace, options: Options) -> None:
    """Raise OutputError where the options may not be saved, OptionError for an ending that is not written."""
    path = words.save_config
    fault = ending_fault(path, what="options are", written=(".json", ".yaml", ".yml"), name="save-config")
    if fault:
        raise OptionError(fault)
    inputs = options.inputs() + ([("the configuration", words.config)] if words.config else [])
    check_output(path, inputs=inputs, overwrite=bool(vars(words).get("overwrite")), name="save-config")
    others = [getattr(options, field.name) for field in options.option_fields() if field.is_output]
    check_apart(path, [("the output", other) for other in others if other is not None], name="save-config")


def _plain(field: OptionField, value: Any) -> Any:
    """'none' clears an option that may be empty; numbers of a closed choice come as numbers."""
    if field.is_optional and isinstance(value, str) and value.lower() == "none":
        return None
    if field.is_closed and isinstance(value, str):
        return next((choice for choice in field.choices if str(choice).lower() == value.lower()), value)
    return value


def read_config(path: Path) -> dict[str, Any]:
    """The options in a JSON, TOML or YAML file, by its ending. Raises OptionError in words."""
    readers: dict[str, Any] = {
        ".json": json.loads,
        ".toml": tomllib.loads,
        ".yaml": yaml.safe_load,
        ".yml": yaml.safe_load,
    }
    if path.suffix.lower() not in readers:
        raise OptionError(f"config {path} must end in .json, .toml, .yaml or .yml.")
    try:
        values = readers[path.suffix.lower()](path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionError(f"config {path} cannot be read: {error.strerror}.") from error
    except (ValueError, yaml.YAMLError) as error:
        raise OptionError(f"config {path} is no valid {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(values, dict):
        raise OptionError(f"config {path} must hold option names and values, not {type(values).__name__}.")
    return {str(name).replace("-", "_"): value for name, value in values.items()}


def write_config(path: Path, options: Options) -> None:
    """Write the options as JSON or YAML, whole or not at all. Raises OutputError."""
    values = dump(options)
    is_json = path.suffix.lower() == ".json"
    text = json.dumps(values, indent=2) + "\n" if is_json else yaml.safe_dump(values, sort_keys=False)
    write_text(path, text)
