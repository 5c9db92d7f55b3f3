"""Choose the edge of the patches where the user left it open: the largest that fits every scan.

In:  the options of a fit; names and sizes of all its scans, those that validate too.
Out: the options with a number as patch_size, and what was chosen in words.
A scan that is smaller than the smallest patch of the network is left to `checks.size_faults`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..options.programs import FitOptions

MOST = 256  # px, the edge of the published program's patches


def largest_edge(
    shapes: Sequence[tuple[int, int, int]], *, multiple: int, least: int, most: int = MOST
) -> int:
    """The largest multiple that is at most `most` and fits y and x of every scan, but never below `least`.

    shapes: (z, y, x) of each scan. least: smallest patch that the network takes.

    >>> largest_edge([(40, 49, 63), (24, 300, 280)], multiple=32, least=32)
    32
    >>> largest_edge([(24, 300, 280)], multiple=32, least=32)
    256
    """
    room = min(min(shape[1:]) for shape in shapes)
    return max(least, min(room, most) // multiple * multiple)


def settled(
    options: FitOptions, names: Sequence[str], shapes: Sequence[tuple[int, int, int]]
) -> tuple[FitOptions, list[str]]:
    """The options with a number as patch_size, and a sentence where it was chosen here.

    names, shapes: of each scan, (z, y, x); at least one.
    """
    if options.patch_size is not None:
        return options, []
    edge = largest_edge(shapes, multiple=max(options.size_multiples[1:]), least=options.smallest_patch)
    chosen = options.model_copy(update={"patch_size": edge})
    # the scan with the least room
    name, (_, height, width) = min(zip(names, shapes, strict=True), key=lambda scan: min(scan[1][1:]))
    if edge > min(height, width):
        return chosen, []
    if edge == MOST:
        return chosen, [f"Patches of {edge} px; every scan has room for them."]
    return chosen, [f"Patches of {edge} px: the largest that fits scan {name} ({height} x {width} px)."]
