"""Label a few whole slices of the validation scans with the best model, to look at.

In:  a fit whose network holds the best model.
Out: an Example for each slice: scan, reference, prediction and errors from border to border.
A slice is cut into overlapping windows and merged as in a prediction. One slice of probabilities is held at a
time, in 3D with the slab of raw slices that its windows see.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..dataset.checks import Labels
from ..dataset.contents import Contents
from ..inference import streaming
from ..inference.labels import ClassMap
from ..inference.merging import Merger
from ..inference.streaming import ChunkPredictor, Group
from ..inference.windows import Axis, Layout, layout, mirror
from ..intensity.normalisation import Normalisation
from ..machine.stopping import interruptible
from ..progress import Progress
from ..scores import metrics
from ..training.loop import Training
from .example import LARGEST_SLICE, Example, make_example

SLICES = 3
LARGEST_WINDOW, OVERLAP = 512, 0.25  # px; share: those of a prediction
LOOK_S = 0.2  # between two looks for a stop


def choose_slices(contents: Mapping[int, Contents], count: int = SLICES) -> list[tuple[int, int]]:
    """(scan, slice) of `count` slices, from the scans in turn, spread over those that hold a labelled voxel.

    contents: of the validation scans by number. Slices of which nothing counts are never chosen.
    """
    labelled = {}
    for scan, held in contents.items():
        shows_more, counts = held.counts[:, 1:].sum(axis=1) > 0, held.counts.sum(axis=1) > 0
        found = np.flatnonzero(shows_more if shows_more.any() else counts)
        if len(found):
            labelled[scan] = found
    shares = Counter(itertools.islice(itertools.cycle(labelled), count if labelled else 0))
    chosen = []
    for scan, share in sorted(shares.items()):
        places = ((np.arange(share) + 0.5) / share * len(labelled[scan])).astype(np.int64)
        chosen += [(scan, int(z)) for z in np.unique(labelled[scan][places])]
    return chosen


def label_slices(
    training: Training,
    chosen: Sequence[tuple[int, int]],
    *,
    labels: Labels,
    names: Sequence[str],
    windows: Sequence[tuple[float, float]],
    firsts: Sequence[int],
    multiple: tuple[int, int, int],
    progress: Progress,
) -> list[Example]:
    """Examples of whole slices.

    chosen: (view, slice). Of all views: names, the grey values shown as black and white, which slice of the
    scan is the first. multiple: of which the network's windows must be. Raises Cancelled when `progress`
    does.
    """
    cutter = _Cutter(training, multiple)
    training.step.network.eval()
    found = []
    for number, (scan, z) in enumerate(chosen):

        def tell(done: int, steps: int, number: int = number) -> None:
            progress(number * steps + done, len(chosen) * steps, "Labelling whole slices")

        source = training.loader.pairs[scan]
        prediction = cutter.label(scan, z, tell=tell)
        reference = labels.table[source.mask.read_slice(z).astype(np.int64)]
        counted = reference >= 0
        counts = metrics.counts(reference[counted], prediction[counted], labels.num_classes)
        found.append(
            make_example(
                "slice",
                names[scan],
                (firsts[scan] + z, 0, 0),
                counts,
                grey=source.scan.read_slice(z),
                window=windows[scan],
                reference=reference,
                prediction=prediction,
                largest=LARGEST_SLICE,
            )
        )
    return found


def window_size(patch: int, *, is_3d: bool, multiple: int) -> int:
    """Edge of the windows: twice the fit's patches, so that few are needed.

    In 3D that of the patches themselves, whose memory the fit has had.

    >>> window_size(64, is_3d=False, multiple=32), window_size(448, is_3d=False, multiple=14)
    (128, 504)
    """
    if is_3d:
        return patch
    return max(patch, min(LARGEST_WINDOW, 2 * patch) // multiple * multiple)


class _Cutter:
    """Labels slices with the network of a fit."""

    def __init__(self, training: Training, multiple: tuple[int, int, int]):
        self.training = training
        self.multiple = (multiple[0], max(multiple[1:]), max(multiple[1:]))
        step, shape = training.step, training.layout
        self.depth = shape.patch.z
        self.context = 0 if shape.is_3d else shape.channels // 2
        self.predictor = ChunkPredictor(
            step.network, device=training.device, precision=step.precision, is_3d=shape.is_3d
        )

    def label(self, scan: int, z: int, *, tell: Callable[[int, int], None]) -> np.ndarray:
        """Class indices uint8 (y, x) of slice z. tell: called with windows done, and in all."""
        source, device = self.training.loader.pairs[scan].scan, self.training.device
        slices, height, width = source.header.shape
        first = min(max(z - self.depth // 2, 0), max(slices - self.depth, 0))
        patch = self.training.layout.patch
        edge = window_size(patch.y, is_3d=self.predictor.is_3d, multiple=self.multiple[1])
        cut = layout(
            (self.depth, height, width),
            (self.depth, edge, edge),
            overlap=OVERLAP,
            multiple=self.multiple,
            minimum=(self.depth, patch.y, patch.x),
        )
        group = Group((0,), -self.context, self.depth + self.context, 1)
        slab = streaming.prepare(self._raw(scan, first), self._numbers(scan), layout=cut, device=device)
        kept = _OneSlice.of(cut, z - first, classes=self.training.num_classes, device=device)
        done, looked = 0, time.monotonic()

        def look() -> None:
            nonlocal looked
            if time.monotonic() - looked > LOOK_S:
                looked = time.monotonic()
                tell(done, cut.per_tile)

        def after_batch() -> None:
            nonlocal done
            done += 1  # the predictor's batches are of one window
            look()

        network, is_cpu = self.training.step.network, device.type == "cpu"
        with torch.inference_mode(), interruptible(network, look) if is_cpu else contextlib.nullcontext():
            self.predictor.predict(slab, group, merger=kept, after_batch=after_batch)
        return kept.merger.take(1)[0].cpu().numpy()

    def _raw(self, scan: int, first: int) -> torch.Tensor:
        """The raw slices that the windows see, beyond the scan reflected in 3D, else repeated."""
        source = self.training.loader.pairs[scan].scan
        slices = source.header.shape[0]
        wanted = np.arange(first - self.context, first + self.depth + self.context)
        places = mirror(wanted, slices) if self.predictor.is_3d else wanted.clip(0, slices - 1)
        least = int(places.min())
        held = np.empty((int(places.max()) - least + 1, *source.header.shape[1:]), source.header.dtype)
        source.read_patch(least, 0, 0, out=held)
        return torch.from_numpy(held if len(held) == len(places) else held[places - least])

    def _numbers(self, scan: int) -> Normalisation:
        numbers = self.training.numbers
        return Normalisation(
            self.training.options.normalization,
            float(numbers.shift[scan]),
            float(numbers.scale[scan]),
            numbers.low,
            numbers.high,
        )


@dataclass(frozen=True)
class _OneSlice:
    """Keeps one slice of every window. layout: of the windows. at: number of the slice in them."""

    layout: Layout
    at: int
    merger: Merger

    @classmethod
    def of(cls, cut: Layout, at: int, *, classes: int, device: torch.device) -> _OneSlice:
        flat = Layout(Axis(1, 1, (0,)), cut.y, cut.x)
        plain = ClassMap(tuple(range(classes)), ("",) * classes)
        return cls(cut, at, Merger(flat, class_map=plain, depth=1, threshold=0.0, device=device))

    def add(self, _z: int, corner: tuple[int, int], probabilities: torch.Tensor) -> None:
        """Add the slice of the window whose first voxel is at `corner`."""
        is_slab = probabilities.ndim == 4
        self.merger.add(0, corner, probabilities[:, self.at] if is_slab else probabilities)
