"""What the value of an option can be: paths, labels, pairs, classes, devices.

In:  plain values as a user writes them ("255:1", "1:bone:#ffcc00", [scan, mask]).
Out: checked values.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from ..errors import Fault, called
from ..files import class_table
from ..files.names import from_home
from ..runs.files import found, model_of
from . import transforms as transform_table
from .field import AUTO
from .fields import option
from .sentences import is_text

Share = Annotated[float, Field(ge=0, le=1)]


def _whole(path: Path) -> Path:
    """The path with the home folder for ~ in its place. ValueError for text that can be none."""
    if not is_text(os.fspath(path)):
        raise ValueError("it holds characters that no file name has")
    whole = from_home(path)
    if whole.parts and whole.parts[0].startswith("~") and not os.path.lexists(whole.parts[0]):
        raise ValueError(f"the home folder {whole.parts[0]} is not known; write the path in full")
    return whole


def _input(path: Path) -> Path:
    return found(_whole(path))


def _model(path: Path) -> Path:
    return model_of(_whole(path))


def _parse_map(value: object) -> object:
    """'255:1' -> (255, 1)."""
    if isinstance(value, str):
        left, colon, right = value.partition(":")
        if not colon:
            raise ValueError("write it as OLD:NEW, e.g. 255:1")
        return (left, right)
    return value


def _parse_class(value: object) -> object:
    """'1:bone' or '1:bone:#ffcc00' -> {"value": 1, "name": "bone", "colour": "#ffcc00"}."""
    if isinstance(value, str):
        parts = value.split(":")
        if len(parts) not in (2, 3):
            raise ValueError("write it as VALUE:NAME or VALUE:NAME:#rrggbb, e.g. 1:bone")
        return dict(zip(("value", "name", "colour"), parts, strict=False))
    return value


def _with_tables(value: object) -> object:
    """Each name of a table (.csv) replaced by the classes in it."""
    if not isinstance(value, (list, tuple)):
        return value
    found: list[object] = []
    for item in value:
        is_table = isinstance(item, (str, Path)) and str(item).lower().endswith(class_table.ENDINGS)
        found += class_table.read_classes(from_home(Path(str(item)))) if is_table else [item]
    return tuple(found)


def _parse_pair(value: object) -> object:
    """[scan, mask] or [scan, mask, subject] -> a dictionary."""
    if isinstance(value, (list, tuple)):
        if len(value) not in (2, 3):
            raise ValueError(
                f"a pair is SCAN MASK, or SCAN MASK SUBJECT, so 2 or 3 words, and not {len(value)}"
            )
        return dict(zip(("scan", "mask", "subject"), value, strict=False))
    return value


def as_text(value: object) -> object:
    """1 -> "1"."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _parse_auto(value: object) -> object:
    """'auto' -> None: the program chooses."""
    return None if isinstance(value, str) and value.strip().lower() == AUTO else value


def _written_auto(value: object) -> object:
    return AUTO if value is None else value


ENOUGH, MOST_MINUTES = "enough", 100_000


def _parse_minutes(value: object) -> object:
    """'enough' -> infinity: until it stops improving."""
    is_enough = isinstance(value, str) and value.strip().lower() == ENOUGH
    return math.inf if is_enough else _parse_auto(value)


def _bounded(value: float) -> float:
    if value > MOST_MINUTES and not math.isinf(value):
        raise ValueError(f"give a number up to {MOST_MINUTES}")
    if math.isnan(value):
        raise ValueError("give a number above 0")
    return value


def _written_minutes(value: float | None) -> object:
    return ENOUGH if value == math.inf else _written_auto(value)


UserPath = Annotated[Path, AfterValidator(_whole)]
InputPath = Annotated[Path, AfterValidator(_input)]  # may be a pattern
ModelPath = Annotated[Path, AfterValidator(_model)]  # may be a pattern, or a run folder
Label = Annotated[int, Field(ge=0, le=65535)]
Stored = Annotated[int, Field(ge=-(2**31), le=2**32 - 1)]  # a value that a mask can hold
LabelMap = Annotated[tuple[Stored, Label], BeforeValidator(_parse_map)]


def map_faults(map_labels: Sequence[tuple[int, int]]) -> list[Fault]:
    """A value that is to become two others, as `cross_faults` tells it."""
    old = [value for value, _new in map_labels]
    if twice := sorted({value for value in old if old.count(value) > 1}):
        told = ", ".join(map(str, twice))
        return [Fault(f"{called('map_labels')} names {told} twice; a value becomes one other.")]
    return []


LONGEST_NAME = 60  # of a class


class ClassName(BaseModel):
    """The name and colour of one label value."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    value: Label
    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None


def name_faults(class_names: Sequence[ClassName]) -> list[Fault]:
    """A value with two names, as `cross_faults` tells it."""
    values = [item.value for item in class_names]
    is_sound = len(set(values)) == len(values)
    return [] if is_sound else [Fault(f"{called('class_names')} names a label value twice.")]


class Pair(BaseModel):
    """A scan, its mask, and the animal or person it comes from (one subject can have several scans)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    scan: InputPath
    mask: InputPath
    subject: str | None = None


# None: the program chooses (dataset/settled.py). For fields whose option says none_word=AUTO.
FROM_AUTO = BeforeValidator(_parse_auto)
AS_AUTO = PlainSerializer(_written_auto, when_used="json")
PatchSize = Annotated[Annotated[int, Field(ge=16, le=2048)] | None, FROM_AUTO, AS_AUTO]
WholeOrAuto = Annotated[Annotated[int, Field(ge=1, le=1_000_000)] | None, FROM_AUTO, AS_AUTO]
Minutes = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=True), AfterValidator(_bounded)] | None,
    BeforeValidator(_parse_minutes),
    PlainSerializer(_written_minutes, when_used="json"),
]  # ENOUGH: without an end of its own
# None: by the patches of the fit.
ChunkSize = Annotated[Annotated[int, Field(ge=32, le=8192)] | None, FROM_AUTO, AS_AUTO]
ShareOrAuto = Annotated[Share | None, FROM_AUTO, AS_AUTO]
Transforms = Annotated[str, BeforeValidator(transform_table.written)]
NamedClass = Annotated[ClassName, BeforeValidator(_parse_class)]
ClassNames = Annotated[tuple[NamedClass, ...], BeforeValidator(_with_tables)]  # may name a table
NamedPair = Annotated[Pair, BeforeValidator(_parse_pair)]

Normalization = Literal["ZScore", "minMax", "percentiles", "tissue"]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Precision = Literal["auto", "bf16", "fp16", "fp32"]

# Options that several programs have.
DEVICE = option(
    "auto",
    group="Machine",
    may_change=True,
    label="Device",
    often=True,
    metavar="auto|cpu|cuda|cuda:N",
    help="auto takes the GPU when there is one.",
)
PRECISION = option(
    "auto",
    group="Machine",
    may_change=True,
    label="Precision",
    help="auto: bf16 where the hardware has it, else fp16 on a GPU, else fp32.",
)


_LOCAL = re.compile(r"local:([1-9]\d{0,3})")
_ADDRESS = re.compile(r"((tcp|tls|ws|wss|ucx)://)?[\w.\-\[\]:]+:\d{1,5}")


def _cluster(value: str) -> str:
    if not (_LOCAL.fullmatch(value) or (_ADDRESS.fullmatch(value) and not value.startswith("local:"))):
        raise ValueError("give HOST:PORT of a Dask scheduler, or local:N for N workers on this machine")
    return value


Cluster = Annotated[str, AfterValidator(_cluster)]


def local_workers(cluster: str | None) -> int:
    """Workers that local:N starts here; 0 where the cluster is elsewhere, or none.

    >>> local_workers("local:4"), local_workers("head:8786"), local_workers(None)
    (4, 0, 0)
    """
    found = _LOCAL.fullmatch(cluster or "")
    return int(found[1]) if found else 0
