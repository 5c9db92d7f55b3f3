"""What computes a network: torch, or another that was measured to be faster and agrees with torch.

In:  a network by torch and by the other, a chunk of the scan itself.
Out: how long each takes; how far they are apart, and how far they may be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ...errors import PackageError
from ...machine.device import mixed_precision
from .remembered import Seconds

TORCH, OPENVINO, MPS = "torch", "openvino", "mps"
TITLES = {OPENVINO: "OpenVINO", MPS: "MPS of torch"}
MARGIN = 0.9  # of torch's time that another may take to be chosen
ROUNDS, ENOUGH_S = 25, 3.0  # the least of a few is luck on a busy machine
# Largest difference to float32 torch that is taken, relative to the largest logit; in bf16 what torch's own
# bf16 differs by counts too, so many times.
NEAR, NEAR_BF16, TIMES_TORCH = 1e-3, 0.01, 2
Network = Callable[[torch.Tensor], torch.Tensor]


class Backend(NamedTuple):
    """What computes, and its version. digest: of networks that were quantized for the scan, see `Int8`."""

    name: str
    version: str
    digest: str = ""

    @property
    def words(self) -> str:
        return f"{TITLES.get(self.name, self.name)} {self.version}"


def by_torch() -> Backend:
    """Torch, as it is here."""
    return Backend(TORCH, str(torch.__version__))


def measured(
    networks: Sequence[Network],
    chunk: torch.Tensor,
    precision: torch.dtype | None,
    *,
    now: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Seconds that torch and another take for a chunk: the least of some times, by turns, so that what else
    the machine does meanwhile hits both. networks: torch's, the other's.
    """
    taken: list[list[float]] = [[], []]
    began = now()
    with torch.inference_mode(), mixed_precision(chunk.device, precision):
        for network in networks:
            network(chunk)  # the first time takes longer
        while len(taken[1]) < ROUNDS and (not taken[1] or now() - began < ENOUGH_S):
            for network, times in zip(networks, taken, strict=True):
                before = now()
                network(chunk)
                times.append(now() - before)
    return min(taken[0]), min(taken[1])


def verdict(
    seconds: Seconds, *, other: str, title: str, chunks: float, models: int, when: str
) -> tuple[str, str]:
    """The backend for so many chunks, each seen by all models, and why. other, title: name of the one beside
    torch, and what it is called. when: it was measured.
    """
    share = seconds.other / seconds.torch
    took = f"{title} takes {100 * share:.0f} % of torch's time for a chunk ({when})"
    if share >= MARGIN:
        return TORCH, f"{took}; below {100 * MARGIN:.0f} % it would be taken"
    saved, start = chunks * models * (seconds.torch - seconds.other), models * seconds.start
    told = f"{took}, so it would save {saved:.1f} s here and take {start:.1f} s to begin"
    return other if saved > start else TORCH, told


def agreement(
    network: Network,
    chunk: torch.Tensor,
    *,
    plain: Network,
    own: Network,
    precision: torch.dtype | None,
    name: str,
    title: str,
) -> str:
    """Compare the logits of another with those of torch; gives in words how far they are apart.

    plain: by torch, for float32. own: as torch would predict in this precision. name: of the model. title: of
    what is compared.
    Raises PackageError where they differ by more than rounding may.
    """
    with torch.inference_mode():
        expected = plain(chunk)
        with mixed_precision(chunk.device, precision):
            by_own = own(chunk)
        found = network(chunk)
    if not bool(torch.isfinite(expected).all()):
        return "not compared, for torch gives no numbers"  # which the prediction tells
    largest = float(expected.abs().max()) or 1.0
    torchs, ours = (float((one.float() - expected).abs().max()) / largest for one in (by_own, found))
    limit = NEAR if precision is None else max(NEAR_BF16, TIMES_TORCH * torchs)
    told = f"logits differ from float32 torch's by {ours:.2g} of the largest ({limit:.2g} is allowed)"
    if not ours <= limit:
        raise PackageError(f"{title} does not compute {name} well: {told}.")
    return told
