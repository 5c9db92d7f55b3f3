"""The monitor sees what was allocated, and costs next to nothing."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from bone_backend.machine.monitor import GIB, Monitor, find_gpus, private_bytes


def test_the_peak_rises_by_what_was_allocated_and_stays():
    with Monitor(interval_s=0.01) as monitor:
        before, held, blocks = monitor.figures()["peak_ram_gib"], private_bytes(), []
        while private_bytes() < held + 200 * 2**20:  # the first ones may lie in memory that was freed before
            blocks.append(np.ones(20 * 2**20, np.uint8))
        deadline = time.monotonic() + 20
        while monitor.figures()["peak_ram_gib"] < before + 0.15 and time.monotonic() < deadline:
            time.sleep(0.02)
        del blocks
    after = monitor.figures()
    assert after["peak_ram_gib"] - before == pytest.approx(200 / 1024, rel=0.25)
    assert after["mean_ram_gib"] < after["peak_ram_gib"]
    assert after["seconds"] > 0


def test_private_memory_is_part_of_the_resident_memory():
    assert 2**20 < private_bytes() <= psutil.Process().memory_info().rss * 1.05


def test_a_mapped_file_is_not_counted(tmp_path):
    np.zeros(80 * 2**20, np.uint8).tofile(tmp_path / "scan.raw")
    before = private_bytes()
    mapped = np.memmap(tmp_path / "scan.raw", np.uint8, mode="r")
    mapped.sum()
    assert private_bytes() - before < 20 * 2**20


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no clocks of threads here")
def test_watching_takes_less_than_half_a_per_cent_of_a_core():
    shares = []
    for _ in range(4):  # the clock of a virtual machine also counts what its host took away
        with Monitor():
            (thread,) = [thread for thread in threading.enumerate() if thread.name == "monitor"]
            clock = time.pthread_getcpuclockid(thread.ident)  # other threads may be busy
            entered = time.perf_counter()
            time.sleep(3)
            spent, passed = time.clock_gettime(clock), time.perf_counter() - entered
        shares.append((spent - 0.02) / passed)  # slow first samples are granted
        if shares[-1] < 0.005:
            break
    assert spent > 0
    assert min(shares) < 0.005


def test_it_can_be_asked_before_its_end_and_used_twice():
    monitor = Monitor()
    with monitor:
        assert monitor.figures()["peak_ram_gib"] > 0
    with monitor:
        pass
    assert monitor.figures()["peak_ram_gib"] > 0


def test_the_figures_are_kept_when_the_run_fails():
    monitor = Monitor()
    with pytest.raises(ZeroDivisionError), monitor:
        raise ZeroDivisionError
    assert monitor.figures()["peak_ram_gib"] > 0


class StandInLibrary:
    """Two GPUs; this process holds 3 GiB of the second, which is busy half of the time."""

    class NVMLError(Exception):
        pass

    def __init__(self):
        self.percent = 0

    def nvmlInit(self):  # noqa: N802
        pass

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return index

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return b"Old GPU" if handle == 0 else "New GPU"

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(used=(1 + 4 * handle) * GIB)

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        if handle == 0:
            return SimpleNamespace(gpu=0)
        self.percent = 100 - self.percent
        return SimpleNamespace(gpu=self.percent)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):  # noqa: N802
        mine = [SimpleNamespace(pid=os.getpid(), usedGpuMemory=3 * GIB)] if handle else []
        return [SimpleNamespace(pid=-1, usedGpuMemory=GIB), *mine]


def test_gpu_figures_tell_the_whole_and_the_own_share():
    first, second = find_gpus(load=StandInLibrary)
    for _ in range(4):
        first.sample()
        second.sample()
    assert first.figures()["name"] == "Old GPU"
    assert first.figures()["peak_gib"] == 1.0
    told = second.figures()
    assert (told["name"], told["peak_gib"], told["own_peak_gib"]) == ("New GPU", 5.0, 3.0)


def test_the_figures_of_a_run_count_the_gpu_that_this_process_uses():
    with Monitor(load=StandInLibrary) as monitor:
        pass
    figures = monitor.figures()
    assert figures["peak_gpu_gib"] == 3.0
    assert figures["mean_gpu_percent"] == 50.0  # of the second GPU, 100 and 0 in turns
    assert figures["gpus"]["0"]["own_peak_gib"] is None
    assert figures["gpus"]["1"]["peak_percent"] == 100


def test_a_gpu_that_stops_answering_keeps_its_figures():
    class Failing(StandInLibrary):
        def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
            raise self.NVMLError

    gpu = find_gpus(load=Failing)[1]
    gpu.sample()
    assert gpu.figures()["peak_gib"] == 0.0


def test_a_missing_driver_means_no_gpu_figures():
    class NoDriver(StandInLibrary):
        def nvmlInit(self):  # noqa: N802
            raise self.NVMLError

    assert find_gpus(load=NoDriver) == []


def test_no_gpu_is_watched_for_a_run_on_the_cpu():
    assert find_gpus(torch.device("cpu"), load=StandInLibrary) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_there_are_no_gpu_figures():
    with Monitor() as monitor:
        pass
    assert "peak_gpu_gib" not in monitor.figures()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_memory_on_a_gpu_is_seen():
    with Monitor(torch.device("cuda", 0)) as monitor:
        block = torch.zeros(GIB, dtype=torch.uint8, device="cuda")
        time.sleep(1.0)
        del block
    assert monitor.figures()["peak_gpu_gib"] >= 1.0
    assert monitor.figures()["gpus"]["0"]["peak_gib"] >= 1.0


@pytest.mark.skipif(
    not hasattr(psutil.Process, "io_counters"), reason="the system does not count what is read"
)
def test_what_is_read_is_told_as_a_rate(tmp_path):
    (tmp_path / "scan.raw").write_bytes(bytes(50 * 2**20))
    with Monitor() as monitor:
        (tmp_path / "scan.raw").read_bytes()
        time.sleep(0.2)
        figures = monitor.figures()
    assert figures["read_mib_per_s"] * figures["seconds"] == pytest.approx(50, rel=0.1)
    assert 0 <= figures["disk_mib_per_s"] <= figures["read_mib_per_s"] * 1.1
