"""Verify labels: are they what their record says, and does the same model give them again?

In:  VerifyOptions: labels with their record, the scan and the models (or where the record finds
     them).
Out: what is the same, what is not, and the share of voxels that come out again.
On the machine and with the versions that made the labels every voxel is the same; elsewhere rounding may
turn some.
"""

from __future__ import annotations

import glob
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .errors import OptionError, ScanError, called
from .inference import labelling, opening
from .inference.backends import int8, loading
from .inference.backends.choosing import TORCH
from .inference.backends.others import OTHERS
from .inference.labels import ClassMap
from .inference.record import of_scan
from .model_files.header import ModelHeader
from .options.field import AUTO
from .options.predicting.verifying import VerifyOptions
from .options.programs import PredictOptions
from .prediction import predict
from .progress import Part, Progress, silent
from .scores import meaning
from .volumes.volume import Volume, open_volume, sha256_of

log = logging.getLogger("bone.prediction")

SOON_S = 120  # what took no longer to label is labelled again as a whole where no slice stands for itself
ENOUGH = 0.999  # of the voxels that come out again; other machines round otherwise
READING, MEASURING = 10, 20  # per cent of the progress, where these end
ALTERED = (
    "The labels were altered after BONe wrote them (edited, or replaced by others), so their record "
    "no longer tells how they came about. Corrected by hand on purpose: say so wherever you use them. "
    "Otherwise label the scan again."
)
SAME, OTHER, UNKNOWN = "the same", "not the same", "not in the record"


def verify_job(options: VerifyOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "verify".

    Gives "labels", "scan" and "models", each SAME, OTHER or UNKNOWN; "compared" voxels, "equal" ones and
    "share"; "notes" in words; "failed": 1 where anything is not the same.
    """
    record = meaning.read_record(options.labels)
    scan, models = _scan(options, record), _models(options, record)
    made = _options(record, scan, models, options)
    if made.is_int8:
        int8.library("These labels were made in INT8")
    elif made.backend in OTHERS:
        OTHERS[made.backend].check(f"These labels were made by {OTHERS[made.backend].title}")
    headers = opening.read_models(made)
    with open_volume(options.labels) as labels, open_volume(scan) as greys:
        if labels.header.shape != greys.header.shape:
            size, own = greys.header.sides, labels.header.sides
            raise ScanError(f"{scan} has {size} voxels, the labels {own}: that is another scan.")
        reading = Part(progress, first=0, share=READING, steps=100)
        seen = of_scan(greys, scan, progress=reading)
        found: dict[str, Any] = {
            "path": str(options.labels),
            "labels": _same(_mapping(record, "labels").get("sha256"), sha256_of(labels)),
            "scan": _same(_mapping(record, "scan").get("sha256"), seen["sha256"]),
            "models": _same_models(record, headers),
            "notes": [],
        }
        if found["labels"] == OTHER:
            found["notes"].append(ALTERED)
        if found["models"] == OTHER:
            told = ", ".join(Path(str(name)).name for name in _named_models(record))
            found["notes"].append(f"Made by {told}; compared was {', '.join(path.name for path in models)}.")
        rest = Part(progress, first=READING, share=100 - READING, steps=100)
        count = 0 if options.whole else options.slices
        took_s = _mapping(record, "result").get("seconds")
        is_soon = isinstance(took_s, (int, float)) and 0 <= took_s <= SOON_S
        told = found["notes"]
        equal, compared = _again(made, count, headers, labels, greys, rest, told, is_soon=is_soon)
    share = equal / compared if compared else None
    is_bad = OTHER in (found["labels"], found["scan"], found["models"])
    is_bad = is_bad or (share is not None and share < ENOUGH)
    return {**found, "compared": compared, "equal": equal, "share": share, "failed": int(is_bad)}


def _same(told: Any, found: str) -> str:
    return UNKNOWN if told is None else SAME if told == found else OTHER


def _same_models(record: Mapping[str, Any], headers: Sequence[ModelHeader]) -> str:
    told = _told_models(record)
    if len(told) != len(headers):
        return OTHER
    return SAME if all(t.get("sha256") == h.sha256 for t, h in zip(told, headers, strict=True)) else OTHER


def _told_models(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    more = record.get("more_models")
    told = [record.get("model"), *(more if isinstance(more, list) else [])]
    return [one for one in told if isinstance(one, dict)]


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _scan(options: VerifyOptions, record: Mapping[str, Any]) -> Path:
    told = _mapping(record, "options").get("scan")
    return options.scan or _found(options.labels, told, name="scan")


def _models(options: VerifyOptions, record: Mapping[str, Any]) -> list[Path]:
    if options.model is not None:
        return [options.model, *options.more_models]
    return [_found(options.labels, one, name="model") for one in _named_models(record)]


def _named_models(record: Mapping[str, Any]) -> list[Any]:
    """The ends of their paths, or whatever the record has instead."""
    own = _mapping(record, "options")
    more = own.get("more_models")
    return [own.get("model"), *(more if isinstance(more, list) else [])]


def _found(labels: Path, told: Any, *, name: str) -> Path:
    """A file that the record names by the end of its path. Raises OptionError.

    Looked for from here, then from the labels' folder and the folders above it: as the record says it or
    by its name alone; then again in all of these one folder deeper (runs/one/m.pth for one/m.pth).
    """
    if isinstance(told, str) and told:
        ends = told.replace("\\", "/")  # also of a record that was made on Windows
        bases = list(_bases(labels))
        for path in (base / end for base in bases for end in (ends, Path(ends).name)):
            if path.exists():
                return path
        for base in bases:
            if deeper := _deeper(base, ends):
                return deeper[0]
    raise OptionError(
        f"The record names the {name} {told!r}, which is not found from here. Name it: {called(name)} PATH."
    )


def _deeper(base: Path, ends: str) -> list[Path]:
    """What lies one folder below with such an end of its path, sorted; none where it may not be read."""
    if ends.startswith("/") or ".." in Path(ends).parts:
        return []
    try:
        return sorted(base.glob(f"*/{glob.escape(ends)}"))
    except OSError:
        return []


def _bases(labels: Path) -> Iterator[Path]:
    yield Path()
    yield from list(labels.absolute().parents)[:3]


def _options(
    record: Mapping[str, Any], scan: Path, models: Sequence[Path], options: VerifyOptions
) -> PredictOptions:
    """Those of the record, with the files that were found."""
    first, *others = map(str, models)
    known = {field.name for field in PredictOptions.option_fields()}
    told = {name: value for name, value in _mapping(record, "options").items() if name in known}
    told |= {"scan": str(scan), "model": first, "more_models": others, "output": "again.tif", "maps": []}
    is_int8 = options.precision == AUTO and told.get("precision") == "int8"  # all else is the machine's
    precision = "int8" if is_int8 else options.precision
    told |= {"device": options.device, "precision": precision, "overwrite": False}
    told.setdefault("grey_curve", "keep")  # what older versions did
    told["backend"] = _mapping(record, "result").get("backend", TORCH)  # older records do not say it
    return PredictOptions.parse(told)


def _again(
    made: PredictOptions,
    count: int,
    headers: Sequence[ModelHeader],
    labels: Volume,
    greys: Volume,
    progress: Progress,
    notes: list[str],
    *,
    is_soon: bool,
) -> tuple[int, int]:
    """Label so many slices again, or all (0); gives how many voxels are equal, and how many were compared.

    Where no slice stands for itself: all, if that is done soon; else none.
    """
    if count == 0:
        return _whole(made, labels, progress)
    axes, _ = opening.along(made, greys.header, headers)
    measured = opening.measure_all(
        made, headers, progress=Part(progress, first=0, share=MEASURING, steps=100)
    )
    teams = opening.teams_of(made, greys.header.shape, headers, measured)
    if axes != "z" or len(teams) > 1 or made.clean or made.resample:
        if is_soon:
            return _whole(made, labels, Part(progress, first=MEASURING, share=100 - MEASURING, steps=100))
        why = "were cleaned" if made.clean else "are the mean of several passes"
        why = "were brought back from another voxel size" if made.resample else why
        notes.append(f"The labels {why}, so no slice stands for itself; --whole labels all again.")
        return 0, 0
    return _sample(made, count, headers, teams, labels, greys, progress)


def _sample(
    made: PredictOptions,
    count: int,
    headers: Sequence[ModelHeader],
    teams: Sequence[opening.Team],
    labels: Volume,
    greys: Volume,
    progress: Progress,
) -> tuple[int, int]:
    """Label some slices again, along z by one team."""
    (team,) = teams
    here = opening.machine(made)
    look = partial(progress, MEASURING, 100, "Calibrating INT8 on the scan")
    loading.load_all(loading.Task(made, greys, here.device, here.precision, "z", look), teams)
    class_map = ClassMap.from_model(headers[0].bone.get("classes"), headers[0].num_classes)
    groups, merger = labelling.plan(
        made, team.ready, chunks=team.chunks, class_map=class_map, model=team.model
    )
    wanted = np.linspace(0, greys.header.shape[0] - 1, count).round().astype(int)
    chosen = sorted({int(np.searchsorted([g.finished for g in groups], z, side="right")) for z in wanted})
    equal = compared = 0

    def compare(end: int, _: torch.Tensor) -> None:
        nonlocal equal, compared
        first = merger.start
        again, before = merger.take(end).cpu().numpy(), labels.read(first, end)
        equal += int(np.count_nonzero(again == before))
        compared += again.size

    for number, place in enumerate(chosen):
        merger.sums.zero_()
        labelling.stream(
            greys,
            team.ready,
            groups=groups[: place + 1],
            merger=merger,
            numbers=team.numbers,
            progress=lambda *_, n=number: progress(
                MEASURING + (100 - MEASURING) * n // len(chosen), 100, "Labelling slices again"
            ),
            finish=compare,
            start=groups[place - 1].finished if place else 0,
        )
    return equal, compared


def _whole(made: PredictOptions, labels: Volume, progress: Progress) -> tuple[int, int]:
    """Label all again."""
    with tempfile.TemporaryDirectory(prefix="bone-verify-", ignore_cleanup_errors=True) as folder:
        again = Path(folder) / "again.tif"
        predict(made.model_copy(update={"output": again}), progress=progress)
        equal = 0
        with open_volume(again) as volume:
            for z0, z1 in volume.slabs():
                equal += int(np.count_nonzero(volume.read(z0, z1) == labels.read(z0, z1)))
            return equal, volume.header.voxels
