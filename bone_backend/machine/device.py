"""Where the network computes, and with which numbers.

In:  the names that a user may give ("auto", "cuda:1"; "auto", "bf16" ...).
Out: a torch device, and the dtype for automatic mixed precision (None: plain float32).
"auto" takes the best that is there; a name that was given is taken or refused, never replaced.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

import psutil
import torch

from ..errors import HardwareError, called

# Of oneDNN's names (its guide, "CPU dispatcher control") those of processors without bf16.
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
DTYPES: dict[str, torch.dtype | None] = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": None}


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name: "auto" (a GPU if there is one), "cpu", "cuda" or "cuda:N".

    Raises HardwareError where the GPU that was asked for is not there.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or not (number == "" or number.isdecimal()):
        raise HardwareError(f"{called('device')} is {name!r}; use auto, cpu, cuda or cuda:N.")
    if torch.version.cuda is None and torch.version.hip is None:
        raise HardwareError(
            f"{called('device')} is {name}, but the installed PyTorch {torch.__version__} knows no GPU. "
            "Install it anew with 'python install/bootstrap.py app --torch cuda', or use device cpu."
        )
    if not torch.cuda.is_available():
        raise HardwareError(
            f"{called('device')} is {name}, but no GPU answers here. Check 'nvidia-smi', or use device cpu."
        )
    index, count = int(number or 0), torch.cuda.device_count()
    if index >= count:
        raise HardwareError(
            f"{called('device')} is {name}, but there are {count} GPUs, cuda:0 to cuda:{count - 1}."
        )
    return torch.device("cuda", index)


def choose_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The dtype for `torch.autocast` on that device; None means float32 throughout.

    name: "bf16", "fp16", "fp32", or "auto": bf16 where the hardware multiplies it, else fp16 on a GPU, else
    float32.
    Raises HardwareError for fp16 on a CPU, where it is slow and overflows.
    """
    if name == "auto":
        if device.type == "cuda":
            with torch.cuda.device(device):  # it asks the current one
                has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if has_bf16 else torch.float16
        return torch.bfloat16 if cpu_has_bf16() else None
    if name not in DTYPES:
        raise HardwareError(f"{called('precision')} is {name!r}; use auto, bf16, fp16 or fp32.")
    if name == "fp16" and device.type == "cpu":
        raise HardwareError(
            f"{called('precision')} is fp16, which needs a GPU. Use auto, bf16 or fp32 on a CPU."
        )
    return DTYPES[name]


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 itself (AVX512_BF16, AMX, ARM's BF16).

    Where it does not, or oneDNN is held back from it (ONEDNN_MAX_CPU_ISA), emulation is slower than float32.
    """
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BF16:
        return False
    tell = getattr(torch.cpu, "get_capabilities", None)
    if tell is not None:
        found = tell()
        return any(bool(found.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))
    # torch < 2.11 tells it by private functions only
    probes = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(bool(probe()) for probe in probes if probe is not None)


def mixed_precision(device: torch.device, precision: torch.dtype | None) -> AbstractContextManager[object]:
    """The context in which the network is called: autocast to `precision`, or nothing for None."""
    if precision is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision)


def free_bytes(device: torch.device) -> int:
    """Memory that can still be used on the device (a GPU's own, or the machine's RAM), in bytes.

    On a GPU this counts what PyTorch has reserved but does not use.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    return int(psutil.virtual_memory().available)


def describe(device: torch.device, precision: torch.dtype | None) -> str:
    """In words, for the log and the record: "NVIDIA H200 (cuda:0), bf16"."""
    name = f"{torch.cuda.get_device_name(device)} ({device})" if device.type == "cuda" else "CPU"
    return f"{name}, {next(word for word, dtype in DTYPES.items() if dtype == precision)}"


def compile_network(network: torch.nn.Module, device: torch.device) -> None:
    """Have the network compiled when it is called next; its weights and their names stay.

    Raises HardwareError where torch.compile does not work on this machine, as tried on a small convolution.
    """
    trial = torch.nn.Conv2d(1, 1, 3).to(device)
    trial.compile()
    try:
        trial(torch.zeros(1, 1, 8, 8, device=device))
    except Exception as error:  # whatever the compilers raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise HardwareError(
            f"{called('compile')} is on, but torch.compile does not work here ({reason}). It needs a C++ "
            "compiler, and Triton on a GPU. Leave compile out."
        ) from error
    network.compile()


@contextlib.contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """Use only kernels that give the same bits every time, for as long as the context lasts.

    Where that is not wanted cuDNN tries which kernels are the fastest, since patches are of one size.

    Raises HardwareError when the network needs a kernel that has no such form on this device.
    """
    if not wanted:
        benchmarked = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        try:
            yield
        finally:
            torch.backends.cudnn.benchmark = benchmarked
        return
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = (
        ":4096:8"  # cuBLAS is repeatable only with this (PyTorch notes on randomness)
    )
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise HardwareError(
            f"{called('reproducible')} is on, but this network needs a computation that has no repeatable "
            f"form on this device ({error}). "
            "Choose another architecture, device cpu, or switch reproducible off."
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
        if before[2] is None:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
        else:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = before[2]
