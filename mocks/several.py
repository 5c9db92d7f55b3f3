"""Commands for the tests of several processes, each of which runs them.

In:  options as a dict, a progress; the process's place in the environment.
Out: what was found, as plain values. Run as "mocks.several:NAME" with processes=N.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bone_backend.errors import Cancelled, ScanError
from bone_backend.jobs.ranks import Parted, Rank
from bone_backend.progress import Progress, Recorder


def wait(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Note the process's number, then do as options["how"] says of its rank; by default wait for a stop."""
    rank = Rank.of_environment()
    (Path(options["notes"]) / str(rank.number)).write_text(str(os.getpid()), encoding="utf-8")
    how = options.get("how", {}).get(str(rank.number), "wait")
    deadline = time.monotonic() + (60 if how == "wait" else 0)
    while time.monotonic() < deadline:
        progress(0, 1, "waiting")
        time.sleep(0.02)
    if how == "fail":
        raise ScanError("scan_3: truncated")
    if how == "break":
        return {"ratio": 1 / 0}
    return {"rank": rank.number, "of": rank.of}


def exchange(options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Try everything that a World offers; the first process gives what each of them saw."""
    import torch

    from bone_backend.training import distributed

    torch.set_num_threads(1)
    with distributed.join("cpu") as world:
        number = world.rank.number
        found: dict[str, Any] = {
            "sum": world.sum(torch.tensor([2**60 + number])).tolist(),
            "any": [world.any(number == 1), world.any(False)],
            "gathered": world.gather(f"from {number}"),
            "first": world.first(lambda: os.getpid()) if number else world.first(os.getpid),
            "pid": os.getpid(),
            "told": _outcome(lambda: _fail_in_second(world)),
            "stopped": _outcome(lambda: _stop_in_first(world)),
            "reports": _agree(world),
            "differing": _outcome(lambda: world.check_same(str(number), what="weights")),
            "same": _outcome(lambda: world.check_same("x", what="weights")),
            "trained": _train(world),
            "unused": _train_with_unused(world),
        }
        return {"seen": world.gather(found)}


def _outcome(work: Callable[[], object]) -> str:
    try:
        work()
    except (Exception, Parted) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def _fail_in_second(world: Any) -> None:
    with world.together():
        if not world.is_first:
            raise ScanError("scan_3: truncated")


def _stop_in_first(world: Any) -> None:
    with world.together():
        if world.is_first:
            raise Cancelled("asked to stop")


def _agree(world: Any) -> int:
    """Reports until the stop that only the first is asked for."""
    agreed, count = world.agreed(Recorder(stop_after=3 if world.is_first else None)), 0
    try:
        for count in range(1, 10):
            agreed(count, 10, "working")
    except Cancelled:
        pass
    return count


def _train(world: Any) -> dict[str, Any]:
    """Weights after three steps on batches of 5 and 7 patches, of which each process takes its share."""
    import torch

    from bone_backend.training.step import Step

    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 1)
    )
    network, called = world.exchanging(network, (2, 1, 8, 8))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, fused=True)
    loss = torch.nn.CrossEntropyLoss()
    step = Step(
        network,
        loss,
        optimizer=optimizer,
        device=torch.device("cpu"),
        precision=None,
        called=called,
        accumulate=1,
    )
    first, every = world.share
    counted = 0
    for count in (5, 7, 5):
        patches, target = torch.randn(count, 1, 8, 8), torch.randint(0, 3, (count, 8, 8))
        mine, wanted = patches[first::every], target[first::every]
        step(mine, wanted, seen=lambda _logits, _target: None, weight=len(mine) * world.size / count)
        counted += len(mine)
    return {"weights": [p.flatten().tolist() for p in network.parameters()], "patches": counted}


def _train_with_unused(world: Any) -> dict[str, Any]:
    """Three steps of a network with weights that nothing depends on; gives them afterwards."""
    import torch

    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = torch.nn.Conv2d(1, 2, 1), torch.nn.Conv2d(1, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    torch.manual_seed(4)
    network, called = world.exchanging(Half(), (2, 1, 4, 4))
    before = network.unused.weight.detach().clone()  # type: ignore[union-attr]
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        called(torch.ones(2, 1, 4, 4)).sum().backward()
        optimizer.step()
    return {
        "is_unchanged": bool(torch.equal(before, network.unused.weight)),  # type: ignore[arg-type, union-attr]
        "used": network.used.weight.flatten().tolist(),  # type: ignore[union-attr, operator]
    }
