"""Go through the validation patches once more with the best model: scores of each scan, patches to look at.

In:  a fit whose network holds the best model.
Out: a Review: integer counts of each validation scan, and a few examples, the worst among them.
One batch is held at a time; of all patches only the scores are kept, of the examples one small slice each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from . import metrics
from .dataset.loader import Batch
from .dataset.samples import PatchShape, Plan
from .networks.scoring import patch_counts
from .progress import Part, Progress
from .report_pictures import NOT_COUNTED
from .training import Training

WORST, TYPICAL = 4, 4
LARGEST_EDGE = 256  # px of an example; larger patches are shown smaller
FAR_SLICES, MOST_SHARED = 8, 0.3  # patches of one scan that are nearer and share more show the same fault


@dataclass(frozen=True)
class Example:
    """One slice of one patch. place: its first voxel (z, y, x). iou: float64 (class,) over the whole patch.

    grey: uint8 (y, x) as it is shown. reference, prediction: uint8 class indices, NOT_COUNTED where the mask
    says nothing.
    """

    kind: str  # "worst" or "typical"
    scan: str
    place: tuple[int, int, int]
    iou: np.ndarray
    grey: np.ndarray
    reference: np.ndarray
    prediction: np.ndarray


@dataclass(frozen=True)
class Review:
    """What the best model says of each validation scan.

    Its name, patches (scan,), counts (scan, class, class).
    """

    scans: tuple[str, ...]
    patches: np.ndarray
    counts: np.ndarray
    examples: tuple[Example, ...]


def review(
    training: Training,
    *,
    names: Sequence[str],
    windows: Sequence[tuple[float, float]],
    progress: Progress,
) -> Review:
    """Score every validation patch by itself, then look at some again.

    names, windows: of all scans; the grey values shown as black and white. Raises Cancelled when `progress`
    does.
    """
    plan, batches = training.validation_plan, training.validation_batches
    found: list[np.ndarray] = []
    first = Part(progress, first=0, share=90, steps=100)
    training.validate(
        lambda done, _: first(done, batches, "Reviewing the validation scans"),
        seen=lambda _batch, _first, logits, target: found.append(patch_counts(logits, target).cpu().numpy()),
    )
    counts = np.concatenate(found)
    scans = training.validation_scans
    chosen = choose(counts, plan, patch=training.layout.patch)
    last = Part(progress, first=90, share=10, steps=100)
    looked = _Examples(training, names=names, windows=windows, kinds=[kind for kind, _ in chosen])
    if chosen:
        training.validate(
            lambda done, _: last(done, 1, "Choosing examples"),
            plan=_those(plan, [index for _, index in chosen]),
            seen=looked.add,
        )
    return Review(
        scans=tuple(names[scan] for scan in scans),
        patches=np.array([(plan.scan == scan).sum() for scan in scans]),
        counts=np.stack([counts[plan.scan == scan].sum(axis=0) for scan in scans]),
        examples=tuple(looked.found),
    )


def choose(counts: np.ndarray, plan: Plan, *, patch: PatchShape) -> list[tuple[str, int]]:
    """Which patches to show: ("worst", index) by mean IoU, then ("typical", index), the median of each scan.

    counts: int64 (patch, class, class). Patches that show the place of a worse one again are left out;
    typical ones show more than background where the scan has such patches.
    """
    scores = np.array([metrics.mean(metrics.iou(each)) for each in counts])
    has_classes = (counts.sum(axis=2) > 0).sum(axis=1) > 1
    ranked = [int(i) for i in np.argsort(scores, kind="stable") if not np.isnan(scores[i])]
    worst: list[int] = []
    for index in ranked:
        if len(worst) == WORST:
            break
        if not any(_shows_the_same(plan, index, other, patch) for other in worst):
            worst.append(index)
    typical: list[int] = []
    by_scan = {
        int(scan): [i for i in ranked if plan.scan[i] == scan and i not in worst] for scan in set(plan.scan)
    }
    for _scan, indices in sorted(by_scan.items()):
        telling = [i for i in indices if has_classes[i]] or indices
        if telling and len(typical) < TYPICAL:
            typical.append(telling[len(telling) // 2])
    return [("worst", i) for i in worst] + [("typical", i) for i in typical]


def _shows_the_same(plan: Plan, one: int, other: int, patch: PatchShape) -> bool:
    if plan.scan[one] != plan.scan[other]:
        return False
    shared = 1.0
    for axis, size in (("y", patch.y), ("x", patch.x)):
        apart = abs(int(getattr(plan, axis)[one]) - int(getattr(plan, axis)[other]))
        shared *= max(0, size - apart) / size
    far = max(FAR_SLICES, patch.z)
    return abs(int(plan.z[one]) - int(plan.z[other])) < far and shared > MOST_SHARED


def _those(plan: Plan, indices: Sequence[int]) -> Plan:
    values: dict[str, Any] = {f.name: getattr(plan, f.name) for f in fields(plan)}
    some: dict[str, Any] = {
        name: value if value is None else value[[*indices]] for name, value in values.items()
    }
    return Plan(**some)


class _Examples:
    """Keeps one slice of every patch that it is shown."""

    def __init__(
        self,
        training: Training,
        *,
        names: Sequence[str],
        windows: Sequence[tuple[float, float]],
        kinds: Sequence[str],
    ):
        self.training, self.names, self.windows, self.kinds = training, names, windows, kinds
        self.found: list[Example] = []

    def add(self, batch: Batch, first: int, logits: torch.Tensor, target: torch.Tensor) -> None:
        """Take the patches of a piece of a batch, in the order in which they were chosen."""
        every = patch_counts(logits, target).cpu().numpy()
        best = logits.argmax(dim=1).cpu().numpy()
        wanted = target.cpu().numpy()
        for i in range(len(best)):
            at = first + i
            grey = batch.grey[at].numpy()
            reference, prediction, z = wanted[i], best[i], 0
            if self.training.layout.is_3d:
                wrong = (reference != prediction) & (reference >= 0)
                z = int(wrong.sum(axis=(1, 2)).argmax())
                grey, reference, prediction = grey[0, z], reference[z], prediction[z]
            else:
                grey = grey[len(grey) // 2]
            scan = int(batch.plan.scan[at])
            place = (int(batch.plan.z[at]) + z, int(batch.plan.y[at]), int(batch.plan.x[at]))
            step = -(-max(reference.shape) // LARGEST_EDGE)
            indices = np.where(reference < 0, NOT_COUNTED, reference)[::step, ::step]
            self.found.append(
                Example(
                    kind=self.kinds[len(self.found)],
                    scan=self.names[scan],
                    place=place,
                    iou=metrics.iou(every[i]),
                    grey=_smaller(_shown(grey, self.windows[scan]), step),
                    reference=indices.astype(np.uint8),
                    prediction=prediction[::step, ::step].astype(np.uint8),
                )
            )


def _shown(grey: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Grey values as uint8, `window` as black and white."""
    low, high = window
    share = (grey.astype(np.float32) - low) / max(high - low, 1e-12)
    return (np.clip(np.nan_to_num(share), 0, 1) * 255).round().astype(np.uint8)


def _smaller(grey: np.ndarray, step: int) -> np.ndarray:
    """Means over squares of `step` voxels, ceil(size / step) along each axis."""
    if step == 1:
        return grey
    height, width = (-(-size // step) * step for size in grey.shape)
    whole = np.pad(grey, ((0, height - grey.shape[0]), (0, width - grey.shape[1])), mode="edge")
    return whole.reshape(height // step, step, width // step, step).mean(axis=(1, 3)).round().astype(np.uint8)
