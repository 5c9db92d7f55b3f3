"""Which scans hold the same slices, also turned over.

In:  slices of scans as they are read.
Out: a short number for each slice, the same for its mirror images; sentences on scans that share slices.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np

LEAST_SHARED = 3  # slices


def mark(plane: np.ndarray) -> bytes:
    """What a slice (y, x) is known by; also mirrored along y, x or both. Empty for a slice of one value.

    >>> plane = np.arange(6).reshape(2, 3)
    >>> mark(plane) == mark(plane[::-1]) == mark(plane[:, ::-1]) != mark(plane.T)
    True
    """
    if plane.min() == plane.max():
        return b""
    ways = (plane, plane[::-1], plane[:, ::-1], plane[::-1, ::-1])
    told = f"{plane.shape} {plane.dtype.str}".encode()
    return min(
        hashlib.blake2b(told + np.ascontiguousarray(way).tobytes(), digest_size=12).digest() for way in ways
    )


def shared(scans: Sequence[Sequence[bytes]]) -> list[tuple[int, str]]:
    """(number of the pair, sentence) for all scans with slices of an earlier one. Numbers count from 1."""
    found = []
    sets = [{one for one in marks if one} for marks in scans]
    for (a, one), (b, other) in itertools.combinations(enumerate(sets, start=1), 2):
        both = len(one & other)
        if one and one == other:
            found.append((b, f"its scan holds the same slices as that of pair {a}, perhaps turned over"))
        elif both >= LEAST_SHARED:
            found.append((b, f"its scan shares {both} slices with that of pair {a}"))
    return found
