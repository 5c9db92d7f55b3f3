"""The file of a study: scans, folds, seeds, options of its fits and predictions, and what is varied.

In:  a TOML file that somebody wrote.
Out: a StudyFile; or one OptionError with every fault of its form. What the values mean together is checked in
plan.py.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import OptionError

MOST_BYTES = 1 << 20
GIVEN, POOLS = "given", "pools"
NAME = r"^[^<>:\"/\\|?*\x00-\x1f]+$"


class StudyFile(BaseModel):
    """A study as it is written.

    scans: a table (CSV) by its path, or rows. folds: how many are made, GIVEN (in the column fold), or POOLS
    (in the column pool: training, validation, test). base, predict: options of every fit and prediction.
    vary: option -> values, all of which are combined. rows: named configurations, each with its own options.
    split_by_subject: also with folds that keep each subject together, where those given do not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=NAME)] | None = None
    scans: str | list[dict[str, Any]]
    folds: Annotated[int, Field(ge=2, le=1000)] | Literal["given", "pools"] | None = None
    folds_seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    split_by_subject: bool = False
    seeds: Annotated[
        list[Annotated[int, Field(ge=0, le=2**32 - 1)]], Field(min_length=1, max_length=1000)
    ] = [42]
    base: dict[str, Any] = {}
    predict: dict[str, Any] = {}
    vary: dict[str, list[Any]] = {}
    rows: list[dict[str, Any]] = []


def read_study(path: Path) -> StudyFile:
    """The study in a file. Raises OptionError with every fault."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise OptionError(f"study file {path} is larger than 1 MiB. Put the scans into a table (CSV).")
        values = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise OptionError(f"study file {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"study file {path} is no text in UTF-8. Save it in UTF-8.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise OptionError(f"study file {path} is no valid TOML: {error}.") from error
    try:
        return StudyFile.model_validate(values)
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False)
        raise OptionError(list(dict.fromkeys(f"{path.name}: {_sentence(item)}" for item in items))) from error


def _sentence(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"] if _is_written(part)) or "it"
    if item["type"] == "missing":
        return f"{place} is missing. A study names its {place}."
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place, list(StudyFile.model_fields), n=1)
        return f"there is no {place} in a study." + (f" Did you mean {near[0]}?" if near else "")
    told = item["msg"][:1].lower() + item["msg"][1:]
    return f"{place} is {str(item['input'])[:60]!s}: {told}."


def _is_written(part: Any) -> bool:
    """Not the name of a branch of a union."""
    return not (isinstance(part, str) and ("[" in part or "-" in part or part in ("str", "int", "literal")))
