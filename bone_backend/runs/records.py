"""What stands in the files of a run folder, as far as programs rely on it when they read it back.

In:  a file of a run folder, perhaps from another machine or another person.
Out: its plain values, every one that is used of the right type and within its limits; or an OutputError.
Keys that nobody relies on may be there or not: older and newer versions of BONe write others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator

from ..errors import OutputError
from ..files.json_files import MOST_BYTES, read_json
from ..files.schema import checked

MOST_RECORD_BYTES = 64 << 20  # that of 100,000 epochs has 40 MB

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Epoch = Annotated[int, Field(ge=0, le=1_000_000)]
Seconds = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=1, le=2**31)]
LONGEST_TEXT = 10_000


def _path_text(value: Any) -> str:
    """A path as text; may hold bytes of names that are no UTF-8, which pydantic's own str refuses."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError("input should be a path")
    return value


Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
PathText = Annotated[Any, PlainValidator(_path_text)]
Dtype = Annotated[str, Field(pattern=r"^[<>|=]?[a-z]{1,8}\d{0,2}$")]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class Part(BaseModel):
    """A part of such a file: types are as written, unknown keys are left alone."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Row(Part):
    """Scores of one epoch; the IoU of a class is None where it is absent."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, Finite | None] = Field(init=False)  # e.g. of each class

    epoch: Annotated[int, Field(ge=1, le=1_000_000)]
    learning_rate: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    train_loss: Finite | None
    val_loss: Finite | None
    train_miou: Score | None
    val_miou: Score
    skipped_steps: Count
    seconds: Seconds
    patches_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    waiting_share: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ExactStatistics(Part):
    """Those numbers of a scan that are equal for equal voxels."""

    count: Count
    mean: Finite
    std: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    min: Finite
    max: Finite


class Input(Part):
    """A pair of a run."""

    name: Text
    scan: PathText
    mask: PathText
    subject: Text | None
    shape: Annotated[list[Side], Field(min_length=3, max_length=3)]
    dtype: Dtype
    voxel_size_um: (
        Annotated[list[Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=3, max_length=3)] | None
    ) = None
    voxels_per_class: Annotated[list[Count], Field(min_length=1, max_length=65536)]
    statistics: ExactStatistics


class Inputs(Part):
    """inputs.json"""

    pairs: Annotated[list[Input], Field(min_length=1)]


class Class(Part):
    """A class of a run."""

    value: Annotated[int, Field(ge=0, le=65535)]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    colour: Colour


class Result(Part):
    """What a run reached."""

    model: PathText | None
    run_folder: PathText
    best_epoch: Epoch
    best_val_iou: Score | None
    val_iou_per_class: dict[str, Score | None]
    epochs: Epoch
    train_scans: list[Text]
    validation_scans: list[Text]
    outcome: Literal["done", "stopped", "stopped early", "failed"]


class Split(Part):
    """Who trained and who validated."""

    training: list[Text]
    validation: list[Text]
    validation_slices: dict[Text, Annotated[list[Count], Field(min_length=2, max_length=2)]] = {}
    training_patches: Count
    validation_patches: Count


class Record(Part):
    """record.json"""

    result: Result
    options: dict[str, Any]  # checked by FitOptions where they are used
    device_name: Text
    written: Text
    classes: Annotated[list[Class], Field(min_length=1)]
    split: Split
    confusion: list[list[Count]]
    parameters: Count
    multiply_adds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    versions: dict[str, Text]
    machine: dict[str, Text | int]
    figures: dict[str, Any]
    seconds_in_all: Seconds
    inputs: list[Input]
    scores: list[Row]


def read_inputs(path: Path) -> list[dict[str, Any]]:
    """The pairs of a run, as `metadata.inputs` gives them. Raises OutputError."""
    return _read(path, Inputs)["pairs"]


def read_record(path: Path) -> dict[str, Any]:
    """The record of a run. Raises OutputError."""
    values = _read(path, Record, most_bytes=MOST_RECORD_BYTES)
    if fault := _contradiction(values):
        raise _damaged(path, fault)
    return values


def _contradiction(values: dict[str, Any]) -> str:
    confusion, classes = values["confusion"], len(values["classes"])
    if confusion and {len(confusion), *map(len, confusion)} != {classes}:
        return f"confusion is not {classes} x {classes}"
    if values["result"]["best_epoch"] > len(values["scores"]):
        return f"best_epoch is {values['result']['best_epoch']} of {len(values['scores'])}"
    return ""


def _read(path: Path, model: type[BaseModel], *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    try:
        values = read_json(path, most_bytes=most_bytes)
        checked(model, values)
    except FileNotFoundError as error:
        raise OutputError(
            f"{path.parent} is no whole run folder: {path.name} is missing. Name the folder of a run."
        ) from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    return dict(values)


def _damaged(path: Path, fault: str) -> OutputError:
    return OutputError(
        f"{path} is damaged, or no file of BONe's ({fault}). Put back a copy of the run folder, or start a "
        "new run."
    )
