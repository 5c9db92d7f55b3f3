"""What a volume is: a scan with its grey values, or a mask with its labels.

In:  the path of a volume.
Out: plain values. Some slices are looked at (all, where they are few), and which is said with the figures.
Scan or mask is decided by content: a mask has few different whole numbers, in patches of equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ScanError
from ..intensity.tally import count_values, otsu_means
from ..scores import meaning as label_meaning
from ..volumes.header import Triple
from ..volumes.volume import Header, Volume, open_volume, peek, storage_of

LOOK_BYTES = 64 * 2**20  # of a volume; more is looked at in slices evenly spaced
FEWEST_SLICES = 3
LOOK_VALUES = 1 << 22  # of numbers with more than 16 bits, which must be sorted
MOST_LABELS = 64  # as many classes as a fit takes
SURE_LABELS = 3  # so few values are labels, however they lie
EQUAL_SHARE = 0.8  # of neighbours along x in a mask; in scans noise makes it far lower
OTSU_BINS = 256
THIRD_PEAK = 0.4  # a third class must leave less than this of the variance that two leave


def facts(path: Path, voxel_size: Triple | None = None) -> dict[str, Any]:
    """Kind, format, geometry, and labels or grey values. Raises ScanError for what is no volume.

    voxel_size: in um, instead of what the volume says.
    A volume whose header can be read and whose slices cannot has the fault under "fault".
    """
    header = peek(path)
    if voxel_size is not None:
        header = header.with_voxel_size_um(voxel_size)
    known = _of_header(path, header)
    try:
        with open_volume(path) as volume:
            return known | _of_content(volume, _look(volume))
    except ScanError as error:
        return known | {"kind": "scan or mask", "fault": str(error)}


def _of_header(path: Path, header: Header) -> dict[str, Any]:
    files, compression = storage_of(path)
    return {
        "kind": "scan or mask",
        "path": str(path),
        "format": header.format,
        "files": len(files),
        "shape": list(header.shape),
        "dtype": str(header.dtype),
        "voxel_size_um": list(header.voxel_size_um) if header.voxel_size_um else None,
        "voxel_size": list(header.voxel_size) if header.voxel_size else None,
        "unit": header.unit,
        "voxel_size_from": header.voxel_size_from or None,
        "compression": compression,
        "bytes_on_disk": sum(file.stat().st_size for file in files),
        "gib": header.nbytes / 2**30,
    }


@dataclass(frozen=True)
class Look:
    """What was seen of a volume. values, counts: of its numbers, rising. equal_share: of neighbours along x.

    odd: nan and infinite. is_whole: whether every voxel was counted.
    """

    slices: int
    of: int
    values: np.ndarray
    counts: np.ndarray
    equal_share: float
    odd: int
    is_whole: bool


def _look(volume: Volume) -> Look:
    header = volume.header
    depth = header.shape[0]
    number = min(depth, max(FEWEST_SLICES, LOOK_BYTES // header.slice_bytes))
    chosen = np.unique(np.linspace(0, depth - 1, number).round().astype(int))
    is_small = header.dtype.kind in "iu" and header.dtype.itemsize <= 2
    bins = np.zeros(1 << (8 * header.dtype.itemsize) if is_small else 0, np.int64)
    step = -(-len(chosen) * header.shape[1] * header.shape[2] // LOOK_VALUES)
    parts, equal, neighbours, odd = [], 0, 0, 0
    for z in chosen.tolist():
        plane = np.ascontiguousarray(volume.read(z, z + 1)[0])
        equal += int((plane[:, 1:] == plane[:, :-1]).sum())
        neighbours += plane[:, 1:].size
        if is_small:
            bins += count_values(plane)
        else:
            part = plane.reshape(-1)[::step]
            is_good = np.isfinite(part)
            odd += int(part.size - is_good.sum())
            parts.append(part[is_good])
    if is_small:
        values = np.arange(bins.size)
        if header.dtype.kind == "i":
            bins, values = np.roll(bins, bins.size // 2), values - bins.size // 2
        values, counts = values[bins > 0], bins[bins > 0]
    else:
        values, counts = np.unique(np.concatenate(parts), return_counts=True)
    is_whole = len(chosen) == depth and (is_small or step == 1)
    return Look(len(chosen), depth, values, counts, equal / max(neighbours, 1), odd, is_whole)


def _of_content(volume: Volume, look: Look) -> dict[str, Any]:
    kind, why = _kind(look)
    voxels = int(look.counts.sum())
    known: dict[str, Any] = {
        "kind": kind,
        "decided_by": why,
        "looked_at": {"slices": look.slices, "of": look.of, "voxels": voxels, "all": look.is_whole},
    }
    if look.odd:
        known["not_a_number"] = look.odd
    if kind == "mask":
        path, meaning = volume.header.path, None
        if path is not None:
            meaning = label_meaning.of_record(path, volume.header.shape)
        names = {0: "background"} | {item.value: item.name for item in volume.header.classes}
        names |= dict(meaning.names if meaning else {})
        known["labels"] = [
            {
                "value": int(value),
                "name": names.get(int(value)),
                "voxels": int(count),
                "share": int(count) / voxels,
            }
            for value, count in zip(look.values, look.counts, strict=True)
        ]
    elif look.values.size:
        known["grey_range"] = [float(look.values[0]), float(look.values[-1])]
        known["zero_share"] = float(look.counts[look.values == 0].sum() / voxels)
        known["tissue_peaks"] = tissue_peaks(look.values, look.counts)
    return known


def _kind(look: Look) -> tuple[str, str]:
    number = look.values.size
    if number == 0:
        return "scan", "no voxel is a number"
    if number == 1:
        return "scan or mask", f"every voxel that was looked at is {look.values[0]:g}"
    is_whole = bool((look.values == np.round(look.values)).all())
    told = f"{number:,} different values"
    if not is_whole or number > MOST_LABELS:
        return "scan", told
    near = f"{told}, {look.equal_share:.0%} of neighbours are equal"
    return ("mask" if number <= SURE_LABELS or look.equal_share >= EQUAL_SHARE else "scan"), near


def tissue_peaks(values: np.ndarray, counts: np.ndarray) -> list[float]:
    """Means of the two or three classes that Otsu's thresholds make of the voxels that are not 0.

    values: rising; counts: int64. Three where the third leaves less than 40 % of the variance inside the two.
    One mean where all are equal; none where all are 0.

    >>> tissue_peaks(np.array([0, 10, 11, 50, 51, 90, 91]), np.array([9, 4, 4, 4, 4, 4, 4]))
    [10.5, 50.5, 90.5]
    >>> tissue_peaks(np.array([20.0, 22, 60, 62]), np.array([5, 5, 5, 5]))
    [21.0, 61.0]
    """
    values, counts = values[values != 0].astype(np.float64), counts[values != 0]
    if values.size < 2:
        return values.tolist()
    if values.size > OTSU_BINS:
        edges = np.linspace(values[0], values[-1], OTSU_BINS + 1)
        totals = np.histogram(values, edges, weights=values * counts)[0]
        counts = np.histogram(values, edges, weights=counts)[0]
        values, counts = totals[counts > 0] / counts[counts > 0], counts[counts > 0]
    two = otsu_means(values, counts)
    assert two is not None
    if values.size < 3:
        return list(two)
    weight = np.concatenate([[0.0], np.cumsum(counts)])
    part = np.concatenate([[0.0], np.cumsum(values * counts)])
    squares, number = float((values**2 * counts).sum()), len(values)
    first, second = np.triu_indices(number - 1, k=1)
    cuts = np.stack([np.zeros_like(first), first + 1, second + 1, np.full_like(first, number)])
    weights, parts = np.diff(weight[cuts], axis=0), np.diff(part[cuts], axis=0)
    between = (parts**2 / weights).sum(axis=0)
    best = int(np.argmax(between))
    left = squares - float(between[best])
    above = values > np.mean(two)  # Otsu's threshold lies halfway between the means of its classes
    left_of_two = sum(
        float((values[side] ** 2 * counts[side]).sum() - (values[side] * counts[side]).sum() ** 2 / n)
        for side in (above, ~above)
        if (n := counts[side].sum())
    )
    if left < THIRD_PEAK * left_of_two:
        return (parts[:, best] / weights[:, best]).tolist()
    return list(two)
