"""At equal CPU time of training: whose labels are best, on scans of the same scanner and of others?

In:  the folder of real scans (--data, default ../shared/data). Run as: python -m benchmarks.accuracy
     [--cpu-seconds 60] [--seeds 1 2 3] [--rows ...] [--contestants ...] [--also ...] [--slab 48]
     [--json FILE]
Out: a table for each row (fit on these scans, judge on those): IoU of bone, and of pores where the fit is
     taught them, steps, CPU seconds, peak RAM; the same with every single figure as JSON.
The budget is processor time of all threads, so that other work on the machine matters little; what a fit does
before its first and after its last epoch (imports, statistics, report) is not counted. BONe works through the
commands that users type: two short fits tell the seconds of an epoch, the measured one has as many epochs as
the budget holds, so its schedule ends with it. With --minutes it plans by the clock instead (the budget by
the number of threads, all that it does included): a fair comparison on a quiet machine only. MONAI's network
takes steps until the time is up; nnU-Net's steps are planned as BONe's epochs are, from two that are
measured. Otsu is the threshold of the judged scan. --slab judges that many slices from the middle of each
scan; with fewer than a patch is wide (32 px) BONe labels along z alone. Peers: benchmarks/requirements.txt.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.sidebyside import (
    ROOT,
    add_quick,
    bone,
    installed,
    machine,
    markdown_table,
    missing_rows,
    printed,
)
from bone_backend.intensity.statistics import measure
from bone_backend.volumes.volume import open_volume, save

BONE, PORES = 1, 2


class Source(NamedTuple):
    """Slices first to stop of a scan, and what was changed in them."""

    folder: str
    first: int = 0
    stop: int | None = None
    change: str = ""


class Row(NamedTuple):
    """Scans to fit on, and to judge. validation: the one that the paper's recipe validates on, from 1."""

    fitted: tuple[str, ...]
    judged: tuple[str, ...]
    validation: int
    has_pores: bool = False


SOURCES = {
    "c57bl6": Source("mouse_skull_c57bl6"),
    "balb": Source("mouse_skull_balb"),
    "dba2": Source("mouse_skull_dba2"),
    "cast": Source("mouse_skull_cast"),
    "cast, gamma .75": Source("mouse_skull_cast", change="gamma"),
    "cast, enlarged": Source("mouse_skull_cast", change="enlarged"),
    "cast, blurred": Source("mouse_skull_cast", change="blurred"),
    "femur": Source("mouse_femur"),
    "tooth": Source("tooth"),
    "trabecular": Source("lhdl_trab_a"),
    # parts of one scan, a few slices apart
    "trabecular 1": Source("lhdl_trab_a", 0, 70),
    "trabecular 2": Source("lhdl_trab_a", 70, 90),
    "trabecular 3": Source("lhdl_trab_a", 95, 140),
    "femur 1": Source("mouse_femur", 0, 48),
    "femur 2": Source("mouse_femur", 48, 64),
    "femur 3": Source("mouse_femur", 69, 103),
}
SKULLS = ("c57bl6", "balb", "dba2")
ROWS = {
    "skulls": Row(SKULLS, ("cast", "cast, gamma .75", "cast, enlarged", "cast, blurred"), 3),
    "skulls+femur": Row((*SKULLS, "femur"), ("cast", "trabecular", "tooth"), 3),
    "trabecular": Row(("trabecular 1", "trabecular 2"), ("trabecular 3", "cast", "femur"), 2),
    "pores": Row(("femur 1", "femur 2"), ("femur 3",), 2, has_pores=True),
}


# --- scans


def gamma(grey: np.ndarray, _order: int) -> np.ndarray:
    """Another grey curve; float64 in and out, as in the others."""
    return grey.max() * (grey / grey.max()) ** 0.75


def enlarged(volume: np.ndarray, order: int) -> np.ndarray:
    """1.4 times as many voxels along every axis."""
    from scipy import ndimage

    return ndimage.zoom(volume, 1.4, order=order)


def blurred(grey: np.ndarray, _order: int) -> np.ndarray:
    """Blurred by .7 voxels, four fifths of the contrast, noise, and an offset, in shares of the brightest."""
    from scipy import ndimage

    noise = np.random.default_rng(0).normal(0, 0.024, grey.shape)
    return 0.8 * ndimage.gaussian_filter(grey, 0.7) + (0.08 + noise) * grey.max()


CHANGES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "gamma": gamma,
    "enlarged": enlarged,
    "blurred": blurred,
}


def place(folder: Path, name: str) -> Path:
    return folder / name.replace(", ", "_").replace(" ", "_")


def write_scan(data: Path, folder: Path, name: str, *, slab: int | None) -> None:
    """A scan, its mask of all classes, and that of bone alone, as three TIFF files."""
    source = SOURCES[name]
    home = data / source.folder
    paths = [home / "images", home / "masks"]
    if not paths[0].is_dir():
        paths = [home / f"{source.folder}_{kind}.tif" for kind in ("image", "mask")]
    volumes = []
    for path in paths:
        with open_volume(path) as volume:
            size = volume.header.voxel_size
            volumes.append(volume.read(source.first, source.stop or volume.header.shape[0]))
    scan, mask = volumes
    if source.change:
        dtype, change = scan.dtype, CHANGES[source.change]
        changed = np.round(change(scan.astype(np.float64), 1))
        scan = np.clip(changed, 0, np.iinfo(dtype).max).astype(dtype)
    if source.change == "enlarged":
        mask, size = enlarged(mask, 0), None if size is None else tuple(edge / 1.4 for edge in size)
    if slab is not None:
        first = max(0, (len(scan) - slab) // 2)
        scan, mask = scan[first : first + slab], mask[first : first + slab]
    target = place(folder, name)
    target.mkdir(parents=True, exist_ok=True)
    for file, volume in (("scan", scan), ("classes", mask), ("bone", (mask == BONE).astype(np.uint8))):
        save(target / f"{file}.tif", volume, voxel_size=size)


def read(path: Path) -> np.ndarray:
    with open_volume(path) as volume:
        return volume.read(0, volume.header.shape[0])


# --- contestants


@dataclass(frozen=True)
class Task:
    """What a contestant gets: its scans lie in `scans`, it may write into `folder`."""

    row: str
    seed: int
    cpu_seconds: float
    scans: Path
    judged: Path
    folder: Path
    threads: int
    is_quick: bool

    def pairs(self) -> list[tuple[Path, Path]]:
        row = ROWS[self.row]
        mask = "classes.tif" if row.has_pores else "bone.tif"
        return [(place(self.scans, name) / "scan.tif", place(self.scans, name) / mask) for name in row.fitted]

    def judge(self, labels: dict[str, Path]) -> dict[str, float | None]:
        """IoU of every judged scan and class. labels: the file of each scan."""
        found: dict[str, float | None] = {}
        row = ROWS[self.row]
        for name, path in labels.items():
            wanted, given = read(place(self.judged, name) / "classes.tif"), read(path)
            for value, word in ((BONE, ""), (PORES, ", pores")) if row.has_pores else ((BONE, ""),):
                either = ((wanted == value) | (given == value)).sum()
                found[name + word] = float(((wanted == value) & (given == value)).sum() / max(either, 1))
        return found


@dataclass
class Figures:
    """What a contestant reached. iou: of each judged scan. steps, cpu_seconds: of training."""

    iou: dict[str, float | None]
    steps: int = 0
    cpu_seconds: float = 0.0
    predict_cpu_seconds: float = 0.0
    peak_ram_gib: float = 0.0


# One patch a tile makes epochs short, so that any budget is a number of them.
EPOCHS = ["--patches-per-tile", "1", "--max-patch-overlap", "1"]
EASY = ["--recipe", "easy"]
PAPER = ["--recipe", "paper", "--patch-size", "auto"]  # the largest that fits, where 256 px do not


@dataclass
class Program:
    """BONe through its commands. fit: options. names_validation: it validates on a whole scan of the row.
    by_time: --minutes instead of epochs. speed: CPU seconds beside the epochs, and of one, for each row, once
    they are known."""

    fit: list[str]
    names_validation: bool = False
    by_time: bool = False
    speed: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __call__(self, task: Task) -> Figures:
        beside, length = 0.0, ["--minutes", f"{task.cpu_seconds / task.threads / 60:.3f}"]
        if not self.by_time:
            beside, epoch = self._speed(task)
            length = self._epochs(1 if task.is_quick else max(1, round(task.cpu_seconds / epoch)))
        fitted, seconds = self._fit(task, length)
        labels, spent, peak = {}, 0.0, fitted["peak_ram_gib"]
        for name in ROWS[task.row].judged:
            output = place(task.folder, name).with_suffix(".tif")
            scan = place(task.judged, name) / "scan.tif"
            words = [scan, "--model", fitted["model"], "--output", output]
            predicted, used = self._timed(task, "predict", *words)
            labels[name], spent = output, spent + used
            peak = max(peak, predicted["peak_ram_gib"])
        return Figures(task.judge(labels), fitted["steps"], seconds - beside, spent, peak)

    def _speed(self, task: Task) -> tuple[float, float]:
        """CPU seconds of a fit beside its epochs, and of an epoch."""
        if task.is_quick:
            return 0.0, 1.0
        if task.row not in self.speed:
            (_, one), (_, three) = (self._fit(task, self._epochs(number)) for number in (1, 3))
            epoch = max((three - one) / 2, 0.01)
            self.speed[task.row] = (one - epoch, epoch)
        return self.speed[task.row]

    def _epochs(self, number: int) -> list[str]:
        return [*EPOCHS, "--epochs", str(number)]

    def _fit(self, task: Task, length: list[str]) -> tuple[dict[str, Any], float]:
        run = task.folder / "run"
        words = [word for pair in task.pairs() for word in ("--pair", *pair)]
        words += ["--output", run, "--overwrite", "--seed", task.seed, *self.fit, *length]
        if self.names_validation:
            words += ["--validation-pairs", ROWS[task.row].validation]
        fitted, seconds = self._timed(task, "fit", *words)
        record = json.loads((run / "record.json").read_text(encoding="utf-8"))
        patches = sum(one["patches_per_s"] * one["seconds"] for one in record["scores"])
        return {**fitted, "steps": round(patches / record["options"]["batch_size"])}, seconds

    def _timed(self, task: Task, *words: object) -> tuple[dict[str, Any], float]:
        before = children_seconds()
        threads = {"OMP_NUM_THREADS": str(task.threads)}
        found = bone(*words, environment=threads, is_quick=task.is_quick)
        return found, children_seconds() - before


def children_seconds() -> float:
    """Processor time of all processes that this one has waited for, and of those that they have."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Script:
    """A peer in a process of its own. module: a file of benchmarks/ with main(words), which gets --task."""

    module: str

    def __call__(self, task: Task) -> Figures:
        words = ["--task", json.dumps(asdict(task), default=str)]
        if task.is_quick:
            answer = printed(lambda: importlib.import_module(f"benchmarks.{self.module}").main(words))
        else:
            command = [sys.executable, "-m", f"benchmarks.{self.module}", *words]
            environment = os.environ | {"OMP_NUM_THREADS": str(task.threads)}
            answer = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment
            ).stdout
        found = json.loads(answer.splitlines()[-1])
        labels = {name: Path(path) for name, path in found.pop("labels").items()}
        return Figures(task.judge(labels), **found)


def task_of(words: Sequence[str] | None, doc: str) -> Task:
    """The task in the words of a peer's command line."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--task", required=True, type=json.loads)
    told = parser.parse_args(words).task
    return Task(**told | {name: Path(told[name]) for name in ("scans", "judged", "folder")})


def otsu_iou(scan: Path, mask: Path) -> float:
    """IoU of bone and the threshold of Otsu's method over all voxels."""
    with open_volume(scan) as grey:
        means = measure(grey, voxels="all").otsu_means
        assert means is not None
        found = grey.read(0, grey.header.shape[0]) > sum(means) / 2
    wanted = read(mask) == BONE
    return float((found & wanted).sum() / (found | wanted).sum())


def otsu(task: Task) -> Figures:
    judged = ROWS[task.row].judged
    pairs = {name: (place(task.judged, name) / "scan.tif", place(task.judged, name)) for name in judged}
    return Figures({name: otsu_iou(scan, home / "classes.tif") for name, (scan, home) in pairs.items()})


CONTESTANTS: dict[str, Callable[[Task], Figures]] = {
    "BONe Easy": Program(EASY),
    "BONe Easy, --minutes": Program(EASY, by_time=True),
    "BONe, the paper's recipe": Program(PAPER, names_validation=True),
    "MONAI BasicUNet": Script("accuracy_monai"),
    "nnU-Net 2D": Script("accuracy_nnunet"),
    "Otsu": otsu,
}
PACKAGES = {"MONAI BasicUNet": "monai", "nnU-Net 2D": "nnunetv2"}
SEEDLESS = ("Otsu",)


# --- tables


def run(given: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Every figure of every contestant, one measurement after the other."""
    names = {name for row in given.rows for name in (*ROWS[row].fitted, *ROWS[row].judged)}
    for name in sorted(names):
        write_scan(given.data, folder / "scans", name, slab=None)
        write_scan(given.data, folder / "judged", name, slab=given.slab)
    contestants = [
        name for name in given.contestants if name not in PACKAGES or installed({"": PACKAGES[name]})
    ]
    found = []
    for row in given.rows:
        for number, seed in enumerate(given.seeds):
            for name in contestants:
                if number and name in SEEDLESS:
                    continue
                work = folder / "work"
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                task = Task(
                    row,
                    seed,
                    given.cpu_seconds,
                    scans=folder / "scans",
                    judged=folder / "judged",
                    folder=work,
                    threads=given.threads,
                    is_quick=given.quick,
                )
                figures = given.programs[name](task)
                found.append({"row": row, "contestant": name, "seed": seed, **asdict(figures)})
                print(f"{row}, {name}, seed {seed}: {figures.iou}", file=sys.stderr, flush=True)
    return found


def table(row: str, found: list[dict[str, Any]], contestants: Sequence[str]) -> str:
    """Markdown: a line for each contestant, median and range over the seeds."""
    judged = [*ROWS[row].judged]
    judged += [f"{name}, pores" for name in judged] if ROWS[row].has_pores else []
    lines = []
    for name in contestants:
        mine = [one for one in found if one["row"] == row and one["contestant"] == name]
        if not mine:
            lines += missing_rows({name: PACKAGES[name]}, len(judged) + 4)
            continue
        cells = [of_seeds([one["iou"].get(scan) for one in mine]) for scan in judged]
        cost = [f"{median(one[figure] for one in mine):.0f}" for figure in COSTS]
        peak = f"{max(one['peak_ram_gib'] for one in mine):.2f}"
        lines.append([name, *cells, *(["", "", "", ""] if name in SEEDLESS else [*cost, peak])])
    costs = ["steps", "CPU s, training", "CPU s, prediction", "peak RAM, GiB"]
    return f"**{row}**: fit on {', '.join(ROWS[row].fitted)}\n\n" + markdown_table(
        ["", *judged, *costs], lines
    )


COSTS = ("steps", "cpu_seconds", "predict_cpu_seconds")


def of_seeds(values: Sequence[float | None]) -> str:
    """'.941 (.936-.945)', or one number, or '-' where it is not judged."""
    there = [value for value in values if value is not None]
    if not there:
        return "-"
    low, middle, high = (f"{value:.3f}".lstrip("0") for value in (min(there), median(there), max(there)))
    return middle if len(there) == 1 else f"{middle} ({low}-{high})"


def commit() -> str:
    """Of the checkout, as git says it."""
    words = ["git", "describe", "--always", "--dirty"]
    asked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--cpu-seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--contestants", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument(
        "--also",
        nargs="+",
        default=[],
        metavar="OPTIONS",
        help="Further contestants: Easy with other options, each in quotes, as '--loss Jaccard'.",
    )
    parser.add_argument("--slab", type=int, help="Judge so many slices only.")
    parser.add_argument("--threads", type=int, default=1, help="Of every contestant's numeric libraries.")
    parser.add_argument("--json", type=Path, help="Write every figure into this file.")
    parser.add_argument("--keep", type=Path, help="Keep scans and labels in this folder.")
    add_quick(parser)
    given = parser.parse_args(words)
    if not given.data.is_dir():
        sys.exit(f"The real scans are not here: {given.data}")
    given.data = given.data.resolve()
    varied = {f"Easy {options}": Program([*EASY, *options.split()]) for options in given.also}
    given.programs, given.contestants = CONTESTANTS | varied, [*given.contestants, *varied]
    folder = (given.keep or Path(tempfile.mkdtemp())).resolve()
    try:
        found = run(given, folder)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    told = f"{machine('torch')}; commit {commit()}; {given.threads} threads, {given.cpu_seconds:g} CPU s"
    told += f", {len(given.seeds)} seeds"
    told += f"; judged on {given.slab} slices" if given.slab else "; judged on whole scans"
    print(told)
    for row in given.rows:
        print("\n" + table(row, found, given.contestants))
    if given.json:
        given.json.write_text(json.dumps({"told": told, "figures": found}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
