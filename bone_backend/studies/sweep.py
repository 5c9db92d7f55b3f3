"""What is varied in a study: every combination of some values, or named rows.

In:  the tables vary and rows of a study file.
Out: configurations, each a name and its options; or OptionError with every fault.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import OptionError
from ..options.programs import FitOptions, PredictOptions
from ..options.sentences import no_option
from .scans import folder_name

LIMIT = "training_scans"  # how many of the scans of a fold are fitted on
PREDICT = "predict."  # begins the name of an option of the prediction
MOST = 10_000
# A study gives these itself, or asks once for all runs.
OWN = (
    "pairs",
    "output",
    "name",
    "overwrite",
    "resume",
    "dry_run",
    "validation_pairs",
    "seed",
    "scan_weights",
)
OWN_OF_PREDICTION = ("scan", "model", "output", "overwrite")


@dataclass(frozen=True)
class Configuration:
    """options: of the fit, and those of the prediction with PREDICT before their names; of what is varied."""

    name: str
    options: Mapping[str, Any]

    @property
    def folder(self) -> str:
        """Its name as that of a folder."""
        return folder_name(self.name)


def configurations(
    vary: Mapping[str, Sequence[Any]], rows: Sequence[Mapping[str, Any]]
) -> list[Configuration]:
    """All that is compared, in order. vary: option -> values. rows: {"name": ..., option: value}.

    Where there are both, every row is combined with every value. With neither there is one, "base".
    """
    faults: list[str] = []
    named = []
    for number, row in enumerate(rows, start=1):
        name = row.get("name")
        if not isinstance(name, str) or not name.strip():
            faults.append(f'rows, row {number} has no name. Each has one, e.g. name = "U-Net".')
            continue
        named.append(Configuration(name.strip(), {key: value for key, value in row.items() if key != "name"}))
    for option, values in vary.items():
        if not values:
            faults.append(f"vary.{option} has no values.")
        if any(values.count(value) > 1 for value in values):
            faults.append(f"vary.{option} has a value twice.")
        if any(option in one.options for one in named):
            faults.append(f"{option} stands in vary and in rows; leave one out.")
    number = max(len(rows), 1)
    for values in vary.values():
        number *= max(len(values), 1)
    if number > MOST:
        faults.append(f"there are {number:,} configurations; a study has at most {MOST:,}.")
    if faults:
        raise OptionError(faults)
    grid = [dict(zip(vary, chosen, strict=True)) for chosen in itertools.product(*vary.values())]
    made = [
        Configuration(_name(one.name, values), {**one.options, **values})
        for one in (named or [Configuration("", {})])
        for values in grid
    ]
    return _apart(made)


def _name(row: str, values: Mapping[str, Any]) -> str:
    """What is different, in words: "U-Net, patch size 256"."""
    parts = [row] if row else []
    for option, value in values.items():
        is_told = isinstance(value, str) and option in ("architecture", "backbone", "mode", "loss")
        parts.append(value if is_told else f"{option.removeprefix(PREDICT).replace('_', ' ')} {value}")
    return ", ".join(parts) or "base"


def _apart(made: list[Configuration]) -> list[Configuration]:
    folders: dict[str, str] = {}
    faults = []
    for one in made:
        if one.folder in folders:
            other = folders[one.folder]
            told = (
                f"two rows are named {one.name}"
                if other == one.name
                else f"{other} and {one.name} are one folder"
            )
            faults.append(f"rows: {told}. Give each a name of its own.")
        folders[one.folder] = one.name
    if faults:
        raise OptionError(faults)
    return made


def divided(options: Mapping[str, Any], *, where: str) -> tuple[dict[str, Any], dict[str, Any], int | None]:
    """Options of the fit, of the prediction, and how many scans are fitted on (None: all).

    where: in the study file, for messages. Raises OptionError with every name that is none.
    """
    fit_names = {field.name for field in FitOptions.option_fields()}
    predict_names = {field.name for field in PredictOptions.option_fields()}
    of_fit: dict[str, Any] = {}
    of_prediction: dict[str, Any] = {}
    faults, limit = [], None
    for written, value in options.items():
        name = written.replace("-", "_")
        if name == LIMIT:
            if type(value) is not int or value < 1:
                faults.append(f"{where}: {LIMIT} is {value}; give a whole number from 1.")
            else:
                limit = value
        elif name.startswith(PREDICT):
            inner = name.removeprefix(PREDICT)
            if inner in OWN_OF_PREDICTION:
                faults.append(f"{where}: {inner} is given by the study itself; leave it out.")
            elif inner not in predict_names:
                faults.append(f"{where}: {inner} is no option of a prediction.")
            of_prediction[inner] = value
        elif name in OWN:
            faults.append(f"{where}: {name} is given by the study itself; leave it out.")
        elif name not in fit_names:
            faults.append(f"{where}: {no_option(name, 'a fit', fit_names)}")
        else:
            of_fit[name] = value
    if faults:
        raise OptionError(faults)
    return of_fit, of_prediction, limit
