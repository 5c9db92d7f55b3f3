"""Jobs on the workers of a cluster, by Dask: runs of a study, scans to be labelled.

In:  jobs; the address of a scheduler, or a number of workers to start here.
Out: each job's result or fault, told as it ends. Results are files in a folder that all see.
A job takes one "GPU" of its worker (a name; on a CPU cluster it stands for the worker itself). When a worker
is lost, Dask gives its job to another, which goes on from what the first has left in the folder.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import Cancelled, HardwareError, PackageError
from ..jobs import run as jobs
from ..options.types import local_workers
from ..progress import Progress
from .slots import Ended, Job, surroundings

log = logging.getLogger("bone.cluster")

RESOURCE = "GPU"
CONNECT_S, LOOK_S = 15, 0.2
LEAST_LOOK_S = 1.0  # between two looks of a job for a request to stop
PATIENCE_S = 60.0  # for running jobs to save what they have
# A Ctrl-C in a terminal goes to all that was started there; workers are asked to stop by the study instead.
DEAF = "import signal\n\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
HERE = "127.0.0.1"  # nobody else on the network is let in


def check_installed() -> None:
    """Raise PackageError where Dask is not there."""
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise PackageError(
            "cluster needs the Python package distributed: python3 install/bootstrap.py app --cluster, or "
            'pip install "bone-segmentation[cluster]".'
        ) from error


def cores() -> int:
    """Of this machine, that this process may use."""
    can_tell = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1


@contextlib.contextmanager
def connected(place: str, *, gpus: int, called: str, cores: int | None = None) -> Iterator[Any]:
    """A client of a cluster. place: its address, or local:N. gpus: of this machine. called: its name. cores:
    of the machine, which N workers without a GPU share; None: each takes what it wants.

    Raises PackageError, HardwareError.
    """
    check_installed()
    from distributed import Client

    with contextlib.ExitStack() as opened:
        address: Any = place
        if count := local_workers(place):
            threads = {"OMP_NUM_THREADS": str(max(1, cores // count))} if cores and not gpus else {}
            address = opened.enter_context(_local(count, gpus, threads, called=called))
        try:
            client = opened.enter_context(Client(address, timeout=CONNECT_S, set_as_default=False))
        except (OSError, TimeoutError, ValueError) as error:
            raise HardwareError(
                f"cluster {place}: no Dask scheduler answers there. Start one with: dask scheduler"
            ) from error
        yield client


def _local(count: int, gpus: int, threads: dict[str, str], *, called: str) -> Any:
    """Workers on this machine, one task at a time each, each with a GPU of its own where there are some."""
    from distributed import Nanny, Scheduler, SpecCluster

    threads = threads | {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    options: dict[str, Any] = {"nthreads": 1, "resources": {RESOURCE: 1}, "memory_limit": 0, "host": HERE}
    options |= {"silence_logs": logging.ERROR, "preload": [DEAF], "preload_argv": [[]]}
    workers = {
        number: {"cls": Nanny, "options": {**options, "env": {**threads, **place}}}
        for number, place in enumerate(surroundings(count, gpus, os.environ))
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"dashboard_address": f"{HERE}:0", "dashboard": False, "port": 0, "host": HERE},
    }
    return SpecCluster(workers=workers, scheduler=scheduler, name=called, silence_logs=logging.ERROR)


def run_there(
    client: Any,
    todo: Sequence[Job],
    *,
    stop: Path,
    ended: Ended,
    progress: Progress,
    work: str,
    words: str = "runs",
) -> None:
    """All jobs, as many at a time as there are workers. stop: a file that all see. Raises Cancelled.

    work: a command; its progress is to be `Watched`. On a stop the workers are asked for it by the file, and
    have PATIENCE_S to keep what they have reached.
    """
    stop.unlink(missing_ok=True)
    say_who_works(client, words)
    futures = {
        client.submit(
            run_on_worker,
            work,
            {**job, "stop": str(stop)},
            key=f"bone-{job['key']}-{os.getpid()}",
            resources={RESOURCE: 1},
            pure=False,
        ): job
        for job in todo
    }
    try:
        while futures:
            time.sleep(LOOK_S)
            for future in [one for one in futures if one.done()]:
                job = futures.pop(future)
                ended(job, future.exception() if future.status != "finished" else future.result())
            done = len(todo) - len(futures)
            workers = len(workers_of(client))
            progress(done, len(todo), f"{done} of {len(todo)} {words} done, {workers} workers")
    except BaseException:
        stop.touch()
        client.cancel([future for future in futures if future.status != "finished"])
        wait_for_rest(client)
        stop.unlink(missing_ok=True)
        raise


def workers_of(client: Any) -> dict[str, dict[str, Any]]:
    """What is known of each worker, by its address; nothing where the scheduler does not answer.

    Not by `Client.scheduler_info`, which now and then gives what its own heartbeat has asked for: no workers.
    """
    try:
        return dict(client.sync(client.scheduler.identity, n_workers=-1)["workers"])
    except OSError:
        return {}


def able_of(client: Any) -> dict[str, str]:
    """The machine of each worker that offers what a job takes, by its address."""
    workers = workers_of(client).items()
    return {address: str(one["host"]) for address, one in workers if one.get("resources", {}).get(RESOURCE)}


def run_on_worker(work: str, job: Job) -> dict[str, Any]:
    """What a worker does."""
    try:
        return jobs.run_here(work, job)
    except Cancelled as stop:
        raise RuntimeError("stopped") from stop  # Dask's own word for a task that nobody wants any more


def fault_of(told: BaseException) -> str:
    """Why a job has no result, in words."""
    if type(told).__name__ == "KilledWorker":
        return "the workers that had it were lost, again and again. Look at their logs and at their memory."
    return f"{type(told).__name__}: {told}"


class Watched:
    """A progress that also looks for a file that asks for a stop; workers of a cluster hear nothing else."""

    def __init__(self, progress: Progress, stop: Path):
        self._progress, self._stop, self._looked = progress, stop, 0.0

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        if time.monotonic() - self._looked > LEAST_LOOK_S:
            self._looked = time.monotonic()
            if self._stop.exists():
                raise Cancelled(message)
        self._progress(step, steps, message, figures)


def wait_for_rest(client: Any) -> None:
    """Until no worker computes for this client any more, at most PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and any(client.run(_is_at_work).values()):
        time.sleep(0.3)


def _is_at_work(dask_worker: Any) -> bool:
    return bool(dask_worker.active_threads)


def say_who_works(client: Any, words: str) -> None:
    """How many workers take jobs, and what is missing where none does."""
    workers, able = workers_of(client), able_of(client)
    if workers and not able:
        log.warning(
            "None of the %d workers offers %s=1, so nothing begins. Start them with: dask worker ADDRESS "
            "--nthreads 1 --resources GPU=1",
            len(workers),
            RESOURCE,
        )
    log.info("%d of %d workers take %s.", len(able), len(workers), words)
