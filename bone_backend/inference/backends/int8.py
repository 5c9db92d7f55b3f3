"""INT8: a network whose numbers have 8 bits, fitted to the scan that it labels; and what that changes.

In:  a network as OpenVINO has it, chunks of the scan.
Out: the network as NNCF has quantized it; a sentence about how far its labels are from those in float32.
NNCF is a package of its own, imported on use. What it would tell its makers it is kept from telling, and what
it prints nobody sees. The same chunks give the same network.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import torch

from ...errors import BoneError, Cancelled, PackageError, called
from . import openvino_network
from .packages import loaded, told_by

WHERE = "CPU, int8"  # as `machine.device.describe` says others
EXTRA = "int8"  # what brings the packages
MUCH = 0.01  # of the labelled voxels: a stronger warning
Look = Callable[[], None]


@dataclass(frozen=True)
class Int8:
    """What INT8 changes in a scan.

    calibrated, compared: chunks, none of which is both where the scan has several slices. voxels: of those
    that were compared; labelled: those that are no background, by the one or the other; otherwise: those
    labelled otherwise than by torch in float32. nncf: its version. digest: equal for networks that compute
    the same.
    """

    calibrated: int
    compared: int
    voxels: int
    labelled: int
    otherwise: int
    nncf: str
    digest: str

    @property
    def share(self) -> float:
        """Of the labelled voxels: of background there may be any number."""
        return self.otherwise / max(1, self.labelled)

    def warning(self) -> str:
        """That labels are approximate, and by how much, in words."""
        whole = self.otherwise / max(1, self.voxels)
        told = (
            f"INT8 is approximate: in {self.compared} chunks of this scan that it was not calibrated on, "
            f"{100 * whole:.2g} % of the voxels are labelled otherwise than by torch in fp32 "
            f"({100 * self.share:.2g} % of those that are not background)."
        )
        if self.share > MUCH:
            told += f" More than {100 * MUCH:g} % is much: use precision auto, or look at the labels well."
        return told


def library(wanted: str = f"{called('precision')} is int8", otherwise: str = "") -> ModuleType:
    """NNCF, and OpenVINO before it. Raises PackageError where one is missing or does not work.

    wanted, otherwise: see `packages.loaded`.
    """
    openvino_network.library(wanted, otherwise, extra=EXTRA)
    if "nncf" in sys.modules:
        return sys.modules["nncf"]
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    with _undisturbed():
        nncf = loaded("nncf", wanted, otherwise, extra=EXTRA)
    nncf.set_log_level(logging.ERROR)
    return nncf


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """What NNCF prints, its class of all later loggers, and what torch says of compilers that nobody uses
    when NNCF loads the rest of itself, go no further.
    """
    kind, compilers = logging.getLoggerClass(), logging.getLogger("torch.utils.cpp_extension")
    level = compilers.level
    compilers.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.setLoggerClass(kind)
        compilers.setLevel(level)


def version() -> str:
    """Of NNCF, as 3.4.0."""
    return importlib.metadata.version("nncf")


def quantized(model: Any, batches: Sequence[torch.Tensor], *, name: str, look: Look) -> Any:
    """A network as OpenVINO has it, with 8 bits where NNCF finds that fit.

    batches: what it sees, (1, channel, [z,] y, x) each. name: of the model. look: called before each.
    Raises PackageError where NNCF cannot do it.
    """
    nncf = library()

    def shown(batch: torch.Tensor) -> Any:
        look()
        return batch.numpy()

    try:
        with _undisturbed():
            model.reshape([-1, batches[0].shape[1], *[-1] * (batches[0].ndim - 2)])
            return nncf.quantize(
                model,
                nncf.Dataset(batches, shown),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(batches),
            )
    except (BoneError, Cancelled, MemoryError):
        raise
    except Exception as error:  # it has a tree of its own, and some of OpenVINO's come through it
        if "bad_alloc" in str(error):
            raise MemoryError(str(error)) from error
        raise PackageError(f"NNCF {version()} cannot bring {name} to INT8 ({told_by(error)}).") from error


def of_all(found: Sequence[Int8 | None]) -> Int8 | None:
    """What INT8 changes in all passes over a scan together; None where it is not asked for."""
    known = [one for one in found if one]
    if not known:
        return None
    digest = hashlib.sha256("".join(one.digest for one in known).encode()).hexdigest()[:32]
    names = ("calibrated", "compared", "voxels", "labelled", "otherwise")
    sums = {name: sum(getattr(one, name) for one in known) for name in names}
    return replace(known[0], **sums, digest=digest)
