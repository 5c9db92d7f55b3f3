"""What a prediction checks and opens first: models, networks, greys, and how the scan is cut.

In:  PredictOptions, an open scan.
Out: Teams: networks that see the same chunks of the same greys, to be loaded (`backends/loading.py`); or a
     fault in words.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch

from ..dataset.checks import scan_type_fault
from ..errors import ModelFileError, OptionError, ScanError, called
from ..files.names import real
from ..intensity import grey_curve, grey_scale
from ..intensity.asking import ask
from ..intensity.normalisation import NORMALISATIONS, Normalisation, normalisation, scale_notes
from ..intensity.summary import Statistics
from ..machine.device import choose_device, choose_precision, describe, free_bytes
from ..model_files import model_file
from ..model_files.model_file import ModelHeader
from ..networks.build import build_network
from ..networks.folding import fold_batch_norm
from ..networks.fusing import fused
from ..options import catalogue
from ..options.field import AUTO
from ..options.programs import PredictOptions
from ..progress import Part, Progress
from ..volumes.header import Header
from ..volumes.volume import Volume, volume_name
from . import chunk_size, passes, voxel_size
from .backends import int8
from .backends.choosing import MPS
from .backends.int8 import Int8
from .backends.others import OTHERS
from .labels import ClassMap
from .streaming import ChunkPredictor
from .symmetry import symmetries
from .windows import Layout, layout

log = logging.getLogger("bone.prediction")

WIDE = 4  # chunks that are so many times as wide as the patches of the fit deserve a word


@dataclass
class Team:
    """Networks that see the same chunks of the same greys, so that their mean is taken chunk by chunk.

    models: their files, the first stands for all. weights: how much each counts. where: they compute, in
    words. int8: what that changes, where it is asked for.
    """

    numbers: Normalisation
    chunks: Layout
    models: list[ModelHeader] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    predictor: ChunkPredictor | None = None
    where: str = ""
    int8: Int8 | None = None

    @property
    def model(self) -> ModelHeader:
        return self.models[0]

    @property
    def ready(self) -> ChunkPredictor:
        """Its predictor, once it was loaded."""
        assert self.predictor is not None
        return self.predictor


class Place(NamedTuple):
    """Where and how precisely it is computed, the same in words, and the free memory there, bytes."""

    device: torch.device
    precision: torch.dtype | None
    words: str
    free: int


def machine(options: PredictOptions) -> Place:
    """That of this process. Raises HardwareError, or PackageError where the backend wished is missing."""
    device = _device(options)
    if options.is_int8:
        int8.library(otherwise=f"Or use {called('precision')} auto.")
        return Place(device, None, int8.WHERE, free_bytes(device))
    if options.backend in OTHERS:
        OTHERS[options.backend].check(otherwise=f"Or use {called('backend')} torch.")
    precision = None if options.backend == MPS else choose_precision(options.precision, device)
    return Place(device, precision, describe(device, precision), free_bytes(device))


def _device(options: PredictOptions) -> torch.device:
    """OpenVINO and Apple's GPU take from RAM and give to it, whatever else is there."""
    is_anywhere = options.device == AUTO and (options.backend in OTHERS or options.is_int8)
    return choose_device("cpu" if is_anywhere else options.device)


def read_models(options: PredictOptions) -> list[ModelHeader]:
    """The headers of all model files. Raises ModelFileError, OptionError where they do not go together."""
    models = [model_file.read_header(path) for path in (options.model, *options.more_models)]
    first, *others = models
    faults = []
    for other in others:
        mine, theirs = (ClassMap.from_model(m.bone.get("classes"), m.num_classes) for m in (first, other))
        if mine != theirs:
            faults.append(
                f"{first.path.name} knows the classes {_classes(mine)}, {other.path.name} "
                f"{_classes(theirs)}. Only models of the same classes have a mean."
            )
        if told := voxel_size.apart(
            first.bone.get("voxel_size_um"), other.bone.get("voxel_size_um"), mode=first.mode
        ):
            faults.append(
                f"{first.path.name} was fitted on voxels of {told[0]}, {other.path.name} of {told[1]}: no "
                "scan has the right size for both. Leave one out."
            )
    same = {m.bone.get("weights_sha256") or real(m.path) for m in models}
    if len(same) < len(models):
        faults.append("A model is named twice; a mean of two equal ones is the same. Leave one out.")
    if faults:
        raise OptionError(faults)
    return models


def _classes(known: ClassMap) -> str:
    return ", ".join(f"{value} {name}" for value, name in zip(known.values, known.names, strict=True))


def check(options: PredictOptions, scan: Volume, models: Sequence[ModelHeader]) -> None:
    """Refuse what cannot end well, before any work.

    Raises ScanError, ModelFileError or OptionError.
    """
    if fault := scan_type_fault(scan.header.dtype, name=f"scan {options.scan}"):
        raise ScanError(fault)
    for model in models:
        normalisation_mode(options, model)


def cut(
    options: PredictOptions, shape: tuple[int, int, int], model: ModelHeader, *, free: int | None = None
) -> Layout:
    """The chunks of a scan of that shape (z, y, x). free: memory, bytes; None: as much as there is.

    Raises OptionError where the network cannot take chunks of the size asked for.
    """
    multiple = model.spec.multiples
    edge = max(multiple[1:])
    least = max(model.spec.minimum, edge)
    depth = options.chunk_depth if model.mode == "3D" else 1
    network = f"{model.mode} {model.spec.words}"
    sizes = _edges(options, shape, model, depth=depth, free=free)
    size = max(sizes)
    faults = catalogue.size_faults("chunk_size", size, edge, minimum=least, network=network)
    faults += catalogue.size_faults("chunk_depth", depth, multiple[0], minimum=multiple[0], network=network)
    if faults:
        raise OptionError(faults)
    return layout(
        shape,
        (depth, *sizes),
        overlap=options.chunk_overlap,
        multiple=(multiple[0], edge, edge),
        minimum=(multiple[0], least, least),
    )


def _edges(
    options: PredictOptions, shape: tuple[int, int, int], model: ModelHeader, *, depth: int, free: int | None
) -> tuple[int, int]:
    """Of a chunk along y and x."""
    if options.chunk_size is not None:
        return options.chunk_size, options.chunk_size
    edge, patch = max(model.spec.multiples[1:]), patch_of(model)
    least = max(model.spec.minimum, edge)
    free = free_bytes(_device(options)) if free is None else free
    if chunk_size.is_near_sighted(model.spec.plain, patch, mode=model.mode):
        y, x = (
            max(
                least,
                chunk_size.whole(n, multiple=edge, overlap=options.chunk_overlap, free_bytes=free),
            )
            for n in shape[1:]
        )
        return y, x
    size = chunk_size.choose(patch, multiple=edge, least=least, depth=depth, free_bytes=free)
    return size, size


def along(options: PredictOptions, header: Header, models: Sequence[ModelHeader]) -> tuple[str, str | None]:
    """Along which axes slices are labelled, and why not as was wished. Raises OptionError.

    Of several models all do as the first that cannot be used along all three axes.
    """
    told: tuple[str, str | None] = ("zyx", None)
    for model in models:
        fitted = model.bone.get("options")
        axes, why = passes.choose(
            options.axes,
            fitted.get("axes") if isinstance(fitted, dict) else None,
            header,
            mode=model.mode,
            patch=patch_of(model) or max(model.spec.multiples[1:]),
            model=model.path.name,
        )
        if axes == "z":
            return axes, why
        told = (axes, told[1] or why)
    return told


def patch_of(model: ModelHeader) -> int:
    """Edge of the patches of the fit; 0 where the file does not say."""
    patch = model.metadata.get("patch_size")
    return patch if type(patch) is int and patch > 0 else 0


def advise(options: PredictOptions, model: ModelHeader, chunks: Layout) -> None:
    """Say which chunks were chosen, or that those asked for are far wider than the patches of the fit."""
    patch, chunk = patch_of(model), max(chunks.size[1:])
    fitted = f"fitted on patches of {patch} px" if patch else "which does not say its patches"
    if options.chunk_size is None:
        log.info(
            "Chunks of %s px, %d for a tile (model %s).",
            " x ".join(map(str, chunks.size[1:])),
            chunks.per_tile,
            fitted,
        )
    elif 0 < patch * WIDE < chunk:
        log.info(
            "The model was %s and now sees chunks of %d px. If the labels are poor, try --chunk-size auto.",
            fitted,
            chunk,
        )


def normalisation_mode(options: PredictOptions, model: ModelHeader) -> str:
    """Which normalisation the network was fitted with, as its file says, or else the user."""
    told, asked = model.metadata.get("normalization"), options.normalization
    if told in NORMALISATIONS:
        if asked not in (None, told):
            raise OptionError(
                f"{called('normalization')} is {asked}, but {model.path.name} says that it was fitted "
                f"with {told}. Leave it out."
            )
        return str(told)
    if asked is None:
        raise ModelFileError(
            f"{model.path.name} does not say 'normalization', so it is unknown which grey values its "
            f"network expects. If you know it, say --normalization {'|'.join(NORMALISATIONS)}."
        )
    return asked


class Measured(NamedTuple):
    """How the network wants the greys of a scan, the statistics that say so, and what is doubtful of them."""

    numbers: Normalisation
    statistics: Statistics
    doubts: list[str]


def measure(options: PredictOptions, model: ModelHeader, *, progress: Progress) -> Measured:
    """From the scan's statistics, counted by the worker, and from those that the model file keeps."""
    voxels = model.bone.get("statistics_voxels", "nonzero")
    (found,) = ask([options.scan], voxels, progress=progress)
    mode = normalisation_mode(options, model)
    fitted = grey_scale.statistics_of(model.bone.get("statistics"))
    curve, seen = None, found
    if options.grey_curve == AUTO and mode == "tissue":
        curve, seen = grey_curve.seek(options.scan, found, fitted, voxels=voxels)
    made = normalisation(mode, seen, name=f"scan {options.scan}", voxels=voxels, fitted=fitted)
    name = f"Scan {options.scan}" + (f", {curve.words}" if curve else "")
    notes, doubts = scale_notes(mode, seen, name=name, voxels=voxels, fitted=fitted)
    for note in notes:
        log.info("%s", note)
    unlike = grey_scale.advice(seen, fitted, mode=mode, voxels=voxels)
    if curve:
        made = replace(made, power=curve.power, top=curve.top)
        unlike.insert(0, curve.advice())
    return Measured(made, found, [*doubts, *(f"{volume_name(options.scan)}: {told}" for told in unlike)])


def measure_all(
    options: PredictOptions, models: Sequence[ModelHeader], *, progress: Progress
) -> list[Measured]:
    """The same of every model; statistics that two of them share are counted once."""
    count = len(models)
    return [
        measure(options, model, progress=Part(progress, first=number, share=1, steps=count))
        for number, model in enumerate(models)
    ]


def teams_of(
    options: PredictOptions,
    shape: tuple[int, int, int],
    models: Sequence[ModelHeader],
    measured: Sequence[Measured],
    *,
    free: int | None = None,
) -> list[Team]:
    """The models in teams, in their order. free: see `cut`."""
    found: list[Team] = []
    weights = options.model_weights or (1.0,) * len(models)
    for model, known, weight in zip(models, measured, weights, strict=True):
        chunks = cut(options, shape, model, free=free)
        for team in found:
            is_alike = (team.model.mode, team.model.in_channels) == (model.mode, model.in_channels)
            if is_alike and (team.numbers, team.chunks) == (known.numbers, chunks):
                team.models.append(model)
                team.weights.append(weight)
                break
        else:
            found.append(Team(known.numbers, chunks, [model], [weight]))
    return found


def predictor_of(
    options: PredictOptions,
    models: Sequence[ModelHeader],
    weights: Sequence[float],
    *,
    device: torch.device,
    precision: torch.dtype | None,
) -> ChunkPredictor:
    """Their networks, loaded, of which the mean is taken; by torch."""
    is_3d = models[0].mode == "3D"
    first, *others = [load_network(model, device, precision) for model in models]
    return ChunkPredictor(
        first,
        others=others,
        weights=weights,
        ways=symmetries(options.average, is_3d=is_3d),
        device=device,
        precision=precision,
        is_3d=is_3d,
    )


def tell_cost(options: PredictOptions, teams: Sequence[Team], axes: str) -> None:
    """Say which chunks are labelled, and how many times the work of one plain pass is done."""
    for team in teams:
        advise(options, team.model, team.chunks)
    ways = [len(symmetries(options.average, is_3d=team.model.mode == "3D")) for team in teams]
    number = sum(n * len(team.models) for n, team in zip(ways, teams, strict=True)) * len(axes)
    models = sum(len(team.models) for team in teams)
    counting = [f"{weight:g}" for weight in options.model_weights]
    parts = [f"{models} models{' that count ' * bool(counting)}{' to '.join(counting)}"] * (models > 1)
    parts += [f"each chunk seen {max(ways)} ways ({options.average})"] * (max(ways) > 1)
    parts += ["three axes"] * (len(axes) > 1)
    if parts:
        log.info("%s: %d times the work of one pass.", ", ".join(parts).capitalize(), number)


def load_network(model: ModelHeader, device: torch.device, precision: torch.dtype | None) -> torch.nn.Module:
    """The network of a model file on the device, ready for prediction: batch normalisations folded, and on a
    CPU rectifications fused with their convolutions.

    Raises ModelFileError when its weights do not fit its description.
    """
    network, example = folded_network(model)
    if device.type == "cpu" and model.mode != "3D":
        network = fused(network, example, precision)
    return network.to(device)


def folded_network(model: ModelHeader) -> tuple[torch.nn.Module, torch.Tensor]:
    """The network of a model file on the CPU, in float32, batch normalisations folded; and a small input.

    Raises ModelFileError when its weights do not fit its description.
    """
    model_file.check_weights(model)
    network = build_network(model.spec)
    network.load_state_dict(model_file.load_state(model.path, model))
    network = network.eval().requires_grad_(False)
    is_3d = model.mode == "3D"
    depth, *edges = model.spec.multiples
    edge = max(2 * max(edges), model.spec.minimum)
    example = torch.zeros((1, model.in_channels, *((2 * depth, edge, edge) if is_3d else (edge, edge))))
    fold_batch_norm(network, example)
    order = torch.channels_last_3d if is_3d else torch.channels_last
    greys = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
    return network.to(memory_format=order), greys.contiguous(memory_format=order)
