"""Label a scan in several passes, of which the mean counts: along z, y and x, by models that differ.

In:  an open scan, and how slices of any direction are predicted.
Out: labels along z, slab by slab.
Greys lie in bricks in the cache folder while it runs, sums in those of the unfinished output (see
`needed_bytes`), so memory does not depend on the number of slices. Probabilities are kept in steps of
passes/65535, so of three passes to 2.3e-5; class 0 is what the others leave.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..dataset.views import are_cubes, turned
from ..errors import OptionError, called
from ..files.json_files import parse_json
from ..files.whole import output_fault, remove
from ..progress import Part, Progress
from ..volumes import bricks
from ..volumes.bricks import Bricks
from ..volumes.header import Header
from ..volumes.kept import Note
from ..volumes.volume import Volume
from .labels import ClassMap
from .merging import Merger
from .windows import Layout, layout

SLAB_BYTES = 64 << 20
SLICES_AT_ONCE = bricks.EDGE  # so that a brick is read and written once in a pass, where there is room
LAYING_OUT = 4  # per cent of the progress


class Turned:
    """A scan seen along one axis: its slices are those along it, their rows and columns the others in order.

    header: its shape is (along, *others).
    """

    def __init__(self, greys: Bricks, header: Header, axis: int):
        self.greys, self._axis = greys, axis
        self.header = replace(header, shape=turned(header.shape, axis))

    def read(self, first: int, last: int, *, out: np.ndarray) -> np.ndarray:
        """Slices first to last (half-open), as a Volume gives them."""
        out[...] = self.greys.read(self._axis, first, last)[:, 0]
        return out


def choose(
    asked: str, fitted: Any, header: Header, *, mode: str, patch: int, model: str
) -> tuple[str, str | None]:
    """Along which axes a scan is labelled ("z" or "zyx"), and why not as was wished, in words.

    asked: "auto", "z" or "zyx". fitted: along which axes the model was. patch: edge of its patches.
    Raises OptionError where zyx was asked for and cannot be.
    """
    if asked == "z" or (asked == "auto" and (fitted != "zyx" or mode == "3D")):
        return "z", None
    if mode == "3D":
        raise OptionError(
            f"{called('axes')} is zyx, but {model} is a 3D model, which sees all axes at once. Leave it out."
        )
    if min(header.shape) < patch:
        edges = " x ".join(map(str, header.shape))
        seen = f"{header.name} has {edges} voxels, and {model} was fitted on patches of {patch} px"
        if asked == "zyx":
            raise OptionError(
                f"{called('axes')} is zyx, but {seen}: slices along y and x are too narrow. "
                f"Use {called('axes')} z."
            )
        return "z", f"{seen}: it is labelled along z only."
    if not are_cubes(header):
        sizes = " x ".join(f"{size:.4g}" for size in header.voxel_size_um or ())
        seen = f"{header.name} has voxels of {sizes} um (z, y, x)"
        if asked == "zyx":
            return "zyx", f"{seen}: slices along y and x look stretched, which the network has not seen."
        return "z", f"{seen}, which are no cubes: it is labelled along z only."
    return "zyx", None


def needed_bytes(header: Header, classes: int, *, axes: str = "zyx") -> int:
    """What the bricks take on the disk while a scan is labelled; its greys are there for y and x only."""
    sums = bricks.needed_bytes(header.shape, np.dtype(np.uint16), channels=classes - 1)
    return sums + (bricks.needed_bytes(header.shape, header.dtype) if axes != "z" else 0)


def lay_out(scan: Volume, greys: Bricks, progress: Progress) -> None:
    """Copy the scan into bricks."""
    for z0, z1 in scan.slabs(SLAB_BYTES):
        progress(z0, scan.header.shape[0], "Laying the scan out for three axes")
        greys.add(0, z0, scan.read(z0, z1)[:, None])


class Means:
    """Sums of class probabilities of several passes, on disk, with a line for each slab that was added.

    weights: how much each pass counts; levels: the steps that the probability 1 has in each.
    folder: where they stay, so that a run that was broken off goes on at `reached`: the number of a pass, and
    the slice along its axis. A slab that was being added then is taken back first.
    """

    def __init__(self, shape: tuple[int, int, int], *, classes: int, weights: Sequence[float], folder: Path):
        most, whole = np.iinfo(np.uint16).max, sum(weights)
        self.levels = [int(most * weight / whole) for weight in weights]
        self._undo, path, sums = folder / "before.raw", folder / "passes.jsonl", folder / "sums.raw"
        if not sums.is_file():
            remove(path)
        kind = np.dtype(np.uint16)
        self._sums = Bricks(shape, kind, channels=classes - 1, folder=folder, kept=sums)
        self.at_once = max(1, SLAB_BYTES // (4 * classes * shape[1] * shape[2]))  # slices of a slab
        self.reached = (0, 0)
        self._journal = path.open("a+b")
        self._go_on()

    def start_of(self, number: int, depth: int) -> int:
        """The slice from which a pass goes on, which has so many slices; depth: it is done."""
        reached, start = self.reached
        return depth if number < reached else start if number == reached else 0

    def _go_on(self) -> None:
        self._journal.seek(0)
        begun = None
        for line in self._journal.read().split(b"\n")[:-1]:
            told = parse_json(line)
            begun = None if told["is_done"] else told
            self.reached = (told["pass"], told["end"] if told["is_done"] else told["first"])
        if begun is not None:
            others = [n for axis, n in enumerate(self._sums.shape) if axis != begun["axis"]]
            shape = (begun["end"] - begun["first"], self._sums.channels, *others)
            before = np.fromfile(self._undo, np.uint16).reshape(shape)
            self._sums.put(begun["axis"], begun["first"], before)
        self._journal.seek(0, os.SEEK_END)

    def __enter__(self) -> Means:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()
        self._sums.__exit__()

    def add(self, number: int, axis: int, first: int, means: torch.Tensor) -> None:
        """Mean probabilities (slice, class, a, b) of a pass, the number-th."""
        self.add_steps(number, axis, first, in_steps(means, self.levels[number]))

    def add_steps(self, number: int, axis: int, first: int, found: np.ndarray) -> None:
        """The same as `in_steps` gives them."""
        told = {"pass": number, "axis": axis, "first": first, "end": first + len(found)}
        try:
            before = self._sums.read(axis, first, first + len(found))
            self._undo.write_bytes(memoryview(before.reshape(-1)).cast("B"))
            self._note({**told, "is_done": False})
            self._sums.add(axis, first, found)
            self._note({**told, "is_done": True})
        except OSError as fault:
            raise output_fault(self._undo, fault, is_kept=True) from fault

    def _note(self, told: dict[str, Any]) -> None:
        self._journal.write(json.dumps(told).encode() + b"\n")
        self._journal.flush()

    def slabs(self) -> Iterator[tuple[int, int, torch.Tensor]]:
        """Slab by slab along z: first and last slice, and the mean over all passes (slice, class, y, x)."""
        depth = self._sums.shape[0]
        for z0 in range(0, depth, self.at_once):
            z1 = min(z0 + self.at_once, depth)
            found = torch.from_numpy(self._sums.read(0, z0, z1).astype(np.float32))
            others = found.div_(sum(self.levels))
            background = (1 - others.sum(dim=1, keepdim=True)).clamp_(min=0)
            yield z0, z1, torch.cat([background, others], dim=1)


def in_steps(means: torch.Tensor, levels: int) -> np.ndarray:
    """Mean probabilities (slice, class, a, b) of all classes but the first, uint16: `levels` is 1."""
    scaled = means[:, 1:].mul(levels).add_(0.5).clamp_(0, levels)
    return scaled.to(torch.int32).cpu().numpy().astype(np.uint16)


class Adding:
    """Takes mean probabilities of a pass, slab by slab in order, and adds them to the sums."""

    def __init__(self, means: Means, number: int, axis: int, first: int):
        self._means, self._number, self._axis, self._next = means, number, axis, first

    def write(self, slab: np.ndarray) -> None:
        """slab: (slice, class, a, b)."""
        self._means.add(self._number, self._axis, self._next, torch.from_numpy(slab))
        self._next += len(slab)


def whole_slices(shape: tuple[int, int, int]) -> Layout:
    """One chunk a slice: nothing is left to merge but what was summed."""
    return layout(shape, (1, shape[1], shape[2]), overlap=0)


def decide(
    means: Means,
    shape: tuple[int, int, int],
    *,
    class_map: ClassMap,
    threshold: float,
    write: Callable[[int, torch.Tensor, torch.Tensor, Note], None],
    progress: Progress,
) -> Merger:
    """Write the labels of the mean probabilities; gives who counted them. write: first slice, labels, the
    probabilities (slice, class, y, x), what was counted.
    """
    merger = Merger(whole_slices(shape), class_map=class_map, depth=means.at_once, threshold=threshold)
    for z0, z1, probabilities in means.slabs():
        progress(z0, shape[0], f"Labelling slice {z0 + 1} of {shape[0]}")
        for z in range(z0, z1):
            merger.add(z, (0, 0), probabilities[z - z0])
        write(z0, merger.take(z1), probabilities, merger.note(z1 - z0))
    return merger


def parts(progress: Progress, count: int) -> list[Part]:
    """The shares of the progress: laying out, each pass, and the decision."""
    each = (100 - 2 * LAYING_OUT) // count
    ends = [0, LAYING_OUT, *(LAYING_OUT + each * (i + 1) for i in range(count)), 100]
    return [Part(progress, first=a, share=b - a, steps=100) for a, b in pairwise(ends)]
