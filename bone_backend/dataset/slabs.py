"""Cut a slab out of every scan for validation, so that all scans train.

In:  voxels of each class in every slice of the masks, and how thick the slabs are to be.
Out: for each scan the slices that validate and those that train, a gap left between them.
With few scans a whole one is too much to set aside, and may be like none of the others (a femur among
skulls). What slabs cannot show: how well a scan of another animal will be labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import OptionError, called
from ..options.programs import FitOptions

FEWEST_SCANS = 5  # scans, or subjects, from which on whole ones are set aside
THINNEST = 4  # slices of a slab
GAP = 0.02  # of the slices of a scan, left out on either side of a slab, since neighbours are alike
FEWEST_GAP = 2  # slices


@dataclass(frozen=True)
class Slab:
    """Slices first to last (half open) validate; `before` and `after`, half open too, train; both may be
    empty."""

    first: int
    last: int
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def parts(self) -> list[tuple[int, int]]:
        """Slices that train."""
        return [part for part in (self.before, self.after) if part[1] > part[0]]


def wanted(options: FitOptions, subjects: Sequence[str | None]) -> bool:
    """Whether validation is by slabs. subjects: of each scan; None is one of its own."""
    if options.validation != "auto":
        return options.validation == "slabs"
    named = {subject for subject in subjects if subject is not None}
    count = len(named) + sum(subject is None for subject in subjects)
    return not options.validation_pairs and count < FEWEST_SCANS


def cut(counts: np.ndarray, *, share: float, least: int = 1) -> Slab | None:
    """The slab of a scan that is most like all of it; None where the scan is too thin for one.

    counts: int64 (slice, class). share: of the slices that validate. least: slices that a patch is deep, of
    slab and parts. Slabs that hold every class come first, then those whose shares of the classes are
    nearest to those of the whole scan, then the first.

    >>> cut(np.ones((100, 2), np.int64), share=0.2)
    Slab(first=0, last=20, before=(0, 0), after=(22, 100))
    """
    slices = len(counts)
    thick, gap = _sizes(slices, share, least)
    if not has_room(slices, share=share, least=least):
        return None
    sums = np.concatenate([np.zeros((1, counts.shape[1]), np.int64), counts.cumsum(axis=0)])
    held = sums[thick:] - sums[:-thick]  # (start, class)
    whole = counts.sum(axis=0)
    missed = ((held == 0) & (whole > 0)).sum(axis=1)
    shares = held / np.maximum(held.sum(axis=1, keepdims=True), 1)
    apart = np.abs(shares - whole / max(whole.sum(), 1)).sum(axis=1)
    starts = np.arange(len(held))
    parts = np.stack([starts - gap, slices - starts - thick - gap])
    trained = np.where(parts >= least, parts, 0).sum(axis=0)
    missed[trained < max(least, thick)] = counts.shape[1] + 1  # which is none of the possible slabs
    first = int(np.lexsort((starts, apart.round(6), missed))[0])
    last = first + thick
    before, after = (0, first - gap), (last + gap, slices)
    return Slab(first, last, _or_none(before, least), _or_none(after, least))


def has_room(slices: int, *, share: float, least: int = 1) -> bool:
    """Whether a scan of so many slices can have a slab: what trains is no less than what validates."""
    thick, gap = _sizes(slices, share, least)
    return slices - thick - gap >= max(least, thick)


def too_thin(name: str, slices: int) -> OptionError:
    """What is wrong with a scan that is alone and has no room for a slab."""
    return OptionError(
        f"scan {name} has {slices} slices, too few to keep some back for validation. Give one more pair, or "
        f"a larger {called('train_split')}."
    )


def _sizes(slices: int, share: float, least: int) -> tuple[int, int]:
    """Slices of a slab, and of the gap beside it."""
    return max(round(share * slices), least, THINNEST), max(round(GAP * slices), FEWEST_GAP)


def _or_none(part: tuple[int, int], least: int) -> tuple[int, int]:
    return part if part[1] - part[0] >= least else (0, 0)
