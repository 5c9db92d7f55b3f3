"""What can go wrong, in the user's words.

In:  a sentence that says what was seen, what is expected and what to do.
Out: one small tree of exceptions; every door shows a BoneError as one message and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class BoneError(Exception):
    """A fault that the user can mend; its text is shown as it stands."""


class OptionError(BoneError):
    """One or more settings do not hold; all faults found are told at once.

    faults: one sentence for each fault, or a single text.
    """

    def __init__(self, faults: str | Sequence[str]):
        self.faults: list[str] = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class ScanError(BoneError):
    """A scan or mask cannot be read, or does not fit what it is used with."""


class ModelFileError(BoneError):
    """A model file is missing, damaged, unsafe, or lacks what is needed."""


class OutputError(BoneError):
    """A result cannot be written: folder in use, no right, no space."""


class WorkerError(BoneError):
    """The external Python process is missing, of the wrong version, or crashed."""


class HardwareError(BoneError):
    """The device that was asked for is not there, or its memory does not suffice."""


class FittingError(BoneError):
    """A fit cannot go on, e.g. the loss is no longer a number."""


class PackageError(BoneError):
    """A Python package is missing or unsuitable; the text names the command that installs it."""


class ProgramFault(Exception):  # noqa: N818 (doors show its name)
    """A fault of BONe's own in another process. Its text has the traceback there, or the end of the log.

    It is no BoneError, so that doors show it as they show a fault of their own process.
    """


class Cancelled(Exception):  # noqa: N818 (no fault)
    """The user asked to stop. Not a fault: what was reached is kept.

    result: what the stopped task reached, as a plain dictionary, if it kept anything.
    """

    result: dict[str, Any] | None = None
