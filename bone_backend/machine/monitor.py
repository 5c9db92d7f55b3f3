"""Watch what a run takes: RAM, GPU memory and GPU use, and what it reads.

In:  the time between `with Monitor()` and its end, and the device that computes.
Out: peaks and means as plain figures.
RAM is what the process holds for itself (not the files it has mapped). A thread samples, and rests 300 times
as long as it worked but 2 s at most: less than 0.4 % of a core while a look takes less than 6 ms. GPU figures
are missing where none can be read.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    import torch

GIB = 2**30
REST = 300  # times the time spent on sampling
LONGEST_REST_S = 2.0  # a virtual machine may count as spent what its host took away
GRANT_S = (
    0.005  # of sampling before rests are counted, so that a slow first sample does not blind the monitor
)
STATUS = "/proc/self/status"


class Monitor:
    """Samples in a thread while it is entered; `figures` tells what was seen so far, at any time.

    device: what computes; only that GPU is watched, none for a CPU, all for None. interval_s: seconds between
    samples, if they are quick enough. load: see `find_gpus`.

    >>> with Monitor() as monitor:
    ...     _ = bytearray(10)
    >>> 0 < monitor.figures()["peak_ram_gib"] < 1000
    True
    """

    def __init__(
        self,
        device: torch.device | None = None,
        *,
        interval_s: float = 0.05,
        load: Callable[[], Any] | None = None,
    ):
        self.device, self.interval_s, self._load = device, interval_s, load
        self._peak = self._sum = 0.0
        self._samples = 0
        self._gpus: list[_Gpu] = []
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._started = time.perf_counter()
        self._gpu_due = 0.0
        self._read_before: dict[str, int] = {}

    def __enter__(self) -> Monitor:
        self._started = time.perf_counter()
        self._read_before = bytes_read()
        self._gpus = find_gpus(self.device, load=self._load)
        self._stopped.clear()
        self._sample()
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._gpu_due = 0.0
        self._sample()

    def figures(self) -> dict[str, Any]:
        """What was seen: seconds, peak_ram_gib, mean_ram_gib; with a GPU also the three below.

        read_mib_per_s: of files, mean since the start; disk_mib_per_s: the part that came from the disk and
        not from the system's cache (where the system tells it).
        peak_gpu_gib: most memory of one GPU that this process held (None where the driver does not tell).
        mean_gpu_percent: share of the time in which a kernel was resident, mean over the GPUs in use.
        gpus: for each GPU its name, peak_gib of all processes, own_peak_gib, mean_percent and peak_percent.
        """
        with self._lock:
            figures: dict[str, Any] = {
                "seconds": time.perf_counter() - self._started,
                "peak_ram_gib": self._peak / GIB,
                "mean_ram_gib": self._sum / max(self._samples, 1) / GIB,
            }
            for name, count in bytes_read().items():
                rate = (count - self._read_before.get(name, count)) / max(figures["seconds"], 1e-9)
                figures[f"{name}_mib_per_s"] = rate / 2**20
            if self._gpus:
                gpus = {gpu.index: gpu.figures() for gpu in self._gpus}
                own = [gpu["own_peak_gib"] for gpu in gpus.values() if gpu["own_peak_gib"] is not None]
                used = [gpu for gpu in gpus.values() if gpu["own_peak_gib"]] or list(gpus.values())
                figures["peak_gpu_gib"] = max(own) if own else None
                figures["mean_gpu_percent"] = sum(gpu["mean_percent"] for gpu in used) / len(used)
                figures["gpus"] = {str(index): gpu for index, gpu in gpus.items()}
        return figures

    def _watch(self) -> None:
        begun, wait_s = time.perf_counter(), self.interval_s
        while not self._stopped.wait(wait_s):
            self._sample()
            owed_s = REST * (time.thread_time() - GRANT_S) - (time.perf_counter() - begun)
            wait_s = max(self.interval_s, min(owed_s, LONGEST_REST_S))

    def _sample(self) -> None:
        ram = private_bytes()
        with self._lock:
            self._peak = max(self._peak, ram)
            self._sum += ram
            self._samples += 1
            if self._gpus and time.perf_counter() >= self._gpu_due:
                self._gpu_due = time.perf_counter() + 5 * self.interval_s
                for gpu in self._gpus:
                    gpu.sample()


def private_bytes() -> int:
    """RAM that this process alone holds, without mapped files, in bytes.

    Linux: RssAnon. Windows: the private bytes. macOS: the unique set size.
    """
    if sys.platform.startswith("linux"):
        file = os.open(STATUS, os.O_RDONLY)  # read without decoding: a third of the time
        try:
            told = os.read(file, 8192)
        finally:
            os.close(file)
        start = told.find(b"RssAnon:")
        if start >= 0:
            return int(told[start + 8 :].split(None, 1)[0]) * 1024
    process = psutil.Process()
    if sys.platform == "win32":
        return int(process.memory_info().private)
    return int(process.memory_full_info().uss)


def bytes_read() -> dict[str, int]:
    """Bytes that this process has read.

    "read" in all, "disk" from the disk itself; without what the system hides.
    """
    try:
        counters = psutil.Process().io_counters()
    except (AttributeError, OSError, psutil.Error):  # macOS has none; a container may forbid it
        return {}
    if hasattr(counters, "read_chars"):
        return {"read": counters.read_chars, "disk": counters.read_bytes}
    return {"read": counters.read_bytes}


class _Gpu:
    """One GPU as NVIDIA's management library sees it."""

    def __init__(self, index: int, handle: Any, library: Any, device: torch.device | None = None):
        self.index, self._handle, self._library, self._device = index, handle, library, device
        name = library.nvmlDeviceGetName(handle)
        self.name = name.decode() if isinstance(name, bytes) else str(name)
        self._peak, self._own_peak = 0, 0
        self._percent_sum = self._percent_peak = self._samples = 0
        self._tells_own = False

    def sample(self) -> None:
        """Look once; a GPU that does not answer keeps its figures."""
        try:
            self._peak = max(self._peak, int(self._library.nvmlDeviceGetMemoryInfo(self._handle).used))
            percent = int(self._library.nvmlDeviceGetUtilizationRates(self._handle).gpu)
            own = self._own_bytes()
        except self._library.NVMLError:
            return
        self._percent_sum += percent
        self._percent_peak = max(self._percent_peak, percent)
        self._samples += 1
        if own is not None:
            self._tells_own, self._own_peak = True, max(self._own_peak, own)

    def figures(self) -> dict[str, Any]:
        """Plain values; see Monitor.figures."""
        return {
            "name": self.name,
            "peak_gib": self._peak / GIB,
            "own_peak_gib": self._own_peak / GIB if self._tells_own else None,
            "mean_percent": self._percent_sum / max(self._samples, 1),
            "peak_percent": self._percent_peak,
        }

    def _own_bytes(self) -> int | None:
        """Memory of this process; None where the driver does not tell (containers, Windows)."""
        processes = self._library.nvmlDeviceGetComputeRunningProcesses(self._handle)
        mine = [entry.usedGpuMemory for entry in processes if entry.pid == os.getpid()]
        if mine and mine[0] is not None:
            return int(mine[0])
        torch = sys.modules.get("torch")
        if self._device is None or torch is None or not torch.cuda.is_initialized():
            return None
        return int(torch.cuda.memory_reserved(self._device))


def find_gpus(device: torch.device | None = None, *, load: Callable[[], Any] | None = None) -> list[_Gpu]:
    """The NVIDIA GPUs of this machine, or the one that is `device`; empty where there are none, or no driver.

    load: gives the management library (pynvml unless a test brings another).
    """
    if device is not None and device.type != "cuda":
        return []
    try:
        library = _load_library() if load is None else load()
        library.nvmlInit()
        if device is not None:  # CUDA may number them differently, and hide some
            torch = sys.modules["torch"]
            uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            return [_Gpu(device.index or 0, library.nvmlDeviceGetHandleByUUID(uuid), library, device)]
        count = library.nvmlDeviceGetCount()
        return [_Gpu(i, library.nvmlDeviceGetHandleByIndex(i), library) for i in range(count)]
    except (
        Exception
    ):  # each missing piece (package, driver, right) has its own error, and all mean: no figures
        return []


def _load_library() -> Any:
    import pynvml  # on use: Avizo's Python may lack it

    return pynvml
