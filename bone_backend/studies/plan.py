"""The runs of a study: every configuration on every fold with every seed, checked as a whole.

In:  StudyOptions, the file that they name, and what is known of the scans.
Out: a Plan; or one OptionError or ScanError with every fault of the file, of a scan, of any run's options.
Nothing is written, and no network is built.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..dataset.checks import IGNORED, class_of, pair_faults
from ..errors import BoneError, OptionError, ScanError
from ..files.names import in_full
from ..options.programs import FitOptions, PredictOptions, dump
from ..progress import Progress
from ..volumes.header import Header
from ..volumes.volume import open_volume
from . import folds as parting
from . import quick
from .folds import Fold
from .inputs import Input, look_at
from .options import StudyOptions
from .scans import StudyScan, folder_name, read_scans
from .study_file import StudyFile, read_study
from .sweep import Configuration, configurations, divided

MOST_RUNS = 20_000
# They change nothing of what is fitted, so that a run that is done stays done.
NO_PART_OF_A_RUN = (
    *("pairs", "output", "name", "overwrite", "resume", "dry_run", "tensorboard", "keep_checkpoint"),
    *("checkpoint_minutes", "device", "gpus", "precision", "compile", "loader_threads"),
)
NO_PART_OF_A_PREDICTION = ("scan", "model", "output", "overwrite", "device", "precision", "batch_size")


@dataclass(frozen=True)
class Run:
    """One fit, and the predictions of the scans of its fold. values: the options of the fit as plain values,
    but for the seed. key: of the options and of all that goes in."""

    configuration: Configuration
    fold: Fold
    seed: int
    fit: FitOptions
    values: Mapping[str, Any]
    predict: Mapping[str, Any]
    key: str

    @property
    def name(self) -> str:
        """Its folder inside the study's."""
        return f"{self.configuration.folder}/{folder_name('fold ' + self.fold.name)}_seed_{self.seed}"

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.configuration.name}, fold {self.fold.name}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """A study that holds together. folds: as given; mended: those that a split by subject needs beside them.
    leaks: subject -> its scans, where they stand on both sides. notes: in words."""

    name: str
    folder: Path
    file: StudyFile
    scans: tuple[StudyScan, ...]
    headers: Mapping[str, Header]
    inputs: Mapping[str, Input]
    folds: tuple[Fold, ...]
    mended: tuple[Fold, ...]
    leaks: Mapping[str, tuple[str, ...]]
    configurations: tuple[Configuration, ...]
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def by_name(self) -> dict[str, StudyScan]:
        """The scans by their names."""
        return {scan.name: scan for scan in self.scans}


def make_plan(options: StudyOptions, *, known: Mapping[str, Input], progress: Progress) -> Plan:
    """Read and check everything. known: inputs as an earlier start found them. Raises BoneError."""
    file = read_study(options.study)
    scans, headers, made, (found, mended, leaks) = _parts(options, file)
    seeds = list(dict.fromkeys(file.seeds))
    notes = [f"the seed {seed} stands twice; it counts once." for seed in seeds if file.seeds.count(seed) > 1]
    if options.quick:
        found, mended, seeds = found[: quick.FOLDS], mended[: quick.FOLDS], seeds[: quick.SEEDS]
        notes.append(quick.TOLD)
    if len(made) * (len(found) + len(mended)) * len(seeds) > MOST_RUNS:
        raise OptionError(f"the study has more than {MOST_RUNS:,} runs. Vary less, or part it into several.")
    cells = _Runs(options, file, scans, [*found, *mended], seeds).made(made)
    weights = {Path(fit.weights) for _, _, fit, _ in cells if not fit.is_library_weights}
    _check_folders(found, mended)
    inputs = look_at(
        [scan.scan for scan in scans],
        [scan.mask for scan in scans],
        sorted(weights),
        known=known,
        progress=progress,
    )
    if faults := _class_faults(cells, scans, inputs):
        raise ScanError(faults)
    by_name = {scan.name: scan for scan in scans}
    plain = [dump(fit) for _, _, fit, _ in cells]  # once for all seeds
    return Plan(
        name=(file.name or options.study.stem) + (quick.MARK if options.quick else ""),
        folder=in_full(options.output),
        file=file,
        scans=scans,
        headers=headers,
        inputs=inputs,
        folds=tuple(found),
        mended=tuple(mended),
        leaks=leaks,
        configurations=tuple(made),
        runs=tuple(
            Run(
                configuration,
                fold,
                seed,
                fit,
                values,
                predict,
                _key(values, predict, seed, fold, by_name, inputs),
            )
            for seed in seeds
            for (configuration, fold, fit, predict), values in zip(cells, plain, strict=True)
        ),
        notes=tuple(notes),
    )


def _parts(options: StudyOptions, file: StudyFile) -> tuple[Any, Any, Any, Any]:
    """Scans, their headers, configurations, folds. Raises one BoneError with the faults of all of them."""
    raised: list[BoneError] = []

    def part(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except BoneError as error:
            raised.append(error)
            return None

    beside = options.study.absolute().parent
    scans = part(lambda: read_scans(file.scans, beside=beside, data=options.data_folder))
    made = part(lambda: configurations(file.vary, file.rows))
    part(lambda: divided(file.base, where="base"))
    part(lambda: divided(_prefixed(file.predict), where="predict"))
    part(lambda: _check_names(made or ()))
    headers = part(lambda: _headers(scans)) if scans else None
    # patches are so many for each slice
    sizes = [headers[scan.name].shape[0] for scan in scans] if headers else [1] * len(scans or ())
    folds = part(lambda: _folds(file, scans, sizes)) if scans else None
    if raised:
        faults = dict.fromkeys(fault for error in raised for fault in error.faults)
        raise type(raised[0])(list(faults))
    return scans, headers, made, folds


def _check_names(configurations: Sequence[Configuration]) -> None:
    faults: list[str] = []
    for one in configurations:
        faults += _faults_of(lambda one=one: divided(one.options, where=one.name))
    if faults:
        raise OptionError(faults)


def _folds(
    file: StudyFile, scans: Sequence[StudyScan], sizes: Sequence[int]
) -> tuple[tuple[Fold, ...], tuple[Fold, ...], dict[str, tuple[str, ...]]]:
    found = parting.part(scans, file.folds, sizes=sizes, seed=file.folds_seed)
    leaks = parting.leaks(scans, found)
    if file.split_by_subject and len(found) == 1:
        raise OptionError(
            "split_by_subject needs folds; with pools move the scans of one subject into one pool."
        )
    mended = parting.mended(scans, found) if file.split_by_subject and leaks else ()
    return found, mended, leaks


def _check_folders(*folds: Sequence[Fold]) -> None:
    names: dict[str, str] = {}
    for fold in (one for some in folds for one in some):
        if other := names.get(folder_name(fold.name)):
            raise OptionError(
                f"the folds {other} and {fold.name} would have one folder; name one differently."
            )
        names[folder_name(fold.name)] = fold.name


def _headers(scans: Sequence[StudyScan]) -> dict[str, Header]:
    faults: list[str] = []
    headers: dict[str, Header] = {}
    for number, scan in enumerate(scans, start=1):
        try:
            with open_volume(scan.scan) as volume, open_volume(scan.mask) as mask:
                headers[scan.name] = volume.header
                faults += pair_faults(volume, mask, number=number)
        except ScanError as error:
            faults += error.faults
    if faults:
        raise ScanError(faults)
    return headers


Cell = tuple[Configuration, Fold, FitOptions, dict[str, Any]]


@dataclass(frozen=True)
class _Runs:
    """Makes the options of every run."""

    options: StudyOptions
    file: StudyFile
    scans: Sequence[StudyScan]
    folds: Sequence[Fold]
    seeds: Sequence[int]

    def made(self, configurations: Sequence[Configuration]) -> list[Cell]:
        """Every configuration on every fold. Raises OptionError with each fault once a configuration."""
        faults: list[str] = []
        cells: list[Cell] = []
        for one in configurations:
            told: list[str] = []
            for fold in self.folds:
                told += _faults_of(lambda one=one, fold=fold: cells.append(self._cell(one, fold)))
            faults += [f"{one.name}: {fault}" for fault in dict.fromkeys(told)]
        if faults:
            raise OptionError(faults)
        return cells

    def _cell(self, one: Configuration, fold: Fold) -> Cell:
        of_fit, of_prediction, limit = divided(
            {**self.file.base, **_prefixed(self.file.predict), **one.options}, where=one.name
        )
        fitted = fold.fitted
        if limit is not None:
            if limit > len(fitted) and not self.options.quick:
                raise OptionError(f"training_scans is {limit}, but fold {fold.name} leaves {len(fitted)}.")
            fitted = parting.limited(fold, self.scans, limit, seed=self.file.folds_seed)
        by_name = {scan.name: scan for scan in self.scans}
        values = {
            **of_fit,
            "seed": self.seeds[0],
            "name": one.folder,
            "output": str(in_full(self.options.output) / one.folder),
            "pairs": [_pair(by_name[name]) for name in fitted],
        }
        validation = [number for number, name in enumerate(fitted, start=1) if name in fold.validation]
        if validation and len(validation) < len(fitted):
            values["validation_pairs"] = validation
        values = quick.shortened(values) if self.options.quick else values
        if (weights := values.get("weights")) and isinstance(weights, str):
            beside = self.options.study.absolute().parent / weights
            values["weights"] = str(beside) if beside.is_file() else weights
        fit = FitOptions.parse(values)
        PredictOptions.parse({**of_prediction, "scan": ".", "model": "model.pth", "output": "labels"})
        return one, Fold(fold.name, fold.test, fitted, fold.validation), fit, of_prediction


def _pair(scan: StudyScan) -> dict[str, Any]:
    return {"scan": str(scan.scan), "mask": str(scan.mask), "subject": scan.subject}


def _prefixed(predict: Mapping[str, Any]) -> dict[str, Any]:
    return {f"predict.{name}": value for name, value in predict.items()}


def _faults_of(work: Any) -> list[str]:
    try:
        work()
    except BoneError as error:
        return list(error.faults)
    return []


def _class_faults(
    cells: Sequence[Cell], scans: Sequence[StudyScan], inputs: Mapping[str, Input]
) -> list[str]:
    """Classes of tested scans that none of those holds which are fitted on for them."""
    masks = {scan.name: inputs[str(scan.mask)].values for scan in scans}
    faults: dict[str, None] = {}
    for _, fold, fit, _ in cells:
        mapping = dict(fit.map_labels)

        def classes(
            name: str, mapping: dict[int, int] = mapping, ignored: int | None = fit.ignore_label
        ) -> set[int]:
            return {class_of(value, mapping, ignored) for value in masks[name]} - {IGNORED, 0}

        known = set().union(*(classes(name) for name in fold.fitted))
        for value in sorted(set().union(*(classes(name) for name in fold.test)) - known):
            names = {item.value: item.name for item in fit.class_names}
            holders = ", ".join(name for name in fold.test if value in classes(name))
            called = f"{value} {names[value]}" if value in names else str(value)
            faults[
                f"fold {fold.name}: none of the {len(fold.fitted)} scans that are fitted on holds label "
                f"{called}, which "
                f"the tested {holders} does. Part the scans in another way, or map the label."
            ] = None
    return list(faults)


def _key(
    values: Mapping[str, Any],
    predict: Mapping[str, Any],
    seed: int,
    fold: Fold,
    scans: Mapping[str, StudyScan],
    inputs: Mapping[str, Input],
) -> str:
    """What a finished run is known by."""
    weights = inputs.get(str(Path(values["weights"])))
    told = {name: value for name, value in values.items() if name not in NO_PART_OF_A_RUN}
    pairs = {
        name: [
            inputs[str(scans[name].scan)].sha256,
            inputs[str(scans[name].mask)].sha256,
            scans[name].subject,
        ]
        for name in (*fold.fitted, *fold.test)
    }
    content = [
        {**told, "seed": seed, "weights": weights.sha256 if weights else told["weights"]},
        {name: value for name, value in predict.items() if name not in NO_PART_OF_A_PREDICTION},
        [list(fold.fitted), list(fold.test), pairs],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
