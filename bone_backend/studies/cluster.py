"""Runs on the workers of a cluster, by Dask.

In:  the jobs of runs; the address of a scheduler, or a number of workers to start here.
Out: each job's result or fault, told as it ends. Results are files in the study's folder, which all see.
A run takes one "GPU" of its worker (a name; on a CPU cluster it stands for the worker itself). When a worker
is lost, Dask gives its run to another, which goes on from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import Cancelled, HardwareError, PackageError
from ..jobs import run as jobs
from ..progress import Progress
from .options import StudyOptions
from .slots import WORK, Ended, Job, surroundings

log = logging.getLogger("bone.study")

RESOURCE = "GPU"
CONNECT_S, LOOK_S = 15, 0.2
PATIENCE_S = 60.0  # for running fits to save what they have
STOP = ".stop"
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


@contextlib.contextmanager
def connected(options: StudyOptions, *, gpus: int) -> Iterator[Any]:
    """A client of the cluster of the options. Raises PackageError, HardwareError."""
    check_installed()
    from distributed import Client

    with contextlib.ExitStack() as opened:
        address = options.cluster
        if options.local_workers:
            address = opened.enter_context(_local(options.local_workers, gpus))
        try:
            client = opened.enter_context(Client(address, timeout=CONNECT_S, set_as_default=False))
        except (OSError, TimeoutError, ValueError) as error:
            raise HardwareError(
                f"cluster {options.cluster}: no Dask scheduler answers there. Start one with: dask scheduler"
            ) from error
        yield client


def _local(count: int, gpus: int) -> Any:
    """Workers on this machine, one thread each, each with a GPU of its own where there are some."""
    from distributed import Nanny, Scheduler, SpecCluster

    threads = {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    options: dict[str, Any] = {"nthreads": 1, "resources": {RESOURCE: 1}, "memory_limit": 0, "host": HERE}
    options |= {"silence_logs": logging.ERROR, "preload": [DEAF], "preload_argv": [[]]}
    workers = {
        number: {"cls": Nanny, "options": {**options, "env": {**threads, **place}}}
        for number, place in enumerate(surroundings(count, gpus, os.environ))
    }
    scheduler = {
        "cls": Scheduler,
        "options": {"dashboard_address": None, "dashboard": False, "port": 0, "host": HERE},
    }
    return SpecCluster(workers=workers, scheduler=scheduler, name="bone-study", silence_logs=logging.ERROR)


def run_there(
    client: Any, todo: Sequence[Job], *, folder: Path, ended: Ended, progress: Progress, work: str = WORK
) -> None:
    """All jobs, as many at a time as there are workers. folder: of the study. Raises Cancelled.

    On a stop the workers are asked for it by a file, and have PATIENCE_S to keep what they have reached.
    """
    stop = folder / STOP
    stop.unlink(missing_ok=True)
    _warn(client)
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
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            progress(done, len(todo), f"{done} of {len(todo)} runs done, {workers} workers")
    except BaseException:
        stop.touch()
        client.cancel([future for future in futures if future.status != "finished"])
        _wait_for_rest(client)
        stop.unlink(missing_ok=True)
        raise


def run_on_worker(work: str, job: Job) -> dict[str, Any]:
    """What a worker does."""
    try:
        return jobs.run_here(work, job)
    except Cancelled as stop:
        raise RuntimeError("stopped") from stop  # Dask's own word for a task that nobody wants any more


def _wait_for_rest(client: Any) -> None:
    """Until no worker computes for this client any more, at most PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and any(client.run(_is_at_work).values()):
        time.sleep(0.3)


def _is_at_work(dask_worker: Any) -> bool:
    return bool(dask_worker.active_threads)


def _warn(client: Any) -> None:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    able = [one for one in workers if one.get("resources", {}).get(RESOURCE)]
    if workers and not able:
        log.warning(
            "None of the %d workers offers %s=1, so no run begins. Start them with: dask worker ADDRESS "
            "--nthreads 1 --resources GPU=1",
            len(workers),
            RESOURCE,
        )
    log.info("%d of %d workers take runs.", len(able), len(workers))
