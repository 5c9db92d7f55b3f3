"""What a run takes of the machine: its process and all that it has started, and the GPUs."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from standalone.window.gauges import GIB, Gauges, Reading

BUSY = """
import subprocess, sys, time
held = bytearray(b"x" * (150 * 2**20))
child = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if len(sys.argv) > 1 else None
print("ready", flush=True)
try:
    sys.stdin.read()
finally:
    if child:
        child.kill()
"""


class FakeLibrary:
    """NVIDIA's library with two GPUs, of which the second does not answer."""

    class NVMLError(Exception):
        pass

    def nvmlInit(self):  # noqa: N802 (NVIDIA's)
        pass

    def nvmlDeviceGetCount(self):  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, number):  # noqa: N802
        return number

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(used=3 * GIB, total=80 * GIB)

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        if handle:
            raise self.NVMLError
        return SimpleNamespace(gpu=45)


@pytest.fixture
def busy():
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, "child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    yield process
    process.stdin.close()
    process.stdout.close()
    process.wait(10)


def reading_of(gauges):
    deadline = time.monotonic() + 20
    while gauges.reading is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return gauges.reading


def test_ram_and_processor_of_a_process_and_its_children(busy):
    gauges = Gauges(busy.pid, load=FakeLibrary, look_s=0.3)
    reading = reading_of(gauges)
    assert 150 * 2**20 < reading.ram < 400 * 2**20
    assert reading.ram < reading.of_ram
    assert 0.05 < reading.cores <= reading.of_cores  # that of the child; the machine may have others to serve
    assert reading.gpus == ((3 * GIB, 80 * GIB, 45),)
    assert [gauge.name for gauge in reading.gauges()] == ["RAM", "CPU", "GPU"]
    assert reading.gauges()[2].told == "45 %, 3 of 80 GiB"
    gauges.end()
    gauges._thread.join(5)
    assert gauges.reading is None


def test_without_a_gpu_or_a_process_there_is_nothing_to_show(busy):
    def lacking():
        raise ImportError

    gauges = Gauges(busy.pid, load=lacking, look_s=0.05)
    assert reading_of(gauges).gpus == ()
    gauges.end()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    gauges = Gauges(gone.pid, load=lacking)
    gauges._thread.join(10)
    assert gauges.reading is None


def test_the_gauges_of_a_run_stand_beside_its_progress(driver, runner, tmp_path, busy):
    from .test_window import fill, make_pairs

    make_pairs(tmp_path)
    runner.begun = (tmp_path, busy.pid)
    tab = fill(driver, [(str(tmp_path / "femur_0.tif"), "")])
    driver.click(tab.run_bar.start)
    strip = tab.run_bar.strip
    driver.wait(lambda: strip.isVisible())
    assert strip.accessibleName().startswith("RAM 0.")
    runner.end.set()
    driver.wait(lambda: tab.task.outcome)
    assert not strip.isVisible()


FAKE = """
class NVMLError(Exception): pass
class Memory: used, total = 3 * 2**30, 80 * 2**30
class Rates: gpu = 45
def nvmlInit():
    if {lacks_driver}: raise NVMLError("Driver Not Loaded")
def nvmlDeviceGetCount(): return {count}
def nvmlDeviceGetHandleByIndex(number): return number
def nvmlDeviceGetMemoryInfo(handle): return Memory
def nvmlDeviceGetUtilizationRates(handle): return Rates
"""


@pytest.mark.parametrize(
    ("count", "lacks_driver", "shown"),
    [
        (1, False, ["GPU 45 %, 3 of 80 GiB"]),
        (2, False, ["GPU 0 45 %, 3 of 80 GiB", "GPU 1 45 %, 3 of 80 GiB"]),
        (0, False, []),
        (1, True, []),
    ],
    ids=["one GPU", "two", "none", "no driver"],
)
def test_the_gpu_is_shown_where_there_is_one_and_nowhere_else(
    driver, runner, tmp_path, busy, monkeypatch, count, lacks_driver, shown
):
    from .test_window import fill, make_pairs

    (tmp_path / "library").mkdir()
    text = FAKE.format(count=count, lacks_driver=lacks_driver)
    (tmp_path / "library" / "pynvml.py").write_text(text, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    make_pairs(tmp_path)
    runner.begun = (tmp_path, busy.pid)
    tab = fill(driver, [(str(tmp_path / "femur_0.tif"), "")])
    driver.click(tab.run_bar.start)
    strip = tab.run_bar.strip
    driver.wait(lambda: strip.isVisible())
    told = strip.accessibleName().split("; ")
    assert [words.split()[0] for words in told[:2]] == ["RAM", "CPU"]
    assert told[2:] == shown
    assert strip.width() == sum(128 + 14 for _ in (told[:3])) - 14  # a fourth one stands in the hint
    assert all(words in strip.toolTip() for words in told)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)


def test_many_gpus_are_numbered():
    reading = Reading(0, GIB, 0.0, 2, ((0, GIB, 1), (0, GIB, 2)))
    assert [gauge.name for gauge in reading.gauges()] == ["RAM", "CPU", "GPU 0", "GPU 1"]
