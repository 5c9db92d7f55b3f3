"""Measure the grey values of scans: exact, in one pass (float32: two), slab by slab.

In:  a volume; or, as the job "measure-greys", the paths of several scans.
Out: Statistics. They are the same bits for any division into slabs and any number of processes.
numpy only, so that the worker needs nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import BoneError, OptionError, ScanError
from ..progress import Progress, silent
from ..volumes.abstract import Volume
from ..volumes.array import ArrayVolume
from ..volumes.header import Header
from ..volumes.volume import open_volume
from . import remembered as sidecar
from .edges import near_edges, near_edges_of
from .float_tally import FloatTally
from .pool import run_in_processes, usable_cores
from .summary import PERCENTILES, VOXELS, Statistics, check_choices
from .tally import IntegerTally

__all__ = ["PERCENTILES", "VOXELS", "Statistics", "measure", "measure_job"]

SLAB_BYTES = 8 * 2**20  # read at once
PART_BYTES = 64 * 2**20  # counted by one process at once: short enough to stop at any time
# Up to here other processes take longer to start (0.3 s) than to count: bytes of uncompressed whole numbers.
ALONE_BYTES = 512 * 2**20
FLOAT_EFFORT, DECODING_EFFORT = 5, 5  # how much longer a byte of such scans takes


class Tally(Protocol):
    """What one pass over a scan counts."""

    def empty(self) -> Any:
        """A tally of the same kind that has counted nothing yet."""

    def add(self, slab: np.ndarray, z: int) -> None:
        """Count a C-contiguous slab (n, y, x) that begins at slice z."""

    def merge(self, other: Any) -> None:
        """Add what another tally has counted."""

    def finish(self) -> Any:
        """The statistics, or the tally of one more pass."""


def measure(
    volume: Volume,
    *,
    voxels: str = "nonzero",
    progress: Progress = silent,
    percentiles: Sequence[float] = PERCENTILES,
) -> Statistics:
    """Statistics of a volume's voxels: those that are not 0 (voxels="nonzero"), or all of them ("all").

    volume: uint8, int8, uint16, int16 or float32; read once (float32: twice), 8 MiB at a time, and a sample
    of its slices twice more (edges.py).
    Raises ScanError for another dtype, for NaN or infinity (naming the slice), and where no voxel is left.
    """
    check_choices(voxels, percentiles)
    tally: Any = first_tally(volume.header, voxels=voxels, percentiles=percentiles)
    name, depth = volume.header.name, volume.header.shape[0]
    while not isinstance(tally, Statistics):
        for z1 in _count(volume, 0, depth, tally=tally):
            progress(z1, depth, f"Measuring {name}")
        tally = tally.finish()
    return replace(tally, **near_edges(volume, tally.tissues)._asdict())


def first_tally(
    header: Header, *, voxels: str = "nonzero", percentiles: Sequence[float] = PERCENTILES
) -> Tally:
    """What the first pass over a scan of that type counts with. Raises ScanError for other types."""
    name = str(header.path or header.name)  # many scans lie in folders of one name
    if header.dtype.kind in "ui" and header.dtype.itemsize <= 2:
        return IntegerTally(name, header.dtype, voxels=voxels, percentiles=percentiles)
    if header.dtype == np.float32:
        return FloatTally(name, voxels=voxels, percentiles=percentiles)
    raise ScanError(
        f"{name} holds {header.dtype} numbers; a scan is uint8, int8, uint16, int16 or float32. "
        "Convert it to one of these."
    )


def _count(volume: Volume, z0: int, z1: int, *, tally: Tally) -> Iterator[int]:
    """Count slices z0 to z1 and yield after each slab how far it has come."""
    header = volume.header
    step = min(max(1, SLAB_BYTES // header.slice_bytes), z1 - z0)
    in_memory = _array_of(volume)
    buffer = None if in_memory is not None else np.empty((step, *header.shape[1:]), header.dtype)
    for start in range(z0, z1, step):
        end = min(start + step, z1)
        if buffer is None:
            tally.add(in_memory[start:end], start)
        else:
            tally.add(volume.read(start, end, out=buffer[: end - start]), start)
        yield end


def _array_of(volume: Volume) -> Any:
    """The array (z, y, x) of a volume that lies in memory as it would be read, or None."""
    array = volume.array if isinstance(volume, ArrayVolume) else None
    return array if array is not None and array.flags.c_contiguous and array.dtype.isnative else None


# ---- several scans, as a job


@dataclass(frozen=True)
class _Scan:
    path: Path
    header: Header
    effort: int  # in bytes of an uncompressed scan of whole numbers
    mark: Mapping[str, Any] | None  # its fingerprint; None where nothing shall be remembered

    def parts(self) -> Iterator[tuple[int, int]]:
        step = max(1, PART_BYTES // self.header.slice_bytes)
        for z0 in range(0, self.header.shape[0], step):
            yield z0, min(z0 + step, self.header.shape[0])


def measure_job(options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The job "measure-greys": several scans, side by side in processes of the worker.

    options: "scans": [{"path": text, "remember": True}, ...]; "voxels": "nonzero" or "all";
        "percentiles": numbers; "processes": how many (None: as the cores allow; outside the worker always 1).
    Returns {"scans": [Statistics.to_dict() with "path" and "cached", ...]}, in the order of the options.
    """
    voxels, percentiles = options.get("voxels", "nonzero"), tuple(options.get("percentiles") or PERCENTILES)
    check_choices(voxels, percentiles)
    if not options.get("scans"):
        raise OptionError("There is no scan to measure.")
    question = {"voxels": voxels, "percentiles": percentiles}
    scans = [_scan(entry, question) for entry in options["scans"]]
    found = {n: sidecar.read(scan.mark) if scan.mark else None for n, scan in enumerate(scans)}
    missing = {n: scan for n, scan in enumerate(scans) if found[n] is None}
    tallies: dict[int, Any] = {
        n: first_tally(scan.header, voxels=voxels, percentiles=percentiles) for n, scan in missing.items()
    }
    try:
        _count_scans(
            missing, tallies, processes=_processes(options, list(missing.values())), progress=progress
        )
    finally:
        close_opened()
    for n, scan in missing.items():
        if scan.mark:
            sidecar.write(scan.mark, tallies[n].to_dict())
    return {
        "scans": [
            {**(found[n] or tallies[n].to_dict()), "path": str(scan.path), "cached": n not in missing}
            for n, scan in enumerate(scans)
        ]
    }


def remembered(options: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `measure_job` would give, where every scan is remembered; None where anything has to be counted or
    told, which is the worker's to do."""
    question = {"voxels": options.get("voxels", "nonzero"), "percentiles": PERCENTILES}
    found = []
    try:
        for entry in options["scans"]:
            scan = _scan(entry, question)
            kept = sidecar.read(scan.mark) if scan.mark else None
            if kept is None:
                return None
            found.append({**kept, "path": str(scan.path), "cached": True})
    except (BoneError, OSError):
        return None
    finally:
        close_opened()
    return {"scans": found}


def _scan(entry: Mapping[str, Any], question: Mapping[str, Any]) -> _Scan:
    path = Path(entry["path"])
    with open_volume(path) as volume:
        is_kept = entry.get("remember", True) and volume.files
        mark = sidecar.fingerprint(path, volume.files, question) if is_kept else None
        effort = volume.header.nbytes * (1 if volume.slices else DECODING_EFFORT)
        effort *= FLOAT_EFFORT if volume.header.dtype.kind == "f" else 1
        return _Scan(path, volume.header, effort, mark)


def _processes(options: Mapping[str, Any], scans: Sequence[_Scan]) -> int:
    if not os.environ.get("BONE_IS_WORKER"):
        return 1  # the host is a window or Avizo, or its main program cannot be started a second time
    asked = options.get("processes")
    if asked is not None:
        return max(1, int(asked))
    parts = sum(len(list(scan.parts())) for scan in scans)
    effort = sum(scan.effort for scan in scans)
    return 1 if effort <= ALONE_BYTES else min(usable_cores(), parts, 32)


def _count_scans(
    scans: Mapping[int, _Scan], tallies: dict[int, Any], *, processes: int, progress: Progress
) -> None:
    """Turn each tally into the statistics of its scan, pass by pass, all scans at once; then edges."""
    passes = {n: 2 if isinstance(tally, FloatTally) else 1 for n, tally in tallies.items()}
    steps = sum(passes[n] * len(list(scan.parts())) + 1 for n, scan in scans.items())
    done = 0
    message = ""

    def look() -> None:
        progress(done, steps, message)

    while left := [n for n, tally in tallies.items() if not isinstance(tally, Statistics)]:
        places = [(n, z0, z1) for n in left for z0, z1 in scans[n].parts()]
        tasks = [(str(scans[n].path), z0, z1, tallies[n].empty()) for n, z0, z1 in places]
        message = "Measuring " + (scans[left[0]].header.name if len(left) == 1 else f"{len(left)} scans")
        for number, tally in _each(count_part, tasks, processes=processes, look=look):
            tallies[places[number][0]].merge(tally)
            done += 1
            look()
        for n in left:
            tallies[n] = tallies[n].finish()
    order = list(scans)
    asked = [(str(scans[n].path), tallies[n].tissues) for n in order]
    for number, found in _each(near_edges_of, asked, processes=min(processes, len(asked)), look=look):
        tallies[order[number]] = replace(tallies[order[number]], **found._asdict())
        done += 1
        look()


def _each(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    *,
    processes: int,
    look: Callable[[], None],
) -> Iterator[tuple[int, Any]]:
    """What a function gives for each of these arguments, with their number, in any order."""
    if processes <= 1:
        return ((number, function(*task)) for number, task in enumerate(tasks))
    return run_in_processes(function, tasks, processes=processes, look=look)


_opened: dict[str, Volume] = {}  # of this process: the scan that it counted last


def count_part(path: str, z0: int, z1: int, tally: Any) -> Any:
    """Count slices z0 to z1 of a scan into an empty tally, and return it."""
    if path not in _opened:
        close_opened()
        _opened[path] = open_volume(path)
    for _ in _count(_opened[path], z0, z1, tally=tally):
        pass
    return tally


def close_opened() -> None:
    """Close the scan that this process counted last."""
    while _opened:
        _opened.popitem()[1].close()
