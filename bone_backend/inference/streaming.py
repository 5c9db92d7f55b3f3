"""Stream a scan through a network: read ahead, predict chunks in batches, merge, write behind.

In:  an open scan, its chunk layout and a network.
Out: labels, written slab by slab in z order.
Reading and writing have a thread each, so the network never waits for the disk. At most one group of tiles is
worked on, one is being read and two are being written; memory does not depend on the number of slices.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ..errors import HardwareError
from ..intensity.normalisation import Normalisation
from ..machine.device import free_bytes, mixed_precision
from ..machine.memory import is_out_of_memory
from ..volumes.kept import Note
from ..volumes.volume import Header
from .symmetry import Symmetry
from .windows import Layout, mirror

log = logging.getLogger("bone.prediction")

CPU_BATCH_VOXELS = 512 * 512  # larger batches leave the cache and get slower (10 %, U-Net with resnet18)
GPU_BATCH_VOXELS = 64 * 512 * 512
GPU_SHARE = 0.6  # of the free memory for one batch
CPU_GROUP_BYTES = 128 * 2**20
GPU_GROUP_BYTES = 2**31
WRITES_AT_A_TIME = 2


@dataclass(frozen=True)
class Group:
    """Tiles that are predicted together.

    tiles: first slice of each. first, last: slices that they see, half-open, may lie beyond the scan.
    finished: slices below this get nothing from later groups.
    """

    tiles: tuple[int, ...]
    first: int
    last: int
    finished: int


def plan_groups(layout: Layout, *, tiles_at_once: int, context: int = 0) -> list[Group]:
    """All tiles in z order, `tiles_at_once` together.

    context: slices that a 2.5D network sees before and after its tile.

    >>> from .windows import layout
    >>> [g.finished for g in plan_groups(layout((7, 64, 64), (4, 32, 32), overlap=0.5), tiles_at_once=1)]
    [2, 3, 7]
    """
    offsets = layout.z.offsets
    groups = []
    for i in range(0, len(offsets), tiles_at_once):
        tiles = offsets[i : i + tiles_at_once]
        following = offsets[i + tiles_at_once] if i + tiles_at_once < len(offsets) else layout.z.length
        groups.append(Group(tiles, tiles[0] - context, tiles[-1] + layout.z.size + context, following))
    return groups


def deepest(groups: Sequence[Group], layout: Layout) -> int:
    """Most slices that are unfinished at a time, for the Merger."""
    return max(min(g.tiles[-1] + layout.z.size, layout.z.length) - g.tiles[0] for g in groups)


class Slices(Protocol):
    """What is read of a scan: a Volume, or one seen along another axis."""

    @property
    def header(self) -> Header: ...

    def read(self, z0: int, z1: int, /, *, out: np.ndarray) -> np.ndarray:
        """Slices z0 to z1 (half-open), into out."""


def read_ahead(
    scan: Slices, groups: Sequence[Group], *, is_3d: bool, pin: bool
) -> Iterator[tuple[Group, torch.Tensor]]:
    """Each group with its raw slices (z, y, x) in the stored dtype, while the next is being read.

    Beyond the scan a 3D slab is reflected; a 2.5D one repeats the border slice. pin: page-lock for a GPU.
    """

    def read(group: Group) -> torch.Tensor:
        depth = scan.header.shape[0]
        wanted = np.arange(group.first, group.last)
        sources = mirror(wanted, depth) if is_3d else wanted.clip(0, depth - 1)
        z0, z1 = int(sources.min()), int(sources.max()) + 1
        dtype = torch.from_numpy(np.empty(0, scan.header.dtype)).dtype
        raw = torch.empty((z1 - z0, *scan.header.shape[1:]), dtype=dtype, pin_memory=pin)
        scan.read(z0, z1, out=raw.numpy())
        if np.array_equal(sources, np.arange(z0, z1)):
            return raw
        return torch.from_numpy(raw.numpy()[sources - z0])

    with ThreadPoolExecutor(1, thread_name_prefix="read ahead") as pool:
        pending = pool.submit(read, groups[0])
        for group, following in zip(groups, [*groups[1:], None], strict=True):
            raw = pending.result()
            if following is not None:
                pending = pool.submit(read, following)
            yield group, raw


Look = Callable[[np.ndarray, np.ndarray], None]


Beside = Callable[[list[np.ndarray], Note], None]


class Sink(Protocol):
    """What takes slices in order: a VolumeWriter, or a store."""

    def write(self, slab: np.ndarray, /) -> None: ...


class WriteBehind:
    """Writes labels in a thread, in the order given; a fault is raised at a later `write` or at the end.

    As a context manager inside that of its writer: at the end all is written, after a fault nothing more.
    look: is shown the labels and greys of the same slices, in the thread; beside: takes, after them, the
    maps and what was counted.
    """

    def __init__(
        self,
        writer: Sink,
        *,
        look: Look | None = None,
        beside: Beside | None = None,
    ):
        self._writer, self._look, self._beside = writer, look, beside
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write behind")
        self._pending: deque[Future[None]] = deque()
        self._is_broken = False

    def write(
        self,
        labels: torch.Tensor,
        greys: np.ndarray | None = None,
        layers: list[np.ndarray] | None = None,
        note: Note | None = None,
    ) -> None:
        """Append labels (z, y, x) of the writer's dtype, from any device. greys: of the scan, for `look`.
        layers, note: for `beside`.
        """
        while len(self._pending) >= WRITES_AT_A_TIME:
            self._pending.popleft().result()
        if labels.is_cuda:
            host = torch.empty(labels.shape, dtype=labels.dtype, pin_memory=True)
            host.copy_(labels, non_blocking=True)
            copied = torch.cuda.Event()
            copied.record(torch.cuda.current_stream(labels.device))
            self._pending.append(
                self._pool.submit(self._write, host, greys, layers, note, copied.synchronize)
            )
        else:
            self._pending.append(self._pool.submit(self._write, labels, greys, layers, note, lambda: None))

    def _write(
        self,
        labels: torch.Tensor,
        greys: np.ndarray | None,
        layers: list[np.ndarray] | None,
        note: Note | None,
        wait: Callable[[], None],
    ) -> None:
        if self._is_broken:  # what waits behind slices that were not written must not take their place
            return
        try:
            wait()
            if self._look is not None and greys is not None:
                self._look(labels.numpy(), greys)
            self._writer.write(labels.numpy())
            if self._beside is not None and note is not None:
                self._beside(layers or [], note)
        except BaseException:
            self._is_broken = True
            raise

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            while kind is None and self._pending:
                self._pending.popleft().result()
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)


class Receiver(Protocol):
    """Who gets the chunks: a Merger, or whoever keeps a part of them. layout: of the chunks."""

    @property
    def layout(self) -> Layout: ...

    def add(self, z: int, corner: tuple[int, int], probabilities: torch.Tensor, /) -> None:
        """Add the chunk whose first voxel is (z, *corner)."""


class ChunkPredictor:
    """Class probabilities of chunks, in batches that fit into the memory.

    network: in evaluation mode on the device; takes (batch, channel, [z,] y, x), gives logits. others:
    further networks that see the same; ways: how each chunk is shown to each; of all the mean is taken, in
    which each network counts as weights says.
    batch_size: in chunks; halved for the rest of the run when the memory runs out.
    """

    def __init__(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        *,
        device: torch.device,
        precision: torch.dtype | None,
        batch_size: int = 1,
        is_3d: bool = False,
        others: Sequence[Callable[[torch.Tensor], torch.Tensor]] = (),
        weights: Sequence[float] = (),
        ways: Sequence[Symmetry] = (Symmetry(),),
    ):
        self.network, self.device, self.precision = network, device, precision
        self.networks, self.ways = (network, *others), tuple(ways)
        self.weights = tuple(weights) or (1.0,) * len(self.networks)
        self.batch_size, self.is_3d = batch_size, is_3d
        self.is_cuda = device.type == "cuda"

    def predict(
        self, slab: torch.Tensor, group: Group, *, merger: Receiver, after_batch: Callable[[], None]
    ) -> None:
        """Predict all chunks of a group and add them to the merger.

        slab: float32 (z, y, x) normalised and padded, beginning at slice group.first. after_batch: called
        after each batch.
        Raises HardwareError when the memory does not suffice for a single chunk.
        """
        layout = merger.layout
        seen = group.last - group.tiles[-1] + (group.tiles[0] - group.first)  # slices that one chunk sees
        places = [(z, corner) for z in group.tiles for corner in layout.corners()]
        done = 0
        while done < len(places):
            rest = len(places) - done
            number = -(-rest // -(-rest // self.batch_size))  # batches of equal size
            some = places[done : done + number]
            chunks = [
                slab[z - group.tiles[0] :][:seen, y : y + layout.y.size, x : x + layout.x.size]
                for z, (y, x) in some
            ]
            probabilities = None
            try:
                probabilities = self.probabilities(chunks)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            if probabilities is None:  # outside of the handler, whose traceback keeps what was computed
                self._halve(number)
                continue
            for (z, corner), chunk in zip(some, probabilities, strict=True):
                merger.add(z, corner, chunk)
            done += number
            after_batch()

    def probabilities(self, chunks: list[torch.Tensor]) -> torch.Tensor:
        """float32 (batch, class, [z,] y, x) of chunks (z, y, x); slices are channels except in 3D."""
        batch = torch.stack(chunks)
        batch = batch[:, None] if self.is_3d else batch
        order = torch.channels_last_3d if self.is_3d else torch.channels_last
        mean: torch.Tensor | None = None
        for way in self.ways:
            seen = way.of(batch).contiguous(memory_format=order)
            for network, weight in zip(self.networks, self.weights, strict=True):
                with mixed_precision(self.device, self.precision), _fastest_convolutions():
                    logits = network(seen)
                found = logits.to(torch.float32, memory_format=torch.contiguous_format).softmax(dim=1)
                found = found if weight == 1 else found.mul_(weight)
                mean = way.back(found) if mean is None else mean.add_(way.back(found))
        assert mean is not None
        count = len(self.ways) * sum(self.weights)
        return mean if count == 1 else mean.div_(count)

    def _halve(self, tried: int) -> None:
        if self.is_cuda:
            torch.cuda.empty_cache()
        free_gib = free_bytes(self.device) / 2**30
        if tried == 1:
            raise HardwareError(
                f"the memory of {self.device} does not suffice for a single chunk ({free_gib:.1f} GiB free). "
                "Use a smaller chunk_size, or close other programs."
            )
        self.batch_size = tried // 2
        log.warning(
            "The memory of %s ran out at batches of %d chunks (%.1f GiB free); going on with %d.",
            self.device,
            tried,
            free_gib,
            self.batch_size,
        )


@contextlib.contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """Let cuDNN find the fastest algorithm for the one size that all chunks have."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def choose_batch_size(predictor: ChunkPredictor, layout: Layout, *, channels: int) -> int:
    """Chunks in a batch: what the CPU's cache likes, or what fits into the free memory of a GPU.

    channels: slices that a 2D or 2.5D chunk sees. On a GPU one chunk is predicted to see what it takes.
    """
    depth = layout.z.size if predictor.is_3d else channels
    voxels = layout.z.size * layout.y.size * layout.x.size
    if not predictor.is_cuda:
        return max(1, CPU_BATCH_VOXELS // voxels)
    chunk = torch.zeros((depth, layout.y.size, layout.x.size), device=predictor.device)
    torch.cuda.reset_peak_memory_stats(predictor.device)
    before = torch.cuda.memory_allocated(predictor.device)
    predictor.probabilities([chunk])
    taken = max(1, torch.cuda.max_memory_allocated(predictor.device) - before)
    fitting = int(free_bytes(predictor.device) * GPU_SHARE / taken)
    return max(1, min(GPU_BATCH_VOXELS // voxels, fitting))


def choose_tiles_at_once(
    layout: Layout, *, batch_size: int, classes: int, context: int, is_cuda: bool, least: int = 1
) -> int:
    """Tiles in a group: enough to fill a batch, `least` or more, within a budget; in 3D one slab."""
    if layout.z.size > 1:
        return 1
    slice_bytes = layout.y.extent * layout.x.extent * 4 * (classes + 2)
    budget = GPU_GROUP_BYTES if is_cuda else CPU_GROUP_BYTES
    wanted = max(
        -(-batch_size // layout.per_tile), 4 * context, least
    )  # the context is read once for a group
    return max(1, min(wanted, budget // slice_bytes))


def prepare(
    raw: torch.Tensor, normalisation: Normalisation, *, layout: Layout, device: torch.device
) -> torch.Tensor:
    """Raw slices (z, y, x) as float32 on the device: normalised, clipped, reflected to the extent."""
    slab = raw.to(device, non_blocking=True).to(torch.float32)
    if normalisation.power != 1:
        slab = slab.clamp_(0).div_(normalisation.top).pow_(normalisation.power).mul_(normalisation.top)
    slab = (
        slab.sub_(normalisation.shift).mul_(normalisation.scale).clamp_(normalisation.low, normalisation.high)
    )
    for dimension, axis in ((1, layout.y), (2, layout.x)):
        if axis.extent > axis.length:
            slab = slab.index_select(dimension, torch.from_numpy(axis.sources).to(device))
    return slab
