"""What is wrong with the files that a command is given, told before torch is loaded.

In:  checked options of a fit or a prediction.
Out: nothing; or one fault that tells of every path that is not there or is no scan, mask or model.
Loading torch takes seconds. What needs a look into the volumes is left to the stories, which check all again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import BoneError
from .options.predicting.scans import PredictScansOptions
from .options.programs import FitOptions, PredictOptions


def check_inputs(options: object) -> None:
    """Raises ScanError, ModelFileError or OutputError, with a line for each path; other options pass."""
    faults: list[BoneError] = []
    for look, path in _looks(options):
        try:
            look(path)
        except BoneError as fault:
            faults.append(fault)
    if faults:
        raise type(faults[0])(list(dict.fromkeys(told for fault in faults for told in fault.faults)))


def _looks(options: object) -> Iterator[tuple[Callable[[Path], Any], Path]]:
    """What is to be looked at, and how."""
    from .model_files.header import read_header
    from .volumes.volume import peek

    if isinstance(options, FitOptions) and options.resume is None:
        for pair in options.pairs:
            yield peek, pair.scan
            yield peek, pair.mask
        if not options.is_library_weights:
            yield read_header, Path(options.weights)
    if isinstance(options, PredictOptions):
        if not (isinstance(options, PredictScansOptions) and options.are_several):  # each for itself
            yield peek, options.scan
        yield read_header, options.model
