"""Label a scan, clean the labels, and put them in their place with the maps beside them.

In:  a Plan: everything that is decided before; an open scan.
Out: what was written, and what was counted while it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..options.programs import PredictOptions
from ..progress import Part, Progress
from ..scores import meaning
from ..volumes.cache import cache_folder
from ..volumes.output import prepare
from ..volumes.scratch import Scratch
from ..volumes.volume import Header, Volume, create
from . import cleaning, maps
from .labelling import Labelling
from .labels import ClassMap, Confidence
from .merging import Counted
from .opening import Team
from .streaming import Look

CLEANING_SHARE = 10  # per cent of the progress


@dataclass(frozen=True)
class Plan:
    """header: of the labels. axes: along which slices are labelled. steps: of cleaning. names: of maps."""

    options: PredictOptions
    class_map: ClassMap
    header: Header
    axes: str
    steps: Sequence[cleaning.Planned]
    names: Sequence[str]


@dataclass(frozen=True)
class Written:
    """voxels: of each label value, as written; confidence: before cleaning. cleaning: what each step did."""

    confidence: Confidence
    voxels: dict[str, int]
    cleaning: tuple[dict[str, Any], ...] = ()


def plan(options: PredictOptions, class_map: ClassMap, header: Header, axes: str) -> Plan:
    """Decide what is written, and refuse what cannot be: no room, something in the way, unknown classes.

    Raises OptionError or OutputError.
    """
    names = maps.names_of(options.maps, class_map)
    found = Plan(options, class_map, header, axes, cleaning.plan(options.clean, class_map, header), names)
    needed = header.nbytes + len(names) * header.voxels
    for path in (options.output, *(maps.path_of(options.output, name) for name in names)):
        prepare(path, overwrite=options.overwrite, needed_bytes=needed)
    return found


def write(
    found: Plan, teams: Sequence[Team], scan: Volume, *, look: Look | None, progress: Progress
) -> Written:
    """Do it. look: is shown labels and greys, before cleaning."""
    options, class_map, steps = found.options, found.class_map, found.steps
    labelling = Part(progress, first=0, share=100 - CLEANING_SHARE * bool(steps), steps=100)
    polishing = Part(progress, first=100 - CLEANING_SHARE, share=CLEANING_SHARE, steps=100)
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(create(options.output, found.header, overwrite=options.overwrite))
        beside = maps.Maps(options.output, found.names, found.header, overwrite=options.overwrite)
        stack.enter_context(beside)
        work = Labelling(options, teams, class_map, look, beside.write if found.names else None)
        if not steps:
            counted = work.along(found.axes, scan, output, progress=labelling)
            written = Written(_confidence(class_map, counted), _confidence(class_map, counted).voxels)
        else:
            store = stack.enter_context(Scratch(found.header, folder=cache_folder()))
            counted = work.along(found.axes, scan, store, progress=labelling)
            told = cleaning.clean(store, steps, values=class_map.values, progress=polishing)
            confidence = _confidence(class_map, counted)
            voxels = dict.fromkeys(confidence.voxels, 0) | cleaning.copy(store, output)
            written = Written(confidence, voxels, tuple(told))
        meaning.forget_record(options.output)
    return written


def _confidence(class_map: ClassMap, counted: Counted) -> Confidence:
    return Confidence(class_map, counted.counts, counted.sure)
