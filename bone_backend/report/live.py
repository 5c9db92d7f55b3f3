"""Show a fit while it goes on: the same few places of the validation scans after every epoch.

In:  a fit under way, and a progress that takes pictures.
Out: a Picture after each epoch. For a progress that takes none, nothing is read and nothing computed.
Small patches are shown with their neighbours, so that one sees where one is. The network is asked as in a
validation, so weights, buffers and random states stay as they are, bit for bit.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ..dataset.loader import Batch
from ..dataset.plan import Plan
from ..jobs.picture import LARGEST, NOT_COUNTED, Picture
from ..progress import Progress, picture_taker
from ..runs.state import FitState
from .example import commonest, mean_of, shades

log = logging.getLogger("bone.fitting")

SHOWN = 3
LOOKED_AT = 32  # validation patches among which those are chosen
EDGE = 144  # px that a picture should have; more than one patch where patches are smaller
SHARE_OF_VALIDATION = 1 / 8  # of its patches, that all pictures together may take
FAR_SLICES = 10  # between two of one scan
MOST_SHARE = 0.02  # of the time; after a dear picture the next epochs go without, but not the last


class Live:
    """Hands out the pictures of one fit. Of several processes the first does, by itself."""

    def __init__(self, state: FitState, progress: Progress):
        self.state, self.training, self.progress = state, state.training, progress
        self._take = picture_taker(progress) if state.world.is_first else None
        if self._take is not None and state.options.compile:
            log.info("No pictures of the epochs: the network would have to be compiled anew for them.")
            self._take = None
        self._plan: Plan | None = None
        self._side = 1  # patches along the edge of a picture
        self._places: list[str] = []
        self._slices: list[int] = []  # of the patches, those that are shown
        self._seen: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # grey, wanted, best (z, y, x)
        self._cost_s, self._last = 0.0, 0.0

    def show(self) -> None:
        """Hand out the epoch that has ended; never a reason for a fit to fail. Raises Cancelled."""
        is_dear = self._cost_s > MOST_SHARE * (time.monotonic() - self._last)
        is_last = self.state.position.epoch >= self.state.epochs
        if self._take is None or (is_dear and not is_last):
            return
        try:
            if self._plan is None:
                self._plan = self._with_neighbours(self._chosen())
            began = time.monotonic()
            self._show(self._plan, self._take)
            self._last = time.monotonic()
            self._cost_s = self._last - began
        except (OSError, MemoryError, torch.OutOfMemoryError) as fault:
            log.warning("The pictures of this fit end here: %s", fault)
            self._take = None

    def _show(self, plan: Plan, take: Callable[[int, bytes], None]) -> None:
        self._seen = []
        self.training.validate(self._look, plan=plan, seen=self._add)
        place, is_first = self.state.position, not self._places
        block = self._side**2
        shown = [self._seen[first : first + block] for first in range(0, len(self._seen), block)]
        if is_first:
            self._slices = [_fullest([wanted for _, wanted, _ in some]) for some in shown]
        z_of = self._slices
        still: list[list[np.ndarray]] = [[], []]
        if is_first:
            for number, some in enumerate(shown):
                grey, wanted = (self._whole([patch[part][z_of[number]] for patch in some]) for part in (0, 1))
                self._keep_still(number * block, grey, wanted, into=still)
        found = [self._whole([patch[2][z] for patch in some]) for some, z in zip(shown, z_of, strict=True)]
        self._seen = []
        picture = Picture(
            epoch=place.epoch,
            places=tuple(self._places),
            classes=tuple((str(one["name"]), str(one["colour"])) for one in self.state.classes),
            prediction=np.stack([commonest(best.astype(np.uint8), _step(best)) for best in found]),
            scan=np.stack(still[0]) if is_first else None,
            reference=np.stack(still[1]) if is_first else None,
            iou=place.history[-1]["val_miou"] if place.history else None,
        )
        take(place.epoch, picture.to_bytes())

    def _look(self, _done: int, _figures: dict[str, float]) -> None:
        """Let a stop be noticed; with several processes the next batch does."""
        if self.state.world.size == 1:
            epoch, epochs = self.state.position.epoch, self.state.epochs
            steps = self.training.train_batches + self.training.validation_batches
            self.progress(epoch * steps, epochs * steps, f"Epoch {epoch} of {epochs}, drawing")

    def _chosen(self) -> Plan:
        """The patches that show most: many classes, neither full nor empty, of different scans and slices."""
        plan = self.training.validation_plan
        numbers = np.unique(np.linspace(0, len(plan) - 1, min(len(plan), LOOKED_AT)).round().astype(np.int64))
        table = self.training.classes.cpu().numpy()
        scores: list[tuple[int, float]] = []
        for batch in self.training.loader.batches(plan.taken(numbers)):
            for labels in batch.labels.numpy():
                found = table[labels[len(labels) // 2] if self.training.layout.is_3d else labels]
                counts = np.bincount(found[found >= 0], minlength=self.training.num_classes)
                shares = counts / max(int(counts.sum()), 1)
                scores.append((int((shares > 0.002).sum()), -abs(0.4 - float(shares[1:].sum()))))
        ranked = sorted(range(len(numbers)), key=lambda i: scores[i], reverse=True)
        chosen: list[int] = []
        for is_strict in (True, False):
            for i in ranked:
                scan, z = int(plan.scan[numbers[i]]), int(plan.z[numbers[i]])
                seen = [(int(plan.scan[numbers[other]]), int(plan.z[numbers[other]])) for other in chosen]
                are_all = len({other for other, _ in seen}) >= len(self.training.validation_views)
                near = [abs(z - other_z) for other, other_z in seen if other == scan]
                is_new = are_all and min(near, default=FAR_SLICES) >= FAR_SLICES if near else True
                if len(chosen) < SHOWN and i not in chosen and (is_new or not is_strict):
                    chosen.append(i)
        return plan.taken(numbers[sorted(chosen)])

    def _with_neighbours(self, plan: Plan) -> Plan:
        """Each patch with those around it, side by side, within its slice."""
        training, patch = self.training, self.training.layout.patch
        extents = [training.extents[scan] for scan in plan.scan.tolist()]
        room = min(min(extent.y // patch.y, extent.x // patch.x) for extent in extents)
        allowed = SHARE_OF_VALIDATION * len(training.validation_plan) / len(plan)
        wanted = math.ceil(EDGE / max(patch.y, patch.x))
        self._side = side = max(min(wanted, room, math.isqrt(int(allowed))), 1)
        many = plan.taken(np.repeat(np.arange(len(plan)), side**2))
        corners: dict[str, np.ndarray] = {}
        steps = np.indices((side, side)).reshape(2, -1)
        for name, step in zip("yx", steps, strict=True):
            size, firsts = getattr(patch, name), getattr(plan, name)
            most = np.array([getattr(extent, name) - side * size for extent in extents])
            corner = np.clip(firsts - (side - 1) * size // 2, 0, np.maximum(most, 0)) if side > 1 else firsts
            corners[name] = (corner[:, None] + size * step).reshape(-1).astype(firsts.dtype)
        return replace(many, **corners)

    def _add(self, batch: Batch, first: int, logits: torch.Tensor, target: torch.Tensor) -> None:
        """Take what the network said of a piece of a batch, in the order of the plan."""
        best, wanted = logits.argmax(dim=1).to(torch.uint8).cpu().numpy(), target.cpu().numpy()
        is_3d = self.training.layout.is_3d
        for i in range(len(best)):
            grey = batch.grey[first + i].numpy()
            grey = grey[0] if is_3d else grey[len(grey) // 2][None]
            one = (wanted[i], best[i]) if is_3d else (wanted[i][None], best[i][None])
            self._seen.append((grey.copy(), *one))

    def _whole(self, patches: list[np.ndarray]) -> np.ndarray:
        """Patches side by side."""
        side = self._side
        return np.block([patches[line : line + side] for line in range(0, side**2, side)])

    def _keep_still(
        self, at: int, grey: np.ndarray, wanted: np.ndarray, *, into: list[list[np.ndarray]]
    ) -> None:
        """Scan and reference of a picture, whose first patch is number `at` of the plan."""
        assert self._plan is not None
        view = self.training.views[int(self._plan.scan[at])]
        found = self.state.data.statistics[view.pair].percentiles
        shown = mean_of(shades(grey, (found["0.5"], found["99.5"])), _step(grey)).round().astype(np.uint8)
        reference = np.where(wanted < 0, NOT_COUNTED, wanted).astype(np.uint8)
        z = (view.part[0] if view.part else 0) + int(self._plan.z[at]) + self._slices[len(self._places)]
        self._places.append(f"{self.state.data.names[view.pair]}, slice {z + 1:,}")
        into[0].append(shown)
        into[1].append(commonest(reference, _step(reference)))


def _fullest(patches: list[np.ndarray]) -> int:
    """The slice of slabs (z, y, x) in which most is labelled."""
    return int(sum((patch > 0).sum(axis=(1, 2)) for patch in patches).argmax())  # type: ignore[union-attr]


def _step(image: np.ndarray) -> int:
    """Voxels along the edge of a pixel."""
    return int(-(-max(image.shape) // LARGEST))
