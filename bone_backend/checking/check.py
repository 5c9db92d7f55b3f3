"""Check pairs of scan and mask before any work: formats, geometry, labels, duplicates, masks that lie beside.

In:  CheckOptions: the pairs, and how labels are to be read.
Out: plain values: a row for each pair, and findings, each a fault (with which no fit begins) or a doubt.
Every voxel is read once, slab by slab; the faults are those of a fit, from the same functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..dataset import checks
from ..errors import BoneError, ScanError
from ..options.fit_data import CheckOptions
from ..options.types import Pair
from ..progress import Part, Progress
from ..volumes.header import Header
from ..volumes.medical.matching import MatchedVolume, on_grid_of
from ..volumes.volume import Volume, open_volume, volume_name
from . import contents
from .shift import REACH, Agreement

BLOCKS = 4  # of slices, for the edges
BLOCK_SLICES = 2 * REACH + 10
MOST_SHOWN = 64  # label values of a mask
GIB = 2**30


def check_job(options: CheckOptions, progress: Progress) -> dict[str, Any]:
    """The command "check"."""
    findings: list[dict[str, Any]] = []
    rows, marks, counts = [], [], {}
    for number, pair in enumerate(options.pairs, start=1):
        part = Part(progress, first=100 * (number - 1), share=100, steps=100 * len(options.pairs))
        row, own, labels, told = _pair(pair, number, part)
        rows.append(row)
        marks.append(own)
        if labels:
            counts[number] = labels
        findings += told
    findings += [_doubt(number, text) for number, text in contents.shared(marks)]
    findings += _labels_together(options, counts) + _odd_ones(rows)
    order = {"fault": 0, "doubt": 1}
    findings.sort(key=lambda found: (order[found["kind"]], found["pair"] or 0))
    return {
        "pairs": rows,
        "findings": findings,
        "faults": sum(found["kind"] == "fault" for found in findings),
        "doubts": sum(found["kind"] == "doubt" for found in findings),
        "gib": sum(row.get("gib", 0.0) for row in rows),
    }


def _fault(number: int | None, text: str) -> dict[str, Any]:
    return {"kind": "fault", "pair": number, "text": text}


def _doubt(number: int | None, text: str) -> dict[str, Any]:
    return {"kind": "doubt", "pair": number, "text": text}


def _pair(
    pair: Pair, number: int, progress: Progress
) -> tuple[dict[str, Any], list[bytes], dict[int, int], list[dict[str, Any]]]:
    """Row, marks of the scan's slices, label counts and findings of a pair."""
    row: dict[str, Any] = {
        "number": number,
        "name": volume_name(Path(pair.scan)),
        "subject": pair.subject,
        "scan": {"path": str(pair.scan)},
        "mask": {"path": str(pair.mask)},
    }
    findings: list[dict[str, Any]] = []
    volumes: list[Volume] = []
    for side, path in (("scan", pair.scan), ("mask", pair.mask)):
        try:
            volume = open_volume(path)
        except BoneError as error:
            findings += [_fault(number, str(fault)) for fault in error.faults]
            continue
        row[side] |= _facts(volume.header)
        volumes.append(volume)
    if len(volumes) < 2:
        for volume in volumes:
            volume.close()
        return row, [], {}, findings
    scan = volumes[0]
    try:
        mask = on_grid_of(volumes[1], scan.header)
    except ScanError as error:
        for volume in volumes:
            volume.close()
        return row, [], {}, [*findings, *(_fault(number, str(fault)) for fault in error.faults)]
    if isinstance(mask, MatchedVolume):
        row["mask"]["matched"] = mask.in_words()
    with scan, mask:
        row["gib"] = (scan.header.nbytes + mask.header.nbytes) / GIB
        findings += [
            _fault(number, fault.partition(": ")[2])
            for fault in checks.pair_faults(scan, mask, number=number)
        ]
        if scan.header.voxel_size is None:
            findings.append(_doubt(number, "the voxel size of its scan is unknown"))
        try:
            marks = _marks(scan, Part(progress, first=0, share=50, steps=100))
            labels = {}
            if mask.header.dtype.kind in "iu":
                counting = Part(progress, first=50, share=45, steps=100)
                labels = checks.count_labels(mask, progress=counting, message="Counting labels")
            if scan.header.shape == mask.header.shape and set(labels) - {0}:
                findings += _beside(scan, mask, number)
        except ScanError as error:
            return row, [], {}, [*findings, *(_fault(number, str(fault)) for fault in error.faults)]
    row["labels"] = dict([*labels.items()][:MOST_SHOWN])
    if labels and not set(labels) - {0}:
        findings.append(_doubt(number, "its mask is empty: nothing but label 0"))
    return row, marks, labels, findings


def _facts(header: Header) -> dict[str, Any]:
    return {
        "format": header.format,
        "shape": list(header.shape),
        "dtype": str(header.dtype),
        "voxel_size_um": list(header.voxel_size_um) if header.voxel_size_um else None,
        "voxel_size_from": header.voxel_size_from or None,
        "gib": header.nbytes / GIB,
        "classes": [item._asdict() for item in header.classes],
    }


def _marks(scan: Volume, progress: Progress) -> list[bytes]:
    marks = []
    for z0, z1 in scan.slabs(16 << 20):
        progress(z0, scan.header.shape[0], f"Reading {scan.header.name}")
        marks += [contents.mark(plane) for plane in scan.read(z0, z1)]
    return marks


def _beside(scan: Volume, mask: Volume, number: int) -> list[dict[str, Any]]:
    """A doubt where the mask fits better after a shift."""
    depth = scan.header.shape[0]
    agreement = Agreement()
    size = min(BLOCK_SLICES, depth)
    for z0 in np.unique(np.linspace(0, depth - size, BLOCKS + 2).astype(int)[1:-1]).tolist():
        agreement.add(scan.read(z0, z0 + size), mask.read(z0, z0 + size))
    found = agreement.shift()
    if found is None:
        return []
    return [
        _doubt(
            number,
            f"its mask seems to lie {abs(found.voxels)} voxels beside the scan along {found.axis}: moved by "
            f"{found.voxels:+d}, the grey values change {found.factor:.2f} times as steeply at its edges",
        )
    ]


def _labels_together(options: CheckOptions, counts: Mapping[int, dict[int, int]]) -> list[dict[str, Any]]:
    """Faults of all masks together, as a fit finds them; values that one mask alone holds."""
    findings = []
    names = [str(options.pairs[number - 1].mask) for number in counts]
    if counts:
        try:
            checks.read_labels(
                [*counts.values()], names, map_labels=options.map_labels, ignore_label=options.ignore_label
            )
        except ScanError as error:
            findings += [_fault(None, str(fault)) for fault in error.faults]
    holders = Counter(value for labels in counts.values() for value in labels)
    for number, labels in counts.items():
        alone = [value for value in labels if holders[value] == 1 and value]
        if len(counts) > 2 and 0 < len(alone) <= 8:
            told = ", ".join(f"{value} ({labels[value]:,} voxels)" for value in alone)
            findings.append(_doubt(number, f"its mask alone holds label {told}"))
    return findings


def _odd_ones(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Scans whose numbers or voxel size differ from those of most."""
    findings = []
    for key, words in (("dtype", "numbers are"), ("voxel_size_um", "voxels are, in um (z, y, x),")):
        told = {
            row["number"]: str(row["scan"][key]) for row in rows if row["scan"].get(key) not in (None, [])
        }
        counts = Counter(told.values())
        if len(counts) < 2 or counts.most_common(1)[0][1] * 2 <= len(told):
            continue
        usual = counts.most_common(1)[0][0]
        findings += [
            _doubt(number, f"its scan's {words} {value}; those of most are {usual}")
            for number, value in told.items()
            if value != usual
        ]
    return findings
