"""How threads wait for each other in a training step: spinning (OpenMP's default) or asleep (BONe's).

    python -m benchmarks.waiting [--beside N] [--seconds S]

In:  N other processes that are busy at the same time.
Out: a table: milliseconds of a step of the Plain U-Net (8 patches of 64 px), wall and processor, for one
     thread and for one on each core, in both ways; the median of the steps of S seconds, after a warm-up.
Each row is a process of its own, because the way is chosen when torch is loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

WARM_UP, FEWEST = 3, 3  # steps


def step_times(seconds: float) -> dict[str, float]:
    """Milliseconds of a step in this process."""
    import torch

    from bone_backend.networks.plain_unet import PlainUNet
    from bone_backend.options.plain_unet import PlainShape

    torch.manual_seed(0)
    network = PlainUNet(1, 3, PlainShape(16, 3, "batch")).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    patches = torch.randn(8, 1, 64, 64).contiguous(memory_format=torch.channels_last)
    target = torch.randint(0, 3, (8, 64, 64))
    wall: list[float] = []
    used = began = 0.0
    fewest = FEWEST if seconds >= 1 else 1
    while len(wall) < WARM_UP + fewest or time.perf_counter() - began < seconds:
        if len(wall) == WARM_UP:  # what comes before is not counted
            used, began = time.process_time(), time.perf_counter()
        before = time.perf_counter()
        torch.nn.functional.cross_entropy(network(patches), target).backward()
        optimizer.step()
        optimizer.zero_grad()
        wall.append(time.perf_counter() - before)
    steps = len(wall) - WARM_UP
    return {
        "wall": 1000 * statistics.median(wall[WARM_UP:]),
        "processor": 1000 * (time.process_time() - used) / steps,
    }


def measured(threads: int, policy: str, seconds: float) -> dict[str, float]:
    """The same in a process with so many threads that wait in this way."""
    surroundings = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": policy}
    words = [sys.executable, "-m", "benchmarks.waiting", "--here", "--seconds", str(seconds)]
    done = subprocess.run(words, env=surroundings, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=int, default=0, help="busy processes at the same time")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="half a second a row, to try it out")
    words = parser.parse_args(arguments)
    seconds = 0.5 if words.quick else words.seconds
    if words.here:
        print(json.dumps(step_times(words.seconds)))
        return 0
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(words.beside)]
    try:
        cores = os.cpu_count() or 1
        print(f"{cores} cores, {words.beside} busy processes beside, load {os.getloadavg()[0]:.1f}\n")
        print("| threads | waiting | ms a step, wall | ms a step, processor |\n|---|---|---|---|")
        for threads in sorted({1, cores}):
            for policy in ("ACTIVE", "PASSIVE")[: 1 if threads == 1 else 2]:
                found = measured(threads, policy, seconds)
                kind = {"ACTIVE": "spinning", "PASSIVE": "asleep"}[policy] if threads > 1 else "-"
                print(f"| {threads} | {kind} | {found['wall']:.1f} | {found['processor']:.1f} |", flush=True)
    finally:
        for process in busy:
            process.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
