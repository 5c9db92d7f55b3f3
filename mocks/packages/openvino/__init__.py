"""A stand-in for OpenVINO: what BONe uses of it, computed by torch in a thread of its own.

In:  a folder of its own on Python's path (mocks/packages); the environment says how it behaves:
     MOCK_OPENVINO_SECONDS that a batch takes longer, MOCK_OPENVINO_WRONG that is added to one logit,
     MOCK_OPENVINO_REFUSES a network (1), MOCK_OPENVINO_MEMORY: voxels of the largest batch that fits.
Out: the results of torch.
"""

from __future__ import annotations

import os
import threading

import numpy as np
import torch

try:
    import openvino_telemetry  # noqa: F401

    REPORTS = True  # to its makers
except ImportError:
    REPORTS = False

__version__ = "0.0.1-stand-in"


def wish(name: str) -> float:
    return float(os.environ.get(f"MOCK_OPENVINO_{name}") or 0)


class Tensor:
    def __init__(self, data: np.ndarray, *, shared_memory: bool):
        assert shared_memory
        self.data = data


class Model:
    """A traced network and the shape of its input."""

    def __init__(self, traced: torch.nn.Module):
        self.traced, self.shape = traced, []

    def reshape(self, shape: list[int]) -> None:
        self.shape = shape


class Core:
    def get_property(self, device: str, name: str) -> str:
        return f"{name} of {device}"

    def compile_model(self, model: Model, device: str, settings: dict[str, object]) -> Compiled:
        assert device == "CPU"
        return Compiled(model.traced, tuple(model.shape), settings)


class Compiled:
    def __init__(self, traced: torch.nn.Module, shape: tuple[int, ...], settings: dict[str, object]):
        self.traced, self.shape = traced, shape
        self.is_bf16 = {"bf16": True, "f32": False}[str(settings["INFERENCE_PRECISION_HINT"])]

    def create_infer_request(self) -> Request:
        return Request(self)


class Request:
    """One batch at a time; its result stays until the next."""

    def __init__(self, compiled: Compiled):
        self.compiled, self.given, self.found = compiled, None, None
        self.cancelled, self.thread = threading.Event(), None

    def set_input_tensor(self, tensor: Tensor) -> None:
        assert tensor.data.shape == self.compiled.shape
        assert tensor.data.dtype == np.float32
        self.given = tensor.data

    def start_async(self) -> None:
        if 0 < wish("MEMORY") < self.given.size:
            raise RuntimeError("Exception from src/core.cpp:\nstd::bad_alloc")
        self.cancelled.clear()
        self.thread = threading.Thread(target=self._compute, daemon=True)
        self.thread.start()

    def _compute(self) -> None:
        self.cancelled.wait(wish("SECONDS"))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.compiled.is_bf16):
            logits = self.compiled.traced(torch.from_numpy(self.given.copy())).float().contiguous()
            logits[:, 0] += wish("WRONG")
        self.found = logits.numpy()

    def wait_for(self, milliseconds: int) -> bool:
        self.thread.join(milliseconds / 1000)
        return not self.thread.is_alive()

    def cancel(self) -> None:
        self.cancelled.set()

    def wait(self) -> None:
        self.thread.join()
        raise RuntimeError("Infer Request was canceled")

    def get_output_tensor(self, number: int) -> Tensor:
        assert number == 0
        return Tensor(self.found, shared_memory=True)
