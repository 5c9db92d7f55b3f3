"""Go through the validation patches once more with the best model: scores of each scan, and what to look at.

In:  a fit whose network holds the best model.
Out: a Review: integer counts of each validation scan, and a few examples: whole slices, the patches with the
     most wrong voxels, typical ones.
One batch is held at a time; of all patches only the counts are kept, of the examples one small slice each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from ..dataset.checks import Labels
from ..dataset.loader import Batch
from ..dataset.plan import PatchShape, Plan
from ..dataset.views import contents_of
from ..progress import Part, Progress
from ..scores import metrics
from ..training.loop import Training
from ..training.scoring import patch_counts
from .example import LARGEST_PATCH, Example, make_example
from .whole_slices import choose_slices, label_slices

WORST, TYPICAL = 4, 4
FAR_SLICES, MOST_SHARED = 8, 0.3  # patches of one scan that are nearer and share more show the same fault


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
    labels: Labels,
    names: Sequence[str],
    windows: Sequence[tuple[float, float]],
    multiple: tuple[int, int, int],
    progress: Progress,
) -> Review:
    """Score every validation patch by itself, then look at some again, and at a few whole slices.

    names, windows: of all scans; the grey values shown as black and white. multiple: sizes that the network
    takes. Raises Cancelled when `progress` does.
    """
    plan, batches = training.validation_plan, training.validation_batches
    found: list[np.ndarray] = []
    first = Part(progress, first=0, share=60, steps=100)
    training.validate(
        lambda done, _: first(done, batches, "Reviewing the validation scans"),
        seen=lambda _batch, _first, logits, target: found.append(patch_counts(logits, target).cpu().numpy()),
    )
    counts = np.concatenate(found)
    views = training.validation_views
    shown = _Shown.of(training, names, windows)
    chosen = choose(counts, plan, patch=training.layout.patch)
    second = Part(progress, first=60, share=10, steps=100)
    looked = _Examples(training, shown, kinds=[kind for kind, _ in chosen])
    if chosen:
        training.validate(
            lambda done, _: second(done, 1, "Choosing examples"),
            plan=_those(plan, [index for _, index in chosen]),
            seen=looked.add,
        )
    held = contents_of(labels.contents, [training.views[v] for v in views]) if labels.contents else ()
    slices = label_slices(
        training,
        choose_slices(dict(zip(views, held, strict=True))),
        labels=labels,
        names=shown.names,
        windows=shown.windows,
        firsts=shown.firsts,
        multiple=multiple,
        progress=Part(progress, first=70, share=30, steps=100),
    )
    return Review(
        scans=tuple(shown.names[view] for view in views),
        patches=np.array([(plan.scan == view).sum() for view in views]),
        counts=np.stack([counts[plan.scan == view].sum(axis=0) for view in views]),
        examples=(*slices, *looked.found),
    )


def choose(counts: np.ndarray, plan: Plan, *, patch: PatchShape) -> list[tuple[str, int]]:
    """Which patches to show: ("worst", index) by wrong voxels, ("typical", index), the median of each scan.

    counts: int64 (patch, class, class). By wrong voxels and not by IoU, which is 0 where a class has a single
    voxel that was missed. Patches that show the place of a worse one again are left out, as are those without
    a fault; typical ones show more than background where the scan has such patches.
    """
    scores = np.array([metrics.mean(metrics.iou(each)) for each in counts])
    wrong = counts.sum(axis=(1, 2)) - counts.trace(axis1=1, axis2=2)
    has_classes = (counts.sum(axis=2) > 0).sum(axis=1) > 1
    worst: list[int] = []
    for index in np.argsort(-wrong, kind="stable").tolist():
        if len(worst) == WORST or wrong[index] == 0:
            break
        if not any(_shows_the_same(plan, index, other, patch) for other in worst):
            worst.append(index)
    ranked = [int(i) for i in np.argsort(scores, kind="stable") if not np.isnan(scores[i])]
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


@dataclass(frozen=True)
class _Shown:
    """Of each view: the name of its scan, the grey values shown as black and white, and which slice of the
    scan is its first."""

    names: list[str]
    windows: list[tuple[float, float]]
    firsts: list[int]

    @classmethod
    def of(cls, training: Training, names: Sequence[str], windows: Sequence[tuple[float, float]]) -> _Shown:
        """names, windows: of the scans."""
        views = training.views
        firsts = [view.part[0] if view.part else 0 for view in views]
        return cls([names[view.pair] for view in views], [windows[view.pair] for view in views], firsts)


class _Examples:
    """Keeps one slice of every patch that it is shown."""

    def __init__(self, training: Training, shown: _Shown, *, kinds: Sequence[str]):
        self.training, self.shown, self.kinds = training, shown, kinds
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
            first_z = self.shown.firsts[scan] + int(batch.plan.z[at])
            place = (first_z + z, int(batch.plan.y[at]), int(batch.plan.x[at]))
            self.found.append(
                make_example(
                    self.kinds[len(self.found)],
                    self.shown.names[scan],
                    place,
                    every[i],
                    grey=grey,
                    window=self.shown.windows[scan],
                    reference=reference,
                    prediction=prediction,
                    largest=LARGEST_PATCH,
                )
            )
