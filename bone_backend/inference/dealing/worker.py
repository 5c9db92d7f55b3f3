"""What a worker does of a prediction that several share: one slab of one pass.

In:  Work: what all slabs of a pass have in common; which slices.
Out: the labels of these slices and what was counted, or their mean probabilities in steps.
A worker reads the scan and the models by itself, and writes nothing. Networks stay loaded between slabs.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ...errors import HardwareError, ModelFileError, ScanError, called
from ...intensity.normalisation import Normalisation
from ...model_files.model_file import ModelHeader, read_header
from ...options.programs import PredictOptions
from ...progress import Progress
from ...volumes.bricks import Bricks
from ...volumes.header import Header
from ...volumes.kept import Note
from ...volumes.volume import open_volume
from .. import labelling, opening, passes, streaming
from ..labels import ClassMap
from ..opening import Place
from ..streaming import ChunkPredictor, Slices
from ..windows import Layout


@dataclass(frozen=True)
class Networks:
    """Those of a team. models: their files. made: what tells them from others, see `fingerprint`. kind: of
    the device on which all workers compute.
    """

    options: PredictOptions
    models: tuple[Path, ...]
    made: tuple[tuple[str, str], ...]
    weights: tuple[float, ...]
    kind: str


@dataclass(frozen=True)
class Work:
    """A pass. header: of the scan, as it lies on the disk. axis: along which its slices are, 0 for z. greys:
    the scan laid out for three axes, None: read the scan itself. levels: in how many steps probabilities are
    wanted, 0: labels are. least: see `labelling.plan`.
    """

    networks: Networks
    numbers: Normalisation
    chunks: Layout
    header: Header
    batch_size: int
    axis: int = 0
    greys: Path | None = None
    levels: int = 0
    least: int = 1


@dataclass
class Found:
    """values: labels (z, y, x), or steps as `in_steps` gives them. layers: of maps. counts, sure: of these
    slices, see `Note`.
    """

    values: np.ndarray
    layers: list[np.ndarray] = field(default_factory=list)
    counts: np.ndarray | None = None
    sure: list[float] = field(default_factory=list)


class _Ready(NamedTuple):
    model: ModelHeader  # the first, which stands for all
    predictor: ChunkPredictor


class _Collected:
    """Takes labels and what is beside them instead of a file."""

    def __init__(self) -> None:
        self._labels, self._layers = list[np.ndarray](), list[list[np.ndarray]]()
        self._counts: np.ndarray | None = None
        self._sure = list[float]()

    def write(self, labels: np.ndarray) -> None:
        self._labels.append(labels)

    def beside(self, layers: list[np.ndarray], note: Note) -> None:
        self._layers.append(layers)
        self._counts = note.counts
        self._sure += note.sure

    def found(self) -> Found:
        layers = [np.concatenate(parts) for parts in zip(*self._layers, strict=True)]
        return Found(np.concatenate(self._labels), layers, self._counts, self._sure)


def fingerprint(model: ModelHeader) -> tuple[str, str]:
    """Equal for equal models."""
    return model.sha256, str(model.bone.get("weights_sha256"))


def look_around(options: PredictOptions, *, progress: Progress) -> Place:
    """Where this worker computes."""
    progress(0, 1, "Looking at the machine")
    return opening.machine(options)


def batch_size(work: Work, *, progress: Progress) -> int:
    """Chunks in a batch that this worker has room for."""
    progress(0, 1, "Choosing the batch size")
    model, predictor = _ready(work.networks)
    with torch.inference_mode():
        return streaming.choose_batch_size(predictor, work.chunks, channels=model.in_channels)


def slab(work: Work, start: int, end: int, *, progress: Progress) -> Found:
    """Slices start to end of a pass, as one process would make them.

    Raises what a prediction raises; Cancelled when the progress does.
    """
    progress(0, 1, "Loading")
    model, predictor = _ready(work.networks)
    own = work.networks.options.model_copy(update={"batch_size": work.batch_size})
    class_map = ClassMap.from_model(model.bone.get("classes"), model.num_classes)
    groups, merger = labelling.plan(
        own, predictor, chunks=work.chunks, class_map=class_map, model=model, least=work.least
    )
    with _view(work) as view:
        settings: dict[str, Any] = {
            "groups": [group for group in groups if group.finished <= end],
            "merger": merger,
            "numbers": work.numbers,
            "progress": progress,
            "start": start,
        }
        if work.levels:
            steps = list[np.ndarray]()
            labelling.find_means(
                view,
                predictor,
                write=lambda means: steps.append(passes.in_steps(means, work.levels)),
                **settings,
            )
            return Found(np.concatenate(steps))
        taken = _Collected()
        labelling.label(view, taken, predictor, beside=taken.beside, asked=own.maps, **settings)
        return taken.found()


def forget() -> None:
    """Let the networks go."""
    _ready.cache_clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@functools.lru_cache(maxsize=1)
def _ready(networks: Networks) -> _Ready:
    """The networks, loaded."""
    options = networks.options
    models = [read_header(path) for path in networks.models]
    for model, made in zip(models, networks.made, strict=True):
        if fingerprint(model) != made:
            raise ModelFileError(
                f"{model.path}: is another model on a worker than where the prediction was started. All "
                "machines must see the same files."
            )
    place = opening.machine(options)
    if place.device.type != networks.kind:
        raise HardwareError(
            f"One worker computes on {networks.kind}, another on {place.device.type}. Start workers that "
            f"are alike, or use {called('device')} cpu."
        )
    predictor = opening.predictor_of(
        options, models, networks.weights, device=place.device, precision=place.precision
    )
    return _Ready(models[0], predictor)


@contextlib.contextmanager
def _view(work: Work) -> Iterator[Slices]:
    """The slices of the pass."""
    header = work.header
    if work.greys is not None:
        with Bricks.of_others(work.greys, header.shape, header.dtype) as greys:
            yield passes.Turned(greys, header, work.axis)
        return
    with open_volume(work.networks.options.scan) as scan:
        if (scan.header.shape, scan.header.dtype) != (header.shape, header.dtype):
            raise ScanError(
                f"{work.networks.options.scan}: is another scan on a worker than where the prediction was "
                "started. All machines must see the same files."
            )
        yield scan
