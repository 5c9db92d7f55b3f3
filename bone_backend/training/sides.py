"""Part what there is into what trains and what validates: whole scans, or a slab of every scan.

In:  the options of a fit, its pairs, and what the masks hold.
Out: Sides: views of the pairs along z, the voxels of each class on either side, and the choice in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..dataset import slabs, views
from ..dataset.checks import Labels
from ..dataset.plan import Extent, count_tiles
from ..dataset.split import split_scans
from ..dataset.views import View
from ..options.fit import SettledFit
from ..options.types import Pair

Scans = tuple[int, ...]  # numbers of pairs, from 0


class Parted(Protocol):
    """What has to be known of a pair: of one that is open, or was only looked at."""

    @property
    def name(self) -> str: ...

    @property
    def pair(self) -> Pair: ...

    @property
    def extent(self) -> Extent: ...


@dataclass(frozen=True)
class Sides:
    """training, validation: numbers of the pairs; a pair of which a slab validates is on both sides. views:
    of the pairs along z. learnt, judged: the labels of either side. slabs: of each pair, half open, None
    where all of it trains or validates. notes: in words.
    """

    training: Scans
    validation: Scans
    views: list[View]
    learnt: Labels
    judged: Labels
    slabs: tuple[tuple[int, int] | None, ...]
    notes: tuple[str, ...] = ()


def part(options: SettledFit, pairs: Sequence[Parted], labels: Labels) -> Sides:
    """Who trains and who validates. Raises OptionError where nothing would be left on a side."""
    subjects = [pair.pair.subject for pair in pairs]
    if slabs.wanted(options, subjects) and labels.contents:
        cut = _cut(options, labels)
        if any(cut):
            return _in_slabs(pairs, labels, cut)
        if len(pairs) == 1:
            raise slabs.too_thin(pairs[0].name, pairs[0].extent.z)
    depth = options.tile_depth if options.mode == "3D" else 1
    training, validation = split_scans(
        [count_tiles(pair.extent, depth) * options.patches_per_tile for pair in pairs],
        options.train_split,
        seed=options.seed,
        subjects=subjects,
        named=options.validation_pairs,
    )
    seen = views.along_z(len(pairs), validation)
    return Sides(training, validation, seen, labels, labels, (None,) * len(pairs))


def _cut(options: SettledFit, labels: Labels) -> list[slabs.Slab | None]:
    """A slab of every scan that is thick enough."""
    least = options.patch_depth if options.mode == "3D" else 1
    assert labels.contents is not None
    return [slabs.cut(held.counts, share=1 - options.train_split, least=least) for held in labels.contents]


def _in_slabs(pairs: Sequence[Parted], labels: Labels, cut: list[slabs.Slab | None]) -> Sides:
    assert labels.contents is not None
    everyone = tuple(range(len(pairs)))
    judged, learnt = np.zeros_like(labels.counts), labels.counts.copy()
    for number, (slab, held) in enumerate(zip(cut, labels.contents, strict=True)):
        if slab is not None:
            judged[number] = held.counts[slab.first : slab.last].sum(axis=0)
            learnt[number] = sum(held.counts[first:last].sum(axis=0) for first, last in slab.parts)
    validation = tuple(number for number in everyone if cut[number])
    return Sides(
        everyone,
        validation,
        views.in_slabs(cut),
        replace(labels, counts=learnt),
        replace(labels, counts=judged),
        tuple((slab.first, slab.last) if slab else None for slab in cut),
        notes=(_told([pair.name for pair in pairs], cut),),
    )


def _told(names: Sequence[str], cut: Sequence[slabs.Slab | None]) -> str:
    found = [f"{name} {s.first + 1}-{s.last}" for name, s in zip(names, cut, strict=True) if s]
    return (
        f"Every scan trains; for validation a slab of each is left out (slices {', '.join(found)}). That "
        "shows how well these scans are learnt, not how well one of another animal or scanner is labelled."
    )
