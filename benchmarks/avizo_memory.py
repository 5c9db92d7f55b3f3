"""RAM of a fit through the Avizo module, beside the same fit from files: a table.

    python -m benchmarks.avizo_memory [--pairs 2 8] [--shape 8 1024 1024]

In:  phantom fields in the stand-in's project, and the same arrays as files.
Out: private peak RAM of the process, of the fields alone, and what is left for the fit; a markdown table.
"view": Avizo shares a field's memory with Python; "copy": each call copies one field. Which one is not known.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.sidebyside import add_quick

ROOT = Path(__file__).resolve().parents[1]
MIB = 2**20
CANDIDATES = ("files", "module, view", "module, copy")


def field_arrays(number: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A uint16 scan and a uint8 mask (z, y, x) with something to learn."""
    labels = np.zeros(shape, np.uint8)
    labels[:, shape[1] // 4 : -shape[1] // 4, shape[2] // 4 : -shape[2] // 4] = 1
    grey = np.empty(shape, np.uint16)
    random = np.random.default_rng(number)
    for z in range(shape[0]):
        grey[z] = 800 + np.uint16(1200) * labels[z] + random.integers(0, 200, shape[1:], dtype=np.uint16)
    return grey, labels


def measure(candidate: str, pairs: int, shape: tuple[int, int, int], folder: Path) -> dict[str, float]:
    """Run one fit in this process; peaks in MiB."""
    import torch

    from bone_backend.machine.monitor import Monitor, private_bytes

    torch.set_num_threads(2)
    began = private_bytes()
    if candidate == "files":
        from bone_backend.options.programs import FitOptions, dump

        listed = []
        for number in range(pairs):
            for kind, array in zip(("scan", "mask"), field_arrays(number, shape), strict=True):
                np.save(folder / f"{kind}{number}.npy", array)
            listed.append([str(folder / f"scan{number}.npy"), str(folder / f"mask{number}.npy")])
        values = {"recipe": "paper", "patch_size": 64, "patches_per_tile": 1}
        values |= {"epochs": 1, "batch_size": 8, "device": "cpu"}
        options = FitOptions.parse({**values, "pairs": listed, "output": folder / "run"})
        from bone_backend.jobs import run as jobs

        held = private_bytes()
        with Monitor() as monitor:
            jobs.run_here("fit", dump(options))
    else:
        from mocks.avizo import Behaviour, Session

        session = Session(Behaviour(get_array=candidate.partition(", ")[2], set_array="keeps"))
        module = session.load(ROOT / "avizo_modules" / "BONe_DLFit" / "BONe_DLFit.pyscro")
        for number in range(1, pairs + 1):
            grey, labels = field_arrays(number - 1, shape)
            scan = session.scalar_field(grey.transpose(2, 1, 0), name=f"scan{number}")
            mask = session.label_field(labels.transpose(2, 1, 0), name=f"mask{number}")
            del grey, labels
            session.connect(getattr(module.ports, f"scan{number}"), scan)
            session.connect(getattr(module.ports, f"mask{number}"), mask)
        ports = module.ports
        ports.output.filenames = str(folder / "run")
        session.select(ports.detail, "Advanced")
        session.select(ports.recipe, "paper")
        for port, value in ((ports.patchSize, 64), (ports.patchesPerTile, 1), (ports.epochs, 1)):
            session.type(port, str(value))
        session.type(ports.batchSize, "8")
        session.select(ports.device, "cpu")
        held = private_bytes()
        with Monitor() as monitor:
            session.press(ports.apply)
        if session.messages:
            raise RuntimeError(session.messages[0].text)
    peak = monitor.figures()["peak_ram_gib"] * 2**30
    return {"before": began / MIB, "held": (held - began) / MIB, "peak": peak / MIB}


def run_apart(
    candidate: str, pairs: int, shape: tuple[int, int, int], *, is_quick: bool = False
) -> dict[str, float]:
    """The same in a process of its own, which begins with clean memory."""
    with tempfile.TemporaryDirectory() as folder:
        if is_quick:
            return measure(candidate, pairs, shape, Path(folder))
        (Path(folder) / "tmp").mkdir()
        environment = {
            **os.environ,
            "BONE_CACHE": f"{folder}/cache",
            "BONE_WORKER_PYTHON": sys.executable,
            "TMPDIR": f"{folder}/tmp",
        }
        words = [
            "--candidate",
            candidate,
            "--pairs",
            str(pairs),
            "--shape",
            *map(str, shape),
            "--folder",
            folder,
        ]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.avizo_memory", *words],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.avizo_memory", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--shape", type=int, nargs=3, default=[8, 1024, 1024], metavar=("Z", "Y", "X"))
    parser.add_argument("--candidate", choices=CANDIDATES, help="measure one, in this process")
    parser.add_argument("--folder", type=Path)
    add_quick(parser)
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.pairs, chosen.shape = [2], [8, 96, 96]
    shape = (chosen.shape[0], chosen.shape[1], chosen.shape[2])
    if chosen.candidate:
        print(json.dumps(measure(chosen.candidate, chosen.pairs[0], shape, chosen.folder)))
        return 0
    one = int(np.prod(shape)) * 3 / MIB
    print(
        f"Fields of {shape} voxels (z, y, x): uint16 scans, uint8 masks, {one:.0f} MiB a pair. "
        "Private RAM in MiB.\n"
    )
    print("| pairs | fields | fit from | peak | of that fields | left for the fit |")
    print("|---:|---:|---|---:|---:|---:|")
    for pairs in chosen.pairs:
        for candidate in CANDIDATES[::2] if chosen.quick else CANDIDATES:
            found = run_apart(candidate, pairs, shape, is_quick=chosen.quick)
            fields = 0.0 if candidate == "files" else pairs * one
            rest = found["peak"] - fields
            print(
                f"| {pairs} | {pairs * one:.0f} | {candidate} "
                f"| {found['peak']:.0f} | {fields:.0f} | {rest:.0f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
