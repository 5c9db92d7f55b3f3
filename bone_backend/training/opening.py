"""Open what a fit learns from: check everything, count grey values, part the scans.

In:  FitOptions.
Out: FitData: pairs that are open, their classes and statistics, who trains and who validates.
Whatever does not hold is told here, before anything is computed or written. Of several processes the first
opens the scans, which converts what has to be converted, and counts; the others open what it has made.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..dataset import coverage, views
from ..dataset.brightness import bright_voxels
from ..dataset.checks import Labels
from ..dataset.pairs import Opened, OpenPair, open_pairs
from ..dataset.plan import count_tiles
from ..dataset.split import split_scans
from ..dataset.views import View
from ..errors import OptionError, called
from ..intensity.asking import ask
from ..intensity.normalisation import Normalisation, normalisation, scale_notes
from ..intensity.statistics import Statistics
from ..options.programs import FitOptions
from ..progress import Part, Progress
from .distributed import World

Scans = tuple[int, ...]  # numbers of pairs, from 0


@dataclass(frozen=True)
class FitData:
    """What a fit learns from, pair by pair in the order of the options.

    options: with the patch size as a number. views: of the pairs along the axes. training, validation:
    whose pairs these are. concerns: about split and scans, in words. notes: of what was chosen for the user,
    in words. bright_voxels: see `dataset.brightness`.
    """

    options: FitOptions
    pairs: list[OpenPair]
    labels: Labels
    statistics: list[Statistics]
    normalisations: list[Normalisation]
    views: list[View]
    training: Scans
    validation: Scans
    concerns: tuple[str, ...]
    notes: tuple[str, ...]
    bright_voxels: tuple[list[list[int]] | None, ...] = ()

    @property
    def names(self) -> list[str]:
        """Of all pairs."""
        return [pair.name for pair in self.pairs]


def open_data(options: FitOptions, world: World, *, progress: Progress) -> FitData:
    """Open, check and measure. Raises ScanError or OptionError with all faults of the pairs."""
    preparing = Part(progress, first=0, share=500, steps=1000)
    measuring = Part(progress, first=500, share=500, steps=1000)
    options, pairs, labels, notes = _open(options, world, preparing)
    training, validation = _split(options, pairs)
    names = [pair.name for pair in pairs]
    seen, told = views.choose(
        names, [pair.header for pair in pairs], all_axes=options.is_along_all, patch=options.patch[1]
    )
    concerns = coverage.check_split(
        labels,
        names,
        training=coverage.taught(training, options.scan_weights),
        validation=validation,
        classes={item.value: item.name for item in options.class_names},
    )
    scans = [pair.pair.scan for pair in pairs]
    statistics = world.first(lambda: ask(scans, options.counted_voxels, progress=measuring))
    normalisations = [
        normalisation(options.normalization, measured, name=f"scan {scan}", voxels=options.counted_voxels)
        for scan, measured in zip(scans, statistics, strict=True)
    ]
    for name, measured in zip(names, statistics, strict=True):
        taken, doubts = scale_notes(
            options.normalization, measured, name=f"Scan {name}", voxels=options.counted_voxels
        )
        told, concerns = [*told, *taken], [*concerns, *doubts]
    if options.class_weights and len(options.class_weights) != labels.num_classes:
        raise OptionError(
            f"{called('class_weights')} has {len(options.class_weights)} numbers, but the masks have "
            f"{labels.num_classes} classes. Give one for each class, background first."
        )
    return FitData(
        options,
        pairs,
        labels,
        statistics,
        normalisations,
        seen,
        training=training,
        validation=validation,
        concerns=tuple(concerns),
        notes=(*notes, *told),
        bright_voxels=tuple(
            bright_voxels(pair.scan, pair.mask, labels, measured.tissues)
            for pair, measured in zip(pairs, statistics, strict=True)
        ),
    )


def _open(options: FitOptions, world: World, progress: Progress) -> Opened:
    """Open the pairs: first in one process, which converts what has to be converted, then in the others."""
    opened: list[Opened] = []
    for is_my_turn in (world.is_first, not world.is_first):
        with world.together():
            if is_my_turn:
                opened.append(open_pairs(options, progress=progress))
    return opened[0]


def _split(options: FitOptions, pairs: list[OpenPair]) -> tuple[Scans, Scans]:
    depth = options.tile_depth if options.mode == "3D" else 1
    return split_scans(
        [count_tiles(pair.extent, depth) * options.patches_per_tile for pair in pairs],
        options.train_split,
        seed=options.seed,
        subjects=[pair.pair.subject for pair in pairs],
        named=options.validation_pairs,
    )
