"""Write what torch saves, whole or not at all, and load it again.

In:  a path, and tensors among plain values.
Out: a file that appears under its name only when it is on the disk, or an OutputError; and the values.
torch writes a checksum (CRC-32) beside every part; archive.py compares them.
"""

from __future__ import annotations

import glob
import pickle
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ..errors import ModelFileError
from ..files.whole import output_fault, remove, whole_file


def save(path: Path, content: Any, *, before: Path | None = None) -> None:
    """Write `content` under `path`. Raises OutputError, e.g. on a full disk.

    before: the name that the file which is replaced gets, in the same folder; one of the two is always there.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*part"):  # by a process that was killed
        remove(left)
    try:
        with whole_file(path, before=before) as file:
            torch.save(content, file)
    except RuntimeError as error:
        fault = _cause(error)
        if fault is None:
            raise
        raise output_fault(path, fault) from error


def _cause(error: BaseException | None) -> OSError | None:
    """What the disk said where torch ends a file that could not be written with an error of its own."""
    while error is not None and not isinstance(error, OSError):
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
