"""Write what torch saves, whole or not at all, and load it again.

In:  a path, and tensors among plain values.
Out: a file that appears under its name only when it is on the disk, or an OutputError; and the values.
torch writes a checksum (CRC-32) beside every part; archive.py compares them.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pickle
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..errors import ModelFileError
from ..volumes.output import output_fault, put_in_place, remove, temporary_path


def save(path: Path, content: Any, *, before: Path | None = None) -> None:
    """Write `content` under `path`. Raises OutputError, e.g. on a full disk.

    before: the name that the file which is replaced gets, in the same folder; one of the two is always there.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*part"):  # by a process that was killed
        remove(left)
    temporary = temporary_path(path)
    try:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        if before is not None and path.is_file():
            _set_aside(path, before)
        put_in_place(temporary, path)
    except (OSError, RuntimeError) as error:
        fault = _cause(error)
        if fault is None:
            raise
        raise output_fault(path, fault) from error
    finally:
        remove(temporary)


def _set_aside(path: Path, before: Path) -> None:
    """Give a file a second name in place of the file that had it; the first one stays where the disk can."""
    remove(before)
    with contextlib.suppress(OSError, NotImplementedError):  # e.g. on FAT, which has no hard links
        os.link(path, before)
        return
    put_in_place(path, before)


def _cause(error: BaseException) -> OSError | None:
    """What the disk said, also where torch ends a file that could not be written with an error of its own."""
    while not isinstance(error, OSError):
        if error.__context__ is None:
            return None
        error = error.__context__
    return error


def load(file: BinaryIO, name: str) -> Any:
    """What torch makes, on the CPU, of an open file that archive.py has looked through.

    name: how messages call the file. Raises ModelFileError.
    """
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of pickle protocols that pickle_reader.py knows
            return torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelFileError(f"{name} could not be loaded: {text}") from error
