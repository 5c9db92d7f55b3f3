"""Draw the sheet of `bone preview-augmentation`.

In:  rows of pictures with their classes and captions.
Out: one PNG file, written whole or not at all.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D

from bone_backend.files.whole import output_fault, whole_file
from bone_backend.options.programs import PreviewOptions
from bone_backend.progress import Progress
from bone_backend.volumes.classes import TRAINING

INCHES = 2.1  # edge of one picture
MOST_COLUMNS = 8


def run(options: PreviewOptions, progress: Progress) -> dict[str, Any]:
    """Make the examples and draw them; gives the path and what is on the sheet."""
    options.check_paths()
    from bone_backend import preview  # torch is imported only when it is used

    made = preview.make_sheet(
        options, examples=options.examples, variants=options.variants, progress=progress
    )
    rows = made.rows
    size = f"{made.patch.x} px" + (f", {made.patch.z} slices" if options.mode == "3D" else "")
    title = (
        f"Augmentation of {options.mode} patches of {size}; the lines are the mask's borders, changed alike"
    )
    draw(options.sheet, rows, classes=made.classes, title=f"{title}\n")
    return {
        "sheet": str(options.sheet),
        "patches": [row.name for row in rows if not row.alone],
        "changes": [picture.caption for row in rows if row.alone for picture in row.pictures[1:]],
    }


def draw(path: Path, rows: Sequence[Any], *, classes: Sequence[Mapping[str, Any]], title: str) -> Path:
    """Two sheets in one: each change alone, then the patches as training changes them.

    classes: {"name", "colour"} of each class index.
    """
    lines = [
        (row, row.pictures[:1] + part if part else row.pictures[:1])
        for row in rows
        for part in _parts(row.pictures[1:], MOST_COLUMNS - 1)
    ]
    columns = max(len(pictures) for _, pictures in lines)
    height, width = lines[0][1][0].grey.shape
    figure, axes = plt.subplots(
        len(lines),
        columns,
        figsize=(INCHES * columns + 0.6, (INCHES * height / width + 0.45) * len(lines) + 1.3),
        layout="constrained",
        squeeze=False,
    )
    for number, (line, (row, pictures)) in enumerate(zip(axes, lines, strict=True)):
        is_first = number == 0 or lines[number - 1][0].alone != row.alone
        _draw_line(line, row, pictures, colours=[item["colour"] for item in classes], is_first=is_first)
    figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    shown = sorted({int(c) for row in rows for p in row.pictures for c in np.unique(p.classes) if c > 0})
    told = [Line2D([], [], color=classes[c]["colour"], linewidth=2, label=classes[c]["name"]) for c in shown]
    figure.legend(
        handles=told, loc="outside lower center", ncols=max(len(told), 1), frameon=False, fontsize=10
    )
    return _save(figure, path)


def _parts(pictures: Sequence[Any], size: int) -> list[list[Any]]:
    return [list(pictures[i : i + size]) for i in range(0, len(pictures), size)] or [[]]


def _draw_line(
    line: Sequence[Any], row: Any, pictures: Sequence[Any], *, colours: Sequence[str], is_first: bool
) -> None:
    low, high = np.nanpercentile(pictures[0].grey, [0.5, 99.5])
    margin = 0.15 * max(high - low, 1e-3)  # so that brighter and darker show
    for axis in line:
        axis.set_axis_off()
    for axis, picture in zip(line, pictures, strict=False):
        axis.set_axis_on()
        axis.imshow(picture.grey, cmap="gray", vmin=low - margin, vmax=high + margin, interpolation="nearest")
        _outline(axis, picture.classes, colours)
        axis.set(xticks=[], yticks=[])
        axis.set_title("\n".join(textwrap.wrap(picture.caption, 27)[:6]), fontsize=8, pad=3)
    for spine in line[0].spines.values():
        spine.set(color=TRAINING, linewidth=2)
    line[0].set_ylabel(row.name, fontsize=9)
    if is_first:
        told = "Each change alone, at its strongest" if row.alone else "As training draws them"
        heading = line[0].annotate(
            told,
            (0, 1),
            xytext=(0, 20),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=12,
            weight="bold",
        )
        heading.set_in_layout(False)


def _outline(axis: Any, classes: np.ndarray, colours: Sequence[str]) -> None:
    """Lines around the classes; where two meet, the dashes of the higher one leave the other seen."""
    for index in np.unique(classes):
        is_class = classes == index
        if index > 0 and not is_class.all():
            style = "solid" if index == 1 else (0, (3, 3))
            axis.contour(
                is_class, levels=[0.5], colors=[colours[int(index)]], linewidths=1.1, linestyles=[style]
            )


def _save(figure: Any, path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            figure.savefig(file, dpi=110, format="png")
    except OSError as error:
        raise output_fault(path, error) from error
    finally:
        plt.close(figure)
    return path
