"""The command line's flags, made from the options.

In:  an Options class; the parsed words of one command.
Out: a parser with one flag per option; a dictionary of the values that were given.
A flag that was not given is absent from the dictionary, so that a configuration file can fill it.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import yaml

from bone_backend.errors import OptionError
from bone_backend.files.outputs import check_apart, check_output, ending_fault
from bone_backend.files.whole import write_text
from bone_backend.jobs.ranks import Rank
from bone_backend.options.fields import OptionField, Options
from bone_backend.options.programs import dump
from bone_backend.runs.files import may_be_model

from . import pair_flags
from .option_files import READERS, read_config
from .pages import Entry
from .parser import Parser

LONGEST_CHOICES = 20  # characters that stand beside a flag, as 2D|2.5D|3D


def add_flags(parser: Parser, options: type[Options], *, has_config: bool = True) -> None:
    """Give the parser one flag (or word) for every option, in the option's group.

    has_config: and those that read and write a file of options.
    """
    fields = options.option_fields()
    rests = {field.rest for field in fields}
    for field in fields:
        if field.name not in rests:
            _add_flag(parser, field, {other.name: other for other in fields})
    if has_config:
        _add_config(parser, options)


def _add_config(parser: Parser, options: type[Options]) -> None:
    parser.add(
        Entry("Configuration", "--config FILE", "Read options from a JSON, TOML or YAML file; flags win."),
        "--config",
        type=Path,
    )
    parser.add(
        Entry(
            "Configuration",
            "--save-config FILE",
            "Write the options as used to a JSON or YAML file and go on; replaces none without --overwrite.",
            more="A switch that a file has on is put off with --no-, e.g. --no-overwrite.",
        ),
        "--save-config",
        type=Path,
    )
    if "overwrite" not in options.model_fields:
        parser.add(
            Entry("Configuration", "--overwrite", "Replace an existing file of --save-config."),
            "--overwrite",
            action="store_true",
        )


def _add_flag(parser: Parser, field: OptionField, fields: dict[str, OptionField]) -> None:
    entry = Entry(
        field.group,
        _words(field),
        _text(field, fields),
        field.often or field.required or field.positional,
        _choices(field),
    )
    if field.positional:
        # A configuration file may give it, so that its absence is told with all other faults.
        many = "*" if field.rest else "?"
        parser.add(entry, field.name, nargs=many, default=argparse.SUPPRESS)
        return
    kinds: dict[str, dict[str, Any]] = {
        "bool": {"action": argparse.BooleanOptionalAction},
        # a pair has several words; of other lists each word is an item
        "list": {"action": "append" if field.flag == "--pair" else "extend", "nargs": "+"},
    }
    how = kinds["list"] if field.rest else kinds.get(field.kind, {})
    parser.add(entry, field.flag, dest=field.name, default=argparse.SUPPRESS, **how)
    if field.required and field.flag == "--output":
        parser.output = field.flag
    if field.flag == "--pair":
        pair_flags.add_to(parser)


def _words(field: OptionField) -> str:
    """How it is typed."""
    if field.positional:
        return f"{field.name.upper()} ..." if field.rest else field.name.upper()
    if field.kind == "bool":
        return f"--[no-]{field.flag.removeprefix('--')}" if field.default else field.flag
    several = " ..." if (field.kind == "list" and field.flag != "--pair") or field.rest else ""
    return f"{field.flag} {_metavar(field)}{several}"


def _metavar(field: OptionField) -> str:
    if field.metavar:
        return field.metavar
    if field.choices and not _choices(field):
        return "|".join(map(str, field.choices))
    kinds = {"int": "N", "float": "X", "text": "TEXT", "choice": "NAME", "file": "FILE", "folder": "FOLDER"}
    return kinds.get(field.kind, "PATH")


def _choices(field: OptionField) -> str:
    """The choices that do not fit beside the flag."""
    if field.metavar or len("|".join(map(str, field.choices))) <= LONGEST_CHOICES:
        return ""
    return f"One of: {', '.join(_quoted(choice) for choice in field.choices)}."


def _quoted(value: Any) -> str:
    return f'"{value}"' if " " in str(value) else str(value)


def _text(field: OptionField, fields: dict[str, OptionField]) -> str:
    """What it is, when it means something, its limits and its default; other options by their flags."""
    told = [
        re.sub(
            r"\b[a-z]+(?:_[a-z]+)+\b",
            lambda found: fields[found[0]].flag if found[0] in fields else found[0],
            field.help,
        ),
        *conditions(field, fields),
    ]
    brackets = [f"{field.limits} {field.unit}".strip()] if field.limits else []
    if field.required:
        brackets.append("required")
    elif field.kind == "bool" and field.default:
        brackets.append("default on")
    elif field.default is None and field.none_word != "none":
        brackets.append(f"default {field.none_word}")
    elif field.default not in (None, (), "", False):
        brackets.append(f"default {shown_default(field)}")
    return " ".join(told) + (f" ({'; '.join(brackets)})" if brackets else "")


def conditions(field: OptionField, fields: dict[str, OptionField]) -> list[str]:
    """When an option means something, a sentence for each other option (fields: by name)."""
    told = []
    for name, values in field.applies.items():
        if values == (True,):
            told.append(f"Not with --no-{fields[name].flag.removeprefix('--')}.")
        else:  # the mode of a prediction is that of its model
            allowed = " or ".join(map(_quoted, values))
            told.append(f"Only with {fields[name].flag if name in fields else name} {allowed}.")
    for name, values in field.unless.items():
        told.append(f"Not with {fields[name].flag} {' or '.join(map(_quoted, values))}.")
    return told


def shown_default(field: OptionField) -> str:
    """10 for 10.0; with its unit where that does not stand beside the limits."""
    value = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    return value if field.limits else f"{value} {field.unit}".strip()


def gather(words: argparse.Namespace, options: type[Options]) -> Options:
    """The checked options: configuration file first, flags over it. Raises OptionError with all faults."""
    known = {field.name: field for field in options.option_fields()}
    given = _parted({name: value for name, value in vars(words).items() if name in known}, known)
    config = getattr(words, "config", None)
    values = read_config(config) if config else {}
    if Path(str(given.get("recipe", ""))).suffix.lower() in READERS:  # one's own
        values |= read_config(Path(given.pop("recipe")))
    values |= given
    if found := pair_flags.pairs_of(words):
        values["pairs"] = found
    made = options.parse(
        {name: _plain(known[name], value) if name in known else value for name, value in values.items()}
    )
    if Rank.of_environment().is_first:  # the first makes folders, which others then would find
        made.check_paths()
        if getattr(words, "save_config", None):
            check_config_place(words, made)
            write_config(words.save_config, made)
    return made


def _parted(given: dict[str, Any], known: dict[str, OptionField]) -> dict[str, Any]:
    """Words of options that take several: the first for the option, the others for the list of the rest.

    A flag takes all words behind it, also those that were meant for the one without a flag (--model M SCAN):
    it keeps those that can be models.
    """
    given = dict(given)
    loose = next((name for name, field in known.items() if field.positional and field.rest), "")
    for name in [name for name, field in known.items() if field.rest and field.kind == "file"]:
        first, *others = given.get(name) or [None]
        if loose and not given.get(loose):
            strangers = [word for word in others if not may_be_model(Path(word))]
            others = [word for word in others if word not in strangers]
            given |= {loose: strangers} if strangers else {}
        given |= {name: [first, *others]} if first is not None else {}
    for name, field in known.items():
        if field.rest and name in given:
            first, *others = given.pop(name) or [None]
            given |= {name: first} if first is not None else {}
            given |= {field.rest: others} if others else {}
    return given


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
    """'none' clears an option that may be empty ('auto' one that the program then chooses); numbers of a
    closed choice come as numbers.
    """
    if field.is_optional and isinstance(value, str) and value.lower() == field.none_word:
        return None
    if field.is_closed and isinstance(value, str):
        return next((choice for choice in field.choices if str(choice).lower() == value.lower()), value)
    return value


def write_config(path: Path, options: Options) -> None:
    """Write the options as JSON or YAML, whole or not at all. Raises OutputError."""
    values = dump(options)
    is_json = path.suffix.lower() == ".json"
    text = json.dumps(values, indent=2) + "\n" if is_json else yaml.safe_dump(values, sort_keys=False)
    write_text(path, text)
