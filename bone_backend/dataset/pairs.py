"""Open the pairs of a fit, check them all, and make them ready for random reading.

In:  the pairs of the options.
Out: for each pair its name, header, and sources of patches; the classes of all masks together.
Every fault of every pair is told at once, before anything is written or computed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..errors import OptionError, ScanError
from ..files.names import readable
from ..options.fit import FitOptions, SettledFit
from ..options.programs import Pair
from ..options.types import LONGEST_NAME, ClassName
from ..pairing.names import unique_names
from ..progress import Part, Progress
from ..volumes.cache import cache_folder
from ..volumes.header import Header, Triple
from ..volumes.medical.matching import MatchedVolume, on_grid_of
from ..volumes.patch_source import PatchSource, open_source
from ..volumes.volume import Volume, open_volume
from . import checks, settled
from .contents import ContentsMaker
from .loader import PairSource
from .plan import Extent

log = logging.getLogger("bone.fitting")


@dataclass(frozen=True)
class OpenPair:
    """A pair that was checked. name: unique among the pairs; header: the scan's."""

    name: str
    pair: Pair
    header: Header
    scan: PatchSource
    mask: PatchSource

    @property
    def extent(self) -> Extent:
        """Voxels along z, y, x."""
        return Extent(*self.header.shape)

    @property
    def source(self) -> PairSource:
        """What the loader reads."""
        return PairSource(self.scan, self.mask)


class Opened(NamedTuple):
    """Pairs that were checked. options: with all that was left open chosen, and the names of classes that the
    masks tell; notes: that choice in words. doubts: where masks disagree on a name.
    """

    options: SettledFit
    pairs: list[OpenPair]
    labels: checks.Labels
    notes: list[str]
    doubts: list[str]


def open_pairs(
    options: FitOptions,
    *,
    multiple: tuple[int, int, int] | None = None,
    is_gpu: bool = False,
    progress: Progress,
) -> Opened:
    """Open and check every pair; convert what cannot be read in place into the store, once.

    multiple: what a patch that is given has to be a multiple of, (z, y, x); None: what the network needs.
    is_gpu: whether a GPU fits.
    Raises ScanError with the faults of all pairs; nothing stays open then.
    """
    names = unique_names([pair.scan for pair in options.pairs])
    faults: list[str] = []
    with contextlib.ExitStack() as opening:  # what is read later opens its files anew
        volumes: list[tuple[Volume, Volume] | None] = []
        for number, pair in enumerate(options.pairs, start=1):
            opened = _open_both(pair, number, options.voxel_size, faults)
            volumes.append(opened)
            for volume in opened or ():
                opening.callback(volume.close)
        scans = [(name, both[0].header.shape) for name, both in zip(names, volumes, strict=True) if both]
        if not scans:
            raise ScanError(list(dict.fromkeys(faults)))
        chosen, notes = settled.settled(options, *zip(*scans, strict=True), is_gpu=is_gpu)
        for number, (name, both) in enumerate(zip(names, volumes, strict=True), start=1):
            faults += _faults_of(both, chosen, name=name, number=number, multiple=multiple) if both else []
        if faults:
            raise ScanError(list(dict.fromkeys(faults)))
        whole = [opened for opened in volumes if opened]
        makers = [
            ContentsMaker(with_places=chosen.needs_places, of_others=chosen.is_along_all) for _ in whole
        ]
        sources, found = _read_masks(whole, names, makers=makers, progress=progress)
        labels = checks.read_labels(
            found,
            [str(pair.mask) for pair in options.pairs],
            map_labels=options.map_labels,
            ignore_label=options.ignore_label,
        )
        contents = tuple(
            maker.by_class(labels.table, labels.num_classes, slices=mask.header.shape[0])
            for maker, (_, mask) in zip(makers, whole, strict=True)
        )
        labels = replace(labels, contents=contents)
        if fault := checks.name_fault(options, labels):
            raise OptionError(fault)
        chosen, doubts = _with_names(chosen, labels, [mask for _, mask in whole])
    pairs = [
        OpenPair(name, pair, volumes_of[0].header, scan, mask)
        for name, pair, volumes_of, (scan, mask) in zip(names, options.pairs, whole, sources, strict=True)
    ]
    return Opened(chosen, pairs, labels, notes, doubts)


def _faults_of(
    both: tuple[Volume, Volume],
    options: FitOptions,
    *,
    name: str,
    number: int,
    multiple: tuple[int, int, int] | None,
) -> list[str]:
    """What the headers of a pair say against it."""
    return checks.pair_faults(*both, number=number) + checks.size_faults(
        both[0].header.shape,
        options.patch,
        name=name,
        multiple=multiple or options.size_multiples,
        least=multiple[1] if multiple else options.smallest_patch,
    )


def _with_names(
    options: SettledFit, labels: checks.Labels, masks: Sequence[Volume]
) -> tuple[SettledFit, list[str]]:
    """The options with the names and colours that the masks tell of their values; those given win."""
    told = [(readable(str(mask.header.path or mask.header.name)), mask.header.classes) for mask in masks]
    classes, doubts = checks.table_of_names(options, told)
    names = tuple(
        ClassName(value=item.value, name=readable(item.name)[:LONGEST_NAME], colour=item.colour)
        for item in classes
        if item.value in labels.values
    )
    if names != options.class_names:
        log.info("Classes: %s.", ", ".join(f"{item.value} {item.name}" for item in names))
    return options.model_copy(update={"class_names": names}), doubts


def _open_both(
    pair: Pair, number: int, size: Triple | None, faults: list[str]
) -> tuple[Volume, Volume] | None:
    opened: list[Volume] = []
    for path in (pair.scan, pair.mask):
        try:
            opened.append(open_volume(path))
            if size is not None:
                opened[-1].header = opened[-1].header.with_voxel_size_um(size)
        except ScanError as error:
            faults.append(f"pair {number}: {error}")
    if len(opened) == 2:
        scan, mask = opened
        try:
            matched = on_grid_of(mask, scan.header)
            if isinstance(matched, MatchedVolume):
                log.info("The mask of pair %d is laid on its scan: %s.", number, matched.in_words())
            return scan, matched
        except ScanError as error:
            faults.append(f"pair {number}: {error}")
    for volume in opened:
        volume.close()
    return None


def _read_masks(
    volumes: Sequence[tuple[Volume, Volume]],
    names: Sequence[str],
    *,
    makers: Sequence[ContentsMaker],
    progress: Progress,
) -> tuple[list[tuple[PatchSource, PatchSource]], list[dict[int, int]]]:
    """Sources of every pair, and the label values of every mask; its maker learns what its slices hold."""
    store = cache_folder() / "store"
    sources, found = [], []
    for number, ((scan, mask), name, maker) in enumerate(zip(volumes, names, makers, strict=True)):
        first, steps = 100 * number, 100 * len(volumes)
        unpacking = [Part(progress, first=first + 20 * i, share=20, steps=steps) for i in range(2)]
        unpacking[0](0, 1, f"Checking {name}")
        opened = [
            open_source(volume, folder=store, progress=part)
            for volume, part in zip((scan, mask), unpacking, strict=True)
        ]
        sources.append((opened[0], opened[1]))
        counting = Part(progress, first=first + 40, share=60, steps=steps)
        told = f"Checking the mask of {name}"
        found.append(checks.count_labels(mask, progress=counting, message=told, contents=maker))
    return sources, found
