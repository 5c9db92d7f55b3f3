"""Run one function on many tasks in processes side by side.

In:  an importable function, tasks as tuples of arguments, the number of processes.
Out: (number of the task, result) in the order in which they come.
Only for a process that may have children, as the worker; never inside Avizo, which draws a licence for each.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from ..errors import WorkerError

LOOK_S = 0.1  # between two looks whether to stop


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on Windows and macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_in_processes(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    *,
    processes: int,
    look: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Any]]:
    """Yield (n, function(*tasks[n])) as they are done; the number of results in memory is bounded.

    look: called at least every 0.1 s; what it raises ends the run, as does a fault of the function.
    Raises WorkerError when a process dies.
    """
    executor = ProcessPoolExecutor(
        processes, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    running: dict[Future[Any], int] = {}
    following = iter(enumerate(tasks))
    try:
        while True:
            for number, task in following:
                running[executor.submit(function, *task)] = number
                if len(running) > 2 * processes:
                    break
            if not running:
                return
            done = wait(running, timeout=LOOK_S, return_when=FIRST_COMPLETED).done
            look()
            for future in done:
                yield running.pop(future), future.result()
    except BrokenProcessPool as fault:
        raise WorkerError(
            f"A process of the worker ended unexpectedly ({fault}). Perhaps the memory did not suffice: "
            "close other programs and try again."
        ) from fault
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this process with its parent; without this it waits for tasks for ever (python/cpython#111873)."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
