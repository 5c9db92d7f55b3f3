"""S1: mean, standard deviation, extremes and three percentiles of a scan's non-zero voxels, against numpy.

In:  nothing, or --slices and --repeats. Run as: python -m benchmarks.statistics
Out: a table: voxels per second (median of the repeats, range), memory above the scan's own, ratio to numpy.
Each measurement is a process of its own, in alternating order, on one scan in memory; the worker's rows are
the whole job from a file, from the start of a process to the answer. Every result must first equal numpy's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.sidebyside import add_quick
from bone_backend.intensity.statistics import measure
from bone_backend.jobs.run import run_in_worker
from bone_backend.volumes.array import ArrayVolume

PERCENTILES = (1.0, 50.0, 99.0)
SIZE = 1152
DTYPES = ("uint8", "uint16", "int16", "float32")


def write_scan(path: Path, slices: int, dtype: str, size: int) -> None:
    """A round specimen with two materials and noise in a field of zeros, as masked scans are."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size - 0.5
    inside, bone = x**2 + y**2 < 0.2, x**2 + y**2 < 0.03
    scan = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), (slices, size, size))
    for z in range(slices):
        grey = np.where(bone, 180.0, 90.0) + random.normal(0, 15, inside.shape)
        scan[z] = np.where(inside, grey.clip(1, 255) * (1 if dtype == "uint8" else 100), 0)
    scan.flush()


def numpy_statistics(path: Path) -> tuple[float, list[float]]:
    scan = np.load(path)
    start = time.perf_counter()
    voxels = scan[scan != 0]
    found = [voxels.mean(), voxels.std(), voxels.min(), voxels.max(), *np.percentile(voxels, PERCENTILES)]
    return time.perf_counter() - start, [float(number) for number in found]


def bone_statistics(path: Path) -> tuple[float, list[float]]:
    volume = ArrayVolume(np.load(path))
    start = time.perf_counter()
    found = measure(volume, percentiles=PERCENTILES)
    seconds = time.perf_counter() - start
    return seconds, [found.mean, found.std, found.min, found.max, *found.percentiles.values()]


def worker_statistics(path: Path, *, remember: bool = False) -> tuple[float, list[float]]:
    options = {"scans": [{"path": str(path), "remember": remember}], "percentiles": list(PERCENTILES)}
    if remember:
        run_in_worker("measure-greys", options, python=Path(sys.executable))
    start = time.perf_counter()
    (found,) = run_in_worker("measure-greys", options, python=Path(sys.executable))["scans"]
    seconds = time.perf_counter() - start
    return seconds, [*(found[name] for name in ("mean", "std", "min", "max")), *found["percentiles"].values()]


CANDIDATES = {
    "numpy": numpy_statistics,
    "BONe, one process": bone_statistics,
    "BONe, worker, from file": worker_statistics,
    "BONe, worker, second time": lambda path: worker_statistics(path, remember=True),
}


def peak_mib() -> float:
    """Highest memory of this process so far, MiB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure_candidate(name: str, path: Path) -> dict[str, object]:
    """One measurement, in this process."""
    is_worker = "worker" in name
    if not is_worker:
        np.load(path)  # so that the memory of the scan itself is in both figures
    before = peak_mib()
    seconds, found = CANDIDATES[name](path)
    return {"seconds": seconds, "found": found, "mib": None if is_worker else peak_mib() - before}


def in_own_process(name: str, path: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "benchmarks.statistics", "--candidate", name, "--scan", str(path)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout)


def compare(path: Path, dtype: str, *, voxels: int, repeats: int, is_quick: bool) -> None:
    runs: dict[str, list[dict]] = {name: [] for name in CANDIDATES}
    for repeat in range(repeats):
        names = list(CANDIDATES) if repeat % 2 == 0 else list(CANDIDATES)[::-1]
        for name in names:
            runs[name].append(measure_candidate(name, path) if is_quick else in_own_process(name, path))
    expected = runs["numpy"][0]["found"]
    for name, answers in runs.items():
        if any(answer["found"] != answers[0]["found"] for answer in answers):
            raise SystemExit(f"{name}: not the same bits in every run")
        # numpy sums float32 in float32: its own mean and standard deviation are good to 5 digits or so
        np.testing.assert_allclose(answers[0]["found"], expected, rtol=1e-4 if dtype == "float32" else 1e-12)
    base = median(answer["seconds"] for answer in runs["numpy"])
    for name, answers in runs.items():
        seconds = sorted(answer["seconds"] for answer in answers)
        memory = "" if answers[0]["mib"] is None else f"{median(a['mib'] for a in answers):.0f}"
        rates = [voxels / s / 1e6 for s in (median(seconds), seconds[-1], seconds[0])]
        rate = f"{rates[0]:.0f} ({rates[1]:.0f}-{rates[2]:.0f})"
        print(f"| {dtype} | {name} | {rate} | {memory} | {base / median(seconds):.1f} |", flush=True)


@contextlib.contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    """Another cache than the user's, in this process and those that it starts."""
    before = os.environ.get("BONE_CACHE")
    os.environ["BONE_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("BONE_CACHE")
        if before is not None:
            os.environ["BONE_CACHE"] = before


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtypes", nargs="*", default=list(DTYPES))
    parser.add_argument("--candidate", help=argparse.SUPPRESS)
    parser.add_argument("--scan", type=Path, help=argparse.SUPPRESS)
    add_quick(parser)
    arguments = parser.parse_args(words)
    size = SIZE
    if arguments.quick:
        arguments.slices, arguments.repeats, arguments.dtypes, size = 4, 1, ["uint16"], 96
    if arguments.candidate:
        print(json.dumps(measure_candidate(arguments.candidate, arguments.scan)))
        return
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {machine}")
    print(f"{arguments.slices} slices of {size} x {size}, {arguments.repeats} repeats\n")
    print("| voxels are | by | million voxels per second (range) | MiB above the scan | times numpy |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, own_cache(Path(folder) / "cache"):
        for dtype in arguments.dtypes:
            path = Path(folder) / f"{dtype}.npy"
            write_scan(path, arguments.slices, dtype, size)
            voxels = arguments.slices * size**2
            compare(path, dtype, voxels=voxels, repeats=arguments.repeats, is_quick=arguments.quick)
            path.unlink()


if __name__ == "__main__":
    main()
