"""F1 to F4: how fast patches are read and learnt from, and what a fit holds in memory.

In:  --row loader | memory | step | gpu (default: all that this machine can run), --repeats. Run as: python -m
benchmarks.fitting
Out: tables. Peers (benchmarks/requirements.txt) are measured in the same run where they are installed.
The data are made: slices of 1152 x 1152 px, 16-bit scans and 8-bit masks, as uncompressed TIFF folders in the
page cache. Peers that are not installed have a row that says so.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.sidebyside import (
    add_quick,
    alternate,
    bone,
    installed,
    machine,
    markdown_table,
    measure,
    median_and_range,
    missing_rows,
)

SIDE, SLICES, PATCH = 1152, 32, 256
SEED = 7


def write_slices(folder: Path) -> None:
    """A scan and its mask with some structure, and the same once more as single files for the peers."""
    from bone_backend.volumes.volume import save
    from mocks.scans import Phantom

    grey, labels = Phantom(shape=(8, 288, 288), seed=SEED, bits=16).slab(0, 8)
    for name, array in (("scan", grey), ("mask", labels)):
        save(
            folder / name,
            np.tile(array, (SLICES // 8, SIDE // 288, SIDE // 288)),
            voxel_size=(10.0, 10.0, 10.0),
        )


# --- F1: the loader


def plan_and_sources(folder: Path, patches: int) -> tuple[Any, Any, Any]:
    from bone_backend.dataset.loader import PairSource, PatchLayout
    from bone_backend.dataset.plan import PAPER_2D, Extent, PatchShape, draw_plan
    from bone_backend.volumes.patch_source import open_source
    from bone_backend.volumes.volume import open_volume

    sources = PairSource(
        *(open_source(open_volume(folder / name), folder=folder) for name in ("scan", "mask"))
    )
    shape = PatchShape(1, PATCH, PATCH)
    plan = draw_plan(
        [Extent(SLICES, SIDE, SIDE)],
        shape,
        scans=[0],
        patches_per_tile=patches // SLICES,
        max_overlap=1.0,
        seed=SEED,
        epoch=0,
        chances=PAPER_2D,
    )
    return plan, sources, PatchLayout(shape)


def bone_loader(folder: Path, *, finished: bool, patches: int = 2048, batch: int = 32) -> float:
    """Patches per second of one thread, in batches: raw, or finished on the CPU (float32 and int64)."""
    import torch

    from bone_backend.dataset.augmentation import Numbers, prepare
    from bone_backend.dataset.loader import gather
    from bone_backend.intensity.normalisation import Normalisation

    plan, sources, layout = plan_and_sources(folder, patches)
    grey = np.zeros(layout.grey_shape(batch), sources.scan.header.dtype)
    labels = np.zeros(layout.label_shape(batch), sources.mask.header.dtype)
    numbers = Numbers.of([Normalisation("ZScore", 20000.0, 1e-4, -5.0, 5.0)], torch.device("cpu"))
    classes = torch.arange(256)

    def run() -> float:
        began = time.perf_counter()
        for start in range(0, len(plan), batch):
            part = plan.part(start, start + batch)
            gather([sources], part, layout=layout, grey=grey, labels=labels)
            if finished:
                prepare(
                    torch.from_numpy(grey),
                    torch.from_numpy(labels),
                    plan=part,
                    numbers=numbers,
                    classes=classes,
                )
        return len(plan) / (time.perf_counter() - began)

    run()
    return run()


def monai_loader(folder: Path, *, cached: bool, seconds: float = 4) -> float:
    """MONAI's usual chain on slices: load, crop four patches, flip, turn, shift, scale; one thread."""
    from monai.data import CacheDataset, Dataset
    from monai.transforms import (
        Compose,
        EnsureChannelFirstd,
        LoadImaged,
        NormalizeIntensityd,
        RandAdjustContrastd,
        RandFlipd,
        RandRotate90d,
        RandShiftIntensityd,
        RandSpatialCropSamplesd,
    )

    keys = ["image", "label"]
    chain = Compose(
        [
            LoadImaged(keys=keys, reader="PILReader"),
            EnsureChannelFirstd(keys=keys),
            NormalizeIntensityd(keys="image", nonzero=True),
            RandSpatialCropSamplesd(keys=keys, roi_size=(PATCH, PATCH), num_samples=4, random_size=False),
            RandFlipd(keys=keys, prob=0.166, spatial_axis=0),
            RandRotate90d(keys=keys, prob=0.5),
            RandShiftIntensityd(keys="image", offsets=0.15, prob=0.4),
            RandAdjustContrastd(keys="image", gamma=(0.75, 1.25), prob=0.4),
        ]
    )
    files = [
        {"image": str(scan), "label": str(mask)}
        for scan, mask in zip(
            sorted((folder / "scan").iterdir()), sorted((folder / "mask").iterdir()), strict=True
        )
    ]
    data = (
        CacheDataset(files, chain, cache_rate=1.0, progress=False, num_workers=1)
        if cached
        else Dataset(files, chain)
    )
    for index in range(4):
        data[index]
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        count += len(data[count // 4 % len(files)])
    return count / (time.perf_counter() - began)


def tifffile_loader(folder: Path, *, seconds: float = 4) -> float:
    """Slices decoded by tifffile, four crops of each, no changes; one thread."""
    import tifffile

    scans, masks = sorted((folder / "scan").iterdir()), sorted((folder / "mask").iterdir())
    rng = np.random.default_rng(SEED)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        index = count // 4 % len(scans)
        images = [tifffile.imread(scans[index]), tifffile.imread(masks[index])]
        for _ in range(4):
            y, x = rng.integers(0, SIDE - PATCH, 2)
            for image in images:
                image[y : y + PATCH, x : x + PATCH].astype(np.float32)
        count += 4
    return count / (time.perf_counter() - began)


# --- F3: the training step


def training_step(
    *, as_bone: bool, device: str = "cpu", batch: int = 8, steps: int = 4, edge: int = PATCH
) -> float:
    """Patches per second of training U-Net with resnet18 on 256 px, three classes, data already there."""
    import segmentation_models_pytorch as library
    import torch

    from bone_backend.machine.device import choose_precision
    from bone_backend.training.losses import build_loss
    from bone_backend.training.step import Step

    torch.manual_seed(SEED)
    place = torch.device(device)
    network = library.Unet("resnet18", encoder_weights=None, in_channels=1, classes=3).to(place)
    patches = torch.randn(batch, 1, edge, edge, device=place)
    target = torch.randint(0, 3, (batch, edge, edge), device=place)
    if as_bone:
        network.to(memory_format=torch.channels_last)
        patches = patches.contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        step = Step(
            network,
            build_loss("Jaccard", alpha=1, beta=1, gamma=2, focal_weight=0.5),
            optimizer=optimizer,
            device=place,
            precision=choose_precision("auto", place),
        )
        turn: Callable[[], Any] = lambda: step(patches, target, seen=lambda _logits, _target: None)  # noqa: E731
    else:
        plain_optimizer = torch.optim.Adam(network.parameters())
        loss = library.losses.JaccardLoss(mode="multiclass")

        def turn() -> None:
            plain_optimizer.zero_grad()
            loss(network(patches), target).backward()
            plain_optimizer.step()

    turn()
    if place.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(steps):
        turn()
    if place.type == "cuda":
        torch.cuda.synchronize()
    return batch * steps / (time.perf_counter() - began)


#: name -> what is measured in a folder, less of it where it is to be quick
CANDIDATES: dict[str, Callable[[Path, bool], Any]] = {
    "BONe, raw batches": lambda folder, is_quick: bone_loader(
        folder, finished=False, patches=64 if is_quick else 2048
    ),
    "BONe, finished on the CPU": lambda folder, is_quick: bone_loader(
        folder, finished=True, patches=64 if is_quick else 2048
    ),
    "MONAI Dataset": lambda folder, is_quick: monai_loader(
        folder, cached=False, seconds=0.1 if is_quick else 4
    ),
    "MONAI CacheDataset": lambda folder, is_quick: monai_loader(
        folder, cached=True, seconds=0.1 if is_quick else 4
    ),
    "tifffile, slice by slice": lambda folder, is_quick: tifffile_loader(
        folder, seconds=0.1 if is_quick else 4
    ),
    "BONe step": lambda _folder, is_quick: training_step(as_bone=True, **(SMALL if is_quick else {})),
    "plain fp32 loop": lambda _folder, is_quick: training_step(as_bone=False, **(SMALL if is_quick else {})),
}
SMALL = {"batch": 2, "steps": 1, "edge": 64}


LOADERS = {
    "BONe, raw batches": "torch",
    "BONe, finished on the CPU": "torch",
    "tifffile, slice by slice": "tifffile",
    "MONAI Dataset": "monai",
    "MONAI CacheDataset": "monai",
}


def loader_row(repeats: int, *, is_quick: bool = False) -> None:
    names = installed(LOADERS)
    with tempfile.TemporaryDirectory() as folder:
        write_slices(Path(folder))
        gate_loader(Path(folder))
        samples = alternate(
            "benchmarks.fitting",
            names,
            arguments=["--data", folder],
            repeats=repeats,
            threads=1,
            is_quick=is_quick,
        )
    rates = {name: [sample.result for sample in found] for name, found in samples.items()}
    base = median(rates.get("MONAI Dataset") or rates["tifffile, slice by slice"])
    rows = [[n, median_and_range(r), f"{median(r) / base:.1f}"] for n, r in rates.items()]
    against = "MONAI Dataset" if "MONAI Dataset" in rates else "tifffile"
    print("\n**F1: training patches per second, one thread (256 px, scan and mask)**\n")
    rows += missing_rows(LOADERS, 2)
    print(markdown_table(["loader", "patches/s", f"x {against}"], rows))


def gate_loader(folder: Path) -> None:
    """Every patch must be the crop that the plan names."""
    from bone_backend.dataset.loader import gather
    from bone_backend.volumes.volume import open_volume

    plan, sources, layout = plan_and_sources(folder, 64)
    grey = np.zeros(layout.grey_shape(len(plan)), np.uint16)
    labels = np.zeros(layout.label_shape(len(plan)), np.uint8)
    gather([sources], plan, layout=layout, grey=grey, labels=labels)
    with open_volume(folder / "scan") as scan, open_volume(folder / "mask") as mask:
        for i, (z, y, x) in enumerate(zip(plan.z, plan.y, plan.x, strict=True)):
            box = np.s_[y : y + PATCH, x : x + PATCH]
            assert np.array_equal(grey[i, 0], scan.read(int(z), int(z) + 1)[0][box])
            assert np.array_equal(labels[i], mask.read(int(z), int(z) + 1)[0][box])


def step_row(repeats: int, *, is_quick: bool = False) -> None:
    names = ["plain fp32 loop", "BONe step"]
    samples = alternate("benchmarks.fitting", names, repeats=repeats, is_quick=is_quick)
    rates = {name: [sample.result for sample in found] for name, found in samples.items()}
    base = median(rates[names[0]])
    rows = [[name, median_and_range(rates[name]), f"{median(rates[name]) / base:.2f}"] for name in names]
    print("\n**F3: training on this CPU (U-Net, resnet18, 256 px, batches of 8)**\n")
    print(markdown_table(["step", "patches/s", "x plain"], rows))
    with tempfile.TemporaryDirectory() as folder:
        scores = {
            precision: phantom_fit(Path(folder), precision, is_quick=is_quick)
            for precision in ("fp32", "auto")
        }
    print("\nQuality gate, validation mIoU on phantoms with one seed: ", end="")
    print(f"fp32 {scores['fp32']:.4f}, as BONe chooses {scores['auto']:.4f}.")


def phantom_fit(folder: Path, precision: str, *, is_quick: bool = False) -> float:
    from bone_backend.fitting import fit
    from bone_backend.options.programs import FitOptions
    from mocks.scans import Phantom, write

    pairs = []
    for seed in range(3):
        place = folder / f"femur_{seed}"
        if not place.exists():
            write(place, Phantom(shape=(8, 64, 64) if is_quick else (24, 128, 128), seed=seed))
        pairs.append((place / "scan", place / "mask"))
    chosen = {
        "recipe": "paper",
        "pairs": pairs,
        "output": folder / precision,
        "patch_size": 64,
        "batch_size": 16,
        "epochs": 1 if is_quick else 6,
        **({"patches_per_tile": 1} if is_quick else {}),
        "precision": precision,
    }
    found = fit(FitOptions.parse(chosen))
    assert found.best_val_iou is not None
    return found.best_val_iou


# --- F2: memory of a fit


def memory_row(repeats: int, scans: tuple[int, ...] = (2, 4, 16, 40), *, is_quick: bool = False) -> None:
    """Private peak of `bone fit` with more and more scans of 24 x 512 x 512 (16 bit) and their masks.

    Two scans are the fewest of which whole ones validate. Fits of few scans take more epochs, since the first
    steps of any fit take a little more memory from one to the next. All batches have 16 patches: batches of
    an epoch are equal, so where its patches were no multiple of 16 they would be smaller. The slope is that
    of the line through all measurements.
    """
    rows: list[list[object]] = []
    peaks: dict[int, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = [write_pair(Path(folder), number) for number in range(max(scans))]
        for _ in range(repeats):
            for count in scans:
                peaks.setdefault(count, []).append(
                    fit_peak(
                        Path(folder),
                        pairs[:count],
                        epochs=1 if is_quick else max(1, 16 // count),
                        is_quick=is_quick,
                    )
                )
        for count in scans:
            stored = count * 24 * 512 * 512 * 3 / 2**20
            rows.append([count, f"{stored:.0f}", median_and_range(peaks[count])])
    print("\n**F2: private RAM of a fit (U-Net, resnet18, 64 px, batches of 16)**\n")
    print(markdown_table(["scans", "MiB on disk", "peak private MiB (range)"], rows))
    if len(scans) > 1:
        slope = np.polyfit(np.repeat(scans, repeats), np.concatenate([peaks[n] for n in scans]), 1)[0]
        print(f"\nSlope from {scans[0]} to {scans[-1]} scans: {slope:.2f} MiB a scan.")


def write_pair(folder: Path, number: int) -> tuple[Path, Path]:
    from bone_backend.volumes.volume import save
    from mocks.scans import Phantom

    grey, labels = Phantom(shape=(8, 256, 256), seed=number % 4, bits=16).slab(0, 8)
    paths = folder / f"scan_{number}.tif", folder / f"mask_{number}.tif"
    for path, array in zip(paths, (grey, labels), strict=True):
        save(path, np.tile(array, (3, 2, 2)))
    return paths


def fit_peak(folder: Path, pairs: list[tuple[Path, Path]], *, epochs: int, is_quick: bool) -> float:
    words = [str(word) for pair in pairs for word in ("--pair", *pair)]
    settings = ["--patch-size", 64, "--batch-size", 16, "--patches-per-tile", 2, "--epochs", epochs]
    found = bone(
        "fit",
        *words,
        *("--output", folder / "run", "--overwrite", "--recipe", "paper", *settings),
        environment={"BONE_CACHE": str(folder / "cache")},
        is_quick=is_quick,
    )
    return found["peak_ram_gib"] * 1024


# --- F4: one GPU


def gpu_row(repeats: int) -> None:
    """The step alone, and the whole loop of a fit with its share of time spent waiting for patches."""
    import torch

    rows = []
    for name, as_bone in (("plain fp32 loop", False), ("BONe step", True)):
        rates = [training_step(as_bone=as_bone, device="cuda", batch=256, steps=20) for _ in range(repeats)]
        rows.append([name, median_and_range(rates)])
    with tempfile.TemporaryDirectory() as folder:
        row = gpu_fit(Path(folder))
    rows.append(
        ["BONe, the loop of a fit", f"{row['patches_per_s']:.0f}, waiting {row['waiting_share']:.1%}"]
    )
    print(f"\n**F4: training on {torch.cuda.get_device_name()} (U-Net, resnet18, 256 px, batches of 256)**\n")
    print(markdown_table(["what", "patches/s"], rows))


def gpu_fit(folder: Path) -> dict[str, Any]:
    from bone_backend.fitting import fit
    from bone_backend.options.programs import FitOptions

    for name in ("a", "b"):
        (folder / name).mkdir()
        write_slices(folder / name)
    pairs = [(folder / name / "scan", folder / name / "mask") for name in ("a", "b")]
    chosen = {
        "recipe": "paper",
        "pairs": pairs,
        "output": folder / "run",
        "epochs": 3,
        "batch_size": 256,
        "patches_per_tile": 512,
        "max_patch_overlap": 1.0,
    }
    fit(FitOptions.parse({**chosen, "loader_threads": min(8, os.cpu_count() or 1)}))
    lines = (folder / "run" / "scores.csv").read_text(encoding="utf-8").splitlines()
    last = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    return {name: float(last[name]) for name in ("patches_per_s", "waiting_share")}


def main(words: Sequence[str] | None = None) -> None:
    import torch

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", choices=("loader", "memory", "step", "gpu"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--candidate", choices=list(CANDIDATES), help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, default=Path(), help=argparse.SUPPRESS)
    add_quick(parser)
    asked = parser.parse_args(words)
    if asked.candidate:
        measure(lambda: CANDIDATES[asked.candidate](asked.data, asked.quick))
        return
    repeats, scans = asked.repeats, (2, 4, 16, 40)
    if asked.quick:
        repeats, scans = 1, (2,)
    packages = installed(
        {"torch": "torch", "segmentation_models_pytorch": "segmentation_models_pytorch", "monai": "monai"}
    )
    print(machine("numpy", *packages))
    if asked.row in (None, "loader"):
        loader_row(repeats, is_quick=asked.quick)
    if asked.row in (None, "step"):
        step_row(repeats, is_quick=asked.quick)
    if asked.row in (None, "memory"):
        memory_row(min(repeats, 3), scans, is_quick=asked.quick)
    if asked.row == "gpu" or (asked.row is None and torch.cuda.is_available() and not asked.quick):
        gpu_row(repeats)


if __name__ == "__main__":
    main()
