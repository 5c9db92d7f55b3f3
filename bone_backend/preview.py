"""Show what augmentation does to patches: each change alone at its strongest, and as training draws them.

In:  the options of a fit.
Out: rows of small pictures, each with its classes and a caption; a door draws them.
The patches are those that a fit could take, through the same plan, loader and changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from .dataset import augmentation
from .dataset.augmentation import TURNS_2D, TURNS_3D, Numbers
from .dataset.checks import Labels
from .dataset.choice import Choice
from .dataset.contents import Holdings
from .dataset.loader import PatchLayout, common_dtype, gather
from .dataset.pairs import OpenPair, open_pairs
from .dataset.plan import Chances, PatchShape, Plan, draw_plan
from .dataset.variation import neutral
from .dataset.views import View
from .intensity.asking import ask
from .intensity.normalisation import normalisation
from .options import transforms as transform_table
from .options.fit import FitOptions, SettledFit
from .progress import Part, Progress, silent
from .volumes.classes import describe_classes


@dataclass(frozen=True)
class Picture:
    """One patch. grey: normalised, float32; classes: class index, negative where ignored; both (y, x).

    In 3D the middle slice, and below it, beyond two rows of nan and -1, the section along z through the
    middle.
    """

    caption: str
    grey: np.ndarray
    classes: np.ndarray


@dataclass(frozen=True)
class Row:
    """A patch as it is, and changed. alone: whether each change is shown alone and at its strongest."""

    name: str
    alone: bool
    pictures: list[Picture]


@dataclass(frozen=True)
class Sheet:
    """All rows, and {"value", "name", "colour"} of every class index. patch: voxels along z, y, x."""

    rows: list[Row]
    classes: list[dict[str, Any]]
    patch: PatchShape


def make_sheet(options: FitOptions, *, examples: int, variants: int, progress: Progress = silent) -> Sheet:
    """The rows of a sheet: the first patch with each change alone, then `examples` patches with `variants`
    draws each.

    Every patch holds a labelled voxel, wherever there is one. Raises BoneError as a fit would.
    """
    options = options.model_copy(update={"foreground_share": 1.0, "class_balance": 0.0})
    is_3d = options.mode == "3D"
    any_size = (1, 1, 1)  # of patches: no network looks at them
    settled, pairs, labels, *_ = open_pairs(
        options, multiple=any_size, progress=Part(progress, first=0, share=50, steps=100)
    )
    patch = PatchShape(*settled.patch)
    counting = Part(progress, first=50, share=50, steps=100)
    found = ask([pair.pair.scan for pair in pairs], settled.counted_voxels, progress=counting)
    voxels = settled.counted_voxels
    norms = [normalisation(options.normalization, each, voxels=voxels, fitted=found) for each in found]
    maker = _Maker(
        settled,
        pairs,
        labels,
        PatchLayout(patch, channels=options.in_channels, is_3d=is_3d),
        Numbers.of(norms, torch.device("cpu")),
    )
    rows = list(maker.rows(examples, variants))
    return Sheet(rows, describe_classes(labels.values, settled.class_names), patch)


@dataclass(frozen=True)
class _Maker:
    options: SettledFit
    pairs: Sequence[OpenPair]
    labels: Labels
    layout: PatchLayout
    numbers: Numbers

    def rows(self, examples: int, variants: int) -> Iterator[Row]:
        """The rows, one after the other."""
        plans = [self._plan(epoch) for epoch in range(variants)]
        chosen = self._choose(plans[0], examples)
        for turn, index in enumerate(chosen):
            plain = _unchanged(plans[0].taken(np.array([index])))
            name = f"{self.pairs[int(plain.scan[0])].name}, slice {int(plain.z[0]) + 1}"
            alone = list(self._alone(plain)) if turn == 0 else []
            if alone:
                yield Row(name, alone=True, pictures=self._pictures(plain, alone))
            drawn = [self._placed(plan.taken(np.array([index])), plain) for plan in plans]
            yield Row(
                name, alone=False, pictures=self._pictures(plain, [(self._caption(p), p) for p in drawn])
            )

    @property
    def _transforms(self) -> dict[str, dict[str, float]]:
        return transform_table.read(self.options.transforms) if self.options.augmentation else {}

    def _plan(self, epoch: int) -> Plan:
        options, is_3d = self.options, self.layout.is_3d
        assert self.labels.contents is not None
        return draw_plan(
            [pair.extent for pair in self.pairs],
            self.layout.patch,
            scans=range(len(self.pairs)),
            patches_per_tile=options.patches_per_tile,
            max_overlap=options.max_patch_overlap,
            seed=options.seed,
            epoch=epoch,
            chances=Chances.of(options) if options.augmentation else None,
            transforms=self._transforms,
            choice=Choice(Holdings.of(self.labels.contents), foreground_share=1.0),
            tile_depth=options.tile_depth if is_3d else 1,
        )

    def _choose(self, plan: Plan, count: int) -> list[int]:
        """Numbers of patches: from the scans in turn, from the half of the tiles that holds the most, spread
        along z.
        """
        assert self.labels.contents is not None
        held = np.array(
            [self.labels.contents[s].counts[z, 1:].sum() for s, z in zip(plan.scan, plan.z, strict=True)]
        )
        per_scan = -(-count // len(self.pairs))
        chosen: list[list[int]] = []
        for scan in range(len(self.pairs)):
            own = np.flatnonzero(plan.scan == scan)
            fullest = own[np.argsort(-held[own], kind="stable")][: max(per_scan, len(own) // 2)]
            along = fullest[np.argsort(plan.z[fullest], kind="stable")]
            places = ((np.arange(per_scan) + 0.5) / per_scan * len(along)).astype(np.int64)
            chosen.append([int(i) for i in along[places]])
        return [own[turn] for turn in range(per_scan) for own in chosen][:count]

    def _placed(self, plan: Plan, where: Plan) -> Plan:
        """The changes of a plan, at another place."""
        moved = replace(plan, scan=where.scan, z=where.z, y=where.y, x=where.x)
        return (
            moved
            if plan.variation is None
            else replace(moved, variation=self._centred(plan.variation, where))
        )

    def _centred(self, records: np.ndarray, where: Plan) -> np.ndarray:
        records = records.copy()
        extent = self.pairs[int(where.scan[0])].extent
        records["centre_y"] = (extent.y - 1) / 2 - where.y
        records["centre_x"] = (extent.x - 1) / 2 - where.x
        return records

    def _alone(self, plain: Plan) -> Iterator[tuple[str, Plan]]:
        options = self.options
        turns = TURNS_3D if self.layout.is_3d else TURNS_2D
        if options.augmentation:
            if options.flip_chance:
                yield "flip", replace(plain, turn=np.array([1], np.int8))
            if options.turn_probability:
                yield "turn by 90°", replace(plain, turn=np.array([turns.index(("turn", 1))], np.int8))
            if options.brightness_probability:
                for sign in (-1, 1):
                    value = np.array([sign * options.brightness_range], np.float32)
                    yield f"brightness {value[0]:+.2f}", replace(plain, brightness=value)
            if options.contrast_probability:
                for sign in (-1, 1):
                    value = np.array([1 + sign * options.contrast_range], np.float32)
                    yield f"contrast × {value[0]:.2f}", replace(plain, contrast=value)
        for name, numbers in self._transforms.items():
            for columns in transform_table.TRANSFORMS[name].strongest(numbers):
                records = neutral(1)
                records["seed"] = self.options.seed + 1
                for column, strongest in columns.items():
                    records[column] = strongest
                plan = replace(plain, variation=self._centred(records, plain))
                yield self._caption(plan), plan

    def _pictures(self, plain: Plan, changed: list[tuple[str, Plan]]) -> list[Picture]:
        return [self._picture("as scanned", plain), *(self._picture(told, plan) for told, plan in changed)]

    def _picture(self, caption: str, plan: Plan) -> Picture:
        sources = [pair.source.seen(View(i, 0), self.layout.patch) for i, pair in enumerate(self.pairs)]
        grey = np.zeros(self.layout.grey_shape(1), common_dtype([s.scan.header.dtype for s in sources]))
        labels = np.zeros(self.layout.label_shape(1), common_dtype([s.mask.header.dtype for s in sources]))
        gather(sources, plan, layout=self.layout, grey=grey, labels=labels)
        patches, target = augmentation.prepare(
            torch.from_numpy(grey),
            torch.from_numpy(labels),
            plan=plan,
            numbers=self.numbers,
            classes=torch.from_numpy(self.labels.table),
        )
        image = patches[0, 0 if self.layout.is_3d else self.layout.channels // 2].numpy()
        return Picture(caption, _flat(image), _flat(target[0].numpy()))

    def _caption(self, plan: Plan) -> str:
        """The changes of a plan of one patch, in words; those too small to be seen are left out."""
        told = []
        if plan.variation is not None:
            record = plan.variation[0]
            told = [text for row in transform_table.TRANSFORMS.values() if (text := row.told(record))]
        if plan.contrast[0] != 1:
            told.append(f"contrast × {plan.contrast[0]:.2f}")
        if plan.brightness[0]:
            told.append(f"brightness {plan.brightness[0]:+.2f}")
        if plan.turn[0]:
            kind, argument = (TURNS_3D if self.layout.is_3d else TURNS_2D)[plan.turn[0]]
            told.append(f"turn by {90 * argument}°" if kind == "turn" else "flip")
        return ", ".join(told) or "unchanged"


def _flat(image: np.ndarray) -> np.ndarray:
    """A slice as it is; of a slab the middle slice, and the section along z below it."""
    if image.ndim == 2:
        return image
    gap = np.full((2, image.shape[2]), np.nan if image.dtype.kind == "f" else -1, dtype=image.dtype)
    return np.concatenate([image[len(image) // 2], gap, image[:, image.shape[1] // 2]])


def _unchanged(plan: Plan) -> Plan:
    return replace(
        plan,
        turn=np.zeros_like(plan.turn),
        brightness=np.zeros_like(plan.brightness),
        contrast=np.ones_like(plan.contrast),
        variation=None,
    )
