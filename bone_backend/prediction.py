"""Label a scan with a fitted model.

In:  PredictOptions: a scan, a model file, where the labels go.
Out: a label volume with the geometry of the scan, and a PredictionResult.
Told once, in the order in which things happen. The scan is normalised by its own statistics, in the model's
mode. Memory holds a few slices and the network, whatever the size of the scan.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .dataset.checks import scan_type_fault
from .errors import ModelFileError, OptionError, ScanError, called
from .inference import agreement, chunk_size, grey_scale, passes, voxel_size
from .inference.labelling import Labelling
from .inference.labels import ClassMap, Confidence
from .inference.streaming import ChunkPredictor
from .inference.windows import Layout, layout
from .intensity.asking import ask
from .intensity.normalisation import NORMALISATIONS, Normalisation, normalisation, scale_notes
from .intensity.summary import Statistics
from .machine.device import choose_device, choose_precision, describe, free_bytes
from .machine.monitor import GIB, Monitor
from .machine.versions import versions
from .model_files import model_file
from .networks.build import build_network
from .networks.folding import fold_batch_norm
from .options import catalogue
from .options.programs import PredictOptions, dump
from .progress import Part, Progress, silent
from .scores import meaning as label_meaning
from .volumes.output import claim
from .volumes.output import prepare as prepare_output
from .volumes.volume import Header, Volume, create, open_volume, volume_name

log = logging.getLogger("bone.prediction")

STATISTICS_SHARE = 5  # per cent of the progress
LOOK_S = 0.2  # between two looks for a stop
WIDE = 4  # chunks that are so many times as wide as the patches of the fit deserve a word


@dataclass(frozen=True)
class PredictionResult:
    """What a prediction gave.

    output: the labels. voxels: of each label value. confidence: see `Confidence.to_dict`. normalisation: mode
    and numbers; greys became (grey - shift) * scale, clipped to low..high. peak_gpu_gib: None on a CPU.
    batch_size: chunks in a step at the end. chunk: their size (z, y, x). axes: along which
    slices were labelled, "z" or "zyx". agreement: of the labels with the scan's own split into two tissues,
    see `Agreement`; None where there is nothing to compare with. warnings: in words.
    """

    output: Path
    seconds: float
    slices: int
    peak_ram_gib: float
    peak_gpu_gib: float | None
    voxels: dict[str, int]
    confidence: dict[str, Any]
    normalisation: dict[str, Any]
    device: str
    batch_size: int
    chunk: tuple[int, int, int]
    axes: str
    agreement: agreement.Agreement | None = None
    warnings: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON values, paths as text."""
        return {
            **asdict(self),
            "output": str(self.output),
            "chunk": list(self.chunk),
            "warnings": list(self.warnings),
        }


def predict(options: PredictOptions, *, progress: Progress = silent) -> PredictionResult:
    """Label a scan; the labels appear under `options.output` when they are whole.

    Raises ModelFileError, ScanError, OptionError, OutputError or HardwareError in the user's words, before
    the work starts where that is possible; Cancelled when a stop was asked for, which leaves nothing behind.
    """
    started = time.perf_counter()
    options.check_paths()
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    model = model_file.read_header(options.model)
    class_map = ClassMap.from_model(model.bone.get("classes"), model.num_classes)

    claimed = claim(options.output, doing="a prediction", look=lambda: progress(0, 100, "Waiting"))
    with claimed, Monitor(device) as monitor, open_volume(options.scan) as scan:
        check(options, scan, model)
        chunks = cut(options, scan.header.shape, model)
        axes, told = along(options, scan.header, model)
        header = replace(scan.header, name=volume_name(options.output), dtype=class_map.dtype)
        prepare_output(options.output, overwrite=options.overwrite, needed_bytes=header.nbytes)

        counting = Part(progress, first=0, share=STATISTICS_SHARE, steps=100)
        measured = measure(options, model, progress=counting)
        bright = agreement.counter(model, measured.statistics.tissues, class_map.dtype)
        network = load_network(model, device)
        predictor = ChunkPredictor(network, device=device, precision=precision, is_3d=model.mode == "3D")
        log.info("Labelling %s on %s.", scan.header.name, describe(device, precision))
        warnings = _warn(scan, model, told, measured.doubts)
        _advise(options, model, chunks)
        labelling = Part(progress, first=STATISTICS_SHARE, share=100 - STATISTICS_SHARE, steps=100)
        with create(options.output, header, overwrite=options.overwrite) as output:
            look = bright.add if bright else None
            work = Labelling(options, predictor, model, class_map, measured.numbers, look)
            if axes == "z":
                counts = work.along_z(scan, output, chunks=chunks, progress=labelling)
            else:
                counts = work.along_all(scan, output, cut=cut, progress=labelling)
            label_meaning.forget_record(options.output)
        confidence = Confidence(class_map, counts)
        found = bright.agreement(confidence.voxels, class_map) if bright else None
        warnings += _doubt(scan, found)

    result = PredictionResult(
        output=options.output,
        seconds=time.perf_counter() - started,
        slices=scan.header.shape[0],
        peak_ram_gib=monitor.figures()["peak_ram_gib"],
        peak_gpu_gib=torch.cuda.max_memory_reserved(device) / GIB if predictor.is_cuda else None,
        voxels=confidence.voxels,
        confidence=confidence.to_dict(),
        normalisation=asdict(measured.numbers),
        device=describe(device, precision),
        batch_size=predictor.batch_size,
        chunk=chunks.size,
        axes=axes,
        agreement=found,
        warnings=warnings,
    )
    label_meaning.write_record(options.output, _record(options, model, class_map, header, result))
    return result


def predict_job(options: PredictOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "predict"."""
    return predict(options, progress=progress).plain()


def check(options: PredictOptions, scan: Volume, model: model_file.ModelHeader) -> None:
    """Refuse what cannot end well, before any work.

    Raises ScanError, ModelFileError or OptionError.
    """
    if fault := scan_type_fault(scan.header.dtype, name=f"scan {options.scan}"):
        raise ScanError(fault)
    _normalisation_mode(options, model)


def cut(options: PredictOptions, shape: tuple[int, int, int], model: model_file.ModelHeader) -> Layout:
    """The chunks of a scan of that shape (z, y, x).

    Raises OptionError where the network cannot take chunks of the size asked for.
    """
    multiple = model.spec.multiples
    edge = max(multiple[1:])
    least = max(model.spec.minimum, edge)
    depth = options.chunk_depth if model.mode == "3D" else 1
    network = f"{model.mode} {model.spec.words}"
    size = options.chunk_size
    if size is None:
        size = chunk_size.choose(
            _patch_of(model),
            multiple=edge,
            least=least,
            depth=depth,
            free_bytes=free_bytes(choose_device(options.device)),
        )
    faults = catalogue.size_faults("chunk_size", size, edge, minimum=least, network=network)
    faults += catalogue.size_faults("chunk_depth", depth, multiple[0], minimum=multiple[0], network=network)
    if faults:
        raise OptionError(faults)
    return layout(
        shape,
        (depth, size, size),
        overlap=options.chunk_overlap,
        multiple=(multiple[0], edge, edge),
        minimum=(multiple[0], least, least),
    )


def along(options: PredictOptions, header: Header, model: model_file.ModelHeader) -> tuple[str, str | None]:
    """Along which axes slices are labelled, and why not as was wished. Raises OptionError."""
    fitted = model.bone.get("options")
    return passes.choose(
        options.axes,
        fitted.get("axes") if isinstance(fitted, dict) else None,
        header,
        mode=model.mode,
        patch=_patch_of(model) or max(model.spec.multiples[1:]),
        model=options.model.name,
    )


def _patch_of(model: model_file.ModelHeader) -> int:
    """Edge of the patches of the fit; 0 where the file does not say."""
    patch = model.metadata.get("patch_size")
    return patch if type(patch) is int and patch > 0 else 0


def _warn(
    scan: Volume, model: model_file.ModelHeader, more: str | None, doubts: Sequence[str]
) -> tuple[str, ...]:
    """Say where scan and model do not go well together."""
    told = voxel_size.advice(model.bone.get("voxel_size_um"), scan.header.voxel_size_um, mode=model.mode)
    told = f"{scan.header.name}: {told}" if told else ""
    seen = [one for one in (told, more, *doubts) if one]
    for warning in seen:
        log.warning("%s", warning)
    return tuple(seen)


def _doubt(scan: Volume, found: agreement.Agreement | None) -> tuple[str, ...]:
    """Say where the labels are not what the grey values show."""
    told = found.warning() if found else ""
    if not told:
        return ()
    log.warning("%s: %s", scan.header.name, told)
    return (f"{scan.header.name}: {told}",)


def _record(
    options: PredictOptions,
    model: model_file.ModelHeader,
    class_map: ClassMap,
    header: Header,
    result: PredictionResult,
) -> dict[str, Any]:
    """What made the labels, as JSON values; where they are scored, their meaning is read from it."""
    fitted = model.bone.get("options")
    fitted = fitted if isinstance(fitted, dict) else {}
    return {
        "shape": list(header.shape),
        "map_labels": fitted.get("map_labels") or [],
        "ignore_label": fitted.get("ignore_label"),
        "classes": [
            {"value": value, "name": name}
            for value, name in zip(class_map.values, class_map.names, strict=True)
        ],
        "model": {"file": model.path.name, "sha256": model.sha256},
        # it will be passed on with the labels
        "options": dump(
            options.model_copy(
                update={name: Path(*value.parts[-2:]) for name, value in options if isinstance(value, Path)}
            )
        ),
        "result": {name: value for name, value in result.plain().items() if name != "output"},
        "voxel_size_um": header.voxel_size_um,
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _advise(options: PredictOptions, model: model_file.ModelHeader, chunks: Layout) -> None:
    """Say which chunks were chosen, or that those asked for are far wider than the patches of the fit."""
    patch, chunk = _patch_of(model), max(chunks.size[1:])
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


def _normalisation_mode(options: PredictOptions, model: model_file.ModelHeader) -> str:
    """Which normalisation the network was fitted with, as its file says, or else the user."""
    told, asked = model.metadata.get("normalization"), options.normalization
    if told in NORMALISATIONS:
        if asked not in (None, told):
            raise OptionError(
                f"{called('normalization')} is {asked}, but {options.model.name} says that it was fitted "
                f"with {told}. Leave it out."
            )
        return str(told)
    if asked is None:
        raise ModelFileError(
            f"{options.model.name} does not say 'normalization', so it is unknown which grey values its "
            f"network expects. If you know it, say --normalization {'|'.join(NORMALISATIONS)}."
        )
    return asked


class Measured(NamedTuple):
    """How the network wants the greys of a scan, the statistics that say so, and what is doubtful of them."""

    numbers: Normalisation
    statistics: Statistics
    doubts: list[str]


def measure(options: PredictOptions, model: model_file.ModelHeader, *, progress: Progress) -> Measured:
    """From the scan's statistics, counted by the worker, and from those that the model file keeps."""
    voxels = model.bone.get("statistics_voxels", "nonzero")
    (found,) = ask([options.scan], voxels, progress=progress)
    mode = _normalisation_mode(options, model)
    made = normalisation(mode, found, name=f"scan {options.scan}", voxels=voxels)
    notes, doubts = scale_notes(mode, found, name=f"Scan {options.scan}", voxels=voxels)
    for note in notes:
        log.info("%s", note)
    fitted = grey_scale.statistics_of(model.bone.get("statistics"))
    unlike = grey_scale.advice(found, fitted, mode=mode, voxels=voxels)
    return Measured(made, found, [*doubts, *(f"{volume_name(options.scan)}: {told}" for told in unlike)])


def load_network(model: model_file.ModelHeader, device: torch.device) -> torch.nn.Module:
    """The network of a model file on the device, ready for prediction, batch normalisations folded.

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
    network = network.to(memory_format=torch.channels_last_3d if is_3d else torch.channels_last)
    return network.to(device)
