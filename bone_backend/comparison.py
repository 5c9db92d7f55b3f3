"""Compare two label volumes of one geometry: IoU and Dice of every class.

In:  a reference mask and predicted labels, each a volume or a path.
Out: a Comparison with exact voxel counts and scores; a table (CSV) if wanted.
Values are counted as they are stored; mapped and ignored labels are worked into the counts afterwards, which
costs nothing and stays exact.
Both are read piece by piece, so that a few MB of memory do for any size.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .dataset.checks import IGNORED, class_of
from .errors import ScanError
from .files.whole import write_text
from .options.programs import IoUOptions
from .options.types import ClassName
from .progress import Progress, silent
from .scores import judgement as label_judgement
from .scores import meaning as label_meaning
from .scores import metrics, naming, tables
from .scores.judgement import ScanWatch
from .scores.meaning import LabelMeaning
from .scores.slices import SliceCounts, SliceScores
from .volumes.array import ArrayVolume
from .volumes.flat import read_together
from .volumes.header import Triple
from .volumes.medical.matching import on_grid_of
from .volumes.output import prepare
from .volumes.volume import Volume, open_volume

log = logging.getLogger("bone.comparison")

PIECE_BYTES = 1 << 20  # read at a time from each volume
LARGEST_DIFFERENCE = 1e-3  # of voxel sizes, relative; more is another geometry, less is rounding in a file
_REPORT_S = 0.1


@dataclass(frozen=True)
class ClassScore:
    """One class. iou, dice: 0 to 1, nan where it is absent from both. The others: voxels."""

    iou: float
    dice: float
    reference_voxels: int
    predicted_voxels: int
    intersection_voxels: int


@dataclass(frozen=True)
class Comparison:
    """How well two label volumes agree.

    classes: label value -> its scores, of all values that occur in either, ascending. mean_iou, mean_dice:
    over the classes that are present, background included. confusion: int64 (class, class), rows reference,
    columns prediction, over all values that occur (`values`), after mapping, without ignored voxels. voxels:
    of one volume; ignored_voxels: of those, how many do not count. meaning: what mapped them, and the names.
    warnings: in words, where the labels of both hardly meet. seconds: for opening, reading and counting.
    slices: scores of every slice; None where nobody asked for them, or there are too many labels.
    """

    reference: str
    prediction: str
    classes: dict[int, ClassScore]
    mean_iou: float
    mean_dice: float
    values: tuple[int, ...]
    confusion: np.ndarray
    voxels: int
    seconds: float
    ignored_voxels: int = 0
    meaning: LabelMeaning = field(default_factory=LabelMeaning)
    warnings: tuple[str, ...] = ()
    slices: SliceScores | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values; a score that is not a number is None."""
        return {
            "mean_iou": _number(self.mean_iou),
            "mean_dice": _number(self.mean_dice),
            "classes": {
                str(value): {key: _number(item) for key, item in asdict(score).items()}
                for value, score in self.classes.items()
            },
            "values": list(self.values),
            "confusion": self.confusion.tolist(),
            "voxels": self.voxels,
            "ignored_voxels": self.ignored_voxels,
            "map_labels": [list(pair) for pair in self.meaning.map_labels],
            "ignore_label": self.meaning.ignore_label,
            "names": {str(value): name for value, name in self.meaning.names.items()},
            "colours": {str(value): colour for value, colour in self.meaning.colours.items()},
            "labels_from": self.meaning.source,
            "warnings": list(self.warnings),
            "reference": self.reference,
            "prediction": self.prediction,
            "seconds": self.seconds,
            "slices": self.slices.to_dict() if self.slices else None,
        }


def compare(
    reference: Volume | Path | str,
    prediction: Volume | Path | str,
    *,
    progress: Progress = silent,
    labels: Sequence[int] | None = None,
    map_labels: Sequence[tuple[int, int]] | None = None,
    ignore_label: int | None = None,
    model: Path | None = None,
    class_names: Sequence[ClassName] = (),
    by_slice: bool = False,
    voxel_size: Triple | None = None,
) -> Comparison:
    """Score predicted labels against a reference, voxel by voxel, in exact integers.

    labels: the classes to score; None: every value that occurs in either. map_labels, ignore_label: as in a
    fit, of the reference; None: what the model file `model` or the record beside the prediction says, which
    tell names too, after class_names and before the volumes.
    by_slice: keep the scores of every slice along z too. voxel_size: of both (um), instead of what they say.
    Raises ScanError for shapes or voxel sizes that differ, for volumes that are no labels (floats, negative
    values, a scan), where no voxel counts, and for damaged files; Cancelled when progress says so.
    """
    began = time.monotonic()
    with contextlib.ExitStack() as opened:
        left, right = (_opened(side, voxel_size, opened) for side in (reference, prediction))
        check_geometry(left, right := on_grid_of(right, left.header))
        meaning = label_meaning.find(
            right.header.path,
            right.header.shape,
            map_labels=map_labels,
            ignore_label=ignore_label,
            model=model,
        )
        counts, by_z = _count(left, right, progress, by_slice=by_slice)
        named, doubts = naming.named(meaning, left.header, right.header, class_names)
        short = left.header.name, right.header.name
    table, values, ways = _mapped(counts.matrix, counts.values, meaning, short)
    warnings = naming.unknown_mapped(meaning, counts.values) if map_labels else []
    warnings += [*_advice(table, values, short, meaning), *doubts, *naming.unknown_named(class_names, values)]
    _say(warnings)
    classes = _scores(table, values, labels)
    result = Comparison(
        reference=str(left.header.path or left.header.name),
        prediction=str(right.header.path or right.header.name),
        classes=classes,
        mean_iou=metrics.mean([score.iou for score in classes.values()]),
        mean_dice=metrics.mean([score.dice for score in classes.values()]),
        values=values,
        confusion=table,
        voxels=left.header.voxels,
        seconds=round(time.monotonic() - began, 3),
        ignored_voxels=left.header.voxels - int(table.sum()),
        meaning=named,
        warnings=tuple(warnings),
        slices=by_z.scores(values, rows=ways[0], columns=ways[1]) if by_z else None,
    )
    log.info(
        "Mean IoU %.4f, mean Dice %.4f over %d classes.", result.mean_iou, result.mean_dice, len(classes)
    )
    return result


def _opened(side: Volume | Path | str, size: Triple | None, opened: contextlib.ExitStack) -> Volume:
    """A volume, with the voxel size that was given."""
    volume = side if isinstance(side, Volume) else opened.enter_context(open_volume(side))
    if size is not None:
        volume.header = volume.header.with_voxel_size_um(size)
    return volume


def _advice(
    table: np.ndarray, values: tuple[int, ...], names: tuple[str, str], meaning: LabelMeaning
) -> list[str]:
    """A word where the labels of both hardly meet. Raises ScanError for a scan in the place of labels."""
    label_judgement.check_labels(table, values, names)
    return label_judgement.advice(table, values, names, is_mapped=bool(meaning.map_labels))


def _say(warnings: Sequence[str]) -> None:
    for warning in warnings:
        log.warning("%s", warning)


Ways = tuple[dict[int, int | None], dict[int, int | None]]


def _mapped(
    table: np.ndarray, values: tuple[int, ...], meaning: LabelMeaning, names: tuple[str, str]
) -> tuple[np.ndarray, tuple[int, ...], Ways]:
    """Counts and values after mapping, without the ignored voxels. Raises ScanError where none is left.

    The third: what each value has become in the reference and in the prediction; None: is not counted.
    The reference is mapped, as in a fit. The prediction has the values of the network, unless it holds one
    that only an unmapped mask can have. A voxel is left out where either side has the ignored label; not so
    for background in the prediction, which networks also predict where background was not annotated.
    """
    mapping, ignored = dict(meaning.map_labels), meaning.ignore_label
    if not mapping and ignored is None:
        same: dict[int, int | None] = {value: value for value in values}
        return table, values, (same, same)
    mapped = [class_of(value, mapping, ignored) for value in values]
    rows = [None if value == IGNORED else value for value in mapped]
    in_reference, in_prediction = table.sum(axis=1) > 0, table.sum(axis=0) > 0
    classes = {row for row, here in zip(rows, in_reference, strict=True) if here}
    classes |= {*mapping.values(), *meaning.names}
    old = [
        value
        for value, here in zip(values, in_prediction, strict=True)
        if here and value in mapping and value not in classes
    ]
    if old:
        told = ", ".join(map(str, old))
        log.info("%s holds %s, which is a mask's value: it is mapped too.", names[1], told)
    columns = [
        None if value == ignored != 0 else row if old else value
        for value, row in zip(values, rows, strict=True)
    ]
    ways = dict(zip(values, rows, strict=True)), dict(zip(values, columns, strict=True))
    table, values = metrics.regrouped(table, values, rows=rows, columns=columns)
    if not table.any():
        raise ScanError(
            f"{names[0]}: no voxel counts: all have the ignored label {ignored}. Use another --ignore-label."
        )
    return table, values, ways


def compare_job(options: IoUOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "iou"."""
    options.check_paths()
    for path in (options.output, options.slices, options.page):
        if path is not None:
            prepare(path, overwrite=options.overwrite, needed_bytes=0)
    result = compare(
        options.reference,
        options.prediction,
        progress=progress,
        map_labels=options.map_labels or None,
        ignore_label=options.ignore_label,
        model=options.model,
        class_names=options.class_names,
        by_slice=True,
        voxel_size=options.voxel_size,
    )
    found = result.to_dict()
    write_files(options, found)
    written = (options.output, options.slices, options.page)
    return {**found, "written": [str(path) for path in written if path is not None]}


def write_files(options: IoUOptions, found: dict[str, Any]) -> None:
    """The tables and the page that were asked for. Raises OutputError; ScanError for too many labels."""
    if options.slices is not None and found["slices"] is None:
        raise ScanError(
            f"There are more than {label_judgement.MANY_LABELS} labels, too many for a table of slices."
        )
    if options.output is not None:
        tables.write_table(options.output, tables.classes_table(found))
    if options.slices is not None:
        tables.write_table(options.slices, tables.slices_table(found))
    if options.page is not None:
        from .report.comparison_page import page  # loads Jinja2, and stands on a higher shelf

        write_text(options.page, page(found))


def write_csv(path: Path, comparison: Comparison) -> None:
    """A row for each class and one for the mean; written whole or not at all. Raises OutputError."""
    tables.write_table(path, tables.classes_table(comparison.to_dict()))


def check_geometry(reference: Volume, prediction: Volume) -> None:
    """Raise ScanError unless both volumes have the same voxels and hold labels."""
    left, right = reference.header, prediction.header
    for side in (left, right):
        if side.dtype.kind not in "iub":
            raise ScanError(
                f"{side.name}: holds {side.dtype} values; labels are whole numbers. Give the labels, not the "
                "scan, and export them with 8 or 16 bit."
            )
    if left.shape != right.shape:
        raise ScanError(
            f"{right.name}: the prediction is {right.sides} (z, y, x), but the reference {left.name} is "
            f"{left.sides}. Only labels of the same scan can be compared; crop or export both alike."
        )
    sizes = left.voxel_size_um, right.voxel_size_um
    if sizes[0] and sizes[1] and left.has_other_voxels(right, tolerance=LARGEST_DIFFERENCE):
        raise ScanError(
            f"{right.name}: its voxels are {_size(sizes[1])} (z, y, x), those of the reference "
            f"{left.name} {_size(sizes[0])}. Only labels of one geometry can be compared; correct the "
            "voxel size of one, or resample it."
        )


def _count(
    reference: Volume, prediction: Volume, progress: Progress, *, by_slice: bool
) -> tuple[metrics.Counts, SliceCounts | None]:
    """Count both volumes piece by piece."""
    counts = metrics.Counts()
    by_z = SliceCounts(counts, math.prod(reference.header.shape[1:])) if by_slice else None
    depth, height, width = reference.header.shape
    reported, voxels = -math.inf, 0
    watch = ScanWatch((reference.header.name, prediction.header.name))
    sides = (reference, prediction) if by_slice else _turned(reference, prediction)
    pieces = read_together(sides, piece_bytes=PIECE_BYTES)
    with contextlib.closing(pieces):
        for left, right in pieces:
            now = time.monotonic()
            if now - reported > _REPORT_S:
                progress(voxels // (height * width), depth, "Comparing labels")
                reported = now
            try:
                (by_z or counts).add(left, right)
            except ScanError as fault:
                side = (
                    reference
                    if left.min() < 0 or len(np.unique(left)) > len(np.unique(right))
                    else prediction
                )
                raise ScanError(f"{side.header.name}: {fault}") from fault
            if counts.number > label_judgement.FEW_LABELS:
                watch.look(left, right, counts)
            voxels += left.size
    if counts.number > label_judgement.FEW_LABELS:
        watch.judge(counts)
    progress(depth, depth, "Labels compared")
    return counts, by_z


def _turned(*sides: Volume) -> tuple[Volume, ...]:
    """Arrays with their axes in the order in which they lie in memory (a host may hold x, y, z).

    Volumes in files stay as they are.
    Counts do not depend on the order of voxels, as long as it is the same on both sides.
    """
    arrays = [side.array for side in sides if isinstance(side, ArrayVolume)]
    if len(arrays) < len(sides):
        return sides
    axes = np.argsort([-abs(step) for step in arrays[0].strides], kind="stable")
    return tuple(ArrayVolume(array.transpose(axes)) for array in arrays)


def _scores(
    table: np.ndarray, values: tuple[int, ...], labels: Sequence[int] | None
) -> dict[int, ClassScore]:
    """label value -> scores, for all values or for the labels that were asked for."""
    ious, dices = metrics.iou(table), metrics.dice(table)
    rows, columns, hits = table.sum(axis=1), table.sum(axis=0), table.diagonal()
    scores = {}
    for value in values if labels is None else sorted({int(label) for label in labels}):
        if value in values:
            i = values.index(value)
            scores[value] = ClassScore(
                float(ious[i]), float(dices[i]), int(rows[i]), int(columns[i]), int(hits[i])
            )
        else:
            scores[value] = ClassScore(math.nan, math.nan, 0, 0, 0)
    return scores


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _size(lengths: Sequence[float]) -> str:
    return " x ".join(f"{length:g}" for length in lengths) + " um"
