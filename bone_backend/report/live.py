"""Show a fit while it goes on: the same few validation patches after every epoch.

In:  a fit under way, and a progress that takes pictures.
Out: a Picture after each epoch. For a progress that takes none, nothing is read and nothing computed.
The network is asked as in a validation, so weights, buffers and random states stay as they are, bit for bit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

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
FAR_SLICES = 10  # between two of one scan
MOST_SHARE = 0.02  # of the time; after a dear picture the next epochs go without, but not the last


class Live:
    """Hands out the pictures of one fit. Of several processes the first does, by itself."""

    def __init__(self, state: FitState, progress: Progress):
        self.state, self.training, self.progress = state, state.training, progress
        self._take = picture_taker(progress) if state.world.is_first else None
        self._plan: Plan | None = None
        self._still: list[
            tuple[str, int, np.ndarray, np.ndarray]
        ] = []  # place, slice of a slab, scan, reference
        self._predictions: list[np.ndarray] = []
        self._is_told = False
        self._cost_s, self._last = 0.0, 0.0

    def show(self) -> None:
        """Hand out the epoch that has ended; never a reason for a fit to fail. Raises Cancelled."""
        is_dear = self._cost_s > MOST_SHARE * (time.monotonic() - self._last)
        is_last = self.state.position.epoch >= self.state.epochs
        if self._take is None or (is_dear and not is_last):
            return
        try:
            if self._plan is None:
                self._plan = self._chosen()
            began = time.monotonic()
            self._show(self._plan, self._take)
            self._last = time.monotonic()
            self._cost_s = self._last - began
        except (OSError, MemoryError, torch.OutOfMemoryError) as fault:
            log.warning("The pictures of this fit end here: %s", fault)
            self._take = None

    def _show(self, plan: Plan, take: Callable[[int, bytes], None]) -> None:
        self._predictions = []
        self.training.validate(self._look, plan=plan, seen=self._add)
        place = self.state.position
        first = not self._is_told
        classes = tuple((str(c["name"]), str(c["colour"])) for c in self.state.classes)
        picture = Picture(
            epoch=place.epoch,
            places=tuple(still[0] for still in self._still),
            classes=classes,
            prediction=np.stack(self._predictions),
            scan=np.stack([still[2] for still in self._still]) if first else None,
            reference=np.stack([still[3] for still in self._still]) if first else None,
            iou=place.history[-1]["val_miou"] if place.history else None,
        )
        take(place.epoch, picture.to_bytes())
        self._is_told = True

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

    def _add(self, batch: Batch, first: int, logits: torch.Tensor, target: torch.Tensor) -> None:
        """Take what the network said of a piece of a batch, in the order of the plan."""
        best, wanted = logits.argmax(dim=1).cpu().numpy(), target.cpu().numpy()
        for i in range(len(best)):
            number = len(self._predictions)
            if number == len(self._still):
                self._keep_still(batch, first + i, wanted[i])
            prediction = best[i][self._still[number][1]] if self.training.layout.is_3d else best[i]
            self._predictions.append(commonest(prediction.astype(np.uint8), _step(prediction)))

    def _keep_still(self, batch: Batch, at: int, wanted: np.ndarray) -> None:
        """Scan and reference of a patch; of a slab the slice that shows most."""
        grey, z = batch.grey[at].numpy(), 0
        if self.training.layout.is_3d:
            z = int((wanted > 0).sum(axis=(1, 2)).argmax())
            grey, wanted = grey[0, z], wanted[z]
        else:
            grey = grey[len(grey) // 2]
        view = self.training.views[int(batch.plan.scan[at])]
        found = self.state.data.statistics[view.pair].percentiles
        shown = mean_of(shades(grey, (found["0.5"], found["99.5"])), _step(grey)).round().astype(np.uint8)
        reference = np.where(wanted < 0, NOT_COUNTED, wanted).astype(np.uint8)
        slice_ = (view.part[0] if view.part else 0) + int(batch.plan.z[at]) + z
        place = f"{self.state.data.names[view.pair]}, slice {slice_}"
        self._still.append((place, z, shown, commonest(reference, _step(reference))))


def _step(image: np.ndarray) -> int:
    """Voxels along the edge of a pixel."""
    return int(-(-max(image.shape) // LARGEST))
