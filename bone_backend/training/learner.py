"""Build what learns: the network before its first step, the step that changes it, the loop over the epochs.

In:  the data of a fit, and the processes that fit it.
Out: a Learner, ready for its first step.
Everything random is drawn from the seed in the order in which it stands here: another order is another fit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..dataset.checks import IGNORED
from ..dataset.loader import PatchLayout
from ..dataset.plan import PatchShape
from ..errors import Fault, OptionError, called
from ..model_files import model_file
from ..networks.build import build_network
from ..networks.spec import NetworkSpec
from ..networks.transfer import initialise
from ..options import catalogue
from ..options.fit import SettledFit
from .distributed import World, smallest_share
from .loop import Training
from .losses import build_loss
from .opening import FitData
from .optimization import build_optimizer
from .replica import seed_apart
from .step import Step


@dataclass(frozen=True)
class Learner:
    """A network that is ready to learn. beginnings: what was done with the weights given, in words."""

    spec: NetworkSpec
    training: Training
    beginnings: tuple[str, ...]


@contextlib.contextmanager
def open_learner(data: FitData, world: World, *, precision: torch.dtype | None) -> Iterator[Learner]:
    """Build all that learns; its loader is closed at the end.

    precision: dtype for autocast, None for float32. Raises OptionError where the batches of an epoch are too
    small.
    """
    options = data.options
    is_3d = options.mode == "3D"
    spec = NetworkSpec(
        options.architecture,
        options.encoder,
        options.mode,
        options.in_channels,
        data.labels.num_classes,
        options.strides,
        plain=options.plain,
    )
    layout = PatchLayout(PatchShape(*options.patch), channels=options.in_channels, is_3d=is_3d)
    torch.manual_seed(options.seed)
    with world.together():
        network, beginnings = _first_network(spec, options)
        network.to(world.device)
    network.to(memory_format=torch.channels_last_3d if is_3d else torch.channels_last)
    network, called = world.exchanging(network, layout.grey_shape(2))
    seed_apart(options.seed, world.rank)
    training = Training(
        options,
        _build_step(options, network, called, device=world.device, precision=precision),
        views=data.views,
        extents=[pair.extent for pair in data.pairs],
        sources=[pair.source for pair in data.pairs],
        normalisations=data.normalisations,
        labels=data.labels,
        layout=layout,
        scans=(data.training, data.validation),
        world=world,
    )
    with contextlib.closing(training.loader):
        with world.together():
            check_batches(options, patches=len(training.plan(0)), batches=training.train_batches, world=world)
        yield Learner(spec, training, tuple(beginnings))


def _first_network(spec: NetworkSpec, options: SettledFit) -> tuple[torch.nn.Module, list[str]]:
    """The network before the first step: random, from ImageNet, or from an own model file; and what was done
    with its weights, in words.
    """
    if options.is_library_weights:
        return build_network(spec, weights=options.weights, weights_dir=options.weights_dir), []
    header = model_file.read_header(Path(options.weights))
    network = build_network(spec)
    state = model_file.load_state(Path(options.weights), header)
    name = Path(options.weights).name
    return network, [f"Weights of {name}: {told}" for told in initialise(network, spec, state, header.spec)]


def _build_step(
    options: SettledFit,
    network: torch.nn.Module,
    called: torch.nn.Module,
    *,
    device: torch.device,
    precision: torch.dtype | None,
) -> Step:
    loss = build_loss(
        options.loss,
        alpha=options.loss_alpha,
        beta=options.loss_beta,
        gamma=options.loss_gamma,
        focal_weight=options.focal_weight,
        class_weights=options.class_weights or None,
        ignore_label=IGNORED,
    )
    return Step(
        network,
        loss.to(device),
        optimizer=build_optimizer(network.parameters(), options),
        device=device,
        precision=precision,
        accumulate=options.accumulate,
        clip=options.clip_gradient,
        least=2 if _batch_faults(options, 1) else 1,
        called=called,
    )


def check_batches(options: SettledFit, *, patches: int, batches: int, world: World) -> None:
    """Raise OptionError where an epoch's batches are too small to normalise over.

    patches, batches: of an epoch, of all processes together.
    """
    smallest = smallest_share(patches, options.batch_size, world.size)
    if smallest < 1:
        raise OptionError(
            f"{called('batch_size')} {options.batch_size}: the batches of an epoch are smaller than the "
            f"number of processes, {world.size}. "
            f"Use a larger {called('batch_size')}, or fewer {called('gpus')}."
        )
    # GPUs normalise over the shares of all
    faults = _batch_faults(options, smallest * (world.size if world.device.type == "cuda" else 1))
    if faults:
        told = f"an epoch has {patches} patches in {batches} batches"
        told += f", each shared by {world.size} processes" if world.size > 1 else ""
        raise OptionError([f"{told}: {Fault(fault).put(called)}" for fault in faults])


def _batch_faults(options: SettledFit, batch_size: int) -> list[str]:
    """Why the network cannot learn from so many patches at once; empty where it can."""
    return catalogue.check(
        options.architecture,
        options.encoder,
        options.mode,
        patch_size=options.patch_size,
        patch_depth=options.patch_depth if options.mode == "3D" else None,
        stride=options.strides,
        batch_size=batch_size,
        plain=options.plain,
    )
