"""How a pass over a scan is dealt to several workers: which slices each of them labels at a time.

In:  the groups in which one process would label them.
Out: slabs, each from the end of one group to the end of another.
A slab begins where a run that was broken off could go on: its worker predicts anew what overlaps it from
before, so that it comes out as it would in one process, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..streaming import Group
from ..windows import Layout

SLAB_BYTES = 64 << 20  # that a worker sends at a time
SLABS_EACH = 4  # that each worker gets at least, so that all end at about the same time
ANEW = 1 / 3  # share of a slab that is predicted twice for the sake of its neighbour, at most


def slabs(
    groups: Sequence[Group], layout: Layout, *, start: int, workers: int, slice_bytes: int
) -> list[tuple[int, int]]:
    """First and last slice (half-open) of each slab, in order. start: slices that are there, up to the end
    of a group. slice_bytes: that a worker sends for a slice.

    >>> from ..streaming import plan_groups
    >>> from ..windows import layout
    >>> found = layout((40, 64, 64), (1, 64, 64), overlap=0)
    >>> slabs(plan_groups(found, tiles_at_once=2), found, start=4, workers=2, slice_bytes=1)
    [(4, 10), (10, 16), (16, 22), (22, 28), (28, 34), (34, 40)]
    """
    ends = [group.finished for group in groups if group.finished > start]
    if not ends:
        return []
    slices = max(1, (ends[-1] - start) // len(ends))  # of a group
    again = sum(group.finished <= ends[0] < group.tiles[-1] + layout.z.size for group in groups)
    fair = -(-len(ends) // (SLABS_EACH * workers))
    least = min(round(again / ANEW), -(-len(ends) // workers))
    number = max(1, least, min(fair, SLAB_BYTES // (slices * slice_bytes)))
    chosen = [*ends[number - 1 : -1 : number], ends[-1]]
    return list(zip([start, *chosen], chosen, strict=False))
