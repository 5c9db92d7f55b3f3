"""Label many scans with one model, one after the other: what is wrong with one does not stop the others.

In:  PredictScansOptions: scans, patterns or tables of scans (.csv); a model; a folder for the labels.
Out: the labels of each, and a dictionary that says of each scan how it went.
Names that clash, and labels that are in the way, are told before any work. torch is loaded once.
"""

from __future__ import annotations

import csv
import difflib
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .errors import BoneError, Cancelled, OptionError, OutputError, ScanError, called
from .files.names import from_home
from .inference.record import shortened
from .model_files.header import ModelHeader, read_header
from .options.predicting.scans import TABLE, PredictScansOptions
from .options.programs import PredictOptions, dump
from .prediction import predict
from .progress import Part, Progress, silent
from .runs.files import matching
from .scores import meaning
from .volumes.volume import open_volume, volume_name

log = logging.getLogger("bone.prediction")

COLUMNS = ("scan", "output")
MOST_BYTES = 1 << 24  # of a table
MOST_TOLD = 10  # clashes
STEPS = 1000  # of the progress of one scan


class Wanted(NamedTuple):
    """A scan, and where its labels go (None: under its name into the folder)."""

    scan: Path
    output: Path | None = None


def predict_scans_job(options: PredictScansOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "predict" of the command line: one scan gives what `predict` gives, several a list."""
    if not options.are_several:
        (only,) = _each(options, [Wanted(options.scan)])
        _check_measures(options, [only])
        return _with_measures(options, only, progress)
    return predict_scans(options, progress=progress)


def predict_scans(options: PredictScansOptions, *, progress: Progress = silent) -> dict[str, Any]:
    """Label all scans.

    Returns "scans": what `predict` gives of each and the path "scan", or "scan" and "error"; how many
    "failed"; "seconds". Raises ModelFileError, OptionError or OutputError before the work; Cancelled, whose
    `result` has the scans that were done.
    """
    started = time.perf_counter()
    models = [read_header(path) for path in (options.model, *options.more_models)]
    work = _each(options, list(wanted(options)))
    before = {number: _labelled_before(one, models) for number, one in enumerate(work)}
    _check_outputs([one for number, one in enumerate(work) if before[number] is None])
    is_measured = [bool(before[number]) and _has_measures(one) for number, one in enumerate(work)]
    _check_measures(options, [one for number, one in enumerate(work) if not is_measured[number]])
    done: list[dict[str, Any]] = []

    def told() -> dict[str, Any]:
        failed = sum("error" in one for one in done)
        return {"scans": done, "failed": failed, "seconds": time.perf_counter() - started}

    for number, one in enumerate(work):
        part = _Share(progress, number, len(work))
        try:
            if (known := before[number]) is not None:
                more = {} if is_measured[number] else _measured(options, one, part)
                done.append({**known, **more})
            else:
                done.append(_one(options, one, part))
        except Cancelled as stop:
            stop.result = told()
            raise
    return told()


def _labelled_before(options: PredictOptions, models: list[ModelHeader]) -> dict[str, Any] | None:
    """What the record of labels says that are there already, where they are just those that are wanted now.

    So the same command goes on with the scans that a killed one has not come to.
    """
    if not options.resume or options.overwrite or not options.output.exists():
        return None
    try:
        told = meaning.read_record(options.output)
        with open_volume(options.scan) as scan:
            states = [path.stat() for path in (scan.files or (options.scan,))]
        named = [told["model"], *told["more_models"]]
        is_same = (
            [one["sha256"] for one in named] == [model.sha256 for model in models]
            and _of_result(told["options"]) == _of_result(shortened(options))
            and told["scan"]["bytes"] == sum(state.st_size for state in states)
            and max(state.st_mtime for state in states) <= meaning.record_path(options.output).stat().st_mtime
        )
        result = {"seconds": 0.0, "warnings": [], **told["result"], "output": str(options.output)}
    except (BoneError, OSError, KeyError, TypeError):
        return None
    return {"scan": str(options.scan), "is_kept": True, **result} if is_same else None


def _of_result(told: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the labels depend on."""
    return {name: value for name, value in told.items() if name not in ("overwrite", "resume")}


def _with_measures(asked: PredictScansOptions, options: PredictOptions, progress: Progress) -> dict[str, Any]:
    """What `predict` gives, and what is measured afterwards where that was asked for."""
    if not asked.measure:
        return predict(options, progress=progress).plain()
    found = predict(options, progress=Part(progress, first=0, share=1, steps=2)).plain()
    return {**found, **_measured(asked, options, Part(progress, first=1, share=1, steps=2))}


def _measured(asked: PredictScansOptions, options: PredictOptions, progress: Progress) -> dict[str, Any]:
    """The measures of labels that are there, and their files beside them; {} where nobody asked for them."""
    if not asked.measure:
        return {}
    from .measures.job import measure_beside

    return {"measures": measure_beside(options.output, overwrite=options.overwrite, progress=progress)}


def _has_measures(options: PredictOptions) -> bool:
    """Whether an earlier command has measured these labels."""
    from .measures.job import beside

    return all(path.exists() for path in beside(options.output).values())


def _check_measures(asked: PredictScansOptions, work: list[PredictOptions]) -> None:
    """Raise OutputError where files of measures are in the way, before any work."""
    if asked.measure:
        from .measures.job import check_beside

        check_beside([one.output for one in work], overwrite=asked.overwrite)


def _one(asked: PredictScansOptions, options: PredictOptions, progress: Progress) -> dict[str, Any]:
    """How one scan went."""
    try:
        return {"scan": str(options.scan), **_with_measures(asked, options, progress)}
    except Cancelled:
        raise
    except (BoneError, OSError) as fault:
        text = str(fault)
    except Exception as fault:  # the other scans may do
        log.exception("%s: this is a fault of BONe, not of your scan.", options.scan)
        text = f"a fault of BONe: {type(fault).__name__}: {fault}"
    log.warning("No labels of %s", text if str(options.scan) in text else f"{options.scan}: {text}")
    return {"scan": str(options.scan), "error": text}


def wanted(options: PredictScansOptions) -> Iterator[Wanted]:
    """The scans in the order in which they were named, patterns and tables opened.

    Raises ScanError for a table that cannot be read.
    """
    for named in options.scans:
        for path in matching(named) or [named]:
            if path.suffix.lower() == TABLE:
                yield from _of_table(path)
            else:
                yield Wanted(path)


def _of_table(path: Path) -> Iterator[Wanted]:
    """The rows of a table; relative paths in it begin at its folder."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ScanError(f"{path}: is larger than {MOST_BYTES >> 20} MiB; that is no table of scans.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise ScanError(
            f"{path}: the table cannot be read ({getattr(fault, 'strerror', None) or fault})."
        ) from fault
    first = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    names = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
    if "scan" not in names:
        seen = ", ".join(filter(None, names)) or "none"
        raise ScanError(
            f"{path}: has no column scan (it has: {seen}). The first line names the columns: scan, output."
        )
    others = [name for name in names if name and name not in COLUMNS]
    missing = [one for one in COLUMNS if one not in names]
    for name in others:
        if meant := difflib.get_close_matches(name, missing, cutoff=0.75):
            raise ScanError(f"{path}: there is no column {name}. Did you mean {meant[0]}?")
    if others:
        log.info("%s: not used are the columns %s.", path.name, ", ".join(others))
    for row in rows:
        scan = (row[names["scan"]] or "").strip()
        output = (row[names["output"]] or "").strip() if "output" in names else ""
        if scan:
            yield Wanted(path.parent / from_home(scan), Path(output) if output else None)


def _each(options: PredictScansOptions, scans: list[Wanted]) -> list[PredictOptions]:
    """The options of each scan. Raises OptionError where there is none, or where names clash."""
    if not scans:
        raise OptionError(f"No scan is named by {', '.join(map(str, options.scans))}.")
    own = {"scan", "output", "more_scans", "output_dir", "measure"}
    shared = {name: value for name, value in dump(options).items() if name not in own}
    made = [
        PredictOptions.parse({**shared, "scan": str(one.scan), "output": str(_output(options, one))})
        for one in scans
    ]
    places = [str(one.output).lower() for one in made]  # as Windows and macOS see names
    clashes = [place for place, count in Counter(places).items() if count > 1]
    if clashes:
        faults = []
        for place in clashes[:MOST_TOLD]:
            several = [one for one, other in zip(made, places, strict=True) if other == place]
            named = ", ".join(str(one.scan) for one in several)
            faults.append(f"The labels of {named} would all be {several[0].output}.")
        more = len(clashes) - MOST_TOLD
        last = " Rename the scans, or say where the labels go in the column output of a .csv."
        faults += [f"... and {more} more names clash."] * (more > 0)
        raise OptionError([*faults[:-1], faults[-1] + last])
    return made


def _output(options: PredictScansOptions, one: Wanted) -> Path:
    """Where the labels of one scan go: a file where the scan is a file, else a folder."""
    if options.output is not None:
        return options.output
    if one.output is not None:
        return (options.output_dir or Path()) / from_home(one.output)
    if options.output_dir is None:
        raise OptionError(
            f"It is not said where the labels of {one.scan} go. Name a folder: {called('output_dir')}."
        )
    name = volume_name(one.scan)
    return options.output_dir / (name if one.scan.is_dir() else f"{name}.tif")


def _check_outputs(work: list[PredictOptions]) -> None:
    """Raise OutputError with all that is in the way, before any work."""
    faults: list[str] = []
    for one in work:
        try:
            one.check_paths()
        except OutputError as error:
            faults += error.faults
    if faults:
        more = len(faults) - MOST_TOLD
        raise OutputError([*faults[:MOST_TOLD], *([f"... and {more} more."] if more > 0 else [])])


class _Share:
    """The progress of one scan, seen by the whole as a part of all scans."""

    def __init__(self, whole: Progress, number: int, count: int):
        self._whole, self._number, self._count = whole, number, count
        self._told = f", scan {number + 1} of {count}" if count > 1 else ""

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        done = self._number * STEPS + STEPS * step // max(steps, 1)
        self._whole(done, self._count * STEPS, message + self._told, figures)
