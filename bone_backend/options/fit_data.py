"""The scans and masks of a fit, and where it leaves what it makes.

In:  plain values of these options.
Out: two groups of FitOptions, each with the faults that lie inside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ..errors import Fault, called
from ..files.names import real
from ..files.outputs import Named, ending_fault
from ..volumes.formats import in_words
from .converting.places import SIZES, VoxelSize
from .fields import Options, option
from .types import ClassNames, Label, LabelMap, NamedPair, UserPath, map_faults, name_faults


class FitData(Options):
    """Which scans and masks, and which of them validate."""

    pairs: tuple[NamedPair, ...] = option(
        (),
        flag="--pair",
        metavar="SCAN MASK [SUBJECT]",
        group="Data",
        label="Scan and mask pairs",
        often=True,
        help=f"A scan and its mask, each {in_words()}. Give it once for each pair. A third word names the "
        "subject (animal or person); scans of one subject are never split between training and validation.",
    )
    map_labels: tuple[LabelMap, ...] = option(
        (),
        metavar="OLD:NEW",
        group="Data",
        label="Map labels",
        often=True,
        help="Change label values of the masks while reading, e.g. 255:1. Values that are not named stay.",
    )
    class_names: ClassNames = option(
        (),
        metavar="VALUE:NAME[:#rrggbb]",
        group="Data",
        label="Class names",
        often=True,
        easy=True,
        help="Names and colours of the label values, e.g. 1:bone 2:pores, or a .csv of them; "
        "those of the masks count where you give none.",
    )
    voxel_size: VoxelSize | None = option(
        None,
        group="Data",
        label="Voxel size",
        kind="text",
        metavar=SIZES,
        advanced=True,
        help="The voxel size of all scans and masks, instead of what they say: one number, or z,y,x; um "
        "where no unit is written.",
    )
    ignore_label: Label | None = option(
        None,
        group="Data",
        label="Ignore label",
        advanced=True,
        help="Voxels with this mask value count neither in the loss nor in the scores (not annotated).",
    )
    validation: Literal["auto", "slabs", "scans"] = option(
        "auto",
        group="Data",
        label="Validation",
        help="What the best model is chosen by. scans: whole scans, which then do not train. slabs: a part "
        "of every scan, so that all of them train. auto: slabs where there are fewer than 5 scans or "
        "subjects, else scans.",
    )
    train_split: Annotated[float, Field(gt=0, lt=1)] = option(
        0.8,
        group="Data",
        label="Train/validation split",
        help="Share of the patches that is used for training; whole scans (or subjects) are dealt out as "
        "close to it as possible, at least one to each side, or slabs are cut as thick. Not used where "
        "validation_pairs are named.",
    )
    validation_pairs: tuple[Annotated[int, Field(ge=1)], ...] = option(
        (),
        metavar="NUMBER",
        group="Data",
        label="Validation pairs",
        often=True,
        help="Numbers of the pairs to validate on, counted from 1 in the order in which the pairs are given; "
        "all others train. Name scans like those that you will label. None: validation and train_split "
        "decide.",
    )

    def inputs(self) -> list[Named]:
        found: list[Named] = []
        for number, pair in enumerate(self.pairs, start=1):
            found += [(f"the scan of pair {number}", pair.scan), (f"the mask of pair {number}", pair.mask)]
        return found

    def cross_faults(self) -> list[Fault]:
        faults = super().cross_faults() + self._pair_faults() + map_faults(self.map_labels)
        return faults + name_faults(self.class_names) + self._validation_faults()

    def _pair_faults(self) -> list[Fault]:
        faults: list[Fault] = []
        if not self.pairs:
            faults.append(
                Fault(
                    "no pair is given. Name each with --pair SCAN MASK, or a folder with --pairs-from.",
                    "pairs",
                )
            )
        if len(self.pairs) == 1 and self.validation == "scans":
            told = "only one pair is given; validation on whole scans needs at least two"
            faults.append(Fault(f"{told}. Give more, or {called('validation')} slabs.", "pairs"))
        seen: dict[Path, int] = {}  # by the file itself: a link or another spelling is the same scan
        for number, pair in enumerate(self.pairs, start=1):
            scan = real(pair.scan)
            if scan in seen:
                told = f"pair {number} has the same scan as pair {seen[scan]}: {pair.scan}."
                faults.append(Fault(f"{told} Give every scan once.", "pairs"))
            if scan == real(pair.mask):
                told = f"pair {number} has the same path as scan and mask: {pair.scan}."
                faults.append(Fault(told, "pairs"))
            seen.setdefault(scan, number)
        return faults

    def _validation_faults(self) -> list[Fault]:
        chosen, count = set(self.validation_pairs), len(self.pairs)
        name = called("validation_pairs")
        if chosen and self.validation == "slabs":
            told = f"{name} names whole scans, but {called('validation')} is slabs, a part of every scan"
            return [Fault(f"{told}. Leave one out.")]
        if beyond := sorted(number for number in chosen if number > count):
            told = ", ".join(map(str, beyond))
            return [Fault(f"{name} names {told}, but there are {count} pairs.", "pairs")]
        if chosen and len(chosen) == count:
            return [Fault(f"{name} names all pairs; leave at least one for training.", "pairs")]
        sides: tuple[set[str], set[str]] = (set(), set())
        for number, pair in enumerate(self.pairs, start=1):
            if pair.subject is not None:
                sides[number in chosen].add(pair.subject)
        if both := sorted(sides[0] & sides[1]):
            told = f"{name} has scans of {', '.join(both)} on both sides; scans of one subject go to training"
            return [Fault(f"{told} or to validation together.", "pairs")]
        return []


class FitOutput(Options):
    """The run folder, and what is written there."""

    output: UserPath = option(
        group="Output",
        label="Run folder",
        often=True,
        easy=True,
        kind="folder",
        help="A new folder for everything that this fit leaves behind; the Save folder of the published "
        "program.",
    )
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^<>:\"/\\|?*\x00-\x1f]+$")] = option(
        "BONe",
        group="Output",
        label="Model filename",
        easy=True,
        help="The model file's name begins with this.",
    )
    overwrite: bool = option(
        False,
        group="Output",
        label="Overwrite",
        often=True,
        easy=True,
        help="Replace another run in the run folder.",
    )
    resume: UserPath | None = option(
        None,
        may_change=True,
        group="Output",
        label="Resume run folder",
        often=True,
        kind="folder",
        help="Go on with the run in this folder, with its own options; only epochs, early stopping, "
        "checkpoints, TensorBoard, dry run and the machine's options may be given anew.",
    )
    checkpoint_minutes: Annotated[float, Field(gt=0, le=10_000)] = option(
        10.0,
        may_change=True,
        group="Output",
        label="Checkpoint every",
        unit="min",
        advanced=True,
        help="A run can go on from its last checkpoint; one is written after each epoch too.",
    )
    keep_checkpoint: bool = option(
        False,
        may_change=True,
        group="Output",
        label="Keep checkpoint",
        advanced=True,
        help="Keep checkpoint.pth, three times as large as a model, when the fit is finished, so that it can "
        "go on with more epochs later. A fit that was stopped or failed keeps it anyway.",
    )
    tensorboard: bool = option(
        False,
        may_change=True,
        group="Output",
        label="TensorBoard",
        advanced=True,
        help="Write the scores for TensorBoard too; needs the Python package tensorboard.",
    )
    dry_run: bool = option(
        False,
        may_change=True,
        group="Output",
        label="Dry run",
        often=True,
        help="Check everything, measure one step, tell time, RAM, GPU memory and disk that the fit will "
        "take, and stop. "
        "Nothing is written to the run folder.",
    )

    def cross_faults(self) -> list[Fault]:
        folder = "as a folder (a name without ending)"
        fault = ending_fault(self.output, what="a run is", written=(), or_folder=folder)
        is_fault = fault and not os.path.isdir(self.output)  # noqa: PTH112 (never raises)
        return super().cross_faults() + ([Fault(fault)] if is_fault else [])
