"""Which of several processes of one fit this one is.

In:  the environment: RANK, WORLD_SIZE, LOCAL_RANK and LOCAL_WORLD_SIZE, as torchrun and the worker set them.
Out: a Rank; that of a process by itself where the environment says nothing.
Standard library only, so that a door can ask before torch is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


class Parted(Exception):  # noqa: N818 (not an error: a way to leave)
    """The processes of a fit go apart; the first one says why, this one only leaves."""


@dataclass(frozen=True)
class Rank:
    """number: from 0, over all machines; of: processes in all. local, local_of: the same on this machine."""

    number: int = 0
    of: int = 1
    local: int = 0
    local_of: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.number == 0

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Rank:
        """As the environment says.

        >>> Rank.of_environment({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"})
        Rank(number=5, of=8, local=1, local_of=4)
        >>> Rank.of_environment({})
        Rank(number=0, of=1, local=0, local_of=1)
        """
        try:
            number, of = int(environment["RANK"]), int(environment["WORLD_SIZE"])
            local = int(environment.get("LOCAL_RANK", number))
            return cls(number, of, local, int(environment.get("LOCAL_WORLD_SIZE", of)))
        except (KeyError, ValueError):
            return cls()

    def environment(self) -> dict[str, str]:
        """What tells a process that it is this one."""
        values = {"RANK": self.number, "WORLD_SIZE": self.of}
        values |= {"LOCAL_RANK": self.local, "LOCAL_WORLD_SIZE": self.local_of}
        return {name: str(value) for name, value in values.items()}
