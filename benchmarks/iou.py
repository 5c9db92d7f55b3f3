"""I1 and I2: IoU of two label volumes against torchmetrics, scikit-learn and numpy, in RAM and from TIFF.

In:  nothing, or --slices, --repeats, --clock. Run as: python -m benchmarks.iou
Out: two tables: voxels per second (median of the repeats, range), peak private memory above imports, ratios.
Every candidate must find the same intersections and unions, as integers. Peers get whole volumes, as they
come; torchmetrics also slice by slice, and without its validation of arguments, which is its fastest. Files
are in the page cache. On a busy machine --clock cpu takes processor seconds of one thread each.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tifffile

from benchmarks.sidebyside import (
    add_quick,
    alternate,
    installed,
    machine,
    markdown_table,
    measure,
    median_and_range,
    missing_rows,
)

SIZE, CLASSES = 1152, 3
REFERENCE, PREDICTION = "reference", "prediction"
Pairs = Iterator[tuple[np.ndarray, np.ndarray]]
Answer = list[list[int]]  # intersections, unions


def write_data(folder: Path, slices: int, size: int) -> None:
    """A phantom mask, and the same with a one-voxel shift in 40 % of its blocks, as TIFF folders and .npy.

    Two slices of each are in a folder of their own.
    """
    from bone_backend.volumes.volume import save
    from mocks.scans import Phantom

    phantom = Phantom(shape=(slices, size, size), seed=1)
    reference = np.concatenate([labels for _, labels in phantom.slabs()])
    blocks = np.random.default_rng(0).random((slices, size // 32, size // 32)) < 0.4
    moved = np.repeat(np.repeat(blocks, 32, axis=1), 32, axis=2)[:, 1:]
    prediction = reference.copy()
    prediction[:, 1:][moved] = reference[:, :-1][moved]
    for name, labels in ((REFERENCE, reference), (PREDICTION, prediction)):
        for part, some in (("data", labels), ("small", labels[:2])):
            save(folder / part / name, some)
            np.save(folder / part / f"{name}.npy", some)


def lengthen(folder: Path, longer: Path, times: int) -> None:
    """A folder with every slice several times, as links."""
    for name in (REFERENCE, PREDICTION):
        (longer / name).mkdir(parents=True)
        files = sorted((folder / name).glob("*.tif*"))
        for number in range(times * len(files)):
            os.link(files[number % len(files)], longer / name / f"slice_{number:05d}.tif")


def slices_of(folder: Path) -> Pairs:
    """Slice by slice with tifffile, as the peers' users do."""
    for pair in zip(
        *(sorted((folder / name).glob("*.tif*")) for name in (REFERENCE, PREDICTION)), strict=True
    ):
        yield tifffile.imread(pair[0]), tifffile.imread(pair[1])


def from_table(table: np.ndarray) -> Answer:
    hits = table.diagonal()
    return [hits.tolist(), (table.sum(0) + table.sum(1) - hits).tolist()]


def torchmetrics_iou(pairs: Pairs, *, validate: bool = True) -> Answer:
    import torch
    from torchmetrics.classification import MulticlassJaccardIndex

    metric = MulticlassJaccardIndex(CLASSES, average=None, validate_args=validate)
    for reference, prediction in pairs:
        metric.update(torch.from_numpy(prediction), torch.from_numpy(reference))
    metric.compute()
    return from_table(metric.confmat.numpy())


def sklearn_iou(pairs: Pairs) -> Answer:
    from sklearn.metrics import confusion_matrix

    return from_table(
        sum(
            confusion_matrix(reference.ravel(), prediction.ravel(), labels=range(CLASSES))
            for reference, prediction in pairs
        )
    )


def numpy_iou(pairs: Pairs) -> Answer:
    hits, unions = np.zeros(CLASSES, np.int64), np.zeros(CLASSES, np.int64)
    for reference, prediction in pairs:
        for value in range(CLASSES):
            left, right = reference == value, prediction == value
            hits[value] += np.logical_and(left, right).sum()
            unions[value] += np.logical_or(left, right).sum()
    return [hits.tolist(), unions.tolist()]


def bone_iou(reference: Any, prediction: Any) -> Answer:
    from bone_backend.comparison import compare

    return from_table(compare(reference, prediction).confusion)


PACKAGES = {
    "torchmetrics": "torchmetrics",
    "torchmetrics, slice by slice": "torchmetrics",
    "torchmetrics, slice by slice, unvalidated": "torchmetrics",
    "scikit-learn": "sklearn",
    "numpy": "numpy",
}
# name -> (function, whether it gets the volumes slice by slice)
PEERS: dict[str, tuple[Callable[[Pairs], Answer], bool]] = {
    "torchmetrics": (torchmetrics_iou, False),
    "torchmetrics, slice by slice": (torchmetrics_iou, True),
    "torchmetrics, slice by slice, unvalidated": (
        lambda pairs: torchmetrics_iou(pairs, validate=False),
        True,
    ),
    "scikit-learn": (sklearn_iou, False),
    "numpy": (numpy_iou, False),
}
OURS = "BONe"


def work_of(candidate: str, source: str, folder: Path) -> Callable[[], Answer]:
    """What is measured: counting arrays that are in memory; or opening, reading and counting folders."""
    names = (REFERENCE, PREDICTION)
    if source == "TIFF":
        if candidate == OURS:
            return lambda: bone_iou(*(folder / name for name in names))
        count, by_slice = PEERS[candidate]
        if by_slice:
            return lambda: count(slices_of(folder))
        return lambda: count(iter([tuple(np.stack(side) for side in zip(*slices_of(folder), strict=True))]))
    arrays = [np.load(folder / f"{name}.npy") for name in names]
    if candidate == OURS:
        from bone_backend.volumes.array import ArrayVolume

        return lambda: bone_iou(*(ArrayVolume(array) for array in arrays))
    count, by_slice = PEERS[candidate]
    return lambda: count(zip(*arrays, strict=True) if by_slice else iter([tuple(arrays)]))


def measure_candidate(candidate: str, source: str, folder: Path, *, watch_memory: bool) -> None:
    """One measurement in this process, after a small one that imports what is needed."""
    work_of(candidate, source, folder / "small")()
    measure(work_of(candidate, source, folder / "data"), watch_memory=watch_memory)


def rows_of(
    source: str, folder: Path, *, voxels: int, repeats: int, clock: str, is_quick: bool
) -> list[list[str]]:
    names = [*installed(PACKAGES), OURS]
    common = ["--source", source, "--data", str(folder)]
    threads = 1 if clock == "cpu" else None
    samples = alternate(
        "benchmarks.iou",
        names,
        arguments=common,
        first=["--watch-memory"],
        repeats=repeats,
        threads=threads,
        is_quick=is_quick,
    )
    expected = samples[OURS][0].result
    times = {}
    for name in names:
        if any(sample.result != expected for sample in samples[name]):
            raise SystemExit(f"{name} counts differently: {samples[name][0].result} is not {expected}")
        times[name] = [sample.cpu_seconds if clock == "cpu" else sample.seconds for sample in samples[name]]
    return [
        [
            source,
            name,
            median_and_range([voxels / seconds / 1e6 for seconds in times[name]]),
            f"{samples[name][0].peak_mib:.1f}",
            f"{median(times[name]) / median(times[OURS]):.1f}",
        ]
        for name in names
    ] + [[source, *row] for row in missing_rows(PACKAGES, 3)]


def growth_rows(folder: Path, slices: int, *, is_quick: bool) -> list[list[str]]:
    """Memory and time of BONe on the same slices once and several times."""
    rows = []
    for times in (1, 4, 16):
        longer = folder / f"times{times}" / "data"
        lengthen(folder / "data", longer, times)
        (longer.parent / "small").symlink_to(folder / "small", target_is_directory=True)
        common = ["--source", "TIFF", "--data", str(longer.parent)]
        (sample,) = alternate(
            "benchmarks.iou", [OURS], arguments=common, first=["--watch-memory"], repeats=1, is_quick=is_quick
        )[OURS]
        rows.append([str(times * slices), f"{sample.peak_mib:.1f}", f"{sample.seconds:.3f}"])
    return rows


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    for hidden in ("--candidate", "--source"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--watch-memory", action="store_true", help=argparse.SUPPRESS)
    add_quick(parser)
    given = parser.parse_args(words)
    if given.candidate:
        measure_candidate(given.candidate, given.source, given.data, watch_memory=given.watch_memory)
        return
    size = SIZE
    if given.quick:
        given.slices, given.repeats, size = 8, 1, 96
    names = {"torchmetrics": "torchmetrics", "scikit-learn": "sklearn"}
    print(machine("numpy", "torch", *installed(names), "tifffile"))
    clock = "seconds" if given.clock == "wall" else "processor seconds of one thread"
    print(
        f"{given.slices} slices of {size} x {size} uint8, {CLASSES} classes, {given.repeats} repeats; "
        f"{clock}\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder, given.slices, size)
        voxels = given.slices * size**2
        rows = []
        for source in ("RAM", "TIFF"):
            rows += rows_of(
                source,
                folder,
                voxels=voxels,
                repeats=given.repeats,
                clock=given.clock,
                is_quick=given.quick,
            )
        header = [
            "from",
            "by",
            "million voxels per second (range)",
            "peak MiB above imports",
            "BONe is times as fast",
        ]
        print(markdown_table(header, rows), end="\n\n")
        print(
            markdown_table(
                ["slices (TIFF)", "peak MiB of BONe", "seconds"],
                growth_rows(folder, given.slices, is_quick=given.quick),
            )
        )


if __name__ == "__main__":
    main()
