"""A stand-in for NNCF: what BONe uses of it, for the networks of the stand-in of OpenVINO.

In:  a folder of its own on Python's path (mocks/packages); the environment says how it behaves:
     MOCK_NNCF_LEVELS that numbers have (255), MOCK_NNCF_REFUSES a network (1).
Out: a network whose input and logits have so many levels between the least and the most that it was shown.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from enum import Enum

import torch
from openvino import Model

try:
    import openvino_telemetry  # noqa: F401

    REPORTS = True  # to its makers
except ImportError:
    REPORTS = False

logging.setLoggerClass(type("TheirLogger", (logging.Logger,), {}))


class QuantizationPreset(Enum):
    PERFORMANCE = "performance"
    MIXED = "mixed"


class Dataset:
    def __init__(self, source: Sequence[object], shown: Callable):
        self.source, self.shown = source, shown


class Quantized:
    """A traced network with rounded numbers."""

    def __init__(self, traced: torch.nn.Module, seen: Sequence[torch.Tensor]):
        self.traced, self.levels = traced, float(os.environ.get("MOCK_NNCF_LEVELS") or 255)
        given = torch.cat([one.flatten() for one in seen])
        found = torch.cat([traced(one).flatten() for one in seen])
        self.ranges = [(float(one.min()), float(one.max())) for one in (given, found)]

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        return self.rounded(self.traced(self.rounded(batch, *self.ranges[0])), *self.ranges[1])

    def rounded(self, numbers: torch.Tensor, least: float, most: float) -> torch.Tensor:
        step = (most - least) / self.levels
        return ((numbers.float().clamp(least, most) - least) / step).round() * step + least


def set_log_level(level: int) -> None:
    assert level >= logging.ERROR


def quantize(model: Model, dataset: Dataset, *, preset: QuantizationPreset, subset_size: int) -> Model:
    print("Statistics collection")  # as the real one does
    assert preset in QuantizationPreset
    assert model.shape[0] == -1
    assert subset_size == len(dataset.source)
    if os.environ.get("MOCK_NNCF_REFUSES"):
        raise RuntimeError("The graph is not supported.\nNo rule for aten::fly")
    with torch.inference_mode():
        seen = [torch.from_numpy(dataset.shown(one)) for one in dataset.source]
        return Model(Quantized(model.traced, seen))
