"""Colours of a volume that lies over a scan, such as the confidence of a prediction; knows no Qt.

In:  the name of a colour map.
Out: 256 colours (ARGB), for values from the lower to the upper end of its range.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_DOUBT = ((224, 0, 32, 255), (235, 120, 0, 230), (250, 220, 60, 150), (250, 220, 60, 0))
# Points of each map, evenly spaced, as (red, green, blue, alpha). Viridis and Inferno are those of matplotlib
# at every fourth of the way. In "Doubt" what is sure is clear, so that only the rest is seen; "Entropy" is
# the same for volumes whose high values are the doubtful ones.
MAPS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "Doubt": _DOUBT,
    "Entropy": _DOUBT[::-1],
    "Viridis": (
        (68, 1, 84, 255),
        (59, 82, 139, 255),
        (33, 145, 140, 255),
        (94, 201, 98, 255),
        (253, 231, 37, 255),
    ),
    "Inferno": (
        (0, 0, 4, 255),
        (87, 16, 110, 255),
        (188, 55, 84, 255),
        (249, 142, 9, 255),
        (252, 255, 164, 255),
    ),
    "Grey": ((0, 0, 0, 255), (255, 255, 255, 255)),
}

# Maps that tell doubt, and which slices are then worth a look: those with the lowest mean, or the highest.
RANKED = {"Doubt": "lowest", "Entropy": "highest"}


@cache
def colour_table(name: str) -> tuple[int, ...]:
    """
    >>> [f"{colour:08x}" for colour in colour_table("Grey")[:2]], f"{colour_table('Doubt')[255]:08x}"
    (['ff000000', 'ff010101'], '00fadc3c')
    """
    points = np.array(MAPS[name], np.float64)
    places = np.linspace(0, 1, 256)
    channels = [np.interp(places, np.linspace(0, 1, len(points)), points[:, i]).round() for i in range(4)]
    red, green, blue, alpha = (channel.astype(np.int64) for channel in channels)
    return tuple(((alpha << 24) | (red << 16) | (green << 8) | blue).tolist())
