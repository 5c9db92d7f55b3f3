"""A network that OpenVINO computes, on a CPU.

In:  a network in evaluation mode whose batch normalisations are folded, an input it takes, a precision.
Out: a callable as the network is: takes the same batches, gives the same logits but for rounding.
OpenVINO is a package of its own, imported on use. What it would tell its makers about itself it is kept from
telling: BONe sends nothing to anybody.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch

from ...errors import PackageError, called
from .packages import loaded, told_by

PRECISIONS = {None: "f32", torch.bfloat16: "bf16"}
MOST_SHAPES = 4  # of batches that stay compiled: each holds the memory of its layers
LOOK_MS = 200  # between two looks for a stop


def library(
    wanted: str = f"{called('backend')} is openvino", otherwise: str = "", *, extra: str = "openvino"
) -> ModuleType:
    """The package. Raises PackageError where it is missing or does not work.

    wanted, otherwise, extra: see `packages.loaded`.
    """
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return loaded("openvino", wanted, otherwise, extra=extra)


def is_installed() -> bool:
    """Whether the package is there; it is not loaded."""
    return importlib.util.find_spec("openvino") is not None


def version() -> str:
    """Of the package, as 2026.4.1; it is not loaded where that is known without."""
    try:
        return importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return str(library().__version__).partition("-")[0]


class OpenVinoNetwork:
    """The network for batches of any size that it takes; each size is compiled when it comes first.

    Raises PackageError for a network that OpenVINO cannot compute.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        example: torch.Tensor,
        *,
        precision: torch.dtype | None,
        change: Callable[[Any], Any] = lambda model: model,
    ):
        """change: what is done with the network as OpenVINO has it, before it is compiled."""
        self._library, self._words = library(), type(network).__name__
        model, self._decoder = self._translated(lambda: converted(network, example))
        self._model = change(model)
        self._settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # two programs would be pinned to the same cores
        }
        self._requests: dict[tuple[int, ...], Any] = {}  # the one used last at the end
        self._check: Callable[[], None] = lambda: None

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (batch, class, [z,] y, x), of a batch on the CPU.

        Raises MemoryError where the memory runs out.
        """
        given = batch.to(torch.float32, memory_format=torch.contiguous_format).numpy()
        request = self._request(given.shape)
        try:
            request.set_input_tensor(self._library.Tensor(given, shared_memory=True))
            request.start_async()
            while not request.wait_for(LOOK_MS):
                self._check()
            return torch.from_numpy(request.get_output_tensor(0).data).clone()
        except RuntimeError as error:
            if "bad_alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise
        except BaseException:  # a stop: nobody may free the batch while it is computed
            request.cancel()
            with contextlib.suppress(RuntimeError):
                request.wait()
            raise

    @contextlib.contextmanager
    def interruptible(self, check: Callable[[], None]) -> Iterator[None]:
        """Call check() again and again while a batch is computed, so that it can raise."""
        before, self._check = self._check, check
        try:
            yield
        finally:
            self._check = before

    def _request(self, shape: tuple[int, ...]) -> Any:
        found = self._requests.pop(shape, None) or self._translated(lambda: self._compiled(shape))
        self._requests[shape] = found
        if len(self._requests) > MOST_SHAPES:
            del self._requests[next(iter(self._requests))]
        return found

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        self._model.reshape(list(shape))
        return self._library.Core().compile_model(self._model, "CPU", self._settings).create_infer_request()

    def _translated(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (RuntimeError, NotImplementedError, AttributeError, TypeError, ValueError) as error:
            if "bad_alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise PackageError(
                f"OpenVINO {version()} cannot compute this network ({self._words}: {told_by(error)})."
            ) from error


def converted(network: torch.nn.Module, example: torch.Tensor) -> tuple[Any, Any]:
    """The network as OpenVINO has it, for inputs of any size; and what has to live as long.

    By its front end for torch, not by `openvino.convert_model`, which reports to its makers.
    """
    front_end = importlib.import_module("openvino.frontend").FrontEndManager()
    decoder = importlib.import_module("openvino.frontend.pytorch.ts_decoder").TorchScriptPythonDecoder
    with torch.no_grad(), warnings.catch_warnings():
        # torch would rather have torch.export, whose import takes longer than many a prediction
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, example, check_trace=False)
        reader, read = front_end.load_by_framework("pytorch"), decoder(traced)
        return reader.convert(reader.load(read)), read
