"""Fit a network on pairs of scan and mask, and keep the best model.

In:  FitOptions.
Out: a run folder with the model file, the scores of every epoch, the log and the record; a FitResult.
Told once, in the order in which things happen. Memory holds the network and the patches in flight, never a
scan.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from .dataset import checks, coverage
from .dataset.loader import PatchLayout
from .dataset.pairs import Opened, OpenPair, open_pairs
from .dataset.plan import PatchShape, count_tiles
from .dataset.split import split_scans
from .errors import Cancelled, HardwareError, OptionError
from .files.makers import this_process
from .intensity.asking import ask
from .intensity.normalisation import normalisation
from .intensity.statistics import Statistics
from .jobs import run as jobs
from .jobs.interpreter import is_plain_python
from .jobs.ranks import Rank
from .machine.device import choose_precision, compile_network, describe, determinism
from .machine.monitor import Monitor
from .model_files import model_file
from .networks.build import build_network
from .networks.spec import NetworkSpec
from .networks.transfer import initialise
from .options import catalogue
from .options.programs import FitOptions, dump
from .progress import Part, Progress, silent
from .report import write as report
from .runs import tensorboard as scalars
from .runs.folder import OPTIONS, RunFolder
from .runs.keeper import FitResult, Keeper
from .scores import metrics
from .training import preflight
from .training.distributed import World, count_processes, join, smallest_share
from .training.loop import Training
from .training.losses import build_loss
from .training.optimization import build_optimizer
from .training.preflight import Preflight
from .training.replica import seed_apart
from .training.step import Step, memory_in_words

log = logging.getLogger("bone.fitting")


def fit_job(options: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """The job "fit".

    Plain options in, a plain result out. Several GPUs have a process each, in the worker.
    """
    chosen = FitOptions.parse(options)
    if Rank.of_environment().of == 1:
        processes = count_processes(chosen.gpus, chosen.device)
        if processes > 1:
            running = Path(sys.executable or "")
            return jobs.run_in_worker(
                "fit",
                options,
                progress=progress,
                python=running if is_plain_python(running) else None,
                processes=processes,
                folder=Path.cwd(),
            )
    return (rehearse if chosen.dry_run else fit)(chosen, progress=progress).plain()


def fit(options: FitOptions, *, progress: Progress = silent) -> FitResult:
    """Fit a network as the options say.

    Raises BoneError in the user's words, and Cancelled, with what was reached as its `result`, after a stop.
    """
    if options.compile and not is_plain_python(Path(sys.executable or "")):
        raise HardwareError(
            "compile starts compilers, which would draw licences inside Avizo. Fit with the command bone, or "
            "without compile."
        )
    with _begin(options, progress) as keeper:
        outcome, training = "failed", keeper.training
        try:
            keeper.resume_if_asked()
            _preflight(options, keeper, progress).log()
            if options.compile:
                log.info("Compiling the network: the first steps take longer than the figures above say.")
                compile_network(training.step.network, training.device)
            with memory_in_words(training.device):
                ended = _run_epochs(options, training, keeper, keeper.world.agreed(progress))
            keeper.finish(ended)
            outcome = ended  # only now: what could not be kept is a failed run
            report.write(keeper, progress)
            keeper.tidy()
        except Cancelled as stop:
            outcome, stop.result = "stopped", keeper.finish("stopped").plain()
            report.write(keeper)
            raise
        except BaseException as fault:
            keeper.folder.note_fault(fault)
            raise
        finally:
            if outcome == "failed":
                keeper.finish(outcome)
                report.write(keeper)
        return keeper.finish(outcome)


def rehearse(options: FitOptions, *, progress: Progress = silent) -> Preflight:
    """What a fit with these options would take: its first step is measured and forgotten.

    Nothing stays but statistics and conversions of the scans in the cache, which the fit then finds.
    """
    options.check_paths()
    with (
        tempfile.TemporaryDirectory(prefix=f"bone-dry-run-{this_process().mark}-") as folder,
        _begin(options, progress, folder=Path(folder)) as keeper,
    ):
        keeper.resume_if_asked()
        return _preflight(options, keeper, progress)


def rescore(run_folder: Path, *, progress: Progress = silent) -> float:
    """Validation mIoU of the best model of a finished run, read back from its file."""
    options = FitOptions.parse({"resume": str(run_folder)})
    (best,) = Path(run_folder).glob("*_best_epoch_*.pth")
    with (
        tempfile.TemporaryDirectory(prefix=f"bone-rescore-{this_process().mark}-") as folder,
        _begin(options, progress, folder=Path(folder)) as keeper,
    ):
        keeper.network.load_state_dict(model_file.load_state(best))
        counts, _loss = keeper.training.validate(lambda _done, _figures: None)
    return metrics.mean(metrics.iou(counts))


def _preflight(options: FitOptions, keeper: Keeper, progress: Progress) -> Preflight:
    """Measure a step; a progress is told, and may stop it."""
    training, done = keeper.training, keeper.position.epoch
    steps = training.train_batches + training.validation_batches

    def check() -> None:
        progress(done * steps, options.epochs * steps, "Measuring one step")

    names = [pair.name for pair in keeper.pairs]
    epochs = max(options.epochs - done, 0)
    with keeper.world.together():
        check()
        return preflight.estimate(
            training,
            names=names,
            folder=options.output,
            epochs=epochs,
            check=check,
            concerns=keeper.concerns,
            notes=keeper.notes,
        )


@contextlib.contextmanager
def _begin(options: FitOptions, progress: Progress, *, folder: Path | None = None) -> Iterator[Keeper]:
    """Check everything, open the scans, build the network: a fit that is ready for its first step.

    folder: takes the files of the run in place of the output folder.
    """
    with (
        join(options.device) as world,
        _claimed(options, world, progress, folder) as run,
        _begin_in(world, options, progress, run) as keeper,
    ):
        yield keeper


@contextlib.contextmanager
def _claimed(
    options: FitOptions, world: World, progress: Progress, folder: Path | None
) -> Iterator[RunFolder]:
    """Where the run goes, held by this fit until its end; the first process alone writes there."""
    run = RunFolder(folder or options.output, is_writer=world.is_first)
    with contextlib.ExitStack() as held:
        with world.together():
            if world.is_first and folder is None:
                options.check_paths()
                claim = run.claimed(
                    overwrite=options.overwrite,
                    resume=options.resume is not None,
                    look=lambda: progress(0, 1, "Waiting for the folder"),
                )
                held.enter_context(claim)
        yield run


@contextlib.contextmanager
def _begin_in(world: World, options: FitOptions, progress: Progress, run: RunFolder) -> Iterator[Keeper]:
    """The same in one of the processes of the fit, which usually is the only one."""
    device = world.device
    precision = choose_precision(options.precision, device)
    if options.tensorboard:
        scalars.check_installed()
    preparing = Part(progress, first=0, share=500, steps=1000)
    options, pairs, labels, notes = _open(options, world, preparing)
    patch = PatchShape(*options.patch)
    train, validation = _split(options, pairs)
    concerns = coverage.check_split(
        labels,
        [pair.name for pair in pairs],
        training=coverage.taught(train, options.scan_weights),
        validation=validation,
        classes={item.value: item.name for item in options.class_names},
    )
    measuring = Part(progress, first=500, share=500, steps=1000)
    statistics = world.first(lambda: _measure(options, pairs, measuring))
    normalisations = [
        normalisation(
            options.normalization, found, name=f"scan {pair.pair.scan}", voxels=options.counted_voxels
        )
        for pair, found in zip(pairs, statistics, strict=True)
    ]
    if options.class_weights and len(options.class_weights) != labels.num_classes:
        raise OptionError(
            f"class_weights has {len(options.class_weights)} numbers, but the masks have "
            f"{labels.num_classes} classes. Give one for each class, background first."
        )

    with Monitor(device) as monitor, determinism(options.reproducible), contextlib.ExitStack() as opened:
        spec = NetworkSpec(
            options.architecture,
            options.encoder,
            options.mode,
            options.in_channels,
            labels.num_classes,
            options.strides,
            plain=options.plain,
        )
        layout = PatchLayout(patch, channels=options.in_channels, is_3d=options.mode == "3D")
        torch.manual_seed(options.seed)
        with world.together():
            network, starts = _first_network(spec, options)
            network.to(device)
        network.to(memory_format=torch.channels_last_3d if options.mode == "3D" else torch.channels_last)
        network, called = world.exchanging(network, layout.grey_shape(2))
        seed_apart(options.seed, world.rank)
        training = Training(
            options,
            _build_step(options, network, called, device, precision),
            extents=[pair.extent for pair in pairs],
            sources=[pair.source for pair in pairs],
            normalisations=normalisations,
            labels=labels,
            layout=layout,
            scans=(train, validation),
            world=world,
        )
        opened.callback(training.loader.close)
        with world.together():
            _check_batches(options, training)

        is_new = not options.resume and run.path == options.output
        with world.together():
            if is_new and run.is_writer:
                run.clear()
        options = options.with_paths(Path.absolute)  # so that the records hold from any current folder
        keeper = Keeper(
            options,
            run,
            training,
            pairs=pairs,
            labels=labels,
            statistics=statistics,
            spec=spec,
            monitor=monitor,
            concerns=concerns,
            notes=notes,
        )
        with world.together():
            keeper.check_inputs()
        is_begun = False
        opened.callback(lambda: run.discard() if is_new and not is_begun and run.is_writer else None)
        run.write_json(OPTIONS, dump(options) | {"resume": None})  # first: by it a folder is known as a run's
        opened.enter_context(run)
        for line in starts:
            log.info(line)
        told = describe(device, precision)
        keeper.log_start(f"{world.size} processes, the first on {told}" if world.size > 1 else told)
        is_begun = True
        yield keeper


def _open(options: FitOptions, world: World, progress: Progress) -> Opened:
    """Open the pairs: first in one process, which converts what has to be converted, then in the others."""
    opened: list[Opened] = []
    for is_my_turn in (world.is_first, not world.is_first):
        with world.together():
            if is_my_turn:
                opened.append(open_pairs(options, progress=progress))
    return opened[0]


def _check_batches(options: FitOptions, training: Training) -> None:
    """Raise OptionError where an epoch's batches are too small to normalise over."""
    size = training.world.size
    smallest = smallest_share(len(training.plan(0)), options.batch_size, size)
    if smallest < 1:
        raise OptionError(
            f"batch_size {options.batch_size}: the batches of an epoch are smaller than the number of "
            "processes, "
            f"{size}. Use a larger batch_size, or fewer gpus."
        )
    # GPUs normalise over the shares of all
    faults = _batch_faults(options, smallest * (size if training.world.device.type == "cuda" else 1))
    if faults:
        told = f"an epoch has {len(training.plan(0))} patches in {training.train_batches} batches"
        told += f", each shared by {size} processes" if size > 1 else ""
        raise OptionError([f"{told}: {fault}" for fault in faults])


def _run_epochs(options: FitOptions, training: Training, keeper: Keeper, progress: Progress) -> str:
    """Train and validate until the last epoch; gives how it ended."""
    per_epoch = training.train_batches + training.validation_batches
    position = keeper.position

    def tell(batch: int, figures: Mapping[str, float], doing: str) -> None:
        epoch, share = position.epoch + 1, batch / per_epoch
        best = {"best_val_iou": position.best_score} if position.best_file else {}
        message = f"Epoch {epoch} of {options.epochs}, {doing} {100 * share:.0f} %"
        progress(position.epoch * per_epoch + batch, options.epochs * per_epoch, message, {**figures, **best})

    while True:
        # also before the first, since a run may be resumed after its last epoch
        if options.early_stopping and position.epoch - position.best_epoch >= options.early_stopping:
            log.info("Stopped early: no better validation score for %d epochs.", options.early_stopping)
            return "stopped early"
        if position.epoch >= options.epochs:
            return "done"
        keeper.begin_epoch()
        for done in training.train(
            position.epoch, first=position.batches, report=lambda n, found: tell(n, found, "training")
        ):
            position.batches = done
            keeper.checkpoint_if_due()
        counts, loss = training.validate(
            lambda n, found: tell(training.train_batches + n, found, "validation")
        )
        keeper.end_epoch(counts, loss)


def _first_network(spec: NetworkSpec, options: FitOptions) -> tuple[torch.nn.Module, list[str]]:
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
    options: FitOptions,
    network: torch.nn.Module,
    called: torch.nn.Module,
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
        ignore_label=checks.IGNORED,
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


def _batch_faults(options: FitOptions, batch_size: int) -> list[str]:
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


def _measure(options: FitOptions, pairs: list[OpenPair], progress: Progress) -> list[Statistics]:
    """Statistics of every scan."""
    return ask([pair.pair.scan for pair in pairs], options.counted_voxels, progress=progress)


def _split(options: FitOptions, pairs: list[OpenPair]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    depth = options.tile_depth if options.mode == "3D" else 1
    sizes = [count_tiles(pair.extent, depth) * options.patches_per_tile for pair in pairs]
    subjects = [pair.pair.subject for pair in pairs]
    return split_scans(
        sizes,
        options.train_split,
        seed=options.seed,
        subjects=subjects,
        named=options.validation_pairs,
    )
