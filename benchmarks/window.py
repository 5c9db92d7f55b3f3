"""The window: seconds from start to painted, milliseconds a slice, RAM; offscreen.

    python -m benchmarks.window [--shape 2112 1152 1152]

In:  sparse .npy files of uint8, of 512 x 512 x 512 and of 2112 x 1152 x 1152 or that shape, each with a
textured slab in the middle.
Out: a markdown table: CPU and wall seconds of `bone-window` to its first picture (a process of its own, the
median of five); for each scan median and 95th percentile of a slice along z, y and x, read and painted, the
time until a slice along y and x has come in full, seconds to make the small copy; RAM of the whole process
afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sidebyside import add_quick

ROOT = Path(__file__).resolve().parents[1]
STARTS, SLICES = 5, 100
MIDDLE, LARGE, QUICK = (512, 512, 512), (2112, 1152, 1152), (96, 128, 128)
SHARP = 5  # slices of which the time to come in full is taken
START = """
import os, sys, time
from standalone.window.start import make_application
application = make_application()
from standalone.window.main import Window
from standalone.window.memory import Memory
from pathlib import Path
window = Window(memory=Memory(Path(sys.argv[1])))
window.show()
application.processEvents()
window.grab()
print(time.process_time())
os._exit(0)
"""


def start(folder: Path, starts: int) -> tuple[float, float]:
    """Median CPU and wall seconds from nothing to painted."""
    cpu, wall = [], []
    for _ in range(starts):
        began = time.perf_counter()
        command = [sys.executable, "-c", START, str(folder / "window.json")]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        wall.append(time.perf_counter() - began)
        cpu.append(float(done.stdout.split()[-1]))
    return statistics.median(cpu), statistics.median(wall)


def make_scan(path: Path, shape: tuple[int, int, int]) -> None:
    """A file with holes, which takes no room but for a few slices."""
    random = np.random.default_rng(0)
    scan = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for z in range(shape[0] // 2, min(shape[0] // 2 + 8, shape[0])):
        scan[z] = random.integers(20, 220, shape[1:], dtype=np.uint8)
    scan.flush()


def slices(path: Path, number: int) -> dict[str, Any]:
    """Milliseconds of slices along each axis, seconds of the small copy, RAM; in this process."""
    import psutil

    from standalone.window.start import make_application
    from standalone.window.view import View
    from standalone.window.viewer import Viewer

    application = make_application()
    viewer = Viewer()
    viewer.resize(640, 600)
    viewer.show()
    began = time.perf_counter()
    viewer.show_view(View(str(path)))
    viewer.canvas.grab()
    found: dict[str, Any] = {"open_s": time.perf_counter() - began}
    view = viewer.view
    assert view is not None
    began = time.perf_counter()
    view.first.prepare()
    if view.first._making:
        view.first._making.wait(3600)
    found["copy_s"] = time.perf_counter() - began
    random = np.random.default_rng(1)
    for axis, name in enumerate("zyx"):
        viewer.show_axis(axis)
        taken, worked = [], []
        for index in random.integers(0, view.shape[axis], number).tolist():
            began, busy = time.perf_counter(), time.process_time()
            viewer.go_to(index)
            viewer.canvas.grab()
            taken.append(1000 * (time.perf_counter() - began))
            worked.append(1000 * (time.process_time() - busy))
            application.processEvents()
        found[name] = [statistics.median(taken), float(np.percentile(taken, 95)), statistics.median(worked)]
    for axis in (1, 2):
        found[f"sharp_{'zyx'[axis]}"] = sharp(view, axis)
    found["ram_mib"] = psutil.Process().memory_info().rss / 2**20
    viewer.close_view()
    return found


def sharp(view: Any, axis: int) -> float | None:
    """Median milliseconds until a slice has been read in full; None where the volume is kept in memory."""
    taken = []
    for index in range(0, view.shape[axis], max(1, view.shape[axis] // SHARP)):
        began = time.perf_counter()
        work = view.sharpen(axis, index)
        if work is None:
            return None
        while not work.is_done:
            time.sleep(0.001)
        assert work.planes
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def rows_of(shape: tuple[int, int, int], found: dict[str, Any]) -> list[tuple[str, str]]:
    """The lines of one scan."""
    size = " x ".join(map(str, shape))
    ways = [(name, found[f"sharp_{name}"]) for name in "yx"]
    return [
        (f"open {size}", f"{found['open_s']:.2f} s"),
        ("its small copy, once", f"{found['copy_s']:.1f} s"),
        *(
            (f"its slice along {axis}", "{:.1f} ms, p95 {:.1f} ms, CPU {:.1f} ms".format(*found[axis]))
            for axis in "zyx"
        ),
        *((f"the same in full along {name}, when it rests", f"{ms:,.0f} ms") for name, ms in ways if ms),
        ("RAM of the process", f"{found['ram_mib']:.0f} MiB"),
    ]


def of_shape(folder: Path, shape: tuple[int, int, int], *, is_quick: bool) -> dict[str, Any]:
    """What `slices` measures, in a process of its own."""
    path = folder / "scan.npy"
    make_scan(path, shape)
    command = [sys.executable, "-m", "benchmarks.window", "--slices-of", str(path), *["--quick"] * is_quick]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    path.unlink()
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs=3, default=LARGE, metavar=("Z", "Y", "X"))
    parser.add_argument("--slices-of", type=Path, help=argparse.SUPPRESS)
    add_quick(parser)
    given = parser.parse_args(words)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    number = 5 if given.quick else SLICES
    if given.slices_of:
        print(json.dumps(slices(given.slices_of, number)))
        return
    shapes = [QUICK] if given.quick else [MIDDLE, tuple(given.shape)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BONE_CACHE"] = str(Path(folder) / "cache")
        cpu, wall = start(Path(folder), 1 if given.quick else STARTS)
        rows = [("start to painted, CPU", f"{cpu:.2f} s"), ("start to painted, wall", f"{wall:.2f} s")]
        for shape in shapes:
            rows += rows_of(shape, of_shape(Path(folder), shape, is_quick=given.quick))
    print("\n".join(["| the window | measured |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]))


if __name__ == "__main__":
    main()
