"""P1 and P3: labelling a scan with one network, against MONAI, nnU-Net and a plain loop with empatches.

In:  nothing, or --row speed|memory|easy|backends, --model FILE (2D), --slices, --size, --repeats. Run as:
     python -m benchmarks.prediction
Out: a table for each row.
speed: seconds per slice (median of the repeats, range), ratio, peak private memory, agreement, and which
share of the wall time BONe's network computed. All read the same TIFF folder and write TIFF slices; loading
the network and counting the statistics come before the clock. All cut chunks of 512 with an overlap of 25 %,
but nnU-Net, which has its default of 50 %. Quality gate: the mean IoU against the phantom's mask must be
within 0.001 of the float32 labels. Without --model a U-Net with resnet18 is fitted on phantoms first.
memory: peak RAM of `bone predict`, with the program itself, for scans of --depths slices of --size. The scan
is a sparse file and the network small (Plain U-Net of 8 channels, along z), so that it ends in minutes.
easy: `bone predict` of a cube of --edge voxels with the network of Easy (random weights) along three axes,
by the chunks that it chooses, and by chunks of 64 px.
backends: `bone predict` of each of --scans by --model (else of a phantom by a small network) by torch and by
OpenVINO, in float32 and bf16, and how many voxels are unlike those of torch in float32.
Peers: benchmarks/requirements.txt.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import tifffile
import torch

from benchmarks import sidebyside
from benchmarks.accuracy import children_seconds
from benchmarks.sidebyside import (
    add_quick,
    alternate,
    flags,
    installed,
    machine,
    markdown_table,
    measure,
    median_and_range,
    missing_rows,
)
from bone_backend.comparison import compare
from bone_backend.inference.opening import measure as measure_scan
from bone_backend.model_files import model_file
from bone_backend.networks.build import build_network
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options.plain_unet import PlainShape
from bone_backend.options.programs import FitOptions, PredictOptions
from bone_backend.progress import silent
from bone_backend.volumes.volume import save
from mocks.scans import Phantom

CHUNK, OVERLAP, THRESHOLD = 512, 0.25, 0.5
SCAN, MASK, MODEL = "scan", "mask", "model.pth"
Probabilities = Callable[[torch.Tensor], torch.Tensor]  # float32 (1, 1, y, x) -> (class, y, x)


def make_data(folder: Path, *, slices: int, size: int, model: Path | None, is_quick: bool = False) -> None:
    """A phantom scan of 16 bits with its mask, and a model that knows phantoms."""
    (folder / SCAN).parent.mkdir(parents=True, exist_ok=True)
    write_phantom(Phantom(shape=(max(slices, 8), size, size), seed=5, bits=16), folder, slices)
    if model is not None:
        (folder / MODEL).write_bytes(model.read_bytes())
        return
    from bone_backend.fitting import fit

    pairs = []
    for seed in (1, 2):
        place = folder / f"phantom{seed}"
        write_phantom(Phantom(shape=(24, 192, 192), seed=seed, bits=16), place, 24)
        pairs.append((place / SCAN, place / MASK))
    options = {"recipe": "paper", "pairs": pairs, "output": folder / "run", "name": "phantom"}
    options |= {"train_split": 0.5}
    options |= {"epochs": 1, "patches_per_tile": 1} if is_quick else {"epochs": 5}
    result = fit(FitOptions.parse({**options, "patch_size": 96, "batch_size": 8}))
    if result.model is None:
        raise SystemExit("the fit gave no model")
    (folder / MODEL).write_bytes(result.model.read_bytes())


def write_phantom(phantom: Phantom, folder: Path, slices: int) -> None:
    middle = phantom.shape[0] // 2 - slices // 2
    scan, mask = phantom.slab(middle, middle + slices)
    save(folder / SCAN, scan)
    save(folder / MASK, mask)


def options_of(folder: Path, name: str, **more: object) -> PredictOptions:
    values = {"scan": folder / SCAN, "model": folder / MODEL, "output": folder / name, "overwrite": True}
    return PredictOptions.parse({**values, "chunk_size": CHUNK, "device": "auto", **more})


class Timed:
    """A network that notes how long it computes."""

    def __init__(self, network: torch.nn.Module):
        self.network, self.seconds = network, 0.0

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        began = time.perf_counter()
        found = self.network(batch)
        self.seconds += time.perf_counter() - began
        return found


def bone(folder: Path, name: str, **more: object) -> Callable[[], float]:
    """The stream of `predict`, from reading to writing; gives the share of the time in the network."""
    from dataclasses import replace

    from bone_backend.inference import labelling, opening
    from bone_backend.inference.labels import ClassMap
    from bone_backend.inference.streaming import ChunkPredictor
    from bone_backend.machine.device import choose_device, choose_precision
    from bone_backend.volumes.volume import create, open_volume

    options = options_of(folder, name, **more)
    model = model_file.read_header(options.model)
    device = choose_device(options.device)
    precision = choose_precision(options.precision, device)
    network = Timed(opening.load_network(model, device, precision))
    numbers = measure_scan(options, model, progress=silent).numbers
    class_map = ClassMap.from_model(model.bone.get("classes"), model.num_classes)

    def work() -> float:
        network.seconds, began = 0.0, time.perf_counter()
        with open_volume(options.scan) as scan:
            predictor = ChunkPredictor(network, device=device, precision=precision)
            chunks = opening.cut(options, scan.header.shape, model)
            groups, merger = labelling.plan(
                options, predictor, chunks=chunks, class_map=class_map, model=model
            )
            header = replace(scan.header, dtype=class_map.dtype)
            with create(options.output, header, overwrite=True) as output:
                labelling.label(
                    scan, output, predictor, groups=groups, merger=merger, numbers=numbers, progress=silent
                )
        return network.seconds / (time.perf_counter() - began)

    return work


def slice_by_slice(folder: Path, name: str, probabilities: Probabilities) -> Callable[[], None]:
    """What a user of another library writes around it: read, normalise, predict, take classes, write."""
    model = model_file.read_header(folder / MODEL)
    numbers = measure_scan(options_of(folder, name), model, progress=silent).numbers

    def work() -> None:
        (folder / name).mkdir(exist_ok=True)
        for path in sorted((folder / SCAN).glob("*.tif*")):
            grey = torch.from_numpy(numbers.apply(tifffile.imread(path)))[None, None]
            with torch.inference_mode():
                highest, labels = probabilities(grey).max(dim=0)
                labels[highest < THRESHOLD] = 0
            tifffile.imwrite(folder / name / path.name, labels.to(torch.uint8).cpu().numpy())

    return work


def fitted_network(folder: Path) -> torch.nn.Module:
    """The network as it was fitted, in float32."""
    header = model_file.read_header(folder / MODEL)
    network = build_network(header.spec)
    network.load_state_dict(model_file.load_state(folder / MODEL, header))
    return network.eval()


def empatches(folder: Path, name: str) -> Callable[[], None]:
    """One chunk after the other, merged by empatches."""
    from empatches import EMPatches

    network, tool = fitted_network(folder), EMPatches()

    def probabilities(grey: torch.Tensor) -> torch.Tensor:
        cut, indices = tool.extract_patches(grey[0, 0].numpy(), CHUNK, overlap=OVERLAP)
        parts = [network(torch.from_numpy(chunk)[None, None])[0].softmax(dim=0).numpy() for chunk in cut]
        merged = tool.merge_patches([np.moveaxis(part, 0, -1) for part in parts], indices, mode="avg")
        return torch.from_numpy(np.moveaxis(merged, -1, 0))

    return slice_by_slice(folder, name, probabilities)


def monai(folder: Path, name: str, *, is_fast: bool = False) -> Callable[[], None]:
    """sliding_window_inference; is_fast: with bfloat16, channels_last and one chunk at a time, which its user
    must know of (batches of 4 are slower so)."""
    from monai.inferers import sliding_window_inference

    network = fitted_network(folder)
    if is_fast:
        network = network.to(memory_format=torch.channels_last)

    def softmax(batch: torch.Tensor) -> torch.Tensor:
        if not is_fast:
            return network(batch).softmax(dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return network(batch.contiguous(memory_format=torch.channels_last)).float().softmax(dim=1)

    def probabilities(grey: torch.Tensor) -> torch.Tensor:
        return sliding_window_inference(grey, (CHUNK, CHUNK), 1 if is_fast else 4, softmax, overlap=OVERLAP)[
            0
        ]

    return slice_by_slice(folder, name, probabilities)


def nnunet(folder: Path, name: str) -> Callable[[], None]:
    """Its predictor with its defaults (step of half a chunk, Gaussian weights), without mirroring."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    header = model_file.read_header(folder / MODEL)
    tool = nnUNetPredictor.__new__(nnUNetPredictor)
    tool.network, tool.device = fitted_network(folder), torch.device("cpu")
    tool.use_gaussian, tool.tile_step_size, tool.use_mirroring = True, 0.5, False
    tool.allowed_mirroring_axes, tool.perform_everything_on_device = None, False
    tool.verbose = tool.allow_tqdm = False
    tool.configuration_manager = SimpleNamespace(patch_size=(CHUNK, CHUNK))
    tool.label_manager = SimpleNamespace(num_segmentation_heads=header.num_classes)

    def probabilities(grey: torch.Tensor) -> torch.Tensor:
        return tool.predict_sliding_window_return_logits(grey)[:, 0].float().softmax(dim=0)

    return slice_by_slice(folder, name, probabilities)


CANDIDATES: dict[str, tuple[str, Callable[[Path, str], Callable[[], None]]]] = {
    "nnU-Net": ("nnunetv2", nnunet),
    "empatches, plain loop": ("empatches", empatches),
    "MONAI": ("monai", monai),
    "MONAI, bf16, channels_last, batch 1": ("monai", lambda folder, name: monai(folder, name, is_fast=True)),
    "BONe, fp32": ("torch", lambda folder, name: bone(folder, name, precision="fp32")),
    "BONe": ("torch", bone),
    "BONe, one chunk a slice": ("torch", lambda folder, name: bone(folder, name, chunk_size=8192)),
}
REFERENCE, OURS = "BONe, fp32", "BONe"
PACKAGES = {"torch": "torch", "openvino": "openvino"}


def row_of(name: str, samples: list, watched: list, *, slices: int, ours: float, folder: Path) -> list[str]:
    seconds = [sample.seconds / slices for sample in samples]
    found, wanted = folder / file_name(name), folder / file_name(REFERENCE)
    score, reference = (compare(folder / MASK, labels).mean_iou for labels in (found, wanted))
    differing = 1 - compare(wanted, found).confusion.diagonal().sum() / compare(wanted, found).confusion.sum()
    return [
        name,
        median_and_range(seconds),
        f"{median(seconds) / ours:.2f}",
        f"{median(sample.cpu_seconds for sample in samples) / slices:.2f}",
        f"{watched[0].peak_mib:.0f}",
        f"{score:.4f} ({score - reference:+.4f})",
        f"{differing:.4%}",
        "" if samples[0].result is None else f"{median(sample.result for sample in samples):.0%}",
    ]


def file_name(candidate: str) -> str:
    return "labels " + candidate.replace(",", "")


def speed(given: argparse.Namespace) -> None:
    """Print the table of P1."""
    wanted = [n for n in CANDIDATES if given.only is None or n in (*given.only, REFERENCE, OURS)]
    packages = {name: CANDIDATES[name][0] for name in wanted}
    names = installed(packages)
    print(machine("numpy", *dict.fromkeys(packages[name] for name in names)))
    print(
        f"{given.slices} slices of {given.size} x {given.size} uint16, {torch.get_num_threads()} threads",
        end="\n\n",
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_data(folder, slices=given.slices, size=given.size, model=given.model, is_quick=given.quick)
        common, once = ["--data", str(folder)], {"repeats": 1, "is_quick": given.quick}
        watched = alternate("benchmarks.prediction", names, arguments=[*common, "--watch-memory"], **once)
        samples = watched
        if not given.quick:
            samples = alternate("benchmarks.prediction", names, arguments=common, repeats=given.repeats)
        ours = median(sample.seconds for sample in samples[OURS]) / given.slices
        rows = [
            row_of(name, samples[name], watched[name], slices=given.slices, ours=ours, folder=folder)
            for name in names
        ] + missing_rows(packages, 7)
    header = ["by", "seconds per slice (range)", "times BONe's", "CPU seconds", "peak MiB above network"]
    header += ["mean IoU (against float32)", "voxels unlike float32", "of the time in the network"]
    print(markdown_table(header, rows))


def small_model(path: Path, *, channels: int) -> Path:
    """A Plain U-Net of three stages with random weights, whose patches were of 32 px, as Easy's."""
    shape = PlainShape(channels, 3)
    spec = NetworkSpec("Plain U-Net", num_classes=3, plain=shape)
    told = {"num_classes": 3, "in_channels": 1, "mode": "2D", "model_arch": "Plain U-Net", "patch_size": 32}
    told |= {"normalization": "ZScore", "is_3d": False, "backbone": ""}
    network = {"plain": asdict(shape)}
    torch.manual_seed(0)
    state = build_network(spec).state_dict()
    model_file.save_model(path, state=state, metadata=told, bone={"network": network})
    return path


def command(given: argparse.Namespace, *words: object) -> dict[str, Any]:
    """What `bone predict` tells."""
    return sidebyside.bone("predict", *words, is_quick=given.quick)


def memory(given: argparse.Namespace) -> None:
    """Print the table of P3."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = small_model(folder / "small.pth", channels=8)
        some = Phantom(shape=(8, given.size, given.size), seed=5).slab(3, 5)[0]
        for depth in given.depths:
            scan = np.lib.format.open_memmap(
                folder / "scan.npy", mode="w+", dtype=some.dtype, shape=(depth, given.size, given.size)
            )
            scan[:2] = some
            del scan
            words = ("--model", model, "--output", folder / "labels.npy", "--axes", "z", "--overwrite")
            told = command(given, folder / "scan.npy", *words)
            rows.append([depth, f"{told['peak_ram_gib'] * 1024:.0f}", f"{told['seconds']:.0f}"])
    print(f"Scans of {given.size} x {given.size}, {some.dtype}:", end="\n\n")
    print(markdown_table(["slices", "peak MiB of bone predict", "seconds"], rows))


def easy(given: argparse.Namespace) -> None:
    """Print how long a scan takes with Easy's network, along three axes."""
    ways = {"as it comes": [], "chunks of 64 px": ["--chunk-size", 64], "float32": ["--precision", "fp32"]}
    edge, rows = given.edge, []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = small_model(folder / "easy.pth", channels=16)
        some = Phantom(shape=(64, 64, 64), seed=5).slab(0, 64)[0]
        save(folder / "scan.npy", np.tile(some, (-(-edge // 64),) * 3)[:edge, :edge, :edge])
        for way, more in ways.items():
            words = ("--model", model, "--output", folder / "labels.tif", "--axes", "zyx", "--overwrite")
            before = children_seconds()
            told = command(given, folder / "scan.npy", *words, *more)
            cpu = children_seconds() - before
            chunk = " x ".join(map(str, told["chunk"][1:]))
            rows.append([way, chunk, f"{told['seconds']:.0f}", f"{cpu:.0f}", f"{told['peak_ram_gib']:.2f}"])
    print(f"A cube of {edge}^3 voxels, three axes, on {torch.get_num_threads()} threads:", end="\n\n")
    print(markdown_table(["way", "chunk", "seconds", "CPU s of the command", "peak RAM, GiB"], rows))


BACKENDS = {f"{name}, {kind}": package for kind in ("fp32", "bf16") for name, package in PACKAGES.items()}
BACKENDS["openvino, int8"] = "nncf"


def backends(given: argparse.Namespace) -> None:
    """Print what each backend takes for whole scans, and how far its labels are from those of torch."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model, scans = given.model or small_model(folder / "small.pth", channels=8), given.scans
        if not scans:
            save(folder / "phantom.npy", Phantom(shape=(8, given.edge, given.edge), seed=5).slab(0, 8)[0])
            scans = [folder / "phantom.npy"]
        for scan, mask in itertools.zip_longest(scans, given.masks):
            for way in installed(BACKENDS):
                backend, precision = way.split(", ")
                words = ("--model", model, "--output", folder / f"{way}.tif", "--overwrite")
                before = children_seconds()
                told = command(given, scan, *words, "--backend", backend, "--precision", precision)
                cpu = children_seconds() - before
                labels = [tifffile.imread(folder / f"{name}.tif") for name in ("torch, fp32", way)]
                row = [scan.stem, way, f"{cpu:.1f}", f"{told['seconds']:.1f}", f"{told['peak_ram_gib']:.2f}"]
                score = f"{iou(tifffile.imread(mask), labels[1]):.4f}" if mask else ""
                rows.append([*row, score, f"{np.mean(labels[0] != labels[1]):.4%}"])
    print(machine(*installed({name: name for name in PACKAGES})), end="\n\n")
    header = ["scan", "backend", "CPU s of the command", "seconds", "peak RAM, GiB", "IoU of label 1"]
    print(markdown_table([*header, "unlike torch's fp32"], rows + missing_rows(BACKENDS, 7)))


def iou(mask: np.ndarray, labels: np.ndarray) -> float:
    """Of label 1, which is bone in the scans that BONe is tried on."""
    right, found = mask == 1, labels == 1
    return float((right & found).sum() / (right | found).sum())


TABLES = {"speed": speed, "memory": memory, "easy": easy, "backends": backends}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in (("--slices", 4), ("--size", 1152), ("--repeats", 5)):
        parser.add_argument(option, type=int, default=default)
    parser.add_argument("--row", nargs="+", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--depths", type=int, nargs="+", default=[100, 500, 2112])
    parser.add_argument("--edge", type=int, default=500)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--scans", type=Path, nargs="+", default=[])
    parser.add_argument("--masks", type=Path, nargs="+", default=[], help="Of the scans, as TIFF.")
    parser.add_argument("--only", nargs="*", choices=list(CANDIDATES), help="Measure these beside BONe.")
    parser.add_argument("--candidate", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--watch-memory", action="store_true", help=argparse.SUPPRESS)
    add_quick(parser)
    given = parser.parse_args(words)
    if given.quick:
        given.slices, given.size, given.repeats, given.depths, given.edge = 2, CHUNK, 1, [2, 4], 48
    if given.candidate:
        work = CANDIDATES[given.candidate][1](given.data, file_name(given.candidate))
        measure(work, watch_memory=given.watch_memory)
        return
    print(flags())
    for row in given.row:
        print(f"\n**{row}**", end="\n\n", flush=True)
        TABLES[row](given)


if __name__ == "__main__":
    main()
