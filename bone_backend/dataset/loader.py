"""Read the patches of a plan ahead of their use, in threads.

In:  a Plan, and for every scan the source of its grey values and of its labels.
Out: batches in the order of the plan: raw grey values and labels in one stored dtype, and the plan's part.
Only as many batches as are in flight are held, in buffers that are used again; no process is started.
"""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ..volumes.patch_source import PatchSource
from .plan import PatchShape, Plan
from .views import View, seen


@dataclass(frozen=True)
class PairSource:
    """The grey values and the labels of one pair."""

    scan: PatchSource
    mask: PatchSource

    def seen(self, view: View, patch: PatchShape) -> PairSource:
        """Both as a view shows them, with room for a patch."""
        return PairSource(seen(self.scan, view, patch), seen(self.mask, view, patch))


@dataclass
class Batch:
    """Raw values on the host.

    Grey (batch, channel, [z,] y, x), labels (batch, [z,] y, x), and their part of the plan.
    """

    grey: torch.Tensor
    labels: torch.Tensor
    plan: Plan
    whole: int = 0  # patches of the batch of which this is the share of one process
    copied: torch.cuda.Event | None = (
        None  # set by who copies to a GPU without waiting: the buffers are in use until then
    )


@dataclass(frozen=True)
class PatchLayout:
    """How patches lie in a batch.

    Their shape, the slices seen as channels (1, or 3 to 9 in 2.5D), and whether z is an axis.
    """

    patch: PatchShape
    channels: int = 1
    is_3d: bool = False

    def grey_shape(self, count: int) -> tuple[int, ...]:
        """Shape of a batch of grey values."""
        z, y, x = self.patch
        return (count, 1, z, y, x) if self.is_3d else (count, self.channels, y, x)

    def label_shape(self, count: int) -> tuple[int, ...]:
        """Shape of a batch of labels."""
        z, y, x = self.patch
        return (count, z, y, x) if self.is_3d else (count, y, x)


AS_SIGNED: dict[str, np.dtype] = {"uint32": np.dtype(np.int32), "uint64": np.dtype(np.int64)}


def common_dtype(dtypes: Sequence[np.dtype]) -> np.dtype:
    """The smallest dtype that holds all stored values and that torch can work with.

    E.g. uint8 and uint16 share uint16. uint32 and uint64, which only masks have, are taken as int32 and
    int64: their labels are at most 65535 (checks.py), and torch can do little with them.
    """
    known = [AS_SIGNED.get(dtype.name, dtype) for dtype in dtypes]
    shared = np.result_type(*known)
    return np.dtype(np.float32) if shared == np.float64 else shared


class Loader:
    """Batches of any number of plans, read ahead by threads. A context manager: leaving it ends the threads.

    One thread fills one batch at a time, so the content of a batch never depends on the number of threads.
    """

    def __init__(
        self,
        pairs: Sequence[PairSource],
        layout: PatchLayout,
        *,
        batch_size: int,
        threads: int = 2,
        pin: bool = False,
    ):
        self.pairs, self.layout, self.batch_size, self.threads = list(pairs), layout, batch_size, threads
        self._grey_dtype = common_dtype([pair.scan.header.dtype for pair in pairs])
        self._label_dtype = common_dtype([pair.mask.header.dtype for pair in pairs])
        self._pin = pin
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="bone-loader")
        self._free: queue.SimpleQueue[tuple[torch.Tensor, torch.Tensor]] = queue.SimpleQueue()
        self._copying: deque[tuple[torch.cuda.Event | None, tuple[torch.Tensor, torch.Tensor]]] = deque()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; batches not yet used are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def count(self, plan: Plan) -> int:
        """Batches that the plan makes: as few as batch_size allows, of sizes that differ by one at most."""
        return -(-len(plan) // self.batch_size)

    def batches(
        self, plan: Plan, *, first: int = 0, step: int = 1, share: tuple[int, int] = (0, 1)
    ) -> Iterator[Batch]:
        """The plan's batches from number `first` on. A batch is valid until the next one is asked for.

        step: every step-th batch. share: (first, step) of the patches taken of each batch.
        """
        total = self.count(plan)
        cuts = [number * len(plan) // total for number in range(total + 1)]
        waiting: deque[Future[tuple[tuple[torch.Tensor, torch.Tensor], Batch]]] = deque()
        ahead = iter(range(first, total, step))

        def submit() -> None:
            with contextlib.suppress(StopIteration):
                number = next(ahead)
                whole = plan.part(cuts[number], cuts[number + 1])
                waiting.append(self._pool.submit(self._fill, whole.every(*share), len(whole)))

        try:
            for _ in range(self.threads + 1):
                submit()
            while waiting:
                buffers, batch = waiting.popleft().result()
                submit()
                try:
                    yield batch
                finally:
                    self._release(buffers, batch.copied)
        finally:
            for future in waiting:
                if not future.cancel():
                    with contextlib.suppress(Exception):
                        self._free.put(future.result()[0])

    def _release(self, buffers: tuple[torch.Tensor, torch.Tensor], copied: torch.cuda.Event | None) -> None:
        """Buffers may be filled again once their copy to the GPU is done.

        At most three copies are left pending.
        """
        self._copying.append((copied, buffers))
        while self._copying:
            oldest, free = self._copying[0]
            if oldest is not None and not oldest.query():
                if len(self._copying) <= 3:
                    return
                oldest.synchronize()
            self._copying.popleft()
            self._free.put(free)

    def _buffers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Free buffers, or new ones while fewer than batches in flight exist."""
        try:
            return self._free.get_nowait()
        except queue.Empty:
            grey = torch.from_numpy(np.zeros(self.layout.grey_shape(self.batch_size), dtype=self._grey_dtype))
            labels = torch.from_numpy(
                np.zeros(self.layout.label_shape(self.batch_size), dtype=self._label_dtype)
            )
            return (grey.pin_memory(), labels.pin_memory()) if self._pin else (grey, labels)

    def _fill(self, plan: Plan, whole: int) -> tuple[tuple[torch.Tensor, torch.Tensor], Batch]:
        buffers = self._buffers()
        grey, labels = buffers[0][: len(plan)], buffers[1][: len(plan)]
        gather(self.pairs, plan, layout=self.layout, grey=grey.numpy(), labels=labels.numpy())
        return buffers, Batch(grey, labels, plan, whole)


def gather(
    pairs: Sequence[PairSource], plan: Plan, *, layout: PatchLayout, grey: np.ndarray, labels: np.ndarray
) -> None:
    """Copy the raw voxels of every patch of the plan into `grey` and `labels`, shaped as the layout says.

    2.5D: channel c is slice z + c - channels // 2; beyond the first or last slice that slice is repeated.
    """
    half = layout.channels // 2
    for i, (scan, z, y, x) in enumerate(
        zip(plan.scan.tolist(), plan.z.tolist(), plan.y.tolist(), plan.x.tolist(), strict=True)
    ):
        pair = pairs[scan]
        if layout.is_3d:
            pair.scan.read_patch(z, y, x, out=grey[i, 0])
            pair.mask.read_patch(z, y, x, out=_readable(labels[i], pair.mask))
            continue
        last = pair.scan.header.shape[0] - 1
        for c in range(layout.channels):
            pair.scan.read_patch(min(max(z + c - half, 0), last), y, x, out=grey[i, c])
        pair.mask.read_patch(z, y, x, out=_readable(labels[i], pair.mask))


def _readable(out: np.ndarray, mask: PatchSource) -> np.ndarray:
    """The memory of `out` as the mask can be read into it: a label looks alike in int32 and uint32."""
    dtype = mask.header.dtype
    return out if np.can_cast(dtype, out.dtype) else out.view(dtype)
