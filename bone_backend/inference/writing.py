"""Label a scan, clean the labels, and put them in their place with the maps beside them.

In:  a Plan: everything that is decided before; an open scan.
Out: what was written, and what was counted while it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import BoneError, Cancelled, OutputError, WorkerError
from ..files.makers import boot
from ..files.whole import remove_left_over
from ..machine.versions import versions
from ..options.programs import PredictOptions, dump
from ..progress import Part, Progress
from ..scores import meaning
from ..volumes import kept as kept_labels
from ..volumes.cache import cache_folder
from ..volumes.kept import Kept
from ..volumes.output import prepare
from ..volumes.scratch import Scratch
from ..volumes.volume import Digested, Header, Volume, check_in_place, create, open_volume, sha256_of
from . import cleaning, maps
from .backends.choosing import Backend
from .dealing.crew import Crew
from .dealing.head import Dealt
from .labelling import Labelling
from .labels import ClassMap, Confidence
from .opening import Place, Team
from .streaming import Look

FINISHING_SHARE = 10  # per cent of the progress
WORTH_GOING_ON = (Cancelled, OutputError, KeyboardInterrupt, OSError, MemoryError, WorkerError)

log = logging.getLogger("bone.prediction")


@dataclass(frozen=True)
class Plan:
    """header: of the labels. axes: along which slices are labelled. steps: of cleaning. names: of maps.
    is_own: what is in the place of the labels is what an earlier run of this prediction has made.
    """

    options: PredictOptions
    class_map: ClassMap
    header: Header
    axes: str
    steps: Sequence[cleaning.Planned]
    names: Sequence[str]
    is_own: bool = False

    @property
    def overwrite(self) -> bool:
        """Whether what is in the place of the output may be replaced."""
        return self.options.overwrite or self.is_own


@dataclass(frozen=True)
class Written:
    """voxels: of each label value, as written; confidence: before cleaning. cleaning: what each step did.
    sha256: of the voxels in their order, little-endian.
    """

    confidence: Confidence
    voxels: dict[str, int]
    cleaning: tuple[dict[str, Any], ...]
    sha256: str
    output: Path
    kept: Kept

    def record(self, told: Mapping[str, Any]) -> None:
        """Write the record of the labels; then nobody has to go on any more."""
        meaning.write_record(self.output, told)
        self.kept.close(keep=False)


def is_own(options: PredictOptions) -> bool:
    """Whether the labels that are there are those that a prediction was about to record when it was killed.

    Which one, and that nobody has changed them since, is known by the folder that it left.
    """
    output = options.output
    known = kept_labels.done(output) if options.resume else ""
    if not known or not output.exists() or meaning.record_path(output).exists():
        return False
    try:
        with open_volume(output) as volume:
            return sha256_of(volume) == known
    except BoneError:
        return False


def check_paths(options: PredictOptions) -> None:
    """Remove what a killed prediction has left that was whole, and refuse what is in the way, before any
    work. Raises OutputError.
    """
    if meaning.record_path(options.output).exists():
        kept_labels.sweep(options.output)
    own = not options.overwrite and is_own(options)
    (options.model_copy(update={"overwrite": True}) if own else options).check_paths()
    check_in_place(options.output)


def plan(options: PredictOptions, class_map: ClassMap, header: Header, axes: str) -> Plan:
    """Decide what is written, and refuse what cannot be: no room, something in the way, unknown classes.

    Raises OptionError or OutputError.
    """
    names, steps = maps.names_of(options.maps, class_map), cleaning.plan(options.clean, class_map, header)
    found = Plan(options, class_map, header, axes, steps, names, is_own(options))
    needed = 2 * (header.nbytes + len(names) * header.voxels)  # as they come, and in their place
    needed -= min(kept_labels.room(options.output), needed // 2) if options.resume else 0
    for path in (options.output, *(maps.path_of(options.output, name) for name in names)):
        remove_left_over(path.parent, name=path.name)
        prepare(path, overwrite=found.overwrite, needed_bytes=needed)
        check_in_place(path)
    return found


def begun_by(found: Plan, teams: Sequence[Team], scan: Volume, machine: str) -> Backend | None:
    """What computed the part that is there of the same prediction; None where there is none.

    machine: see `describe`.
    """
    if not found.options.resume:
        return None
    kept = Kept(found.options.output, found.header, found.names)
    told = kept.told_before().get("backend")
    if not isinstance(told, list) or len(told) != len(Backend._fields):
        return None
    backend = Backend(*map(str, told))
    return backend if kept.is_of(_key(found, teams, scan, backend, machine)) else None


def write(
    found: Plan,
    teams: Sequence[Team],
    scan: Volume,
    *,
    backend: Backend,
    look: Look | None,
    progress: Progress,
    crew: Crew | None = None,
    place: Place,
) -> Written:
    """Do it. backend: computes the networks. look: is shown labels and greys, before cleaning. crew: who
    computes, None: this process. place: where that is.

    What is finished when it is broken off is kept beside the output, and the same prediction goes on there.
    """
    options = found.options
    kept = Kept(options.output, found.header, found.names)
    key = _key(found, teams, scan, backend, place.words)
    if found.is_own and not options.overwrite and not kept.is_of(key):
        prepare(options.output, overwrite=False, needed_bytes=0)  # they are of another prediction
    if kept.begin(key, resume=options.resume, told={"backend": backend}):
        log.info("Going on with an earlier prediction, %s.", _reached(kept))
    labelling = Part(progress, first=0, share=100 - FINISHING_SHARE, steps=100)
    finishing = Part(progress, first=100 - FINISHING_SHARE, share=FINISHING_SHARE, steps=100)
    try:
        work = Labelling(options, teams, found.class_map, kept, look)
        if crew is not None:
            work = Dealt(options, teams, found.class_map, kept, look, crew=crew, place=place)
        counted = work.along(found.axes, scan, progress=labelling)
        confidence = Confidence(found.class_map, counted.counts, counted.sure)
        written = _finish(found, kept, confidence, progress=finishing)
    except BaseException as fault:
        is_kept = isinstance(fault, WORTH_GOING_ON) and kept.has_anything
        kept.close(keep=is_kept)
        if is_kept:
            log.info("%s: %s. The same command goes on there.", kept.folder, _reached(kept))
        if is_kept and isinstance(fault, Cancelled):
            fault.result = {**(fault.result or {}), "unfinished": str(kept.folder)}
        raise
    kept.drop()
    return written


def _finish(found: Plan, kept: Kept, confidence: Confidence, *, progress: Progress) -> Written:
    """Clean what was kept, and put it in its place."""
    options, voxels, told = found.options, confidence.voxels, list[dict[str, Any]]()
    with contextlib.ExitStack() as stack:
        maps.write(
            options.output, kept, overwrite=found.overwrite, stack=stack
        )  # get their names after these
        output = Digested(
            stack.enter_context(create(options.output, found.header, overwrite=found.overwrite))
        )
        if found.steps:
            with Scratch(found.header, folder=cache_folder()) as store:
                for _, slab in kept.slabs():
                    store.write(slab)
                values = found.class_map.values
                told = cleaning.clean(store, found.steps, values=values, progress=progress, before=voxels)
                voxels = dict.fromkeys(voxels, 0) | cleaning.copy(store, output)
        else:
            for z0, slab in kept.slabs():
                progress(z0, found.header.shape[0], "Writing the labels")
                output.write(slab)
        progress(1, 1, f"Labelled {found.header.shape[0]} slices")
        meaning.forget_record(options.output)
        kept.is_done(output.sha256)
    with open_volume(options.output) as volume:
        return Written(confidence, voxels, tuple(told), sha256_of(volume), options.output, kept)


def _reached(kept: Kept) -> str:
    return f"{kept.slices} of {kept.header.shape[0]} slices are labelled" if kept.slices else "a part is done"


def _key(found: Plan, teams: Sequence[Team], scan: Volume, backend: Backend, machine: str) -> str:
    """Equal for predictions that give the same labels: what is read, by what, how."""
    same = {"overwrite", "clean", "resume", "output", "scan", "model", "more_models", "backend"}  # told below
    files = [path.stat() for path in (scan.files or (found.options.scan,))]
    told = {
        "options": {name: value for name, value in dump(found.options).items() if name not in same},
        "scan": [scan.header.shape, scan.variant, [[file.st_size, file.st_mtime_ns] for file in files]],
        "models": [[model.sha256, model.bone.get("weights_sha256")] for t in teams for model in t.models],
        "numbers": [[asdict(team.numbers), asdict(team.chunks)] for team in teams],
        "device": [machine, found.axes, found.names],
        "backend": backend,
        # what is summed over several passes has no checksums, so it is not trusted after a restart
        "start": boot() if len(found.axes) > 1 or len(teams) > 1 else "",
        "versions": versions(),
    }
    return hashlib.sha256(json.dumps(told, default=str, sort_keys=True).encode()).hexdigest()
