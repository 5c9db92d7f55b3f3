"""Build every network of the catalogue as shapes, run it, and write docs/networks.md.

In:  the catalogue and the installed segmentation_models_pytorch.
Out: docs/networks.md: what works, what does not and why, parameters and multiply-adds.
Run as `python -m benchmarks.networks_table` after changing the catalogue; takes some minutes.
--quick prints the page for one backbone and writes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import segmentation_models_pytorch as library
import timm
import torch

from benchmarks.sidebyside import add_quick
from bone_backend.networks.complexity import Complexity, complexity
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options import catalogue
from bone_backend.options.plain_unet import CHANNELS, DEPTHS, TITLE, PlainShape

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
EDGE, DEPTH, SLICES, CLASSES = 256, 32, 3, 2
Numbers = dict[tuple[str, str, str], Complexity | None]


def measure(backbones: Sequence[str]) -> Numbers:
    """Complexity of every (architecture, backbone, mode); None where the catalogue refuses it."""
    found: Numbers = {}
    for number, backbone in enumerate(backbones, start=1):
        print(f"{number}/{len(backbones)} {backbone}", file=sys.stderr, flush=True)
        for mode in catalogue.MODES:
            for title in catalogue.architecture_choices(mode):
                found[title, backbone, mode] = _measure_one(title, backbone, mode)
    return found


def _measure_one(title: str, backbone: str, mode: str) -> Complexity | None:
    if catalogue.refusal(title, backbone, mode):
        return None
    channels = SLICES if mode == "2.5D" else 1
    size = (DEPTH, EDGE, EDGE) if mode == "3D" else (EDGE, EDGE)
    return complexity(NetworkSpec(title, backbone, mode, channels, CLASSES), (1, channels, *size))


def page(numbers: Numbers) -> str:
    """The page as Markdown."""
    tables = (_table(numbers, mode) for mode in ("2D", "3D"))
    return "\n\n".join([_head(numbers), _sizes(), plain(), _refusals(), *tables, _notes()]) + "\n"


def _head(numbers: Numbers) -> str:
    works = {mode: [v is not None for k, v in numbers.items() if k[2] == mode] for mode in catalogue.MODES}
    counts = "; ".join(f"{mode}: {sum(found)} of {len(found)} pairs work" for mode, found in works.items())
    return f"""# Networks

*Made by `python -m benchmarks.networks_table` with segmentation_models_pytorch {library.__version__}, timm
{timm.__version__} and torch {torch.__version__.split("+")[0]}. Do not edit by hand.*

Every pair below was built and run (with shapes instead of numbers) in each mode. {counts}.
2.5D takes 3, 5, 7 or 9 slices as channels; it works and costs as 2D does, but for the first convolution."""


def _sizes() -> str:
    rows = ["| architecture | class | patch size, a multiple of | smallest | modes |", "|---" * 5 + "|"]
    for title, item in {**catalogue.ARCHITECTURES, **catalogue.ADVANCED_ARCHITECTURES}.items():
        modes = "2D, 2.5D, 3D" if item.in_3d else "2D, 2.5D"
        advanced = "" if title in catalogue.ARCHITECTURES else " (advanced list in 2D)"
        sizes = f"{item.output_stride} | {item.minimum or item.output_stride}"
        rows.append(f"| {title}{advanced} | `{item.library_name}` | {sizes} | {modes} |")
    edges = ", ".join(str(PlainShape(depth=depth).multiple) for depth in DEPTHS)
    rows.append(f"| {TITLE} | ours | {edges}, by depth | the multiple | 2D, 2.5D, 3D |")
    return (
        "## Sizes\n\n"
        + "\n".join(rows)
        + (
            "\n\nIn 3D the same multiple holds for the patch depth; a custom stride (3D U-Net with a "
            "plain resnet) "
            "changes it. PAN takes patches from 16 on in 3D."
        )
    )


def plain() -> str:
    """The section about our own network."""
    rows = [
        f"## {TITLE}",
        "",
        'BONe\'s own network, without a backbone (`--architecture "Plain U-Net"`): the first stage computes '
        "at full resolution, each further one at half of it, with twice the channels; two convolutions of 3 "
        "a stage, each normalised (`--plain-norm`) and rectified; halved by the largest of 2 x 2 values, "
        "enlarged by transposed convolutions and joined with the stage of equal size. The networks below "
        "halve the image before their first block (with a resnet twice) and mostly have 10 to 100 times as "
        "many parameters; this one learns within minutes on a CPU from small patches and batches, e.g. "
        "`--patch-size 32 --batch-size 8 --learning-rate 0.005`. The published program cannot open its "
        "models. There are no ImageNet weights for it; a model of your own with the same channels, depth and "
        "normalisation starts it.",
        "",
        f"Millions of parameters / G multiply-adds in 2D for one patch of {EDGE} x {EDGE} pixels, and in 3D "
        f"for {DEPTH} x {EDGE} x {EDGE} voxels:",
        "",
        f"| channels | {' | '.join(f'2D, depth {n}' for n in DEPTHS)} | "
        f"{' | '.join(f'3D, depth {n}' for n in DEPTHS)} |",
        "|---" * (1 + 2 * len(DEPTHS)) + "|",
    ]
    for channels in CHANNELS:
        cells = []
        for mode, size in (("2D", (EDGE, EDGE)), ("3D", (DEPTH, EDGE, EDGE))):
            for depth in DEPTHS:
                spec = NetworkSpec(TITLE, "", mode, 1, CLASSES, plain=PlainShape(channels, depth))
                cells.append(_cell(complexity(spec, (1, 1, *size)), digits=2))
        rows.append(f"| {channels} | {' | '.join(cells)} |")
    rows += [
        "",
        "An instance normalisation needs patches of twice the multiple; group and instance normalisation do "
        "not mix the patches of a batch, which suits very small batches.",
    ]
    return "\n".join(rows)


def _refusals() -> str:
    rows = [
        "## What does not work, and why",
        "",
        "One backbone of each group is named in the reason.",
        "",
        "| mode | architecture | backbones | reason |",
        "|---|---|---|---|",
    ]
    for mode in ("2D", "3D"):
        groups: dict[tuple[str, bool], list[str]] = {}
        for title in catalogue.architecture_choices(mode):
            for backbone in catalogue.BACKBONES:
                if catalogue.refusal(title, backbone, mode):
                    groups.setdefault((title, backbone.startswith("mit_")), []).append(backbone)
        shown = "2D, 2.5D" if mode == "2D" else mode
        titles: dict[tuple[str, str], list[str]] = {}
        for (title, _), backbones in groups.items():
            reason = str(catalogue.refusal(title, backbones[0], mode))
            titles.setdefault((", ".join(backbones), reason), []).append(title)
        for (names, reason), told in titles.items():
            rows.append(f"| {shown} | {', '.join(told)} | {names} | {reason} |")
    for title in catalogue.ARCHITECTURES:
        if title not in catalogue.ARCHITECTURES_3D:
            rows.append(f"| 3D | {title} | all | {catalogue.refusal(title, 'resnet18', '3D')} |")
    pooled = [title for title, item in catalogue.ARCHITECTURES.items() if item.global_pool]
    rows.append(
        f"\nA training batch of one patch does not work with {', '.join(pooled)} and PAN, which normalise "
        "averages "
        "over whole patches, nor with any network whose deepest features are then a single value."
    )
    return "\n".join(rows)


def _table(numbers: Numbers, mode: str) -> str:
    titles = catalogue.architecture_choices(mode)
    size = f"{DEPTH} x {EDGE} x {EDGE} voxels" if mode == "3D" else f"{EDGE} x {EDGE} pixels"
    rows = [
        f"## {mode}: millions of parameters / G multiply-adds for one patch of {size}",
        "",
        f"One channel, {CLASSES} classes; – is refused.",
        "",
        f"| backbone | {' | '.join(titles)} |",
        "|---" * (len(titles) + 1) + "|",
    ]
    for backbone in dict.fromkeys(backbone for _, backbone, _ in numbers):
        cells = " | ".join(_cell(numbers[title, backbone, mode]) for title in titles)
        rows.append(f"| {backbone} | {cells} |")
    return "\n".join(rows)


def _cell(found: Complexity | None, digits: int = 1) -> str:
    if found is None:
        return "–"
    return f"{found.parameters / 1e6:.{digits}f} / {found.multiply_adds / 1e9:.{digits}f}"


def _notes() -> str:
    missing = ", ".join(f"{name} ({', '.join(sets)})" for name, sets in catalogue.OTHER_WEIGHTS.items())
    notes = (
        "**Multiply-adds** are what fvcore calls FLOPs; a test compares the counts with fvcore's.",
        "**3D networks** are inflated 2D ones with equal parameter names: kernels (k, k) become (k, k, k), "
        "repeated along z and divided by k where 2D weights start them, drawn anew where they start from "
        "random numbers. Kernels (1, 7) and (7, 1) get the depth 1.",
        "**Published 3D models** have their kernels in the order (height, width, depth), and their last "
        "upsampling does not align corners; both are seen to when such a file is read. Networks of "
        "segmentation_models_pytorch_3d 1.0.2 (all eight architectures, seven families of backbones, a "
        "custom "
        "stride) give the same here within 3e-6 of the largest logit: `benchmarks/published_3d.py`.",
        "**Custom stride**: five (z, y, x) triples of 1 or 2 for the first convolution, the pooling, and the "
        "second, third and fourth group of blocks of "
        f"{', '.join(catalogue.PLAIN_RESNETS)}, in a 3D U-Net.",
        f"**ImageNet weights** are not there for {missing}; the sets in brackets are, by name.",
        "**Mix transformers** (mit_b0 to mit_b5) read any number of channels; their first convolution is "
        "changed as in every other backbone.",
        f"**Advanced list**: {', '.join(catalogue.ADVANCED_ARCHITECTURES)}; encoders "
        f"{', '.join(catalogue.ADVANCED_BACKBONES)}; and any encoder of timm as `tu-NAME`, in 2D and 2.5D. "
        "DPT takes vision transformers of timm only.",
    )
    return "\n".join(["## Notes", "", *(f"- {note}" for note in notes)])


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_quick(parser)
    if parser.parse_args(words).quick:
        print(page(measure(["mobilenet_v2"])))
        return
    PAGE.write_text(page(measure(list(catalogue.BACKBONES))), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
