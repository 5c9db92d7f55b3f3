"""One option as one or two ports.

In:  an OptionField.
Out: ports that hold its default, and what the user has put into them as a plain value.
Which kind of port an option gets follows from its type, limits and choices alone.
"""

from __future__ import annotations

import abc
import contextlib
import re
from collections.abc import Sequence
from typing import Any

from ..errors import Fault, called
from ..options.field import OptionField
from .host import GREATEST_INT, Host

MOST_BOXES = 5  # choices that stand side by side; more go into a menu
LONGEST_SLIDER = 256  # values
GREATEST_FLOAT = 1e9
SWITCH = ("off", "on")


def port_name(name: str) -> str:
    """An option's name as a port's name.

    >>> port_name("patches_per_tile")
    'patchesPerTile'
    """
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def port_label(field: OptionField) -> str:
    """What stands before the port: label, and the unit or how to write it."""
    if field.kind == "list" and field.metavar:
        return f"{field.label} ({field.metavar.partition('[')[0]})"
    return f"{field.label} [{field.unit}]" if field.unit else field.label


def alternatives(field: OptionField) -> tuple[str, ...]:
    """The words of an option such as random|imagenet|FILE.pth; the last is free when it has capitals."""
    if field.kind != "text" or not field.metavar or "|" not in field.metavar:
        return ()
    return tuple(field.metavar.split("|"))


def choice_labels(field: OptionField) -> list[str]:
    """Those words as they stand in the panel, [] where there are none."""
    words = list(alternatives(field))
    if _is_open(words) and "FILE" in words[-1]:
        words[-1] = "own file"
    return words


def port_names(field: OptionField) -> list[str]:
    """The names of the ports of an option, as they stand in the panel."""
    name = port_name(field.name)
    return [name, name + "Other"] if _is_open(alternatives(field)) else [name]


def _is_open(words: Sequence[str]) -> bool:
    return bool(words) and words[-1] != words[-1].lower()


class OptionPort(abc.ABC):
    """The ports of one option."""

    def __init__(self, host: Host, field: OptionField):
        self.host, self.field = host, field
        self.port = self._make()

    @abc.abstractmethod
    def _make(self) -> Any:
        """The port with the default in it."""

    @abc.abstractmethod
    def read(self) -> Any:
        """What the user chose, as a plain value; None where nothing is chosen."""

    def show(self, visible: bool) -> None:
        """Show or hide all ports of the option."""
        self.port.visible = visible

    def fault(self) -> str:
        """What is still missing for the choice that was made, in a sentence; "" when nothing is."""
        return ""

    @abc.abstractmethod
    def write(self, value: Any) -> None:
        """Put a value into the port."""

    def holds(self, value: Any) -> bool:
        """Whether it has this value; one kind of nothing is as good as another."""
        found = self.read()
        if isinstance(value, (int, float)) and isinstance(found, str):
            with contextlib.suppress(ValueError):  # a number in a line of text
                return float(found) == value
        return bool(found == value) or (found in (None, [], "") and value in (None, (), ""))

    def _port(self, kind: str, suffix: str = "", label: str | None = None) -> Any:
        text = port_label(self.field) if label is None else label
        return self.host.port(kind, port_name(self.field.name) + suffix, text)


class NumberPort(OptionPort):
    """A number in a text field. The clamp is set before the value: the first one is 0 to 10."""

    def _make(self) -> Any:
        is_int = self.field.kind == "int"
        kind, item = ("HxPortIntTextN", "IntText") if is_int else ("HxPortFloatTextN", "FloatText")
        port = self._port(kind)
        port.texts = [self.host.item(kind, item, label="")]
        port.texts[0].clamp_range = _clamp(self.field)
        port.texts[0].value = self.field.default
        return port

    def write(self, value: Any) -> None:
        self.port.texts[0].value = value

    def read(self) -> Any:
        value = self.port.texts[0].value
        # A port may hold a C float, in which 0.001 reads 0.0010000000474974513.
        return int(value) if self.field.kind == "int" else float(f"{float(value):.7g}")


class SliderPort(OptionPort):
    """A whole number of a short range."""

    def _make(self) -> Any:
        port = self._port("HxPortIntSlider")
        port.clamp_range = _clamp(self.field)
        port.value = self.field.default
        return port

    def write(self, value: Any) -> None:
        self.port.value = value

    def read(self) -> Any:
        return int(self.port.value)


def _choices(field: OptionField) -> tuple[Any, ...]:
    """What can be chosen: first of all nothing, where the option may be left out."""
    return (None, *field.choices) if field.is_optional else field.choices


def _words(field: OptionField) -> list[str]:
    return [field.none_word if choice is None else str(choice) for choice in _choices(field)]


class BoxPort(OptionPort):
    """A few choices side by side; off and on for a switch."""

    def _make(self) -> Any:
        port = self._port("HxPortRadioBox")
        labels = SWITCH if self.field.kind == "bool" else _words(self.field)
        port.radio_boxes = [
            self.host.item("HxPortRadioBox", "RadioBox", label=str(label)) for label in labels
        ]
        port.selected = self._values.index(self.field.default)
        return port

    def write(self, value: Any) -> None:
        self.port.selected = self._values.index(value)

    @property
    def _values(self) -> tuple[Any, ...]:
        return (False, True) if self.field.kind == "bool" else _choices(self.field)

    def read(self) -> Any:
        return self._values[int(self.port.selected)]


class MenuPort(OptionPort):
    """Many choices."""

    def _make(self) -> Any:
        port = self._port("HxPortMultiMenu")
        port.menus = [self.host.item("HxPortButtonMenu", "Menu", options=_words(self.field))]
        port.menus[0].selected = _choices(self.field).index(self.field.default)
        return port

    def write(self, value: Any) -> None:
        self.port.menus[0].selected = _choices(self.field).index(value)

    def read(self) -> Any:
        return _choices(self.field)[int(self.port.menus[0].selected)]


class TextPort(OptionPort):
    """A text, a list of words, or a number that may be missing: empty means none."""

    def _make(self) -> Any:
        port = self._port("HxPortText")
        port.text = self._text(self.field.default)
        return port

    def write(self, value: Any) -> None:
        self.port.text = self._text(value)

    def _text(self, value: Any) -> str:
        if value is None:
            return self.field.none_word
        if isinstance(value, (list, tuple)):
            return " ".join(map(str, value))
        return f"{value:g}" if isinstance(value, float) else str(value)

    def read(self) -> Any:
        text = self.port.text.strip()
        if self.field.kind == "list":
            return [
                word.strip()
                for word in re.split(r"[,;]" if re.search(r"[,;]", text) else r"\s+", text)
                if word.strip()
            ]
        if not text or (self.field.is_optional and text.lower() == self.field.none_word):
            return "" if self.field.default == "" else None
        return text


class PathPort(OptionPort):
    """A file or folder."""

    def _make(self) -> Any:
        port = self._port("HxPortFilename")
        port.mode = self.host.constant("HxPortFilename", _path_mode(self.field))
        return port

    def write(self, value: Any) -> None:
        self.port.filenames = "" if value is None else str(value)

    def read(self) -> Any:
        return first_path(self.port.filenames)


class MixedPort(OptionPort):
    """Words to choose from; the last one may open a line for a file or a text of one's own."""

    def _make(self) -> Any:
        self.words = alternatives(self.field)
        labels = choice_labels(self.field)
        port = self._port("HxPortRadioBox")
        port.radio_boxes = [self.host.item("HxPortRadioBox", "RadioBox", label=label) for label in labels]
        port.selected = self.words.index(self.field.default)
        self.other = None
        if _is_open(self.words):
            kind = "HxPortFilename" if self._takes_file else "HxPortText"
            self.other = self._port(kind, "Other", f"{self.field.label}: {labels[-1]}")
            if self._takes_file:
                self.other.mode = self.host.constant("HxPortFilename", "EXISTING_FILE")
        return port

    def write(self, value: Any) -> None:
        self.port.selected = self.words.index(value)

    @property
    def _takes_file(self) -> bool:
        return "FILE" in self.words[-1]

    @property
    def _is_other(self) -> bool:
        return self.other is not None and int(self.port.selected) == len(self.words) - 1

    def read(self) -> Any:
        if not self._is_other:
            return self.words[int(self.port.selected)]
        assert self.other is not None
        if self._takes_file:
            return first_path(self.other.filenames)
        return self.other.text.strip() or None

    def fault(self) -> str:
        if self._is_other and self.read() is None:
            wanted = "the file" if self._takes_file else self.words[-1]
            return Fault(f"{called(self.field.name)}: name {wanted}, or choose another.")
        return ""

    def show(self, visible: bool) -> None:
        self.port.visible = visible
        if self.other is not None:
            self.other.visible = visible and self._is_other


def first_path(names: str | Sequence[str] | None) -> str | None:
    """The path in a file name port, which is None, a text or a list of texts."""
    if not names:
        return None
    return names if isinstance(names, str) else names[0]


def _clamp(field: OptionField) -> tuple[Any, Any]:
    if field.kind == "int":
        low = 0 if field.low is None else int(field.low)
        return low, GREATEST_INT if field.high is None else min(int(field.high), GREATEST_INT)
    return float(field.low or 0.0), GREATEST_FLOAT if field.high is None else float(field.high)


def _path_mode(field: OptionField) -> str:
    if field.kind == "save":
        return "ANY_FILE"
    if field.kind != "folder":
        return "EXISTING_FILE"
    # What must be given and is a folder is a new one; all others are there already.
    return "SAVE_DIRECTORY" if field.required else "LOAD_DIRECTORY"


def make_port(host: Host, field: OptionField) -> OptionPort:
    """The ports that suit an option."""
    return _kind_of(field)(host, field)


def _kind_of(field: OptionField) -> type[OptionPort]:
    if field.kind in ("path", "file", "folder", "save"):
        return PathPort
    if field.kind == "bool":
        return BoxPort
    if field.choices:
        return BoxPort if len(field.choices) <= MOST_BOXES else MenuPort
    if alternatives(field):
        return MixedPort
    if field.kind in ("int", "float") and not field.is_optional:
        is_short = (
            field.high is not None and field.low is not None and field.high - field.low <= LONGEST_SLIDER
        )
        return SliderPort if field.kind == "int" and is_short else NumberPort
    return TextPort
