"""Which scans hold the same slices, also turned over; slices that stand twice, or were lost.

In:  slices of scans as they are read.
Out: a short number for each slice, the same for its mirror images; sentences on scans that share slices.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

LEAST_SHARED = 3  # slices


def mark(plane: np.ndarray) -> bytes:
    """What a slice (y, x) is known by; also mirrored along y, x or both. Empty for a slice of one value.

    >>> plane = np.arange(6).reshape(2, 3)
    >>> mark(plane) == mark(plane[::-1]) == mark(plane[:, ::-1]) != mark(plane.T)
    True
    """
    if (plane == plane[0, 0]).all():
        return b""
    told = f"{plane.shape} {plane.dtype.str}".encode()
    return min(
        hashlib.blake2b(told + np.ascontiguousarray(way).tobytes(), digest_size=12).digest()
        for way in _ways(plane)
    )


def _ways(plane: np.ndarray) -> list[np.ndarray]:
    """The slice turned so that its brightest quarter comes first; all four ways where two are as bright."""
    height, width = (-(-n // 2) for n in plane.shape)
    ways = [plane, plane[::-1], plane[:, ::-1], plane[::-1, ::-1]]
    if plane.dtype.kind not in "iub":
        return ways  # sums of floats depend on their order
    sums = [int(way[:height, :width].sum(dtype=np.int64)) for way in ways]
    return [way for way, total in zip(ways, sums, strict=True) if total == max(sums)]


def shared(scans: Sequence[Sequence[bytes]]) -> list[tuple[int, str]]:
    """(number of the pair, sentence) for all scans with slices of an earlier one. Numbers count from 1."""
    sets = [{one for one in marks if one} for marks in scans]
    holders = defaultdict[bytes, list[int]](list)
    for number, own in enumerate(sets, start=1):
        for one in own:
            holders[one].append(number)
    both: dict[tuple[int, int], int] = defaultdict(int)
    for numbers in holders.values():
        for place, first in enumerate(numbers):
            for later in numbers[place + 1 :]:
                both[first, later] += 1
    found = []
    for (first, later), count in sorted(both.items()):
        if count == len(sets[first - 1]) == len(sets[later - 1]):
            told = f"its scan holds the same slices as that of pair {first}, perhaps turned over"
            found.append(
                (later, f"{told}. Leave one of them out, or the fit is judged by what it has learnt")
            )
        elif count >= LEAST_SHARED:
            told = f"its scan shares {count} slices with that of pair {first}"
            found.append((later, f"{told}. Name the same subject for both, so that they stay on one side"))
    return found


def odd_slices(marks: Sequence[bytes]) -> list[str]:
    """What is odd about the slices of one scan: the same twice in a row, or one value amid the others."""
    told = [number for number, one in enumerate(marks) if one]
    if not told:
        return []
    twice = [z for z in told if z and marks[z] == marks[z - 1]]
    blank = [z for z in range(told[0], told[-1]) if not marks[z]]
    found = []
    if twice:
        found.append(f"{_slices(twice)} of its scan {_be(twice)} the same as the one before: saved twice?")
    if blank:
        found.append(f"{_slices(blank)} of its scan {_be(blank)} of one value amid the others: lost?")
    return found


def _be(numbers: Sequence[int]) -> str:
    return "is" if len(numbers) == 1 else "are"


def _slices(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number + 1) for number in numbers[:6])
    return f"slice{'s' * (len(numbers) > 1)} {shown}" + (" ..." if len(numbers) > 6 else "")
