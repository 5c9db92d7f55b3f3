"""What a run takes of the machine just now: RAM, processor, GPU; knows no Qt.

In:  the process of the worker; everything that it has started counts with it.
Out: a Reading, looked up in a thread once a second; None before the first look and after its end.
RAM is what the processes hold for themselves, as in the record of a run (machine/monitor.py). GPUs are read
where NVIDIA's library answers.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIB = 2**30
LOOK_S = 1.0
CGROUP = Path("/sys/fs/cgroup/memory.max")  # of a container


@dataclass(frozen=True)
class Gauge:
    """name: in two or three letters. told: beside it. share: 0 to 1, of what there is."""

    name: str
    told: str
    share: float


@dataclass(frozen=True)
class Reading:
    """ram: bytes. cores: those that were busy for it, of `of_cores`. gpus: (bytes used, of, percent busy)."""

    ram: int
    of_ram: int
    cores: float
    of_cores: int
    gpus: tuple[tuple[int, int, int], ...] = ()

    def gauges(self) -> list[Gauge]:
        """As they are shown.

        >>> [f"{g.name} {g.told} {g.share}" for g in Reading(GIB, 4 * GIB, 1.5, 2).gauges()]
        ['RAM 1.0 of 4 GiB 0.25', 'CPU 1.5 of 2 cores 0.75']
        """
        found = [
            Gauge(
                "RAM", f"{self.ram / GIB:.1f} of {self.of_ram / GIB:.0f} GiB", self.ram / max(self.of_ram, 1)
            ),
            Gauge("CPU", f"{self.cores:.1f} of {self.of_cores} cores", self.cores / max(self.of_cores, 1)),
        ]
        for number, (used, total, percent) in enumerate(self.gpus):
            name = "GPU" if len(self.gpus) == 1 else f"GPU {number}"
            found.append(
                Gauge(name, f"{percent} %, {used / GIB:.0f} of {total / GIB:.0f} GiB", percent / 100)
            )
        return found


class Gauges:
    """Looks at a process until it ends, or `end`. load: gives NVIDIA's library; a test brings another."""

    def __init__(self, process: int, *, load: Callable[[], Any] | None = None, look_s: float = LOOK_S):
        self.reading: Reading | None = None
        self._process, self._load, self._look_s = process, load or _library, look_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="bone gauges", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()

    def _work(self) -> None:
        import psutil

        of_ram = _all_ram(psutil.virtual_memory().total)
        gpus = _gpus(self._load)
        before: dict[int, float] = {}
        looked = time.monotonic()
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self._process)
            while not self._is_over.is_set() and first.status() != psutil.STATUS_ZOMBIE:
                tree = [first, *first.children(recursive=True)]
                spent, ram = dict[int, float](), 0
                for process in tree:
                    with contextlib.suppress(psutil.Error, OSError):
                        times = process.cpu_times()
                        spent[process.pid] = times.user + times.system
                        ram += own_bytes(process)
                now = time.monotonic()
                busy = sum(seconds - before.get(pid, 0.0) for pid, seconds in spent.items() if pid in before)
                cores = busy / max(now - looked, 1e-6)
                count = _cores(first)
                used = tuple(filter(None, (look() for look in gpus)))
                if before:
                    self.reading = Reading(ram, of_ram, min(cores, float(count)), count, used)
                before, looked = spent, now
                self._is_over.wait(self._look_s)
        self.reading = None


def own_bytes(process: Any) -> int:
    """RAM that a process alone holds, without mapped files."""
    if sys.platform.startswith("linux"):
        for line in (
            Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        ):
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    found = process.memory_info()
    return int(getattr(found, "private", found.rss))


def _cores(process: Any) -> int:
    """Those that the process may use."""
    with contextlib.suppress(AttributeError, OSError):
        return len(process.cpu_affinity())
    return os.cpu_count() or 1


def _all_ram(total: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        return min(total, int(CGROUP.read_text(encoding="ascii")))
    return total


def _library() -> Any:
    import pynvml

    return pynvml


def _gpus(load: Callable[[], Any]) -> list[Callable[[], tuple[int, int, int] | None]]:
    """A look at each GPU; none where there is no GPU, driver or package."""
    try:
        library = load()
        library.nvmlInit()
        handles = [library.nvmlDeviceGetHandleByIndex(n) for n in range(library.nvmlDeviceGetCount())]
    except Exception:  # each missing piece has its own error, and all mean: no gauge
        return []

    def look(handle: Any) -> tuple[int, int, int] | None:
        try:
            memory = library.nvmlDeviceGetMemoryInfo(handle)
            percent = int(library.nvmlDeviceGetUtilizationRates(handle).gpu)
        except library.NVMLError:
            return None
        return int(memory.used), int(memory.total), percent

    return [lambda handle=handle: look(handle) for handle in handles]  # type: ignore[misc]
