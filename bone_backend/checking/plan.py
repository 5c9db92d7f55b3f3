"""What a fit of these pairs would do: who trains and who validates, and what it takes of the machine.

In:  the options of the check, and the pairs as they were seen, without a fault.
Out: plain values for the page and the console; findings with the words of a fit, by its own functions.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..dataset import checks, coverage
from ..dataset.contents import ContentsMaker
from ..dataset.plan import Extent
from ..dataset.settled import settled
from ..errors import BoneError
from ..intensity.normalisation import normalisation, scale_notes
from ..intensity.summary import Statistics
from ..options.fit import FitOptions, SettledFit
from ..options.types import Pair
from ..training.sides import part
from ..volumes.cache import cache_folder
from ..volumes.output import size_in_words
from .together import DOUBT, FAULT, Finding

GIB = 2**30
# `python -m benchmarks.fitting --row memory` (docs/measurements.md): 733 to 746 MiB with 2 to 40 scans
RAM_GIB = 0.75


@dataclass(frozen=True)
class Candidate:
    """A pair that was looked at and is sound so far. number: counts from 1. counts: voxels of each value."""

    number: int
    name: str
    pair: Pair
    extent: Extent
    counts: Mapping[int, int]
    maker: ContentsMaker
    statistics: Statistics | None
    unpacked: int


def settle(
    values: Mapping[str, Any], shapes: Mapping[int, tuple[str, tuple[int, int, int]]]
) -> tuple[SettledFit, list[Finding]]:
    """The options that a fit would settle on, and scans that are too small for it.

    values: of the options. shapes: name and shape of each pair's scan that could be opened.
    """
    options = FitOptions.parse({**values, "output": "run"})
    names, sizes = zip(*shapes.values(), strict=True)
    chosen, _ = settled(options, names, sizes)
    found = []
    for number, (name, shape) in shapes.items():
        faults = checks.size_faults(
            shape, chosen.patch, name=name, multiple=chosen.size_multiples, least=chosen.smallest_patch
        )
        found += [Finding(FAULT, number, str(fault)) for fault in faults]
    return chosen, found


def greys(options: FitOptions, candidates: Sequence[Candidate]) -> list[Finding]:
    """What a fit says of the scale of each scan."""
    found = []
    fitted = [one.statistics for one in candidates if one.statistics is not None]
    for one in candidates:
        if one.statistics is None:
            continue
        try:
            normalisation(
                options.normalization,
                one.statistics,
                name=f"scan {one.pair.scan}",
                voxels=options.counted_voxels,
                fitted=fitted,
            )
        except BoneError as error:
            found.append(Finding(FAULT, one.number, str(error)))
            continue
        _, doubts = scale_notes(
            options.normalization, one.statistics, name="its scan", voxels=options.counted_voxels
        )
        found += [Finding(DOUBT, one.number, doubt.removesuffix(".")) for doubt in doubts]
    return found


def split(
    options: SettledFit,
    candidates: Sequence[Candidate],
    labels: checks.Labels,
    names_of_classes: Mapping[int, str],
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The split that a fit would make, and classes that it leaves out of a side."""
    contents = tuple(
        one.maker.by_class(labels.table, labels.num_classes, slices=one.extent.z) for one in candidates
    )
    names = [one.name for one in candidates]
    try:
        sides = part(options, candidates, replace(labels, contents=contents))
        concerns = coverage.check_split(
            sides.learnt,
            names,
            training=sides.training,
            validation=sides.validation,
            classes=names_of_classes,
            judged=sides.judged,
        )
    except BoneError as error:
        return None, [Finding(FAULT, None, str(fault)) for fault in error.faults]
    told = {
        "training": [candidates[i].number for i in sides.training],
        "validation": [candidates[i].number for i in sides.validation],
        "slabs": {candidates[i].number: list(slab) for i, slab in enumerate(sides.slabs) if slab},
    }
    return told, [Finding(DOUBT, None, concern.removesuffix(".")) for concern in concerns]


def needs(options: SettledFit, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Time, memory and room on the disk that a fit takes, as far as it is known without beginning it."""
    place = cache_folder()
    while not place.exists() and place != place.parent:
        place = place.parent
    packed = [one.unpacked for one in candidates if one.unpacked]
    return {
        "minutes": options.minutes,
        "ram_gib": RAM_GIB,
        "unpacked_gib": sum(packed) / GIB,
        "unpacked_volumes": len(packed),
        "cache": str(cache_folder()),
        "cache_free_gib": shutil.disk_usage(place).free / GIB,
    }


def room(found: Mapping[str, Any]) -> list[Finding]:
    """A doubt where the cache has no room for what has to be unpacked."""
    if found["unpacked_gib"] <= found["cache_free_gib"]:
        return []
    needed, free = (size_in_words(round(found[key] * GIB)) for key in ("unpacked_gib", "cache_free_gib"))
    text = (
        f"a fit unpacks {needed} into {found['cache']}, where {free} are free. Make room, or set BONE_CACHE "
        "to a folder on a larger disk"
    )
    return [Finding(FAULT, None, text)]


def folder_of_cache() -> Path:
    """Where volumes are unpacked."""
    return cache_folder() / "store"
