"""Can this split teach every class, and judge it?

In:  voxels of each class in each mask, and which scans train and which validate.
Out: warnings in words; a ScanError where nothing could be learnt, or nothing be judged.
Known as soon as the masks are counted, before any work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import ScanError
from .checks import Labels

Scans = tuple[int, ...]


def taught(training: Scans, weights: Sequence[float]) -> Scans:
    """The training scans that are visited. weights: the scan_weights of all scans, or none.

    >>> taught((0, 2), [1, 1, 0])
    (0,)
    """
    return tuple(i for i in training if not weights or weights[i] > 0)


def held_classes(labels: Labels, scans: Scans) -> np.ndarray:
    """Whether any of the scans holds the class, bool (class,)."""
    return labels.counts[list(scans)].sum(axis=0) > 0


def check_split(
    labels: Labels,
    names: Sequence[str],
    *,
    training: Scans,
    validation: Scans,
    classes: Mapping[int, str] | None = None,
    judged: Labels | None = None,
) -> list[str]:
    """What to say before a fit.

    names: of the scans. training, validation: their indices. classes: names of the classes, as far as there
    are any. judged: the labels of what validates, where that is a part of scans of which the rest trains.
    Raises ScanError where no voxel of validation counts, and where training holds background only.
    """
    judged = judged or labels
    sides = {"training": (training, labels), "validation": (validation, judged)}
    told = {side: _listed([names[i] for i in scans]) for side, (scans, _) in sides.items()}
    _refuse(labels, judged, told, training=training, validation=validation)
    warnings = [
        f"Scan {names[i]}: no voxel of its mask counts, so it adds nothing to {side}."
        for side, (scans, held) in sides.items()
        for i in scans
        if held.counts[i].sum() == 0
    ]
    is_trained = held_classes(labels, training)
    is_judged = held_classes(judged, validation)
    only, lacking = is_judged & ~is_trained, is_trained & ~is_judged
    slabs = len(validation) if judged is not labels else 0
    return warnings + _one_sided(labels, only, lacking, classes, scans=told["validation"], slabs=slabs)


def _one_sided(
    labels: Labels,
    only: np.ndarray,
    lacking: np.ndarray,
    classes: Mapping[int, str] | None,
    *,
    scans: str,
    slabs: int,
) -> list[str]:
    """Classes that only validation holds, and those that it lacks.

    scans: that validate, or of which a slab does. slabs: how many; 0 where whole scans validate.
    """
    warnings = []
    slab = f"the slab{'s' * (slabs > 1)} that validate{'s' * (slabs == 1)} ({scans})"
    more = "Give one more scan that holds {}, or put {} to another class: --map-labels."
    if told := _classes(labels, only, classes):
        it = "them" if only.sum() > 1 else "it"
        who, what = f"the validation scans ({scans}) hold", "Let scans that hold every class train: "
        what += "--validation-pairs names the others."
        if slabs:
            who, what = f"{slab} hold{'s' * (slabs == 1)}", more.format(it, it)
        warnings.append(f"Only {who} {told}: what is never trained is not found. {what}")
    if told := _classes(labels, lacking, classes):
        they_are, it = ("they are", "them") if lacking.sum() > 1 else ("it is", "it")
        who, what = f"validation scan ({scans})", "Name validation scans that hold every class: "
        what += "--validation-pairs."
        if slabs:
            who, what = f"slice of {slab}", more.format(it, it)
        warnings.append(
            f"No {who} holds {told}, so validation cannot tell how well {they_are} found; the best epoch is "
            f"chosen with the IoU in training instead. {what}"
        )
    return warnings


def check_seen(counts: np.ndarray, labels: Labels, validation: Scans) -> list[str]:
    """What to say after the first validation, whose patches are a sample: a class that they all missed.

    counts: int64 (class, class) of the validation, rows reference.
    """
    is_missed = held_classes(labels, validation) & (counts.sum(axis=1) == 0)
    missed = _classes(labels, is_missed, None)
    if not missed:
        return []
    return [
        f"No validation patch holds {missed}, though the scans do: the best epoch is chosen with its IoU in "
        "training. Use more patches_per_tile."
    ]


def _refuse(
    labels: Labels, judged: Labels, told: Mapping[str, str], *, training: Scans, validation: Scans
) -> None:
    why = "all have the ignored label. Annotate some, or choose others with --validation-pairs."
    if not judged.counts[list(validation)].any():
        raise ScanError(f"no voxel of the validation scans ({told['validation']}) counts: {why}")
    if not labels.counts[list(training)].any():
        raise ScanError(f"no voxel of the training scans ({told['training']}) counts: {why}")
    if not held_classes(labels, training)[1:].any():
        raise ScanError(
            f"the training scans ({told['training']}) hold nothing but background, so there is nothing to "
            f"learn; the validation scans ({told['validation']}) hold the other classes. Choose with "
            "--validation-pairs, or give more pairs."
        )


def _classes(labels: Labels, chosen: np.ndarray, names: Mapping[int, str] | None) -> str:
    """The chosen classes in words; "" for none."""
    shown = []
    for value, is_chosen in zip(labels.values, chosen, strict=True):
        if is_chosen:
            name = (names or {}).get(value) or ("background" if value == 0 else "")
            shown.append(f"{value} ({name})" if name else str(value))
    return (("class " if len(shown) == 1 else "classes ") + _listed(shown)) if shown else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
