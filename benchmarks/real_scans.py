"""Fit and predict real scans through the command that users type: what bone IoU, in what time and memory?

In:  the folder of real scans (--data, default ../shared/data), --trial skulls | trabecular. Run as: python -m
benchmarks.real_scans
Out: a table: bone IoU of a raw Otsu threshold and of BONe, seconds, peak RAM.
skulls: fit on three mouse skulls and a mouse femur, predict a fourth skull. trabecular: fit on slices 0-89
and 95-139 of a human biopsy as two scans, the larger for training; predict the slices between and, swapped,
the other.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sidebyside import ROOT, add_quick, bone, machine, markdown_table
from bone_backend.intensity.statistics import measure
from bone_backend.volumes.volume import open_volume, save

SKULLS = ("c57bl6", "balb", "dba2")
# Label 2 is a handful of voxels in a skull: bone against the rest. A skull is validated on, since a skull is
# predicted; 3 % of its voxels are bone, so most patches are laid where there is some.
FIT = [
    *("--recipe", "paper"),
    *("--patch-size", "32", "--patches-per-tile", "6", "--batch-size", "32", "--epochs", "18"),
    *("--max-patch-overlap", "0.5", "--map-labels", "2:0", "--validation-pairs", "1"),
    *("--normalization", "tissue", "--foreground-share", "0.7"),
    *("--brightness-probability", "0.2", "--contrast-probability", "0.2"),
]
# Patches of 32 px that mostly hold bone look unlike whole slices: chunks near their size label better.
PREDICT = ["--chunk-size", "64", "--chunk-overlap", "0.5"]
# Parts of one scan: the grey values mean the same in all of them, whatever share of a part is bone.
FIT_TRABECULAR = [
    *("--recipe", "paper"),
    *("--patch-size", "64", "--patches-per-tile", "12", "--batch-size", "16", "--epochs", "10"),
    *("--max-patch-overlap", "0.5", "--normalization", "minMax"),
    *("--brightness-probability", "0", "--contrast-probability", "0"),
]


def otsu_iou(scan: Path, mask: Path) -> float:
    """IoU of bone (label 1) and the threshold of Otsu's method over all voxels."""
    with open_volume(scan) as grey, open_volume(mask) as labels:
        means = measure(grey, voxels="all").otsu_means
        assert means is not None
        found = grey.read(0, grey.header.shape[0]) > sum(means) / 2
        wanted = labels.read(0, labels.header.shape[0]) == 1
    return float((found & wanted).sum() / (found | wanted).sum())


def trial(
    folder: Path,
    name: str,
    *,
    pairs: list[tuple[Path, Path]],
    test: tuple[Path, Path],
    fitting: list[str],
    predicting: list[str],
    is_quick: bool = False,
) -> list[str]:
    run, labels = folder / f"run_{name}", folder / f"labels_{name}"
    words = [word for pair in pairs for word in ("--pair", *pair)]
    less = ["--epochs", "1", "--patches-per-tile", "1"] if is_quick else []
    fitted = bone("fit", *words, "--output", run, "--name", "real", *fitting, *less, is_quick=is_quick)
    words = [test[0], "--model", fitted["model"], "--output", labels, *predicting]
    predicted = bone("predict", *words, is_quick=is_quick)
    scores = bone("iou", test[1], labels, is_quick=is_quick)
    seconds = fitted["seconds"] + predicted["seconds"]
    peak = max(fitted["peak_ram_gib"], predicted["peak_ram_gib"])
    bone_iou = scores["classes"]["1"]["iou"] or 0.0
    return [name, f"{otsu_iou(*test):.3f}", f"{bone_iou:.3f}", f"{seconds:.0f}", f"{peak:.2f}"]


def skulls(folder: Path, data: Path, *, is_quick: bool = False) -> list[list[str]]:
    def pair(name: str) -> tuple[Path, Path]:
        return data / name / f"{name}_image.tif", data / name / f"{name}_mask.tif"

    names = [f"mouse_skull_{strain}" for strain in SKULLS]
    pairs = [*map(pair, names), pair("mouse_femur")]
    test = pair("mouse_skull_cast")
    found = trial(
        folder, "mouse skull", pairs=pairs, test=test, fitting=FIT, predicting=PREDICT, is_quick=is_quick
    )
    return [found]


def trabecular(folder: Path, data: Path, *, is_quick: bool = False) -> list[list[str]]:
    """Two parts of one biopsy; five slices between them are used by neither."""
    parts = {}
    for name, (z0, z1) in {"first": (0, 90), "second": (95, 140)}.items():
        paths = []
        for kind in ("images", "masks"):
            with open_volume(data / "lhdl_trab_a" / kind) as volume:
                path = folder / f"{name}_{kind}"
                save(path, volume.read(z0, z1), voxel_size=(19.5, 19.5, 19.5))
                paths.append(path)
        parts[name] = (paths[0], paths[1])
    rows = []
    for test, source in (("second", "first"), ("first", "second")):
        halves = halve(folder, source, parts[source])
        name = f"trabecular, {test} part"
        found = trial(
            folder,
            name,
            pairs=halves,
            test=parts[test],
            fitting=FIT_TRABECULAR,
            predicting=[],
            is_quick=is_quick,
        )
        rows.append(found)
        if is_quick:
            break
    return rows


def halve(folder: Path, name: str, pair: tuple[Path, Path]) -> list[tuple[Path, Path]]:
    """Two scans out of one, since a fit is validated on a scan of its own: four fifths and one fifth."""
    made: list[list[Path]] = [[], []]
    for kind, path in zip(("images", "masks"), pair, strict=True):
        with open_volume(path) as volume:
            depth = volume.header.shape[0]
            for i, (z0, z1) in enumerate(((0, depth * 4 // 5), (depth * 4 // 5, depth))):
                part = folder / f"{name}_{i}_{kind}"
                save(part, volume.read(z0, z1), voxel_size=volume.header.voxel_size)
                made[i].append(part)
    return [(scan, mask) for scan, mask in made]


TRIALS = {"skulls": skulls, "trabecular": trabecular}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--trial", choices=list(TRIALS))
    parser.add_argument("--keep", type=Path, help="Keep runs and labels in this folder.")
    add_quick(parser)
    asked = parser.parse_args(words)
    if not asked.data.is_dir():
        sys.exit(f"The real scans are not here: {asked.data}")
    folder = asked.keep or Path(tempfile.mkdtemp())
    try:
        rows = [
            row
            for name in ([asked.trial] if asked.trial else TRIALS)
            for row in TRIALS[name](folder, asked.data.resolve(), is_quick=asked.quick)
        ]
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(machine("torch", "segmentation_models_pytorch"))
    print(
        markdown_table(
            ["test scan", "Otsu, bone IoU", "BONe, bone IoU", "seconds, fit and prediction", "peak RAM, GiB"],
            rows,
        )
    )


if __name__ == "__main__":
    main()
