"""Memory that runs out: how torch tells of it, and what the user is told.

In:  an error of torch's or Python's.
Out: whether it is one of memory, on a GPU or in RAM; a HardwareError in words.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import torch

from ..errors import HardwareError
from .device import free_bytes

# How torch, cuBLAS and cuDNN tell of it where they have no class for it.
OUT_OF_MEMORY = re.compile(
    r"allocator: (can't allocate|not enough) memory|(cuda|hip|driver|nccl|mps|error)[^\n]{0,40} out of memory"
    r"|status_alloc_failed",
    re.IGNORECASE,
)
# No subclasses: a RecursionError or a NotImplementedError is another thing, whatever it says.
OF_TORCH = (RuntimeError, getattr(torch, "AcceleratorError", RuntimeError))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or in RAM."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return type(error) in OF_TORCH and bool(OUT_OF_MEMORY.search(str(error)))


@contextlib.contextmanager
def memory_in_words(device: torch.device) -> Iterator[None]:
    """Memory that runs out anywhere within as a HardwareError."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise HardwareError(
            f"the memory of {device} ran out ({free_bytes(device) / 2**30:.1f} GiB free). Use a smaller "
            "batch_size, patch_size or backbone, or close other programs. The best model so far and the last "
            "checkpoint are kept."
        ) from error
