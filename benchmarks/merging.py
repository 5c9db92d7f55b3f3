"""P2: merging the chunks of a slice and taking the class of each voxel, against empatches, tiler and MONAI.

In:  nothing, or --slices and --repeats. Run as: python -m benchmarks.merging
Out: a table: milliseconds per slice (median of the repeats, range), ratio, CPU time, agreement.
Chunks are cut from one known probability field by each candidate's own layout, so merging must give back the
labels of that field. Peers: benchmarks/requirements.txt.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
import torch

from benchmarks.sidebyside import (
    add_quick,
    alternate,
    flags,
    installed,
    machine,
    markdown_table,
    measure,
    median_and_range,
    missing_rows,
)

SIZE, CHUNK, OVERLAP, CLASSES, THRESHOLD = 1152, 512, 0.25, 3, 0.5
Work = Callable[[], np.ndarray]  # labels (y, x) of one slice
Field = np.ndarray  # float32 (class, y, x)


def make_field() -> Field:
    """Smooth class probabilities, as a network gives them."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    waves = [np.sin(y / (21 + 8 * c)) * np.cos(x / (34 - 7 * c)) * 4 for c in range(CLASSES)]
    shares = np.exp(np.stack(waves))
    return (shares / shares.sum(axis=0)).astype(np.float32)


def expected(field: Field) -> np.ndarray:
    return np.where(field.max(axis=0) < THRESHOLD, 0, field.argmax(axis=0)).astype(np.uint8)


def bone(field: Field) -> Work:
    """Ours; it counts the confidences besides."""
    from bone_backend.inference.labels import ClassMap
    from bone_backend.inference.merging import Merger
    from bone_backend.inference.windows import layout

    chunks = layout((10**6, SIZE, SIZE), (1, CHUNK, CHUNK), overlap=OVERLAP)
    merger = Merger(chunks, class_map=ClassMap.from_model(None, CLASSES), depth=1, threshold=THRESHOLD)
    corners = list(chunks.corners())
    tensor = torch.from_numpy(field)
    cut = [tensor[:, y : y + CHUNK, x : x + CHUNK].contiguous() for y, x in corners]

    def work() -> np.ndarray:
        for corner, chunk in zip(corners, cut, strict=True):
            merger.add(merger.start, corner, chunk)
        return merger.take(merger.start + 1)[0].numpy()

    return work


def empatches(field: Field) -> Work:
    """As its documentation shows: patches with channels last, mode "avg"."""
    from empatches import EMPatches

    tool = EMPatches()
    cut, indices = tool.extract_patches(np.moveaxis(field, 0, -1), CHUNK, overlap=OVERLAP)
    cut = [np.ascontiguousarray(chunk) for chunk in cut]
    return lambda: take(tool.merge_patches(cut, indices, mode="avg"), axis=-1)


def tiler(field: Field) -> Work:
    """As its documentation shows, uniform weights."""
    import tiler as library

    tool = library.Tiler(
        data_shape=field.shape,
        tile_shape=(CLASSES, CHUNK, CHUNK),
        overlap=(0, CHUNK // 4, CHUNK // 4),
        channel_dimension=0,
    )
    cut = [(i, np.ascontiguousarray(chunk)) for i, chunk in tool(field)]

    def work() -> np.ndarray:
        merger = library.Merger(tool, window="boxcar")
        for i, chunk in cut:
            merger.add(i, chunk)
        return take(merger.merge(unpad=True), axis=0)

    return work


def monai(field: Field) -> Work:
    """sliding_window_inference whose network is a lookup; its cutting of the input is part of it."""
    from monai.inferers import sliding_window_inference

    starts = [(y, x) for y in (0, 384, 640) for x in (0, 384, 640)]
    tensor = torch.from_numpy(field)
    cut = torch.stack([tensor[:, y : y + CHUNK, x : x + CHUNK] for y, x in starts])
    scan = torch.zeros(1, 1, SIZE, SIZE)

    def work() -> np.ndarray:
        merged = sliding_window_inference(
            scan, (CHUNK, CHUNK), len(cut), lambda _: cut, overlap=OVERLAP, mode="constant"
        )
        highest, labels = merged[0].max(dim=0)
        labels[highest < THRESHOLD] = 0
        return labels.to(torch.uint8).numpy()

    return work


def take(merged: np.ndarray, *, axis: int) -> np.ndarray:
    """Highest class, below the threshold 0, as a user of numpy writes it."""
    labels = merged.argmax(axis=axis).astype(np.uint8)
    labels[merged.max(axis=axis) < THRESHOLD] = 0
    return labels


CANDIDATES = {"empatches": empatches, "tiler": tiler, "MONAI": monai, "BONe": bone}
PACKAGES = {"empatches": "empatches", "tiler": "tiler", "MONAI": "monai", "BONe": "torch"}


def merge_slices(candidate: str, slices: int) -> None:
    """Measure one candidate in this process; the result is its agreement with the field's labels."""
    field = make_field()
    work = CANDIDATES[candidate](field)
    agreement = float((work() == expected(field)).mean())

    def all_slices() -> float:
        for _ in range(slices):
            work()
        return agreement

    measure(all_slices)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--candidate", help=argparse.SUPPRESS)
    add_quick(parser)
    given = parser.parse_args(words)
    if given.quick:
        given.slices = given.repeats = 1
    if given.candidate:
        merge_slices(given.candidate, given.slices)
        return
    names = installed(PACKAGES)
    print(machine("numpy", *(PACKAGES[name] for name in names)))
    print(flags())
    print(f"{SIZE} x {SIZE}, {CLASSES} classes, chunks of {CHUNK}, overlap {OVERLAP:.0%}")
    print(f"{torch.get_num_threads()} threads, {given.repeats} repeats of {given.slices} slices", end="\n\n")
    samples = alternate(
        "benchmarks.merging",
        names,
        arguments=["--slices", str(given.slices)],
        repeats=given.repeats,
        is_quick=given.quick,
    )
    ours = median(sample.seconds for sample in samples["BONe"])
    rows = [
        [
            name,
            median_and_range([1000 * sample.seconds / given.slices for sample in samples[name]]),
            f"{median(sample.seconds for sample in samples[name]) / ours:.1f}",
            median_and_range([1000 * sample.cpu_seconds / given.slices for sample in samples[name]]),
            f"{samples[name][0].result:.5f}",
        ]
        for name in names
    ]
    header = [
        "by",
        "ms per slice (range)",
        "BONe is times as fast",
        "CPU ms per slice",
        "labels as in the field",
    ]
    print(markdown_table(header, rows + missing_rows(PACKAGES, 4)))


if __name__ == "__main__":
    main()
