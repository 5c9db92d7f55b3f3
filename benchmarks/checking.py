"""C1: peak memory and speed of `bone check`, and of what a fit does before it learns, on one large pair.

In:  --gib of the scan (16 bit; its 8-bit mask is half as large), --layouts plain and packed, --repeats.
Run as: python -m benchmarks.checking --gib 8
Out: a table: seconds, MB of scan and mask a second, private peak of the process and its children.
The pair is made first, as TIFF stacks in a temporary folder (--folder chooses where): uncompressed, which is
read in place, and packed with Deflate, which a fit unpacks once into a cache that is empty here.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from benchmarks.sidebyside import add_quick, alternate, machine, markdown_table, measure, median_and_range

SIDE, BLOCK = 1024, (8, 256, 256)
LAYOUTS = {"plain": None, "packed": "zlib"}
WORK = ("check", "preparation")
LOOK_S = 0.02


def write_pair(folder: Path, gib: float, layout: str, side: int) -> None:
    """A scan and its mask, tiles of a phantom whose brightness changes from tile to tile."""
    from bone_backend.volumes.header import Header
    from bone_backend.volumes.volume import create
    from mocks.scans import Phantom

    grey, labels = Phantom(shape=BLOCK, seed=7, bits=16).slab(0, BLOCK[0])
    times = (1, side // BLOCK[1], side // BLOCK[2])
    tiles = {"scan": np.tile(grey, times), "mask": np.tile(labels, times)}
    slabs = max(4, round(gib * 2**30 / (side * side * 2 * BLOCK[0])))
    for name, tile in tiles.items():
        shape = (slabs * BLOCK[0], side, side)
        header = Header(name, shape, tile.dtype, voxel_size=(10.0, 10.0, 10.0))
        with create(folder / f"{layout}_{name}.tif", header, compression=LAYOUTS[layout]) as writer:
            for number in range(slabs):
                writer.write(tile + np.uint16(number % 97) if name == "scan" else tile)


def work(folder: Path, candidate: str) -> dict[str, float]:
    """Check the pair, or prepare a fit of it; peak in MiB."""
    what, layout = candidate.split()
    pairs = [[str(folder / f"{layout}_{name}.tif") for name in ("scan", "mask")]]
    watch = Watch()
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        os.environ["BONE_CACHE"] = cache
        if what == "check":
            from bone_backend.checking.check import check_job
            from bone_backend.checking.options import CheckOptions
            from bone_backend.progress import silent

            found = check_job(CheckOptions.parse({"pairs": pairs}), silent)
            assert not found["faults"], found["findings"]
        else:
            prepare(pairs)
    return {"peak_mib": watch.stop()}


def prepare(pairs: list[list[str]]) -> None:
    """What a fit does before it learns: it opens the pairs, unpacks them, counts labels and grey values."""
    from bone_backend.dataset.pairs import open_pairs
    from bone_backend.intensity.asking import ask
    from bone_backend.options.programs import FitOptions
    from bone_backend.progress import silent

    options = FitOptions.parse({"pairs": pairs, "output": "run"})
    opened = open_pairs(options, progress=silent)
    ask([pair.pair.scan for pair in opened.pairs], options.counted_voxels)
    for pair in opened.pairs:
        pair.scan.close()
        pair.mask.close()


class Watch:
    """Looks at the private memory of this process and its children."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._peak, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._done.wait(LOOK_S):
            held = 0.0
            for process in (self._process, *self._process.children(recursive=True)):
                try:
                    held += process.memory_info().rss - getattr(process.memory_info(), "shared", 0)
                except psutil.Error:
                    continue
            self._peak = max(self._peak, held)

    def stop(self) -> float:
        """The peak so far, MiB."""
        self._done.set()
        self._thread.join()
        return self._peak / 2**20


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gib", type=float, default=0.25)
    parser.add_argument("--layouts", nargs="+", choices=[*LAYOUTS], default=[*LAYOUTS])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--candidate")
    parser.add_argument("--data", type=Path)
    add_quick(parser)
    options = parser.parse_args(words)
    if options.candidate:
        measure(lambda: work(options.data, options.candidate))
        return
    gib, side = (0.003, 256) if options.quick else (options.gib, SIDE)
    candidates = [f"{what} {layout}" for layout in options.layouts for what in WORK]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for layout in options.layouts:
            write_pair(Path(folder), gib, layout, side)
        size = sum(
            Path(folder, f"{options.layouts[0]}_{name}.tif").stat().st_size for name in ("scan", "mask")
        )
        samples = alternate(
            "benchmarks.checking",
            candidates,
            arguments=["--data", folder],
            repeats=options.repeats,
            is_quick=options.quick,
        )
    rows = [
        [
            name,
            median_and_range([one.seconds for one in found]),
            median_and_range([gib * 1.5 * 2**30 / 1e6 / one.seconds for one in found]),
            median_and_range([one.result["peak_mib"] for one in found]),
        ]
        for name, found in samples.items()
    ]
    told = f"{size / 1e9:.2f} GB as {options.layouts[0]} files"
    print(f"**C1: a scan of {gib:g} GiB (16 bit) and its mask ({told})**\n")
    print(markdown_table(["what", "s (range)", "MB of voxels a second", "peak private MiB"], rows))
    print(f"\n{machine('numpy')}")


if __name__ == "__main__":
    main()
