"""What else than torch on this processor or an NVIDIA GPU computes networks: one row for each.

In:  the name of a backend.
Out: how it is loaded, asked and called.
Each takes batches in RAM and gives logits there, so that all else of a prediction stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ...machine.device import describe
from ...options.field import AUTO
from ...options.programs import PredictOptions
from . import mps_network, openvino_network
from .choosing import MPS, OPENVINO, Network
from .mps_network import MpsNetwork
from .openvino_network import OpenVinoNetwork


class Other(NamedTuple):
    """check(wanted, otherwise) raises PackageError where it is missing. build(network, example, precision)
    gives the network as it computes it. where(precision): in words.
    """

    title: str
    check: Callable[..., Any]
    version: Callable[[], str]
    build: Callable[[torch.nn.Module, torch.Tensor, torch.dtype | None], Network]
    where: Callable[[torch.dtype | None], str]


OTHERS = {
    OPENVINO: Other(
        "OpenVINO",
        openvino_network.library,
        openvino_network.version,
        lambda network, example, precision: OpenVinoNetwork(network, example, precision=precision),
        lambda precision: describe(torch.device("cpu"), precision),
    ),
    MPS: Other(
        mps_network.TITLE,
        mps_network.check,
        lambda: str(torch.__version__),
        lambda network, example, _: MpsNetwork(network, example),
        lambda _: mps_network.WHERE,
    ),
}


def at_hand(options: PredictOptions) -> str | None:
    """The one that "auto" measures beside torch; None where there is none."""
    if options.precision in (AUTO, "fp32") and mps_network.is_there():
        return MPS
    return OPENVINO if openvino_network.is_installed() else None
