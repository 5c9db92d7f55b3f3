"""The command "measure", and what it writes: a table of indices, a table of slices, a page.

In:  MeasureOptions.
Out: plain values; files, each whole or not at all; the names of those beside predicted labels.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files.whole import write_text
from ..options.predicting.measuring import MeasureOptions
from ..progress import Progress, silent
from ..scores.tables import write_table
from ..volumes.output import prepare
from ..volumes.volume import volume_name
from .measuring import Measures, measure

MOST_TOLD = 5  # files
ENDINGS = {"output": "_measures.csv", "slices": "_slices.csv", "page": "_measures.html"}


def measure_job(options: MeasureOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "measure"."""
    prepare_all(options)
    found = measure(options.labels, progress=progress, **options.arguments())
    return {**found.to_dict(), "written": write(options, found)}


def beside(labels: Path) -> dict[str, Path]:
    """Where the files of predicted labels go, by option.

    >>> [path.name for path in beside(Path("out/femur.tif")).values()]
    ['femur_measures.csv', 'femur_slices.csv', 'femur_measures.html']
    """
    return {name: labels.with_name(volume_name(labels) + ending) for name, ending in ENDINGS.items()}


def check_beside(labels: Sequence[Path], *, overwrite: bool) -> None:
    """Raise OutputError with all files of measures of these labels that are in the way."""
    there = [path for one in labels for path in beside(one).values() if path.exists()]
    if there and not overwrite:
        named = ", ".join(map(str, there[:MOST_TOLD])) + (", ..." if len(there) > MOST_TOLD else "")
        raise OutputError(f"The measures {named} are already there. Allow it with --overwrite.")


def measure_beside(labels: Path, *, overwrite: bool, progress: Progress = silent) -> dict[str, Any]:
    """Measure labels as "measure" does when nothing is said, with the files beside them."""
    paths = {name: str(path) for name, path in beside(labels).items()}
    options = MeasureOptions.parse({"labels": str(labels), "overwrite": overwrite, **paths})
    return measure_job(options, progress)


def prepare_all(options: MeasureOptions) -> None:
    """Raise OutputError where a file may not be written, before any work."""
    options.check_paths()
    for path in (options.output, options.slices, options.page):
        if path is not None:
            prepare(path, overwrite=options.overwrite, needed_bytes=0)


def write(options: MeasureOptions, found: Measures) -> list[str]:
    """Those that were asked for; gives their paths."""
    if options.output is not None:
        write_table(options.output, indices_table(found))
    if options.slices is not None:
        write_table(options.slices, slices_table(found))
    if options.page is not None:
        from ..report.measures_page import page  # loads Jinja2, and stands on a higher shelf

        pictures = {name: one.pictures for name, one in found.thickness.items()}
        write_text(options.page, page(found.to_dict(), pictures))
    return [str(path) for path in (options.output, options.slices, options.page) if path is not None]


def indices_table(found: Measures) -> str:
    """A row for each class and quantity, then one for each index; numbers in full."""
    rows: list[list[Any]] = [["of", "index", "value", "unit", "name"]]
    for one in found.classes:
        rows += [
            [one["name"], "voxels", one["voxels"], "", f"voxels of label {one['value']}"],
            [one["name"], "V", one["volume"], found.unit.of(3), f"volume of label {one['value']}"],
            [one["name"], "share", one["share"], "%", "share of the whole volume"],
        ]
    rows += [["bone", one.index, one.value, one.unit, one.name] for one in found.indices]
    return _text(rows)


def slices_table(found: Measures) -> str:
    """A row for each slice, counted from 0; units in the names of the columns."""
    length, area = found.unit.length, found.unit.of(2)
    heads = {"z": f"z_{length}", "bone_share": "BV/TV_%"}
    names = [
        heads.get(name) or f"{name}_{area if name.endswith('_area') else length}" for name in found.profile
    ]
    columns = zip(*found.profile.values(), strict=True)
    return _text([["slice", *names], *([z, *row] for z, row in enumerate(columns))])


def _text(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()
