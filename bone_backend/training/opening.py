"""Open what a fit learns from: check everything, count grey values, part the scans.

In:  FitOptions.
Out: FitData: pairs that are open, their classes and statistics, who trains and who validates.
Whatever does not hold is told here, before anything is computed or written. Of several processes the first
opens the scans, which converts what has to be converted, and counts; the others open what it has made.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dataset import coverage, views
from ..dataset.checks import Labels
from ..dataset.pairs import Opened, OpenPair, open_pairs
from ..dataset.variation import HARDLY
from ..dataset.views import View
from ..errors import OptionError, called
from ..intensity.asking import ask
from ..intensity.normalisation import Normalisation, normalisation, scale_notes
from ..intensity.statistics import Statistics
from ..options import transforms
from ..options.fit import SettledFit
from ..options.programs import FitOptions
from ..progress import Part, Progress
from .brightness import bright_voxels
from .distributed import World
from .placement import belonging, shift
from .sides import Scans, Sides, part
from .thickness import thickness


@dataclass(frozen=True)
class FitData:
    """What a fit learns from, pair by pair in the order of the options.

    options: with a value for all that was left open. views: of the pairs along the axes. sides: who trains
    and who validates. concerns: about split and scans, in words. notes: of what was chosen for the user, in
    words. bright_voxels: see brightness.py. thick: voxels, of the structures of each scan, where its patches
    are shrunk by them.
    """

    options: SettledFit
    pairs: list[OpenPair]
    labels: Labels
    statistics: list[Statistics]
    normalisations: list[Normalisation]
    views: list[View]
    sides: Sides
    concerns: tuple[str, ...]
    notes: tuple[str, ...]
    bright_voxels: tuple[list[list[int]] | None, ...] = ()
    thick: tuple[float | None, ...] = ()

    @property
    def training(self) -> Scans:
        """Numbers of the pairs that train."""
        return self.sides.training

    @property
    def validation(self) -> Scans:
        """Numbers of the pairs that validate, or of which a slab does."""
        return self.sides.validation

    @property
    def names(self) -> list[str]:
        """Of all pairs."""
        return [pair.name for pair in self.pairs]


def open_data(options: FitOptions, world: World, *, progress: Progress) -> FitData:
    """Open, check and measure. Raises ScanError or OptionError with all faults of the pairs."""
    preparing = Part(progress, first=0, share=500, steps=1000)
    measuring = Part(progress, first=500, share=500, steps=1000)
    settled, pairs, labels, notes, doubts = _open(options, world, preparing)
    names = [pair.name for pair in pairs]
    sides = part(settled, pairs, labels)
    seen, told = sides.views, list(sides.notes)
    if settled.is_along_all:
        headers = [pair.header for pair in pairs]
        seen, more = views.with_all_axes(seen, names, headers, patch=settled.patch[1])
        told += more
    concerns = doubts + coverage.check_split(
        sides.learnt,
        names,
        training=coverage.taught(sides.training, settled.scan_weights),
        validation=sides.validation,
        classes={item.value: item.name for item in settled.class_names},
        judged=sides.judged,
    )
    scans = [pair.pair.scan for pair in pairs]
    statistics = world.first(lambda: ask(scans, settled.counted_voxels, progress=measuring))
    mode, voxels = settled.normalization, settled.counted_voxels
    normalisations = [
        normalisation(mode, measured, name=f"scan {scan}", voxels=voxels, fitted=statistics)
        for scan, measured in zip(scans, statistics, strict=True)
    ]
    for name, measured in zip(names, statistics, strict=True):
        taken, doubts = scale_notes(mode, measured, name=f"Scan {name}", voxels=voxels, fitted=statistics)
        told, concerns = [*told, *taken], [*concerns, *doubts]
    concerns = [*concerns, *world.first(lambda: _lying_wrong(pairs, settled.ignore_label))]
    if settled.class_weights and len(settled.class_weights) != labels.num_classes:
        raise OptionError(
            f"{called('class_weights')} has {len(settled.class_weights)} numbers, but the masks have "
            f"{labels.num_classes} classes. Give one for each class, background first."
        )
    thick = _thick(settled, pairs, labels)
    told += _shrinking(settled, names, thick)
    return FitData(
        settled,
        pairs,
        labels,
        statistics,
        normalisations,
        seen,
        sides,
        concerns=tuple(concerns),
        notes=(*notes, *told),
        bright_voxels=tuple(
            bright_voxels(pair.scan, pair.mask, labels, measured.tissues)
            for pair, measured in zip(pairs, statistics, strict=True)
        ),
        thick=thick,
    )


def _lying_wrong(pairs: list[OpenPair], ignore_label: int | None) -> list[str]:
    """Masks that seem to be turned over, to belong to another scan or to lie beside their own, in the words
    of `bone check`."""
    found = []
    for pair in pairs:
        verdict = belonging.look(pair.scan, pair.mask, ignore_label=ignore_label)
        told = verdict.in_words() if verdict else None
        if told is None and (moved := shift.look(pair.scan, pair.mask)):
            told = moved.in_words()
        if told:
            found.append(f"Scan {pair.name}: {told}{'' if told.endswith('?') else '.'}")
    return found


def _thick(options: SettledFit, pairs: list[OpenPair], labels: Labels) -> tuple[float | None, ...]:
    numbers = transforms.read(options.transforms).get("shrink") if options.augmentation else None
    return tuple(thickness(pair.mask, labels) for pair in pairs) if numbers and numbers["thinnest_px"] else ()


def _shrinking(options: SettledFit, names: list[str], thick: tuple[float | None, ...]) -> list[str]:
    """Which scans are shrunk for their thick structures, in words."""
    if not thick:
        return []
    thinnest = transforms.read(options.transforms)["shrink"]["thinnest_px"]
    shrunk = [
        f"{name} ({found:.1f})"
        for name, found in zip(names, thick, strict=True)
        if found and thinnest / found <= HARDLY
    ]
    if not shrunk:
        return []
    return [
        f"Structures are thick, in voxels, in {', '.join(shrunk)}: such patches are shrunk too, so that thin "
        f"ones (down to {thinnest:g}) are known."
    ]


def _open(options: FitOptions, world: World, progress: Progress) -> Opened:
    """Open the pairs: first in one process, which converts what has to be converted, then in the others."""
    opened: list[Opened] = []
    for is_my_turn in (world.is_first, not world.is_first):
        with world.together():
            if is_my_turn:
                is_gpu = world.device.type == "cuda"
                opened.append(open_pairs(options, is_gpu=is_gpu, progress=progress))
    return opened[0]
