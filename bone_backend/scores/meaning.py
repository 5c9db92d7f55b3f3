"""What the numbers in a mask and in predicted labels mean: mapped labels, ignored label, names of classes.

In:  what the user said, a model file, or the record that a prediction leaves beside its labels.
Out: a LabelMeaning that says where it comes from.
Records and model files may come from anybody: what is taken from them is checked.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ModelFileError, OutputError, ScanError
from ..files.whole import write_text
from ..options.types import LONGEST_NAME, Label, LabelMap
from ..volumes.header import is_colour

log = logging.getLogger("bone.comparison")

KIND = "BONe labels"  # by which a record is known as one
MOST_BYTES = 1 << 20  # of a record; that of a hundred classes has 20 kB


@dataclass(frozen=True)
class LabelMeaning:
    """map_labels: (old, new) values of the mask. ignore_label: value of voxels that do not count.

    names, colours: class value -> name, and "#rrggbb". source: where any of it was taken from, in words; ""
    where the user said all.
    """

    map_labels: tuple[tuple[int, int], ...] = ()
    ignore_label: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    source: str = ""
    colours: Mapping[int, str] = field(default_factory=dict)

    def told(self) -> str:
        """The mapping in the words of the options; "" where there is none."""
        mapped = " ".join(f"{old}:{new}" for old, new in self.map_labels)
        parts = [f"map_labels {mapped}"] if mapped else []
        parts += [f"ignore_label {self.ignore_label}"] if self.ignore_label is not None else []
        return " and ".join(parts)


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    value: Label
    name: str
    colour: Any = None


class _Told(BaseModel):
    """What a model file or a record says of labels."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    map_labels: Annotated[tuple[LabelMap, ...], Field(max_length=65536)] = ()
    ignore_label: Label | None = None
    classes: Annotated[tuple[_Named, ...], Field(max_length=65536)] = ()


class _Record(_Told):
    kind: Literal["BONe labels"]
    shape: tuple[int, int, int]


def find(
    labels: Path | None,
    shape: tuple[int, int, int],
    *,
    map_labels: Sequence[tuple[int, int]] | None = None,
    ignore_label: int | None = None,
    model: Path | None = None,
) -> LabelMeaning:
    """What is known of labels, and of the mask that they are compared with.

    labels: their file or folder, None where they are in memory; shape: theirs. map_labels, ignore_label: as
    the user said them; those that are None are taken from `model`, or else from the record beside the labels.
    Raises ModelFileError for a model file that cannot be read.
    """
    if model is not None:
        known = of_model(model)
    else:
        known = (of_record(labels, shape) if labels else None) or LabelMeaning()
    found = LabelMeaning(
        known.map_labels if map_labels is None else tuple(map_labels),
        known.ignore_label if ignore_label is None else ignore_label,
        known.names,
        known.source,
        known.colours,
    )
    taken = LabelMeaning(
        found.map_labels if map_labels is None else (), found.ignore_label if ignore_label is None else None
    )
    if taken.told():
        log.info("%s: taken from %s.", taken.told(), known.source)
    return found


def of_model(path: Path) -> LabelMeaning:
    """What a model file says of the masks that it was fitted on. Raises ModelFileError."""
    from ..model_files.header import read_header  # of the shelf of networks, but it needs no torch

    own = read_header(path).bone
    options = own.get("options")
    try:
        told = _Told.model_validate(
            {**(options if isinstance(options, dict) else {}), "classes": own.get("classes", [])}
        )
    except ValidationError as fault:
        raise ModelFileError(
            f"{path.name}: what it says of its labels is damaged: {_place(fault)}."
        ) from fault
    return _meaning(told, f"the model file {path.name}")


def record_path(labels: Path) -> Path:
    """Where the record of predicted labels stands: beside them.

    >>> record_path(Path("out/femur.tif")).name
    'femur.tif.record.json'
    """
    return labels.with_name(f"{labels.name}.record.json")


def of_record(labels: Path, shape: tuple[int, int, int]) -> LabelMeaning | None:
    """What the record beside labels of that shape says; None where none fits, and why is told."""
    path = record_path(labels)
    if not path.is_file():
        return None
    try:
        told = _Record.model_validate(_read(path))
    except ValidationError as fault:
        log.warning("%s is not used: it is no record of labels, or damaged (%s).", path.name, _place(fault))
        return None
    except (OSError, ValueError, RecursionError) as fault:
        log.warning("%s is not used: it cannot be read (%s).", path.name, str(fault) or "too deep")
        return None
    if told.shape != tuple(shape):
        log.warning("%s is not used: it is of labels %s, these are %s.", path.name, told.shape, tuple(shape))
        return None
    return _meaning(told, f"the record {path.name}")


def turned(reference: Path | None, prediction: Path | None) -> list[str]:
    """A word where a record of predicted labels lies beside the reference alone."""
    if reference is None or prediction is None:
        return []
    if not _is_ours(record_path(reference)) or _is_ours(record_path(prediction)):
        return []
    return [
        f"{reference.name} was predicted, as the record beside it says, and {prediction.name} has none, but "
        "the first of both is taken as the reference. Are they turned round?"
    ]


def read_record(labels: Path) -> dict[str, Any]:
    """The whole record of labels. Raises ScanError where there is none, or it is damaged."""
    path = record_path(labels)
    try:
        found = _read(path)
        _Record.model_validate(found)
    except FileNotFoundError as fault:
        raise ScanError(
            f"{labels}: has no record {path.name} beside it, so nothing is known of it."
        ) from fault
    except (OSError, ValueError, RecursionError) as fault:
        raise ScanError(f"{path}: is no record of labels, or damaged.") from fault
    return dict(found)


def write_record(labels: Path, content: Mapping[str, Any]) -> None:
    """Write the record of labels beside them. The labels are whole by then, so a fault here is a warning."""
    path = record_path(labels)
    if path.exists() and not _is_ours(path):
        log.warning("%s is already there and no record of labels; these labels have none.", path.name)
        return
    try:
        write_text(path, json.dumps({"kind": KIND, **content}, indent=2, default=str) + "\n")
    except OutputError as fault:
        log.warning("The labels have no record: %s", fault)


def forget_record(labels: Path) -> None:
    """Remove the record of labels that are about to be replaced: it must never stand beside others."""
    path = record_path(labels)
    if _is_ours(path):
        path.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    try:
        found = _read(path)
        return isinstance(found, dict) and found.get("kind") == KIND
    except (OSError, ValueError, RecursionError):
        return False


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
    return json.loads(text.decode("utf-8"))


def _meaning(told: _Told, source: str) -> LabelMeaning:
    return LabelMeaning(
        tuple((old, new) for old, new in told.map_labels),
        told.ignore_label,
        {item.value: _printable(item.name) for item in told.classes},
        source,
        {item.value: item.colour for item in told.classes if is_colour(item.colour)},
    )


def _printable(name: str) -> str:
    """A name that a terminal, a table and a panel can show."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:LONGEST_NAME])


def _place(fault: ValidationError) -> str:
    """Where a record is not as it should be."""
    first = fault.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
