"""Load the networks of a prediction, and decide what computes them.

In:  PredictOptions, Teams, the open scan, what computed the part that is there already.
Out: Teams that are ready, and the Backend.
"auto" is torch unless OpenVINO is installed, or Apple's GPU there, and was measured to be faster here, by
more than it takes to begin: import, translation and comparison are a second or two, in which torch labels a
small scan. What was
measured is remembered for as long as machine, network, size of the chunks and versions stay: no prediction
is computed otherwise the next time because the machine had something else to do. INT8 is OpenVINO's alone,
and is calibrated on the scan each time.
"""

from __future__ import annotations

import logging
import math
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from ... import __version__
from ...errors import OptionError, PackageError, called
from ...machine.device import describe
from ...model_files.header import ModelHeader
from ...networks.fusing import fused
from ...options.field import AUTO
from ...options.programs import PredictOptions
from ...volumes.volume import Volume
from .. import streaming
from ..labels import ClassMap
from ..opening import Team, folded_network, predictor_of
from ..streaming import ChunkPredictor
from ..symmetry import symmetries
from . import choosing, int8, openvino_network, remembered, sampling
from .choosing import OPENVINO, TORCH, Backend, Network, by_torch
from .comparing import compared
from .openvino_network import OpenVinoNetwork
from .others import OTHERS, at_hand
from .remembered import Seconds

log = logging.getLogger("bone.prediction")

# Of a chunk that is measured and compared: voxels along (z, y, x).
MOST_2D, MOST_3D = (1, 512, 512), (32, 128, 128)
BEGUN = "What is there of this prediction was labelled by {title}"
ANEW = f"Or begin it anew, with {called('resume')} off."


class Task(NamedTuple):
    """What all networks of a prediction share. axes: along which the scan is labelled. look: called again and
    again while networks are calibrated, and may raise.
    """

    options: PredictOptions
    scan: Volume
    device: torch.device
    precision: torch.dtype | None
    axes: str
    look: Callable[[], None] = lambda: None


def load_all(task: Task, teams: Sequence[Team], *, begun: Backend | None = None) -> Backend:
    """Load the networks of all teams; gives what computes them.

    begun: what computed the part that is there already, with which "auto" goes on.
    Raises PackageError where what was asked for, or has begun, is missing or cannot do it.
    """
    if task.options.is_int8:
        return _by_int8(task, teams)
    name, why = str(task.options.backend), "as asked for"
    is_auto = name == AUTO
    if is_auto:
        name, why = (begun.name, "as it was begun") if begun else _chosen(task, teams)
    if name != TORCH:
        started = BEGUN.format(title=OTHERS[name].title)
        if is_auto and begun is not None:
            OTHERS[name].check(started, ANEW)
        try:
            return _by_other(name, task, teams, why)
        except PackageError as fault:
            if not is_auto:
                raise PackageError(f"{fault} Use {called('backend')} torch.") from fault
            if begun is not None:
                raise PackageError(f"{started}. {fault} {ANEW}") from fault
            why = str(fault)
    if why:
        log.info("Backend torch: %s.", why.rstrip("."))
    for team in teams:
        team.where = describe(task.device, task.precision)
        team.predictor = predictor_of(
            task.options, team.models, team.weights, device=task.device, precision=task.precision
        )
    return by_torch()


def check_shared(options: PredictOptions, begun: Backend | None) -> None:
    """Workers that share a scan compute by torch. Raises OptionError where another was asked for, or has
    begun.
    """
    told = "which only torch computes. Label it without"
    if options.is_int8:
        raise OptionError(
            f"{called('precision')} is int8, but several workers share the scan, {told} "
            f"{called('cluster')}, or use {called('precision')} auto."
        )
    if options.backend in OTHERS:
        raise OptionError(
            f"{called('backend')} is {options.backend}, but several workers share the scan, {told} "
            f"{called('cluster')}, or use {called('backend')} torch."
        )
    if begun is not None and begun.name in OTHERS:
        started = BEGUN.format(title=OTHERS[begun.name].title)
        raise OptionError(f"{started}, but now several workers share it, {told} {called('cluster')}. {ANEW}")


def _by_other(name: str, task: Task, teams: Sequence[Team], why: str) -> Backend:
    """Each network is compared with torch's on a chunk of the scan, before it is used."""
    other = OTHERS[name]
    other.check()
    backend, told = Backend(name, other.version()), ""
    for team in teams:
        chunk, networks = example(task.scan, team), list[Network]()
        for model in team.models:
            trial = _trial(name, model, task)
            told = _compare(trial, chunk, task, model)
            networks.append(trial.other)
        team.where = other.where(task.precision)
        team.predictor = _predictor(task, team, networks)
    log.info("Backend %s: %s; %s.", backend.words, why, told)
    return backend


def _by_int8(task: Task, teams: Sequence[Team]) -> Backend:
    """Each network is calibrated on chunks of the scan, and its labels of others compared with torch's."""
    for team in teams:
        sample = sampling.drawn(task.scan, team, axes=task.axes, look=task.look)
        batches = [one[None, None] if team.model.mode == "3D" else one[None] for one in sample.calibrating]
        plain, networks = list[Network](), list[Network]()
        for model in team.models:
            network, small = folded_network(model)
            change = partial(int8.quantized, batches=batches, name=model.path.name, look=task.look)
            networks.append(OpenVinoNetwork(network, small, precision=None, change=change))
            plain.append(network)
        team.where, team.predictor = int8.WHERE, _predictor(task, team, networks)
        team.int8 = compared(
            team.predictor,
            _predictor(task, team, plain),
            sample.comparing,
            class_map=ClassMap.from_model(team.model.bone.get("classes"), team.model.num_classes),
            threshold=task.options.confidence_threshold,
            calibrated=len(batches),
            look=task.look,
        )
    found = int8.of_all([team.int8 for team in teams])
    assert found is not None
    backend = Backend(OPENVINO, openvino_network.version(), found.digest)
    log.info(
        "Backend %s: INT8 by NNCF %s, calibrated on %d chunks of the scan.",
        backend.words,
        found.nncf,
        found.calibrated,
    )
    return backend


def _predictor(task: Task, team: Team, networks: Sequence[Network]) -> ChunkPredictor:
    is_3d = team.model.mode == "3D"
    first, *others = networks
    return ChunkPredictor(
        first,
        others=others,
        weights=team.weights,
        ways=symmetries(task.options.average, is_3d=is_3d),
        device=task.device,
        precision=task.precision,
        is_3d=is_3d,
    )


class Trial(NamedTuple):
    """A network three times: in float32 by torch, as torch predicts with it, by another. title: of that."""

    plain: Network
    torch: Network
    other: Network
    title: str


def _trial(name: str, model: ModelHeader, task: Task) -> Trial:
    plain, small = folded_network(model)
    by_other = OTHERS[name].build(plain, small, task.precision)
    own = plain if model.mode == "3D" else fused(plain, small, task.precision)
    return Trial(plain, own, by_other, OTHERS[name].title)


def _chosen(task: Task, teams: Sequence[Team]) -> tuple[str, str]:
    """What "auto" is here, and why; no reason where there is no choice."""
    other = at_hand(task.options)
    if task.device.type != "cpu" or other is None:
        return TORCH, ""
    first = teams[0]
    chunk = example(task.scan, first)
    asked = question(other, first.model, chunk, task.precision)
    found, when = remembered.read(asked), "measured earlier"
    if found is None:
        try:
            seconds = _measured(other, first.model, chunk, task)
        except PackageError as fault:
            return TORCH, str(fault)
        found, when = remembered.keep(asked, seconds), "measured now and remembered"
    if found is None:
        return TORCH, f"what is measured of {OTHERS[other].title} cannot be remembered here"
    is_3d = first.model.mode == "3D"
    ways = len(task.axes) * len(symmetries(task.options.average, is_3d=is_3d))
    chunks = ways * task.scan.header.voxels / math.prod(chunk.shape[2:])
    models = sum(len(team.models) for team in teams)
    title = OTHERS[other].title
    return choosing.verdict(found, other=other, title=title, chunks=chunks, models=models, when=when)


def _measured(other: str, model: ModelHeader, chunk: torch.Tensor, task: Task) -> Seconds:
    began = time.perf_counter()
    trial = _trial(other, model, task)
    _compare(trial, chunk, task, model)
    start = time.perf_counter() - began
    return Seconds(*choosing.measured((trial.torch, trial.other), chunk, task.precision), start)


def _compare(trial: Trial, chunk: torch.Tensor, task: Task, model: ModelHeader) -> str:
    return choosing.agreement(
        trial.other,
        chunk,
        plain=trial.plain,
        own=trial.torch,
        precision=task.precision,
        name=model.path.name,
        title=trial.title,
    )


def _processor() -> str:
    """The name of this CPU, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()} {named[0] if named else platform.processor()}"


def question(
    other: str, model: ModelHeader, chunk: torch.Tensor, precision: torch.dtype | None
) -> dict[str, object]:
    """What it depends on which is faster. other: the one beside torch."""
    return {
        "other": other,
        "network": [model.spec.words, model.mode, model.in_channels, model.num_classes],
        "chunk": list(chunk.shape),
        "precision": str(precision),
        "threads": torch.get_num_threads(),
        "processor": _processor(),
        "versions": [__version__, str(torch.__version__), OTHERS[other].version()],
    }


def example(scan: Volume, team: Team) -> torch.Tensor:
    """Greys from the middle of the scan, as the networks will see them: one chunk, or as much of it as is
    enough to measure.
    """
    layout, is_3d = team.chunks, team.model.mode == "3D"
    groups = streaming.plan_groups(layout, tiles_at_once=1, context=team.model.in_channels // 2)
    middle = groups[len(groups) // 2]
    ((_, raw),) = streaming.read_ahead(scan, [middle], is_3d=is_3d, pin=False)
    slab = streaming.prepare(raw, team.numbers, layout=layout, device=torch.device("cpu"))
    corners = [*layout.corners()]
    y, x = corners[len(corners) // 2]
    most = MOST_3D if is_3d else MOST_2D
    depth, height, width = (min(size, limit) for size, limit in zip(layout.size, most, strict=True))
    depth = depth if is_3d else len(slab)
    y, x = (
        start + (size - length) // 2
        for start, size, length in ((y, layout.y.size, height), (x, layout.x.size, width))
    )
    chunk = slab[:depth, y : y + height, x : x + width]
    batch = chunk[None, None] if is_3d else chunk[None]
    return batch.contiguous(memory_format=torch.channels_last_3d if is_3d else torch.channels_last)
