"""Measure candidates side by side: each measurement in a process of its own, in alternating order.

In:  a benchmark module that can measure one candidate, named on its command line.
Out: samples (seconds, memory, result) of every candidate; rows of a markdown table with medians and ranges.
A fresh process gives a clean peak of memory; alternating spreads the machine's moods over all candidates.
--quick, which every benchmark takes, measures small sizes once and in this process: whether all of it runs.
Its figures mean nothing. Peers that are not installed have a row that says so.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Sample:
    """One measurement.

    seconds: on the wall. cpu_seconds: of the processor, all threads. peak_mib: private memory above what
    there was before, None where it was not watched.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float | None
    result: Any


def add_quick(parser: argparse.ArgumentParser) -> None:
    """The word that every benchmark takes."""
    parser.add_argument(
        "--quick",
        action="store_true",
        help="Small, once and in this process: does it run? The figures mean nothing.",
    )


def installed(packages: Mapping[str, str]) -> list[str]:
    """Of candidates and the package that each needs, the candidates that can be measured."""
    return [name for name, package in packages.items() if importlib.util.find_spec(package)]


def missing_rows(packages: Mapping[str, str], columns: int) -> list[list[str]]:
    """A row for every candidate whose package is not installed, with so many columns after the name."""
    there = installed(packages)
    return [[name, "not installed", *[""] * (columns - 1)] for name in packages if name not in there]


def measure(work: Callable[[], Any], *, watch_memory: bool = False) -> Sample:
    """Run work in this process and print the sample as the last line of standard output.

    watch_memory: run it once more and look at private memory meanwhile; looking would slow the first run.
    """
    began, cpu_began = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    peak_mib = None
    if watch_memory:
        watch = _Watch()
        work()
        peak_mib = watch.stop()
    sample = Sample(seconds, cpu_seconds, peak_mib, result)
    print(json.dumps(asdict(sample)), flush=True)
    return sample


def alternate(
    module: str,
    candidates: Sequence[str],
    *,
    arguments: Sequence[str] = (),
    first: Sequence[str] = (),
    repeats: int = 5,
    threads: int | None = None,
    is_quick: bool = False,
) -> dict[str, list[Sample]]:
    """Measure every candidate `repeats` times: forwards, backwards, forwards ...

    Starts `python -m module --candidate NAME ARGUMENTS`; that process must call `measure` once.
    first: further arguments of every candidate's first measurement, e.g. to watch its memory.
    threads: of every candidate's numeric libraries; None: as they come.
    is_quick: in this process, by the module's main(words).
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | ({} if threads is None else dict.fromkeys(names, str(threads)))
    samples: dict[str, list[Sample]] = {name: [] for name in candidates}
    for repeat in range(repeats):
        for name in candidates if repeat % 2 == 0 else reversed(candidates):
            words = ["--candidate", name, *arguments, *(() if repeat else first)]
            if is_quick:
                answer = printed(
                    lambda words=words: importlib.import_module(module).main([*words, "--quick"])
                )
            else:
                command = [sys.executable, "-m", module, *words]
                answer = subprocess.run(
                    command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment
                ).stdout
            samples[name].append(Sample(**json.loads(answer.splitlines()[-1])))
    return samples


def printed(work: Callable[[], Any]) -> str:
    """What the work writes to standard output."""
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        work()
    return stream.getvalue()


def bone(
    *words: object, environment: Mapping[str, str] | None = None, is_quick: bool = False
) -> dict[str, Any]:
    """The command `bone`, in a process of its own; its JSON.

    environment: beside this process's. is_quick: in this process, where the environment must hold already.
    """
    if is_quick:
        from standalone.command import main

        return json.loads(printed(lambda: main([*map(str, words), "--json"])))
    command = [sys.executable, "-m", "standalone.command", *map(str, words), "--json"]
    return json.loads(
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    )


def median_and_range(values: Sequence[float], digits: int = 3) -> str:
    """'1.02 (0.98-1.10)'."""
    shown = [f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}" for value in _three(values)]
    return f"{shown[0]} ({shown[1]}-{shown[2]})"


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine(*packages: str) -> str:
    """Versions and machine in one line."""
    versions = [f"{package} {importlib.metadata.version(package)}" for package in packages]
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"Python {platform.python_version()}, {', '.join(versions)}; "
        f"{os.cpu_count()} cores, {platform.machine()}{load}"
    )


WATCHED = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "bf16")


def flags() -> str:
    """The processor, and which instructions for networks it has, as Linux tells it."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor()
    told = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    told = {name.strip(): value.strip() for name, value in told.items()}
    there = told.get("flags", told.get("Features", "")).split()
    return f"{told.get('model name', platform.machine())}: {', '.join(w for w in WATCHED if w in there)}"


def private_mib() -> float:
    """Memory of this process that is its own: no mapped files, no page cache."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) / 2**10
    import psutil

    return psutil.Process().memory_full_info().uss / 2**20


class _Watch:
    """Looks at private memory every two milliseconds."""

    def __init__(self) -> None:
        self._before = self._peak = private_mib()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self._peak = max(self._peak, private_mib())

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return max(self._peak, private_mib()) - self._before
