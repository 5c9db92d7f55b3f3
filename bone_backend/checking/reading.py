"""Read a pair once, slab by slab, for all that is looked for in its voxels.

In:  a scan and a mask of one shape, open.
Out: Seen: statistics of the grey values, labels, what the slices are known by, slices to look at, and how
well the two lie on each other. Scans of 32-bit decimal numbers are read a second time for their percentiles,
and some slices for the grey values beside edges.
Memory is bounded by a slab and some small samples, whatever the size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset.checks import LabelCount
from ..dataset.contents import ContentsMaker
from ..errors import ScanError
from ..intensity import remembered
from ..intensity.edges import near_edges
from ..intensity.statistics import PERCENTILES, first_tally
from ..intensity.summary import Statistics
from ..progress import Part, Progress
from ..training.placement.belonging import Sample, Verdict
from ..training.placement.shift import Agreement, Shift, blocks, middle
from ..volumes.volume import Volume
from . import contents
from .planes import Look, Planes

SLAB_BYTES = 16 << 20
WIDEST = 768  # px of a block for the edges, from the middle
QUESTION = {"voxels": "nonzero", "percentiles": PERCENTILES}  # as a fit asks


@dataclass
class Seen:
    """What was found in the voxels. faults: texts of what makes the pair unreadable."""

    statistics: Statistics | None = None
    labels: dict[int, int] = field(default_factory=dict)
    maker: ContentsMaker | None = None
    marks: list[bytes] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    shift: Shift | None = None
    verdict: Verdict | None = None
    faults: list[str] = field(default_factory=list)


def read_pair(
    scan: Volume, mask: Volume, path: Path, *, ignore_label: int | None = None, progress: Progress
) -> Seen:
    """Read both. path: of the scan. A fault of the grey values leaves the labels to be counted."""
    seen = Seen(maker=ContentsMaker())
    grey = _Greys(scan, path, seen)
    is_labels, are_alike = mask.header.dtype.kind in "iu", scan.header.shape == mask.header.shape
    labels = LabelCount(seen.maker)
    depth = scan.header.shape[0]
    sample = Sample(scan.header.shape, scan.header.dtype, mask.header.dtype) if are_alike else None
    edges, planes = _Edges(depth), Planes(depth)
    part = Part(progress, first=0, share=grey.share, steps=100)
    step = max(1, SLAB_BYTES // max(scan.header.slice_bytes, mask.header.slice_bytes))
    for z0 in range(0, depth, step):
        part(z0, depth, f"Reading {scan.header.name}")
        slab = scan.read(z0, min(z0 + step, depth))
        grey.add(slab, z0)
        seen.marks += [contents.mark(plane) for plane in slab]
        if not are_alike:
            continue
        own = mask.read(z0, min(z0 + step, depth))
        if is_labels and not labels.are_too_many:
            labels.add(z0, own)
        planes.add(z0, slab, own)
        if is_labels and sample is not None and not seen.faults:
            sample.add(z0, slab, own)
            edges.add(z0, slab, own)
    if not are_alike and is_labels:
        labels = _count(mask, labels)
    seen.labels = labels.found()
    grey.finish(Part(progress, first=grey.share, share=100 - grey.share, steps=100))
    if is_labels and sample is not None and not seen.faults:
        seen.verdict, seen.shift = sample.verdict(ignore_label=ignore_label), edges.agreement.shift()
    if are_alike:
        low, high = grey.ends
        seen.looks = planes.chosen(low, high)
    return seen


def _count(mask: Volume, labels: LabelCount) -> LabelCount:
    for z0, z1 in mask.slabs(SLAB_BYTES):
        labels.add(z0, mask.read(z0, z1))
        if labels.are_too_many:
            break
    return labels


class _Greys:
    """The statistics of a scan: those of an earlier time, or counted while it is read and then kept."""

    def __init__(self, scan: Volume, path: Path, seen: Seen):
        self._scan, self._seen = scan, seen
        self._tally: Any = None
        self._mark: Mapping[str, Any] | None = None
        if scan.files:
            self._mark = remembered.fingerprint(path, scan.files, QUESTION)
        known = remembered.read(self._mark) if self._mark else None
        if known:
            seen.statistics = Statistics.from_dict(known)
            return
        try:
            self._tally = first_tally(scan.header)
        except ScanError:
            pass  # a type that no scan has, which is told already

    @property
    def share(self) -> int:
        """Of the time, for the first pass, %."""
        return 60 if self._tally is not None and self._scan.header.dtype.kind == "f" else 100

    @property
    def ends(self) -> tuple[float, float]:
        """Grey values to be shown as black and white."""
        found = self._seen.statistics
        return (found.percentiles["0.5"], found.percentiles["99.5"]) if found else (0.0, 1.0)

    def add(self, slab: np.ndarray, z: int) -> None:
        """Slices z and on."""
        if self._tally is not None:
            try:
                self._tally.add(slab, z)
            except ScanError as fault:
                self._give_up(fault)

    def finish(self, progress: Progress) -> None:
        """Read once more where that is needed, and keep what was found for the fit."""
        try:
            tally = self._tally.finish() if self._tally is not None else None
            depth = self._scan.header.shape[0]
            while tally is not None and not isinstance(tally, Statistics):
                for z0, z1 in self._scan.slabs(SLAB_BYTES // 2):
                    progress(z0, depth, f"Measuring {self._scan.header.name}")
                    tally.add(self._scan.read(z0, z1), z0)
                tally = tally.finish()
        except ScanError as fault:
            self._give_up(fault)
            return
        if tally is not None:
            tally = replace(tally, edges=near_edges(self._scan, tally.tissues))
            self._seen.statistics = tally
            if self._mark:
                remembered.write(self._mark, tally.to_dict())

    def _give_up(self, fault: ScanError) -> None:
        self._tally = None
        self._seen.faults += map(str, fault.faults)


class _Edges:
    """Blocks of slices on their way to the agreement of edges."""

    def __init__(self, depth: int):
        self.agreement = Agreement()
        self._blocks: list[tuple[int, int, list[tuple[np.ndarray, np.ndarray]]]] = [
            (first, last, []) for first, last in blocks(depth)
        ]

    def add(self, z0: int, scan: np.ndarray, mask: np.ndarray) -> None:
        """Slices z0 and on of both."""
        inside = tuple(slice(*middle(n, WIDEST)) for n in scan.shape[1:])
        for first, last, planes in self._blocks:
            for z in range(max(first, z0), min(last, z0 + len(scan))):
                planes.append((scan[z - z0][inside].copy(), mask[z - z0][inside].copy()))
            if planes and len(planes) == last - first:
                grey, labels = (np.stack(side) for side in zip(*planes, strict=True))
                planes.clear()
                self.agreement.add(grey, labels)
