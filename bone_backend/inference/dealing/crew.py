"""Who labels a scan together: what a prediction asks of them.

In:  functions that workers can import, and what they are called with.
Out: what they gave, in the order in which it was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol


class Crew(Protocol):
    """Workers, which are alike. function: called there with what is told, and `progress`."""

    @property
    def workers(self) -> int:
        """How many there are just now."""

    @property
    def most_on_a_machine(self) -> int:
        """How many of them share the memory of one machine."""

    def deal(
        self, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], look: Callable[[], None]
    ) -> Iterator[Any]:
        """What the function gives for each job, in their order; as many are done at a time as there are
        workers. What a worker had that was lost is done again by another. look: called meanwhile; what it
        raises goes up. Raises what a worker raises; WorkerError where no worker can do it.
        """
