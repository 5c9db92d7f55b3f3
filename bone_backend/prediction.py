"""Label a scan with a fitted model.

In:  PredictOptions: a scan, a model file, where the labels go.
Out: a label volume with the geometry of the scan, and a PredictionResult.
Told once, in the order in which things happen. The scan is normalised by its own statistics, in the model's
mode. Memory holds a few slices and the network, whatever the size of the scan.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .inference import agreement, opening, voxel_size, writing
from .inference.backends import loading
from .inference.backends.choosing import Backend
from .inference.backends.int8 import Int8, of_all
from .inference.dealing import head
from .inference.dealing.crew import Crew
from .inference.labels import ClassMap
from .inference.maps import path_of
from .inference.record import of_scan, record
from .inference.rescaling import model_grid
from .machine.monitor import GIB, Monitor
from .model_files.header import ModelHeader
from .options.programs import PredictOptions
from .progress import Part, Progress, silent
from .volumes.output import claim
from .volumes.volume import Volume, open_volume, volume_name

log = logging.getLogger("bone.prediction")

STATISTICS_SHARE = 5  # per cent of the progress


@dataclass(frozen=True)
class PredictionResult:
    """What a prediction gave.

    output: the labels. voxels: of each label value. confidence: see `Confidence.to_dict`. normalisation: mode
    and numbers, see `Normalisation`. peak_gpu_gib: None on a CPU.
    batch_size: chunks in a step at the end. chunk: their size (z, y, x). axes: along which slices were
    labelled, "z" or "zyx". backend: what computed the network, "torch" or "openvino", and its version.
    average: how often each chunk was seen, see the option. models: of how many the mean was taken. cleaning:
    of each step, in their order, how many voxels it has changed; voxels are counted after it, confidence and
    agreement before. maps: paths of what was written beside the labels. agreement: of the labels with the
    scan's own split into two tissues, see `Agreement`; None where there is nothing to compare with. int8: how
    far its labels are from fp32's, None in other precisions. warnings: in words. Memory is that of this
    process, also where a crew computed.
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
    backend: str
    backend_version: str
    average: str = "none"
    models: int = 1
    cleaning: tuple[dict[str, Any], ...] = ()
    maps: tuple[str, ...] = ()
    agreement: agreement.Agreement | None = None
    int8: Int8 | None = None
    warnings: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON values, paths as text."""
        return {
            **asdict(self),
            "output": str(self.output),
            "chunk": list(self.chunk),
            "cleaning": list(self.cleaning),
            "maps": list(self.maps),
            "warnings": list(self.warnings),
        }


def predict(
    options: PredictOptions, *, progress: Progress = silent, crew: Crew | None = None
) -> PredictionResult:
    """Label a scan; the labels appear under `options.output` when they are whole. crew: workers that compute
    in place of this process.

    Raises ModelFileError, ScanError, OptionError, OutputError or HardwareError in the user's words, before
    the work starts where that is possible; Cancelled when a stop was asked for: what is finished is kept
    beside the output, and the same prediction goes on there.
    """
    if options.resample:
        writing.check_paths(options)
        found: PredictionResult = model_grid.label_on_model_grid(
            options, partial(_label, crew=crew), are_several=crew is not None, progress=progress
        )
        return found
    return _label(options, progress=progress, crew=crew)


def _label(options: PredictOptions, *, progress: Progress, crew: Crew | None) -> PredictionResult:
    """The story, on the voxels of the scan as it lies on the disk."""
    started = time.perf_counter()
    writing.check_paths(options)
    place = _place(options, crew, progress)
    device = torch.device("cpu") if crew else place.device  # of this process
    models = opening.read_models(options)
    class_map = ClassMap.from_model(models[0].bone.get("classes"), models[0].num_classes)

    claimed = claim(options.output, doing="a prediction", look=lambda: progress(0, 100, "Waiting"))
    with claimed, Monitor(device) as monitor, open_volume(options.scan) as scan:
        if options.voxel_size is not None:
            scan.header = scan.header.with_voxel_size_um(options.voxel_size)
        opening.check(options, scan, models)
        axes, why = opening.along(options, scan.header, models)
        header = class_map.header(scan.header, volume_name(options.output))
        plan = writing.plan(options, class_map, header, axes)

        known = of_scan(scan, options.scan, progress=Part(progress, first=0, share=1, steps=100))
        counting = Part(progress, first=1, share=STATISTICS_SHARE - 1, steps=100)
        measured = opening.measure_all(options, models, progress=counting)
        free = place.free if crew else None
        teams = opening.teams_of(options, scan.header.shape, models, measured, free=free)
        bright = agreement.counter(models[0], measured[0].statistics.tissues, class_map.dtype)
        backend = _load(plan, scan, teams, place, crew, progress)
        log.info("Labelling %s on %s, by %s.", scan.header.name, teams[0].where, backend.words)
        warnings = _warn(scan, models, why, measured, teams)
        opening.tell_cost(options, teams, axes)
        rest = Part(progress, first=STATISTICS_SHARE, share=100 - STATISTICS_SHARE, steps=100)
        more: dict[str, Any] = {"look": bright.add if bright else None, "crew": crew, "place": place}
        written = writing.write(plan, teams, scan, backend=backend, progress=rest, **more)
        found = bright.agreement(written.confidence.voxels, class_map) if bright else None
        warnings += _doubt(scan, found, class_map, written.voxels)

    result = PredictionResult(
        output=options.output,
        seconds=time.perf_counter() - started,
        slices=scan.header.shape[0],
        peak_ram_gib=monitor.figures()["peak_ram_gib"],
        peak_gpu_gib=torch.cuda.max_memory_reserved(device) / GIB if device.type == "cuda" else None,
        voxels=written.voxels,
        confidence=written.confidence.to_dict(),
        normalisation=asdict(measured[0].numbers),
        device=teams[0].where,
        backend=backend.name,
        backend_version=backend.version,
        batch_size=teams[0].ready.batch_size,
        chunk=teams[0].chunks.size,
        axes=axes,
        average=options.average,
        models=len(models),
        cleaning=written.cleaning,
        maps=tuple(str(path_of(options.output, name)) for name in plan.names),
        agreement=found,
        int8=of_all([team.int8 for team in teams]),
        warnings=warnings,
    )
    plain, sha256 = result.plain(), written.sha256
    written.record(record(options, models, class_map, header, plain, scan=known, labels_sha256=sha256))
    return result


def _place(options: PredictOptions, crew: Crew | None, progress: Progress) -> opening.Place:
    """Where it is computed."""
    if crew is None:
        return opening.machine(options)
    loading.check_shared(options, None)
    return head.place_of(crew, options, progress)


def predict_job(options: PredictOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "predict"."""
    return predict(options, progress=progress).plain()


def _load(
    plan: writing.Plan,
    scan: Volume,
    teams: Sequence[opening.Team],
    place: opening.Place,
    crew: Crew | None,
    progress: Progress,
) -> Backend:
    """The networks, where they are used; gives what computes them."""
    begun = writing.begun_by(plan, teams, scan, place.words)
    if crew is None:
        look = partial(progress, STATISTICS_SHARE, 100, "Calibrating INT8 on the scan")
        task = loading.Task(plan.options, scan, place.device, place.precision, plan.axes, look)
        return loading.load_all(task, teams, begun=begun)
    loading.check_shared(plan.options, begun)
    head.leave_to(teams, place)
    log.info("%d workers of the cluster compute.", crew.workers)
    return loading.by_torch()


def _warn(
    scan: Volume,
    models: Sequence[ModelHeader],
    more: str | None,
    measured: Sequence[opening.Measured],
    teams: Sequence[opening.Team],
) -> tuple[str, ...]:
    """Say where scan and models do not go well together, and what INT8 changes."""
    approximate = of_all([team.int8 for team in teams])
    seen: list[str] = []
    for model, known in zip(models, measured, strict=True):
        told = voxel_size.advice(model.bone.get("voxel_size_um"), scan.header.voxel_size_um, mode=model.mode)
        told = f"{scan.header.name}: {told}" if told else ""
        seen += [one for one in (told, more, *known.doubts) if one]
    seen += [f"{scan.header.name}: {approximate.warning()}"] if approximate else []
    seen = list(dict.fromkeys(seen))
    for warning in seen:
        log.warning("%s", warning)
    return tuple(seen)


def _doubt(
    scan: Volume, found: agreement.Agreement | None, class_map: ClassMap, voxels: Mapping[str, int]
) -> tuple[str, ...]:
    """Say where the labels are not what the grey values show, and which class is not there at all."""
    told = [found.warning()] if found else []
    absent = [
        f"{value} {name}"
        for value, name in zip(class_map.values, class_map.names, strict=True)
        if value and not voxels.get(str(value))
    ]
    if absent:
        told.append(f"nothing is labelled {' or '.join(absent)}, which the model knows.")
    seen = tuple(f"{scan.header.name}: {one}" for one in told if one)
    for warning in seen:
        log.warning("%s", warning)
    return seen
