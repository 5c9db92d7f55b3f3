"""What one option is, and how a set of options is checked.

In:  field definitions made with `option(...)`.
Out: `Options`, a frozen pydantic model that tells its fields to the renderers (flags, ports, form, docs)
     and reports every fault of the given values in one OptionError.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .errors import OptionError

Kind = Literal["int", "float", "bool", "choice", "text", "path", "file", "folder", "save", "volume", "list"]


def option(
    default: Any = PydanticUndefined,
    *,
    group: str,
    label: str,
    help: str,
    unit: str = "",
    kind: Kind | None = None,
    choices: tuple[str, ...] = (),
    applies: Mapping[str, tuple[Any, ...]] | None = None,
    advanced: bool = False,
    positional: bool = False,
    flag: str | None = None,
    metavar: str | None = None,
) -> Any:
    """One option.

    group, label: where forms put it and what they call it. unit: of the number. kind: what it holds, found
    from its type if not given. choices: values offered (others may be accepted). applies: {other option:
    values} for which it means something. advanced: hidden until asked for. positional: a word on the command
    line instead of a flag.
    """
    extra: dict[str, Any] = {
        "group": group,
        "label": label,
        "unit": unit,
        "kind": kind,
        "choices": choices,
        "applies": dict(applies or {}),
        "advanced": advanced,
        "positional": positional,
        "flag": flag,
        "metavar": metavar,
    }
    return Field(default, description=help, json_schema_extra=extra)


@dataclass(frozen=True)
class OptionField:
    """One option as the renderers need it."""

    name: str
    label: str
    help: str
    group: str
    kind: Kind
    default: Any  # None where there is none or where it is none
    required: bool
    unit: str
    choices: tuple[Any, ...]
    is_closed: bool  # no value but the choices
    low: float | None
    high: float | None
    is_optional: bool  # None is allowed
    applies: dict[str, tuple[Any, ...]]
    advanced: bool
    positional: bool
    flag: str
    metavar: str | None

    def is_applicable(self, values: Mapping[str, Any]) -> bool:
        """Whether it means something beside these values of the other options."""
        return all(values.get(other) in allowed for other, allowed in self.applies.items())


class Options(BaseModel):
    """A set of options. Made with `parse`, so that all faults are told at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False, allow_inf_nan=False)
    title: ClassVar[str] = ""

    @classmethod
    def option_fields(cls) -> list[OptionField]:
        """The fields in the order in which they are shown."""
        return [_describe(name, info) for name, info in cls.model_fields.items()]

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check plain values. Raises OptionError with every fault found, each naming its option."""
        faults: list[str] = []
        faulty: set[str] = set()
        kept = dict(values)
        try:
            made = cls.model_validate(kept)
        except ValidationError as error:
            for item in error.errors():
                name = str(item["loc"][0]) if item["loc"] else ""
                faulty.add(name)
                faults.append(cls._sentence(name, item))
                kept.pop(name, None)
            made = cls._with_gaps(kept)
        faults += [text for names, text in made.cross_faults() if not faulty.intersection(names)]
        if faults:
            raise OptionError(list(dict.fromkeys(faults)))
        return made

    def cross_faults(self) -> list[tuple[tuple[str, ...], str]]:
        """Faults that lie between options: the names involved and the sentence."""
        return []

    @classmethod
    def _with_gaps(cls, values: Mapping[str, Any]) -> Self:
        """An object from the values that hold, defaults elsewhere, for the cross-checks only."""
        checked: dict[str, Any] = {}
        for name, info in cls.model_fields.items():
            checked[name] = None if info.is_required() else info.get_default(call_default_factory=True)
            if name in values:
                checked[name] = cls.check_one(name, values[name])
        return cls.model_construct(**checked)

    @classmethod
    def check_one(cls, name: str, value: Any) -> Any:
        """The value as the options hold it, by itself. Raises pydantic's ValidationError."""
        info = cls.model_fields[name]
        whole: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        return TypeAdapter(whole).validate_python(value)

    @classmethod
    def _sentence(cls, name: str, item: Any) -> str:
        kind, told = item["type"], item["msg"].removeprefix("Value error, ")
        if kind == "extra_forbidden":
            near = difflib.get_close_matches(name, cls.model_fields, n=1)
            return f"{name} is no option of {cls.title}." + (f" Did you mean {near[0]}?" if near else "")
        if kind == "missing":
            return f"{name} is missing: {cls.model_fields[name].description}"
        place = "".join(
            f"[{part}]"
            for part in item["loc"][1:]
            if not isinstance(part, str) or not part.startswith("function")
        )
        if kind == "string_pattern_mismatch":
            told = _pattern_in_words(_describe(name, cls.model_fields[name]).metavar, item)
        return f"{name}{place} is {item['input']!r}: {told[0].lower()}{told[1:]}."


def _pattern_in_words(metavar: str | None, item: Any) -> str:
    """What may be written instead, so that nobody has to read a regular expression."""
    if metavar:
        return "write it as " + " or ".join(metavar.rsplit("|", 1)).replace("|", ", ")
    # Such a pattern says which characters a text is made of; those that do not hold by themselves are told.
    pattern = item["ctx"]["pattern"]
    wrong = dict.fromkeys(repr(letter) for letter in item["input"] if not re.search(pattern, letter))
    return f"these characters cannot stand in it: {' '.join(wrong)}"


def _describe(name: str, info: FieldInfo) -> OptionField:
    extra: dict[str, Any] = dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {}
    annotation, is_optional, metadata = _core(info)
    low = next(
        (m.ge if hasattr(m, "ge") else m.gt for m in metadata if hasattr(m, "ge") or hasattr(m, "gt")), None
    )
    high = next(
        (m.le if hasattr(m, "le") else m.lt for m in metadata if hasattr(m, "le") or hasattr(m, "lt")), None
    )
    is_closed = get_origin(annotation) is Literal
    choices = get_args(annotation) if is_closed else extra["choices"]
    required = info.is_required()
    return OptionField(
        name=name,
        label=extra["label"],
        help=info.description or "",
        group=extra["group"],
        kind=extra["kind"] or _kind(annotation, choices),
        default=None if required else info.default,
        required=required,
        unit=extra["unit"],
        choices=tuple(choices),
        is_closed=is_closed,
        low=low,
        high=high,
        is_optional=is_optional,
        applies=extra["applies"],
        advanced=extra["advanced"],
        positional=extra["positional"],
        flag=extra["flag"] or "--" + name.replace("_", "-"),
        metavar=extra["metavar"],
    )


def _core(info: FieldInfo) -> tuple[Any, bool, list[Any]]:
    """The type without Annotated and None, whether None was allowed, and the limits found on the way."""
    annotation: Any = info.annotation
    metadata, is_optional = list(info.metadata), False
    while True:
        arguments = get_args(annotation)
        if hasattr(annotation, "__metadata__"):
            for item in annotation.__metadata__:
                metadata += getattr(item, "metadata", [item])
            annotation = arguments[0]
        elif type(None) in arguments:
            is_optional = True
            annotation = next(a for a in arguments if a is not type(None))
        else:
            return annotation, is_optional, metadata


def _kind(annotation: Any, choices: tuple[Any, ...]) -> Kind:
    if get_origin(annotation) is tuple:
        return "list"
    if choices:
        return "choice"
    kinds: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
    return kinds.get(annotation, "path")
