"""Read the options in a JSON, TOML or YAML file.

In:  a file that somebody wrote, by hand or to do harm.
Out: option names and plain values; or one OptionError, in seconds and in the memory of the file.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from bone_backend.errors import OptionError

MOST_LEVELS = 50  # of a YAML file; its reader takes seconds to fail at more
MOST_BYTES = 2**18  # a thousand pairs with long paths
LONGEST_TOML_LINE = 2**14  # the time for a key in n parts grows with n * n


class _Loader(yaml.SafeLoader):
    """Plain YAML: a name stands once, and nothing is repeated by reference, which could grow without end."""

    _levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f"*{event.anchor} repeats a part; write it out", event.start_mark
            )
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise RecursionError
        try:
            return super().compose_node(parent, index)
        finally:
            self._levels -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        _check_once(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        return super().construct_mapping(node, deep=deep)


def _yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def _toml(text: str) -> Any:
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > LONGEST_TOML_LINE:
            raise ValueError(f"line {number} is too long; put a list on lines of its own")
    return tomllib.loads(text)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_table)


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check_once(name for name, _ in pairs)
    return dict(pairs)


def _check_once(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{name[:60]!r} stands there twice")
        seen.add(name)


READERS: dict[str, Any] = {".json": _json, ".toml": _toml, ".yaml": _yaml, ".yml": _yaml}


def read_config(path: Path) -> dict[str, Any]:
    """The options in a file, by its ending. Raises OptionError in words."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise OptionError(f"config {path} must end in .json, .toml, .yaml or .yml.")
    text = _text(path)
    try:
        values = reader(text)
    except RecursionError as error:
        raise OptionError(f"config {path}: its values are nested too deeply.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise OptionError(
            f"config {path} is no valid YAML: {place}{error.problem or error.context}."
        ) from error
    except (ValueError, OverflowError, TypeError, yaml.YAMLError) as error:
        told = " ".join(str(error).split())[:200]
        raise OptionError(f"config {path} is no valid {path.suffix[1:].upper()}: {told}.") from error
    if not isinstance(values, dict):
        raise OptionError(f"config {path} must hold option names and values, not {type(values).__name__}.")
    if isinstance(values.get("base"), dict):  # a study: the options of its fits
        values = values["base"]
    named = [(str(name).replace("-", "_"), value) for name, value in values.items()]
    try:
        return _table(named)
    except ValueError as error:
        raise OptionError(f"config {path}: {error}.") from error


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise OptionError(f"config {path} is no file.")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise OptionError(f"config {path} cannot be read: {told}.") from error
    if len(content) > MOST_BYTES:
        raise OptionError(
            f"config {path} is larger than {MOST_BYTES // 1024} KiB; a file of options is much smaller."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise OptionError(
            f"config {path} is no text in UTF-8 (line {line}). Save it in UTF-8 with your editor."
        ) from error
