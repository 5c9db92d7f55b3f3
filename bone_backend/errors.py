"""What can go wrong, in the user's words.

In:  a sentence that says what was seen, what is expected and what to do.
Out: one small tree of exceptions, whose faults know the options that they are about; every door shows a
     BoneError as one message and nothing else. `as_plain` and `from_plain` take exceptions to other
     processes.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_CALLED = re.compile("\0([\\w-]+)\0")  # NUL stands in no name of a file, so in no name of a user


def called(option: str) -> str:
    """The name of an option inside a fault: a door puts its own word there, a flag or a label."""
    return f"\0{option}\0"


class Fault(str):
    """What does not hold, in a sentence, and the options that it is about.

    As a text it calls options as a configuration file does.

    >>> fault = Fault(f"{called('patch_size')} is 250; use 224 or 256.", "backbone")
    >>> print(fault)
    patch_size is 250; use 224 or 256.
    >>> fault.names
    ('backbone', 'patch_size')
    """

    _marked: str
    names: tuple[str, ...]

    def __new__(cls, text: str, *names: str) -> Fault:
        """text: with `called` around options. names: further options, or those that it does not call."""
        marked, known = (text._marked, text.names) if isinstance(text, Fault) else (text, ())
        made = super().__new__(cls, _CALLED.sub(r"\1", marked))
        made._marked = marked
        made.names = tuple(dict.fromkeys((*names, *known, *_CALLED.findall(marked))))
        return made

    def __getnewargs__(self) -> tuple[str, ...]:  # type: ignore[override]
        return (self._marked, *self.names)

    def put(self, word: Callable[[str], str]) -> str:
        """The sentence with word(name) in place of each option that it calls.

        >>> Fault(f"{called('epochs')} is 0.").put(lambda name: f"--{name}")
        '--epochs is 0.'
        """
        return _CALLED.sub(lambda found: word(found[1]), self._marked)


class BoneError(Exception):
    """A fault that the user can mend; its text is shown as it stands."""

    def __init__(self, faults: str | Sequence[str] = ()):
        """faults: one sentence for each, or a single text; options in them as `called` gives them."""
        self.faults = [Fault(fault) for fault in ([faults] if isinstance(faults, str) else faults)]
        super().__init__(self.faults)

    def __str__(self) -> str:
        return "\n".join(self.faults)


class OptionError(BoneError):
    """One or more settings do not hold; all faults found are told at once."""


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


def as_plain(error: BaseException) -> dict[str, Any]:
    """An exception as JSON values: kind and message; of a BoneError its faults, [text, *names] each; of one
    that nobody foresaw the traceback.
    """
    if isinstance(error, BoneError):
        faults = [list(fault.__getnewargs__()) for fault in error.faults]
        return {"kind": type(error).__name__, "message": str(error), "faults": faults}
    if isinstance(error, Cancelled):
        return {"kind": "Cancelled", "message": str(error)}
    line = traceback.format_exception_only(error)[-1].strip()
    whole = "".join(traceback.format_exception(error))
    return {"kind": "ProgramFault", "message": line, "traceback": whole}


def from_plain(told: Mapping[str, Any]) -> Exception:
    """The exception that `as_plain` has told of; a kind that is none of ours is a WorkerError."""
    kind = globals().get(told["kind"])
    if kind in (Cancelled, ProgramFault):
        return kind(told["message"])
    if not (isinstance(kind, type) and issubclass(kind, BoneError)):
        kind = WorkerError
    return kind([Fault(*fault) for fault in told.get("faults") or [[told["message"]]]])
