"""One scan on all workers of a cluster: the Crew of a prediction, by Dask.

In:  a client of the cluster; functions and what they are called with.
Out: what they gave, in order. A worker holds what it has found until its turn comes; when the worker is lost,
Dask has another do it again. So nothing but what is written at the end lies on any disk.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Waiting
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import BoneError, Cancelled, WorkerError
from ..progress import silent
from .cluster import LEAST_LOOK_S, LOOK_S, RESOURCE, Watched, able_of, fault_of, say_who_works, wait_for_rest

log = logging.getLogger("bone.cluster")

AHEAD = 2  # jobs for each worker that are under way or wait for their turn


class DaskCrew:
    """A context manager: after a fault, or a stop, the workers are stopped too.

    stop: a file that all see, which asks for that. forget: called on each worker at the end.
    """

    def __init__(self, client: Any, stop: Path, forget: Callable[[], None]):
        self._client, self._stop, self._forget = client, stop, forget
        self._open: deque[Any] = deque()  # futures, in order
        self._taking = ThreadPoolExecutor(1, thread_name_prefix="bone-take")
        self._known, self._due = dict[str, str](), 0.0

    def __enter__(self) -> DaskCrew:
        self._stop.unlink(missing_ok=True)
        say_who_works(self._client, "slabs")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._open:
                self._stop.touch()
                self._client.cancel(list(self._open))
                wait_for_rest(self._client)
            self._client.run(self._forget, on_error="ignore")
        except Exception:
            if self._answers():
                raise
        finally:
            self._taking.shutdown(wait=False, cancel_futures=True)
            self._stop.unlink(missing_ok=True)

    def _answers(self) -> bool:
        """Whether the scheduler does."""
        return bool(self._client.status == "running")

    @property
    def workers(self) -> int:
        """How many take slabs just now."""
        return len(self._able())

    @property
    def most_on_a_machine(self) -> int:
        """How many of them are on the machine that has most."""
        return max(Counter(self._able().values()).values(), default=1)

    def deal(
        self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], look: Callable[[], None]
    ) -> Iterator[Any]:
        """See `inference.dealing.crew.Crew`."""
        todo = iter(jobs)
        while True:
            room = AHEAD * max(1, self.workers) - len(self._open)
            for job in islice(todo, max(0, room)):
                self._open.append(
                    self._client.submit(
                        do_there,
                        function,
                        job,
                        str(self._stop),
                        socket.gethostname(),
                        resources={RESOURCE: 1},
                        pure=False,
                    )
                )
            if not self._open:
                return
            found = self._taken(self._open[0], look)
            self._open.popleft()
            yield found

    def _taken(self, future: Any, look: Callable[[], None]) -> Any:
        """What comes of it, brought here by a thread, so that a stop is heard meanwhile."""
        taking: Future[Any] = self._taking.submit(future.result)
        while True:
            look()
            try:
                return taking.result(timeout=LOOK_S)
            except Waiting:
                if taking.done():
                    raise
            except CancelledError as fault:
                raise WorkerError(
                    "The Dask scheduler does not answer any more. Look at its log; the same command goes on "
                    "where this one was."
                ) from fault
            except Exception as fault:
                if type(fault).__name__ != "KilledWorker":
                    raise
                raise WorkerError(f"A slab has no labels: {fault_of(fault)}") from fault

    def _able(self) -> dict[str, str]:
        """See `able_of`; asked once in LEAST_LOOK_S. Says which workers are lost."""
        if time.monotonic() >= self._due:
            before, self._known = self._known, able_of(self._client)
            self._due = time.monotonic() + LEAST_LOOK_S
            lost = before.keys() - self._known.keys() if self._answers() else ()
            for address in sorted(lost):
                log.warning("The worker %s was lost; what it had is done again.", address)
        return self._known


def do_there(function: Callable[..., Any], job: tuple[Any, ...], stop: str, home: str) -> Any:
    """What a worker does. home: name of the machine that asks."""
    try:
        return function(*job, progress=Watched(silent, Path(stop)))
    except Cancelled as asked:
        raise RuntimeError("stopped") from asked  # Dask's own word for a task that nobody wants any more
    except BoneError as fault:
        if socket.gethostname() == home:
            raise
        raise type(fault)([*fault.faults, f"(On the machine {socket.gethostname()}.)"]) from fault
