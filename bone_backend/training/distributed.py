"""Several processes that fit one network together: a GPU each, or (to try it out) a part of the CPU each.

In:  the environment that torchrun or the worker gives each process; the device that the user named.
Out: a World: shares, sums and agreements between the processes. A process by itself has a World too, which
     does nothing.
Whatever one process meets, all leave at the same place: a stop, a fault in words, or a process that is lost.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from ..errors import (
    Cancelled,
    FittingError,
    HardwareError,
    ProgramFault,
    WorkerError,
    as_plain,
    called,
    from_plain,
)
from ..jobs.ranks import Parted, Rank
from ..machine.device import choose_device
from ..progress import Progress
from .replica import synchronised, unused_parameters

# File over which the processes of one machine find each other; without it torchrun's address and port are
# taken.
MEETING_FILE = "BONE_MEETING_FILE"
# The other processes wait while the first one opens and measures scans, however long. One that is lost is
# noticed at once, because its connections close.
PATIENCE = timedelta(days=7)
# For exchanges between GPUs, which do not notice a lost process otherwise.
GPU_PATIENCE = timedelta(minutes=30)

T = TypeVar("T")


def count_processes(gpus: str, device: str) -> int:
    """Processes of a fit: one for each GPU. gpus: "all" or a number; device: as the user named it.

    With device cpu a number means so many processes on the CPU. Raises HardwareError where there are not so
    many GPUs.
    """
    if gpus == "1":
        return 1
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus != "all" and device == "cpu":
        return int(gpus)
    if gpus == "all" and device == "cpu":
        raise HardwareError(
            f"{called('gpus')} is all, but {called('device')} is cpu. Use gpus 1, or device auto."
        )
    if not found:
        raise HardwareError(
            f"{called('gpus')} is {gpus}, but no GPU answers here. Check 'nvidia-smi', or use gpus 1."
        )
    wanted = found if gpus == "all" else int(gpus)
    if wanted > found:
        raise HardwareError(
            f"{called('gpus')} is {gpus}, but this machine has {found}. Use gpus {found} or all."
        )
    return wanted


@dataclass(frozen=True)
class World:
    """The processes of one fit as one of them sees them.

    device: where this process computes. data: the group that exchanges gradients. alone: a group of this
    process only. Sums and agreements go over the CPU (gloo), so that they never wait for a GPU.
    """

    rank: Rank = field(default_factory=Rank)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    data: Any = None
    alone: Any = None

    @property
    def size(self) -> int:
        """Processes in all."""
        return self.rank.of

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank.is_first

    @property
    def share(self) -> tuple[int, int]:
        """First and step of what this process takes of a batch."""
        return self.rank.number, self.rank.of

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, of integers exactly; a new tensor where the old one is."""
        if self.size == 1:
            return values.clone()
        total = values.cpu().clone()
        with _in_words(self.rank):
            dist.all_reduce(total)
        return total.to(values.device)

    def any(self, flag: bool) -> bool:
        """Whether any process says yes."""
        return bool(self.sum(torch.tensor(int(flag))))

    def gather(self, value: T) -> list[T]:
        """The value of every process, in their order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _in_words(self.rank):
            dist.all_gather_object(values, value)
        return values

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """A stage that all processes go through: one that raises makes all raise.

        The first raises what was told, Cancelled is raised by all, anything else is Parted in the others.
        A fault of BONe's own is told with its traceback, as a ProgramFault.
        """
        if self.size == 1:
            yield
            return
        is_told = False
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(WorkerError, Parted):  # the others are gone already
                self.gather(as_plain(error))
                is_told = not self.is_first and not isinstance(error, Cancelled)
            if is_told:
                raise Parted from error
            raise
        for number, told in enumerate(self.gather(None)):
            if told is not None:
                wanted = _as_told(told, number, self.size)
                raise wanted if self.is_first or isinstance(wanted, Cancelled) else Parted

    def first(self, work: Callable[[], T]) -> T:
        """Let the first process do something, and give what it found to all."""
        found: Any = None
        with self.together():
            if self.is_first:
                found = work()
        return self.gather(found)[0]

    def agreed(self, progress: Progress) -> Progress:
        """A progress that all processes call at the same places.

        A stop that the first is asked for stops all there.
        """
        return progress if self.size == 1 else _Agreed(self, progress)

    def check_same(self, found: str, *, what: str) -> None:
        """Raise FittingError unless all processes found the same."""
        if len(set(self.gather(found))) > 1:
            raise FittingError(
                f"the {what} of the {self.size} processes differ, which must never be. The best model so far "
                "is kept. Please report this with the log; a fit with gpus 1 is not concerned."
            )

    def share_buffers(self, network: torch.nn.Module) -> None:
        """Give all processes the buffers of the first.

        Running means and variances are kept by each for itself on a CPU.
        """
        if self.size > 1:
            with _in_words(self.rank):
                for buffer in network.buffers():
                    dist.broadcast(buffer, 0, group=self.data)

    def exchanging(
        self, network: torch.nn.Module, shape: tuple[int, ...]
    ) -> tuple[torch.nn.Module, torch.nn.Module]:
        """The network, and the network as it is called in training: gradients become their mean over all
        processes.

        On GPUs batches are normalised over all processes; torch cannot do that on a CPU, where each has its
        own. shape: of an input, with a batch of at least 2.
        """
        if self.size == 1:
            return network, network
        has_unused, is_gpu = bool(unused_parameters(network, shape)), self.device.type == "cuda"
        if is_gpu:
            network = synchronised(network, self.data)
        with _in_words(self.rank):
            called = torch.nn.parallel.DistributedDataParallel(
                network,
                device_ids=[self.device.index] if is_gpu else None,
                process_group=self.data,
                find_unused_parameters=has_unused,
            )
        return network, called

    @contextlib.contextmanager
    def by_itself(self, network: torch.nn.Module) -> Iterator[None]:
        """Let the network be called in one process without the others."""
        layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.SyncBatchNorm)]
        groups = [layer.process_group for layer in layers]
        for layer in layers:
            layer.process_group = self.alone
        try:
            yield
        finally:
            for layer, group in zip(layers, groups, strict=True):
                layer.process_group = group


class _Agreed:
    """See World.agreed."""

    def __init__(self, world: World, progress: Progress):
        self.world, self.progress = world, progress

    def __call__(
        self, step: int, steps: int, message: str, figures: Mapping[str, float] | None = None, /
    ) -> None:
        reason: BaseException | None = None
        try:
            if self.world.is_first:
                self.progress(step, steps, message, figures)
        except BaseException as raised:
            reason = raised
        if self.world.any(reason is not None):
            raise reason or Cancelled(message)


@contextlib.contextmanager
def join(device: str, *, rank: Rank | None = None) -> Iterator[World]:
    """Meet the other processes of this fit, where the environment names any.

    device: as the user named it. Raises HardwareError where this process has no device.
    """
    rank = Rank.of_environment() if rank is None else rank
    if rank.of == 1:
        own = choose_device(device)
        with torch.cuda.device(own) if own.type == "cuda" else contextlib.nullcontext():
            yield World(rank, own)
        return
    _begin(rank)
    is_sound = False
    try:
        world = World(rank)
        with world.together():
            own = device_of(device, rank)
        data = alone = None
        if own.type == "cuda":
            torch.cuda.set_device(own)
            is_nccl = dist.is_nccl_available()  # not on Windows
            data = dist.new_group(backend="nccl", timeout=GPU_PATIENCE) if is_nccl else None
            alone = [dist.new_group([number]) for number in range(rank.of)][rank.number]
        elif "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max(1, torch.get_num_threads() // rank.local_of))
        yield World(rank, own, data, alone)
        is_sound = True
    except Cancelled:
        is_sound = True
        raise
    except RuntimeError as error:
        if _is_broken(error):
            raise _lost(rank) from error
        raise
    finally:
        if (
            is_sound or not torch.cuda.is_available()
        ):  # an exchange between GPUs that is stuck would never end
            dist.destroy_process_group()


def device_of(name: str, rank: Rank) -> torch.device:
    """The device of this process: the GPU with its number on this machine. Raises HardwareError."""
    device = choose_device(name)
    if device.type == "cpu":
        return device
    if ":" in name:
        raise HardwareError(
            f"{called('device')} is {name}, but {rank.of} processes take a GPU each. Use device cuda or auto."
        )
    count = torch.cuda.device_count()
    if rank.local >= count:
        raise HardwareError(
            f"{socket.gethostname()} has {count} GPUs for {rank.local_of} processes. Start as many processes "
            "as GPUs."
        )
    return torch.device("cuda", rank.local)


def _begin(rank: Rank) -> None:
    meeting = os.environ.get(MEETING_FILE)
    try:
        if meeting:
            if Path("/sys/class/net/lo").exists():  # one machine: no name of it has to lead anywhere
                os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
            store = dist.FileStore(str(Path(meeting)), rank.of)
            dist.init_process_group(
                "gloo", store=store, rank=rank.number, world_size=rank.of, timeout=PATIENCE
            )
        else:
            dist.init_process_group("gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise WorkerError(
            f"process {rank.number + 1} of {rank.of} does not find the others ({_line(error)}). Several "
            "machines must reach each other at the address and port that torchrun was given "
            "(--rdzv-endpoint)."
        ) from error


def smallest_share(patches: int, batch_size: int, size: int) -> int:
    """Patches of the smallest part of a batch that a process gets, when `patches` are cut into batches."""
    batches = -(-patches // batch_size)
    return patches // max(batches, 1) // size


def _as_told(told: dict[str, Any], number: int, size: int) -> Exception:
    """The exception that another process told of."""
    if "traceback" in told:
        return ProgramFault(f"Process {number + 1} of {size} failed.\n{told['traceback']}")
    return from_plain(told)


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextlib.contextmanager
def _in_words(rank: Rank) -> Iterator[None]:
    """A broken connection as a WorkerError; any other error of an exchange stays what it is."""
    try:
        yield
    except RuntimeError as error:
        if _is_broken(error):
            raise _lost(rank) from error
        raise


def _lost(rank: Rank) -> Exception:
    if not rank.is_first:
        return Parted()
    return WorkerError(
        f"One of the {rank.of} processes of this fit has ended, so the fit cannot go on. The best model and "
        "the last checkpoint are kept; go on from there with --resume."
    )


# How gloo tells of it, for whose errors torch has no class.
_BROKEN = re.compile(
    r"gloo[/\\]transport|connection (closed|reset|refused)|broken pipe|socket (closed|timeout)"
    r"|timed out (waiting|after)|timeout caused",
    re.IGNORECASE,
)


def _is_broken(error: RuntimeError) -> bool:
    """Whether an exchange failed because another process is gone, and not through a fault of BONe's."""
    is_network = isinstance(error, (dist.DistNetworkError, dist.DistStoreError, dist.DistBackendError))
    if is_network:
        return not re.search("ncclInvalid(Usage|Argument)", str(error))
    return type(error) is RuntimeError and bool(_BROKEN.search(str(error)))
