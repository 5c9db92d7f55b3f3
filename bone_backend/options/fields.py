"""What one option is, and how a set of options is checked.

In:  field definitions made with `option(...)`.
Out: `Options`, a frozen pydantic model that tells its fields to the renderers (flags, ports, form, docs)
     and reports every fault of the given values in one OptionError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ..errors import Fault, OptionError, called
from ..files.outputs import Named, check_output
from .field import Kind, OptionField
from .sentences import is_text, no_number, no_option, not_given, sentence, shown

MOST_FAULTS = 40  # told one by one
LONGEST_TEXT = 4096  # of a path on most systems


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
    unless: Mapping[str, tuple[Any, ...]] | None = None,
    advanced: bool = False,
    often: bool = False,
    easy: bool = False,
    positional: bool = False,
    rest: str = "",
    flag: str | None = None,
    metavar: str | None = None,
    none_word: str = "none",
    may_change: bool = False,
) -> Any:
    """One option.

    group, label: where forms put it and what they call it. unit: of the number. kind: what it holds, found
    from its type if not given. choices: values offered (others may be accepted). applies: {other option:
    values} for which it means something. unless: {other option: values} for which it means nothing.
    advanced: hidden until asked for. often: among the dozen that most
    people need, which the first page of help shows. easy: among the at most five that the Easy panels of
    Avizo and of the window show. positional: a word on the command line instead of a flag.
    rest: the option, a list, that takes further words behind the first on the command line.
    none_word: how None is written, where it is allowed. may_change: of a fit, whether a run that is resumed
    takes another value; so may how long it goes on and on what, never what is fitted. The options of the
    machine change the result by rounding at most.
    """
    extra: dict[str, Any] = {
        "group": group,
        "label": label,
        "unit": unit,
        "kind": kind,
        "choices": choices,
        "applies": dict(applies or {}),
        "unless": dict(unless or {}),
        "advanced": advanced,
        "often": often,
        "easy": easy,
        "positional": positional,
        "rest": rest,
        "flag": flag,
        "metavar": metavar,
        "none_word": none_word,
        "may_change": may_change,
    }
    return Field(default, description=help, json_schema_extra=extra)


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
        faults: list[Fault] = []
        faulty: set[str] = set()
        kept = dict(values)
        for fault in cls._unsuitable(kept):
            faults.append(fault)
            faulty.update(fault.names)
            for name in fault.names:
                del kept[name]
        try:
            made = cls.model_validate(kept)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                name = str(item["loc"][0]) if item["loc"] else ""
                if item["type"] == "missing" and name in faulty:
                    continue  # it was given, and told above
                faulty.add(name)
                faults.append(
                    Fault(cls._sentence(name, item), name) if len(faults) < MOST_FAULTS else Fault("")
                )
                kept.pop(name, None)
            made = cls._with_gaps(kept)
        faults += [fault for fault in made.cross_faults() if not faulty.intersection(fault.names)]
        if faults:
            raise OptionError(_told(faults))
        return made

    @classmethod
    def _unsuitable(cls, values: Mapping[str, Any]) -> list[Fault]:
        """Faults of what pydantic would take: yes for a number, and text that can be no name."""
        found: list[Fault] = []
        for field in cls.option_fields():
            value = values.get(field.name)
            if isinstance(value, str):
                is_table = value.startswith("{")  # JSON may be as long as it wants
                if len(value) > LONGEST_TEXT and not is_table:
                    found.append(Fault(f"{called(field.name)} is {shown(value)}: it is too long."))
                elif not is_text(value):
                    told = "it holds characters that no name has"
                    found.append(Fault(f"{called(field.name)} is {shown(value)}: {told}."))
            elif field.kind in ("int", "float", "list"):
                inside = value if isinstance(value, (list, tuple)) and field.kind == "list" else [value]
                found += [Fault(no_number(field, one)) for one in inside if isinstance(one, bool)][:1]
        return found

    def with_paths(self, place: Callable[[Path], Path]) -> Self:
        """The same options with `place` applied to every path in them.

        Path.absolute gives paths that hold from any current folder.
        """
        placed: dict[str, Any] = {}
        for name, value in self:
            if isinstance(value, Path):
                placed[name] = place(value)
            elif isinstance(value, tuple) and any(isinstance(item, Path) for item in value):
                placed[name] = tuple(place(item) if isinstance(item, Path) else item for item in value)
        return self.model_copy(update=placed)

    def cross_faults(self) -> list[Fault]:
        """Faults that lie between options."""
        return []

    def inputs(self) -> list[Named]:
        """What the program reads: what it is, in words, and its path."""
        found: list[Named] = []
        for field in self.option_fields():
            value = getattr(self, field.name)
            if field.kind in ("volume", "file") and isinstance(value, Path):
                found.append((f"the {field.label.lower()}", value))
            elif field.kind == "list":
                word = f"one of the {field.label.lower()}"
                found += [(word, item) for item in value or () if isinstance(item, Path)]
        return found

    def check_paths(self) -> None:
        """Raise OutputError where an output may not be written; before any work, and without torch."""
        for field in self.option_fields():
            path = getattr(self, field.name)
            if field.kind == "save" and path is not None:
                overwrite = bool(getattr(self, "overwrite", False))
                check_output(path, inputs=self.inputs(), overwrite=overwrite, name=field.name)

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
        if name not in cls.model_fields:
            return no_option(name, cls.title, cls.model_fields)
        field = _describe(name, cls.model_fields[name])
        return (
            not_given(field) if item["type"] == "missing" and len(item["loc"]) == 1 else sentence(field, item)
        )


def _told(faults: list[Fault]) -> list[str]:
    """Each fault once; of very many, how many there are."""
    told: list[str] = list(dict.fromkeys(faults[:MOST_FAULTS]))
    more = len(faults) - MOST_FAULTS
    return told + [f"... and {more} more faults."] * (more > 0)


def _describe(name: str, info: FieldInfo) -> OptionField:
    extra: dict[str, Any] = dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {}
    annotation, is_optional, metadata = _core(info)
    limits = _limits(metadata)
    if get_origin(annotation) is tuple:
        limits = _limits(_inside(get_args(annotation)[0])[2])
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
        low=limits.get("ge", limits.get("gt")),
        high=limits.get("le", limits.get("lt")),
        is_above="gt" in limits,
        is_below="lt" in limits,
        lengths=(limits["min_length"], limits["max_length"]) if "max_length" in limits else None,
        is_optional=is_optional,
        applies=extra["applies"],
        unless=extra["unless"],
        advanced=extra["advanced"],
        often=extra["often"],
        easy=extra["easy"],
        positional=extra["positional"],
        rest=extra["rest"],
        flag=extra["flag"] or "--" + name.replace("_", "-"),
        metavar=extra["metavar"],
        none_word=extra["none_word"],
        may_change=extra["may_change"],
    )


def _core(info: FieldInfo) -> tuple[Any, bool, list[Any]]:
    """The type without Annotated and None, whether None was allowed, and the limits found on the way."""
    annotation, is_optional, metadata = _inside(info.annotation)
    return annotation, is_optional, [*info.metadata, *metadata]


def _inside(annotation: Any) -> tuple[Any, bool, list[Any]]:
    metadata: list[Any] = []
    is_optional = False
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


def _limits(metadata: list[Any]) -> dict[str, Any]:
    """Those that are set: ge, gt, le, lt, min_length, max_length."""
    names = ("ge", "gt", "le", "lt", "min_length", "max_length")
    return {name: getattr(item, name) for item in metadata for name in names if hasattr(item, name)}


def _kind(annotation: Any, choices: tuple[Any, ...]) -> Kind:
    if get_origin(annotation) is tuple:
        return "list"
    if choices:
        return "choice"
    kinds: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "text"}
    return kinds.get(annotation, "path")
