"""Label many scans with one model: what is wrong with one does not stop the others.

In:  PredictScansOptions: scans, patterns or tables of scans (.csv); a model; a folder for the labels.
Out: the labels of each, and a dictionary that says of each scan how it went.
One after the other in this process, or on the workers of a cluster, which all see the folder: scans side by
side, or slabs of one scan. A worker that is lost loses nothing: another goes on with what it has left there,
or does its slab again. Names that clash,
and labels that are in the way, are told before any work. torch is loaded once in each process.
"""

from __future__ import annotations

import csv
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .errors import BoneError, Cancelled, OptionError, OutputError, ScanError, called
from .files.inside import MARK
from .files.names import from_home
from .files.table_columns import misspelt, unused
from .files.whole import temporary_path
from .inference.dealing.crew import Crew
from .inference.record import shortened
from .inference.writing import check_paths
from .model_files.header import ModelHeader, read_header
from .options.predicting.scans import TABLE, PredictScansOptions
from .options.programs import PredictOptions, dump
from .prediction import predict
from .progress import Part, Progress, silent
from .runs.files import matching
from .scores import meaning
from .side_by_side import cluster, crew, slots
from .side_by_side.cluster import Watched
from .volumes.kept import sweep
from .volumes.output import made_folder
from .volumes.volume import open_volume, volume_name

log = logging.getLogger("bone.prediction")

COLUMNS = ("scan", "output")
MOST_BYTES = 1 << 24  # of a table
MOST_TOLD = 10  # clashes
WORK = "predict-there"  # the command of one scan on a worker
STEPS = 1000  # of the progress of one scan


class Wanted(NamedTuple):
    """A scan, and where its labels go (None: under its name into the folder)."""

    scan: Path
    output: Path | None = None


def predict_scans_job(options: PredictScansOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "predict" of the command line: one scan gives what `predict` gives, several a list."""
    if options.are_several:
        return predict_scans(options, progress=progress)
    if options.cluster is None:
        (only,) = _each(options, [Wanted(options.scan)])
        _check_measures([only], options.measure)
        return _with_measures(only, progress, options.measure)
    (found,) = predict_scans(options, progress=progress)["scans"]
    if "error" in found:
        raise ScanError(found["error"])
    return dict(found)


def predict_scans(options: PredictScansOptions, *, progress: Progress = silent) -> dict[str, Any]:
    """Label all scans.

    Returns "scans": what `predict` gives of each and the path "scan", or "scan" and "error"; how many
    "failed"; "seconds". Raises ModelFileError, OptionError or OutputError before the work; Cancelled, whose
    `result` has the scans that were done.
    """
    started = time.perf_counter()
    if options.cluster:
        cluster.check_installed()
    models = [read_header(path) for path in (options.model, *options.more_models)]
    work = dict(enumerate(_each(options, list(wanted(options)))))
    before = {number: _labelled_before(one, models) for number, one in work.items()}
    done = {number: known for number, known in before.items() if known is not None}
    todo = {number: one for number, one in work.items() if number not in done}
    unmeasured = [number for number in done if options.measure and not _has_measures(work[number])]
    _check_outputs(list(todo.values()))
    _check_measures([one for number, one in work.items() if number in (*todo, *unmeasured)], options.measure)
    try:
        for number in unmeasured:
            done[number] |= _measured(work[number], _Share(progress, number, len(work)))
        if options.cluster and todo:
            _there(options, todo, done, progress)
        else:
            _here(options, todo, done, progress)
    except Cancelled as stop:
        stop.result = _told(done, started)
        raise
    return _told(done, started)


Done = dict[int, dict[str, Any]]  # what became of each scan, by its number


def _told(done: Done, started: float) -> dict[str, Any]:
    scans = [done[number] for number in sorted(done)]
    failed = sum("error" in one for one in scans)
    return {"scans": scans, "failed": failed, "seconds": time.perf_counter() - started}


def _here(
    asked: PredictScansOptions, todo: Mapping[int, PredictOptions], done: Done, progress: Progress
) -> None:
    """One after the other, in this process."""
    count = len(todo) + len(done)
    if len(todo) > 1 and (gpus := slots.gpus_of_this_machine(next(iter(todo.values())).device)) > 1:
        log.info("One of %d GPUs is used. --cluster local:%d uses all of them.", gpus, gpus)
    for number, one in todo.items():
        done[number] = _one(one, _Share(progress, number, count), measure=asked.measure)


def _there(
    asked: PredictScansOptions, todo: Mapping[int, PredictOptions], done: Done, progress: Progress
) -> None:
    """On the workers of a cluster: each with a scan at a time, or, where there are fewer scans than workers,
    all with slabs of one scan after the other."""
    folder = next(iter(todo.values())).output.absolute().parent
    stop = temporary_path(folder / "stop")
    gpus = slots.gpus_of_this_machine(next(iter(todo.values())).device)
    with (
        made_folder(folder),
        cluster.connected(
            str(asked.cluster), gpus=gpus, called="bone-predict", cores=cluster.cores()
        ) as client,
    ):
        if len(todo) < max(2, len(cluster.able_of(client))):
            _in_slabs(client, stop, asked, todo, done, progress)
        else:
            _whole(client, stop, asked, todo, done, progress)


def _in_slabs(
    client: Any,
    stop: Path,
    asked: PredictScansOptions,
    todo: Mapping[int, PredictOptions],
    done: Done,
    progress: Progress,
) -> None:
    """One scan after the other, each by all workers."""
    from .inference.dealing.worker import forget

    count = len(todo) + len(done)
    for number, one in todo.items():
        with crew.DaskCrew(client, stop, forget) as workers:
            share = _Share(progress, number, count)
            done[number] = _one(one, share, measure=asked.measure, workers=workers)


def _whole(
    client: Any,
    stop: Path,
    asked: PredictScansOptions,
    todo: Mapping[int, PredictOptions],
    done: Done,
    progress: Progress,
) -> None:
    """Each worker with a scan at a time."""
    jobs: list[slots.Job] = [
        {
            "key": str(number),
            "number": number,
            "options": dump(one.with_paths(Path.absolute)),
            "measure": asked.measure,
            "stop": str(stop),
        }
        for number, one in todo.items()
    ]

    def ended(job: slots.Job, told: dict[str, Any] | BaseException) -> None:
        number = int(job["number"])
        scan = str(todo[number].scan)
        if isinstance(told, BaseException):
            told = {"error": cluster.fault_of(told)}
        if "error" in told:
            log.warning("No labels of %s; why stands at the end.", todo[number].scan.name)
        for warning in told.get("warnings", ()):
            log.warning("%s", warning)
        done[number] = {**told, "scan": scan}

    cluster.run_there(client, jobs, stop=stop, ended=ended, progress=progress, work=WORK, words="scans")


def scan_job(options: Mapping[str, Any], progress: Progress = silent) -> dict[str, Any]:
    """What a worker of a cluster does: one scan. options: "options" of it; "measure"; "stop": see
    `Watched`."""
    own, watched = PredictOptions.parse(options["options"]), Watched(progress, Path(options["stop"]))
    return _one(own, watched, measure=bool(options.get("measure")))


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
    if is_same:
        sweep(options.output)
    return {"scan": str(options.scan), "is_kept": True, **result} if is_same else None


def _of_result(told: Mapping[str, Any]) -> dict[str, Any]:
    """The options that the labels depend on; of files only their names, wherever they were named from."""
    found = {name: value for name, value in told.items() if name not in ("overwrite", "resume", "output")}
    for name in ("scan", "model"):
        file, mark, inside = str(told[name]).partition(MARK)
        found[name] = f"{Path(file).name}{mark}{inside}"
    found["more_models"] = [Path(str(path)).name for path in told["more_models"]]
    return found


def _with_measures(
    options: PredictOptions, progress: Progress, measure: bool, workers: Crew | None = None
) -> dict[str, Any]:
    """What `predict` gives, and what is measured afterwards where that was asked for."""
    if not measure:
        return predict(options, progress=progress, crew=workers).plain()
    found = predict(options, progress=Part(progress, first=0, share=1, steps=2), crew=workers).plain()
    return {**found, **_measured(options, Part(progress, first=1, share=1, steps=2))}


def _measured(options: PredictOptions, progress: Progress) -> dict[str, Any]:
    """The measures of labels that are there; their files come beside them."""
    from .measures.job import measure_beside

    return {"measures": measure_beside(options.output, overwrite=options.overwrite, progress=progress)}


def _has_measures(options: PredictOptions) -> bool:
    """Whether an earlier command has measured these labels."""
    from .measures.job import beside

    return all(path.exists() for path in beside(options.output).values())


def _check_measures(work: list[PredictOptions], measure: bool) -> None:
    """Raise OutputError where files of measures are in the way, before any work."""
    if measure and work:
        from .measures.job import check_beside

        check_beside([one.output for one in work], overwrite=work[0].overwrite)


def _one(
    options: PredictOptions, progress: Progress, *, measure: bool, workers: Crew | None = None
) -> dict[str, Any]:
    """How one scan went. workers: who compute it, None: this process."""
    try:
        return {"scan": str(options.scan), **_with_measures(options, progress, measure, workers)}
    except Cancelled:
        raise
    except (BoneError, OSError) as fault:
        text = str(fault)
    except Exception as fault:  # the other scans may do
        log.exception("%s: this is a fault of BONe, not of your scan.", options.scan)
        text = f"a fault of BONe: {type(fault).__name__}: {fault}"
    log.warning("No labels of %s; why stands at the end.", options.scan.name)
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
    if told := misspelt(names, COLUMNS):
        raise ScanError(f"{path}: {told}")
    if "scan" not in names:
        seen = ", ".join(filter(None, names)) or "none"
        raise ScanError(
            f"{path}: has no column scan (it has: {seen}). The first line names the columns: scan, output."
        )
    if told := unused(names, COLUMNS):
        log.warning("%s: %s", path.name, told)
    for row in rows:
        scan = (row[names["scan"]] or "").strip()
        output = (row[names["output"]] or "").strip() if "output" in names else ""
        if scan:
            yield Wanted(path.parent / from_home(scan), Path(output) if output else None)


def _each(options: PredictScansOptions, scans: list[Wanted]) -> list[PredictOptions]:
    """The options of each scan. Raises OptionError where there is none, or where names clash."""
    if not scans:
        raise OptionError(f"No scan is named by {', '.join(map(str, options.scans))}.")
    own = {"scan", "output", "more_scans", "output_dir", "cluster", "measure"}
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
            check_paths(one)
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
