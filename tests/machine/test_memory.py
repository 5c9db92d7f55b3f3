"""Memory that runs out is known however torch tells of it."""

from __future__ import annotations

import pytest
import torch

from bone_backend.errors import HardwareError
from bone_backend.machine.memory import is_out_of_memory, memory_in_words

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("size mismatch"), False),
        (RuntimeError("the table of labels ran out of memory cells"), False),
        (RuntimeError("not enough memory was given in the options"), False),
        (RecursionError("CUDA error: out of memory"), False),
        (NotImplementedError("CUDA out of memory"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_faults_are_known_however_they_are_told(error, is_memory):
    assert is_out_of_memory(error) == is_memory
    with pytest.raises(HardwareError if is_memory else type(error)), memory_in_words(CPU):
        raise error
