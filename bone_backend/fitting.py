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
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from .durations import estimated
from .errors import Cancelled, HardwareError
from .jobs import run as jobs
from .jobs.interpreter import is_plain_python
from .jobs.ranks import Rank
from .machine.device import choose_precision, compile_network, determinism
from .machine.memory import memory_in_words
from .machine.monitor import Monitor
from .model_files import model_file
from .options.programs import FitOptions, dump
from .progress import Progress, silent
from .report import write as report
from .report.live import Live
from .runs import tensorboard
from .runs.files import BEST
from .runs.folder import RunFolder
from .runs.keeper import Keeper, kept
from .runs.result import FitResult
from .runs.resuming import check_inputs, resume
from .runs.state import FitState
from .scores import metrics
from .training import budget, preflight, threads
from .training.budget import Pace
from .training.distributed import World, count_processes, join
from .training.learner import open_learner
from .training.loop import Training
from .training.opening import FitData, open_data
from .training.preflight import Preflight

log = logging.getLogger("bone.fitting")

ADVICE = "Begin a new fit from its best model: weights RUNFOLDER."


def fit_job(options: FitOptions, progress: Progress) -> dict[str, Any]:
    """The command "fit", or its dry run. Several GPUs have a process each, in the worker."""
    if Rank.of_environment().of == 1:
        processes = count_processes(options.gpus, options.device)
        if processes > 1:
            running = Path(sys.executable or "")
            return jobs.run_in_worker(
                "fit",
                dump(options),
                progress=progress,
                python=running if is_plain_python(running) else None,
                processes=processes,
                folder=Path.cwd(),
            )
    return (rehearse if options.dry_run else fit)(options, progress=progress).plain()


def fit(options: FitOptions, *, progress: Progress = silent) -> FitResult:
    """Fit a network as the options say.

    Raises BoneError in the user's words, and Cancelled, with what was reached as its `result`, after a stop.
    """
    if options.compile and not is_plain_python(Path(sys.executable or "")):
        raise HardwareError(
            "compile starts compilers, which would draw licences inside Avizo. Fit with the command bone, or "
            "without compile."
        )
    with (
        join(options.device) as world,
        _claimed(options, world, progress) as folder,
        ready(options, world, progress=progress) as state,
        kept(state, folder) as keeper,
    ):
        outcome = "failed"
        try:
            keeper.resume()
            measure(state, progress=progress).log()
            if options.compile:
                log.info("Compiling the network: the first steps take longer than the figures above say.")
                compile_network(state.network, world.device)
            with memory_in_words(world.device):
                ended = _run_epochs(state, keeper, world.agreed(progress), live=Live(state, progress))
            keeper.finish(ended)
            outcome = ended  # only now: what could not be kept is a failed run
            report.write(state, folder.path, progress)
            keeper.tidy()
        except Cancelled as stop:
            outcome, stop.result = "stopped", keeper.finish("stopped").plain()
            report.write(state, folder.path)
            raise
        except BaseException as fault:
            folder.note_fault(fault)
            raise
        finally:
            if outcome == "failed":
                keeper.finish(outcome)
                report.write(state, folder.path)
        return keeper.finish(outcome)


def rehearse(options: FitOptions, *, progress: Progress = silent) -> Preflight:
    """What a fit with these options would take: its first step is measured and forgotten.

    Nothing stays but statistics and conversions of the scans in the cache, which the fit then finds.
    """
    options.check_paths()
    with join(options.device) as world, ready(options, world, progress=progress) as state:
        for line in state.told():
            log.info("%s", line)
        resume(state)
        return measure(state, progress=progress)


def rescore(run_folder: Path, *, progress: Progress = silent) -> float:
    """Validation mIoU of the best model of a finished run, read back from its file."""
    options = FitOptions.parse({"resume": str(run_folder)})
    (best,) = Path(run_folder).glob(BEST)
    with join(options.device) as world, ready(options, world, progress=progress) as state:
        state.network.load_state_dict(model_file.load_state(best))
        counts, _loss = state.training.validate(lambda _done, _figures: None)
    return metrics.mean(metrics.iou(counts))


@contextlib.contextmanager
def _claimed(options: FitOptions, world: World, progress: Progress) -> Iterator[RunFolder]:
    """Where the run goes, held by this fit until its end; the first process alone writes there."""
    run = RunFolder(options.output, is_writer=world.is_first)
    with contextlib.ExitStack() as held:
        with world.together():
            if world.is_first:
                options.check_paths()
                claim = run.claimed(
                    overwrite=options.overwrite,
                    resume=options.resume is not None,
                    look=lambda: progress(0, 1, "Waiting for the folder"),
                )
                held.enter_context(claim)
        yield run


@contextlib.contextmanager
def ready(options: FitOptions, world: World, *, progress: Progress = silent) -> Iterator[FitState]:
    """Check everything, open the scans, build the network: a fit that is ready for its first step.

    Nothing is written, but into the cache.
    """
    began, precision = time.monotonic(), choose_precision(options.precision, world.device)
    if options.tensorboard:
        tensorboard.check_installed()
    data = open_data(options, world, progress=progress)
    with (
        Monitor(world.device) as monitor,
        determinism(options.reproducible),
        threads.given_back() as most_threads,
        open_learner(data, world, precision=precision) as learner,
    ):
        check = partial(progress, 0, 1, "Measuring the speed")
        chosen = threads.settle(data.options, learner.training, most=most_threads, check=check)
        data, pace = _within_time(replace(data, options=chosen), learner.training, began=began, check=check)
        state = FitState(data, learner, monitor, pace=pace, began=began, most_threads=most_threads)
        with world.together():
            check_inputs(state)
        state.plan_epoch()
        yield state


def _within_time(
    data: FitData, training: Training, *, began: float, check: Callable[[], None]
) -> tuple[FitData, Pace | None]:
    """What fits into the time of the options, where they have one; and the speed as it was measured."""
    options, world = data.options, training.world
    if options.minutes is None:
        return data, None
    if options.resume and options.validation_patches:  # the plan stands
        return data, world.gather(budget.measure(training, seconds=budget.MEASURE_S, check=check))[0]
    with world.together():
        planned = budget.plan(options, training, gone_s=time.monotonic() - began, check=check)
    options, pace = world.gather(planned)[0]
    training.settle(options)
    return replace(data, options=options), pace


def measure(state: FitState, *, progress: Progress = silent) -> Preflight:
    """What the rest of a fit will take, from one step; a progress is told, and may stop it."""
    training, options, done = state.training, state.options, state.position.epoch
    epochs = state.epochs
    steps = training.train_batches + training.validation_batches

    def check() -> None:
        progress(done * steps, epochs * steps, "Measuring one step")

    with state.world.together():
        check()
        return preflight.estimate(
            training,
            names=state.data.names,
            folder=options.output,
            epochs=max(epochs - done, 0),
            pace=state.pace,
            check=check,
            concerns=state.data.concerns,
            notes=state.data.notes,
        )


def _until(state: FitState) -> str:
    return estimated(60 * state.options.round_minutes(state.position.round))


def _run_epochs(state: FitState, keeper: Keeper, progress: Progress, *, live: Live) -> str:
    """Train and validate until the last epoch; gives how it ended."""
    options, training, position = state.options, state.training, state.position

    def tell(batch: int, figures: Mapping[str, float], doing: str) -> None:
        per_epoch = training.train_batches + training.validation_batches
        epoch, share, epochs = position.epoch + 1, batch / per_epoch, state.epochs
        best = {"best_val_iou": position.best_score} if position.best_file else {}
        message = f"Epoch {epoch} of {epochs}, {doing} {100 * share:.0f} %"
        progress(position.epoch * per_epoch + batch, epochs * per_epoch, message, {**figures, **best})

    if options.minutes and position.epoch >= state.epochs and not options.is_open:
        log.warning("All %d epochs of this run are done; more time adds nothing. %s", state.epochs, ADVICE)
    while True:
        # also before the first, since a run may be resumed after its last epoch
        if options.early_stopping and position.epoch - position.best_epoch >= options.early_stopping:
            log.info("Stopped early: no better validation score for %d epochs.", options.early_stopping)
            return "stopped early"
        if position.epoch >= state.epochs:
            if not state.goes_on():
                return "done"
            log.info("It still improves: it goes on until %s are over.", _until(state))
        state.plan_epoch()
        keeper.begin_epoch()
        began, first = time.monotonic(), position.batches
        for done in training.train(
            position.epoch, first=position.batches, report=lambda n, figures: tell(n, figures, "training")
        ):
            position.batches = done
            state.hold_time()
            keeper.checkpoint_if_due()
        trained = time.monotonic()
        counts, loss = training.validate(
            lambda n, figures: tell(training.train_batches + n, figures, "validation")
        )
        if position.batches > first:
            position.step_s = (trained - began) / (position.batches - first)
        position.validation_s = time.monotonic() - trained
        keeper.end_epoch(counts, loss)
        live.show()
