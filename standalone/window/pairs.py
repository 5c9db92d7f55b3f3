"""The list of pairs: filled from files and folders by their names, looked at one by one; knows no Qt.

In:  paths as they are dropped; volumes.
Out: rows of scan, mask and subject as the option `pairs` takes them, and what is known of each, in words.
Looking reads slices, so it is done in a thread; a row that was changed meanwhile keeps its newer look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bone_backend.errors import BoneError
from bone_backend.pairing.names import MASK_WORDS, SCAN_WORDS, key, match, words_of
from bone_backend.volumes.abstract import Volume
from bone_backend.volumes.classes import one_table
from bone_backend.volumes.header import LabelClass, volume_name

from .thumbnail import thumbnail

MOST_CLASSES = 64  # as a fit takes
LOOK_SLICES = 48  # of a mask, for its classes; all where there are fewer


@dataclass
class Look:
    """What a look at a pair found. classes: label values seen in the mask. named: what its file calls them.

    faults: in words, with which no fit begins. notes: what looks odd; the fit itself will judge.

    is_sample: not every slice of the mask was read. picture: of the middle slice, uint8 (y, x, 3).
    """

    shape: tuple[int, int, int] | None = None
    voxel_size_um: tuple[float, float, float] | None = None
    classes: tuple[int, ...] = ()
    is_sample: bool = False
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    picture: np.ndarray | None = field(default=None, compare=False)
    named: tuple[LabelClass, ...] = ()

    @property
    def shape_in_words(self) -> str:
        return "" if self.shape is None else " × ".join(f"{n:,}" for n in self.shape)

    @property
    def voxel_size_in_words(self) -> str:
        if self.voxel_size_um is None:
            return "" if self.shape is None else "not told"
        sizes = [f"{size:.4g}" for size in self.voxel_size_um]
        return f"{sizes[0] if len(set(sizes)) == 1 else ' × '.join(sizes)} µm"

    @property
    def classes_in_words(self) -> str:
        return ", ".join(map(str, self.classes[:8])) + (", …" if len(self.classes) > 8 else "")


@dataclass
class Row:
    """A pair. look: None while nobody has looked."""

    scan: str = ""
    mask: str = ""
    subject: str = ""
    is_validation: bool = False
    look: Look | None = None

    @property
    def is_whole(self) -> bool:
        return bool(self.scan and self.mask)

    @property
    def state(self) -> str:
        """In words; the first fault where there is one."""
        if not self.mask:
            return "choose its mask"
        if not self.scan:
            return "choose its scan"
        if self.look is None:
            return "looking …"
        return next(iter((*self.look.faults, *self.look.notes)), "good")

    @property
    def is_faulty(self) -> bool:
        return bool(self.look and self.look.faults)


@dataclass
class PairList:
    """The rows, in the order of the option."""

    rows: list[Row] = field(default_factory=list)

    def add(self, paths: Iterable[str | Path]) -> list[Row]:
        """Take dropped files and folders; gives the rows that are new or were completed."""
        touched: list[Row] = []
        for scan, mask in match(Path(path) for path in paths):
            row = self._fitting(scan, mask)
            if row is None:
                row = Row()
                self.rows.append(row)
            row.scan, row.mask = str(scan or row.scan), str(mask or row.mask)
            row.look = None
            touched.append(row)
        return touched

    def take_lines(self, pairs: Iterable[tuple[str, str, str]]) -> None:
        """Take pairs of a table: (scan, mask, subject). A scan that is there already gets them anew."""
        for scan, mask, subject in pairs:
            row = next((row for row in self.rows if row.scan == scan), None)
            if row is None:
                row = Row()
                self.rows.append(row)
            row.scan, row.mask, row.subject, row.look = scan, mask, subject, None

    def _fitting(self, scan: Path | None, mask: Path | None) -> Row | None:
        """The row that a pair completes, or that has it already."""
        for row in self.rows:
            if (scan and row.scan == str(scan)) or (mask and row.mask == str(mask)):
                return row
        given = scan or mask
        if given is None or (scan and mask):
            return None
        waiting = [row for row in self.rows if not (row.scan if scan else row.mask)]
        same = [row for row in waiting if key(Path(row.scan or row.mask)) == key(given)]
        return next(iter(same or (waiting if len(waiting) == 1 else [])), None)

    def remove(self, rows: Sequence[int]) -> None:
        for number in sorted(rows, reverse=True):
            del self.rows[number]

    def value(self) -> list[dict[str, Any]]:
        """The option `pairs`, of rows that are whole."""
        return [
            {"scan": row.scan, "mask": row.mask, "subject": row.subject or None}
            for row in self.rows
            if row.is_whole
        ]

    def validation(self) -> list[int]:
        """The option `validation_pairs`."""
        whole = [row for row in self.rows if row.is_whole]
        return [number for number, row in enumerate(whole, start=1) if row.is_validation]

    def take(self, pairs: Iterable[Any], validation: Iterable[int] = ()) -> None:
        """Show the value of the option `pairs`, e.g. of a configuration."""
        chosen = set(validation)
        self.rows = []
        for number, pair in enumerate(pairs, start=1):
            words = (
                [pair.get("scan"), pair.get("mask"), pair.get("subject")] if isinstance(pair, dict) else pair
            )
            scan, mask, subject = (*words, None)[:3]
            self.rows.append(Row(str(scan or ""), str(mask or ""), subject or "", number in chosen))

    def classes(self) -> tuple[int, ...]:
        """Label values seen in any mask."""
        return tuple(sorted({value for row in self.rows if row.look for value in row.look.classes}))

    def names(self) -> dict[int, tuple[str, str | None]]:
        """Name and colour of values, where the masks tell them; of masks that disagree the first counts."""
        told = [(row.mask, row.look.named) for row in self.rows if row.look]
        return {item.value: (item.name, item.colour) for item in one_table(told).classes}

    @property
    def is_looked_at(self) -> bool:
        return all(row.look is not None for row in self.rows if row.is_whole)

    def in_words(self) -> str:
        """How many there are, and what is still to do."""
        whole = sum(row.is_whole for row in self.rows)
        faulty = sum(row.is_faulty for row in self.rows)
        told = f"{whole} pair{'s' * (whole != 1)}"
        if len(self.rows) > whole:
            told += f", {len(self.rows) - whole} not complete"
        return told + (f", {faulty} with a fault" if faulty else "")


def short_name(path: Path) -> str:
    """What a volume is called in a table; of folders that are all called so, with the one around them.

    >>> short_name(Path("data/femur_1_mask.tif")), short_name(Path("data/femur_1/masks"))
    ('femur_1_mask', 'femur_1/masks')
    """
    name = volume_name(path)
    is_telling = bool(set(words_of(path)) - MASK_WORDS - SCAN_WORDS)
    return name if is_telling else f"{path.parent.name}/{name}"


def scan_name(path: Path) -> str:
    """What a scan is called beside its mask, where everybody knows that it is an image.

    >>> scan_name(Path("skull_balb_image.tif")), scan_name(Path("femur_1.tif")), scan_name(Path("a/scan"))
    ('skull_balb', 'femur_1', 'a/scan')
    """
    name = short_name(path)
    return re.sub(rf"(?<=[^/])[ _.-]({'|'.join(sorted(SCAN_WORDS))})$", "", name, flags=re.IGNORECASE)


def look_at(scan: str, mask: str, number: int) -> Look:
    """Open both, read slices of the mask. Never raises; what is wrong stands in the faults."""
    from bone_backend.dataset.checks import pair_faults
    from bone_backend.volumes.medical.matching import on_grid_of
    from bone_backend.volumes.volume import open_volume

    try:
        with open_volume(scan) as grey, on_grid_of(open_volume(mask), grey.header) as labels:
            header = grey.header
            faults = [fault.partition(": ")[2] or fault for fault in pair_faults(grey, labels, number=number)]
            told = tuple(_short(fault, scan, mask) for fault in faults)
            seen, notes, is_sample = _classes(labels)
            picture = thumbnail(grey, labels)
            return Look(
                header.shape,
                header.voxel_size_um,
                seen,
                is_sample,
                told,
                notes,
                picture,
                labels.header.classes,
            )
    except BoneError as error:
        return Look(faults=tuple(_short(fault, scan, mask) for fault in error.faults))
    except (OSError, ValueError) as error:
        return Look(faults=(f"cannot be read: {error}",))


def _short(fault: str, *paths: str) -> str:
    """With names in place of whole paths, which stand in the row."""
    for path in paths:
        fault = fault.replace(path, Path(path).name)
    return fault


def _classes(labels: Volume) -> tuple[tuple[int, ...], tuple[str, ...], bool]:
    """Label values in slices of a mask, what is odd about them, and whether slices were left out."""
    depth, name = labels.header.shape[0], labels.header.name
    chosen = np.unique(np.linspace(0, depth - 1, min(depth, LOOK_SLICES)).round().astype(int)).tolist()
    values: set[int] = set()
    if labels.header.dtype.kind not in "iu":
        return (), (), False  # which is a fault of the pair
    for z in chosen:
        values |= set(np.unique(labels.read(z, z + 1)).tolist())
        if len(values) > MOST_CLASSES:
            return (), (f"{name} has more than {MOST_CLASSES} different values; is it a scan?",), True
    alone = f"nothing but {min(values)} was seen in {name}"
    return tuple(sorted(values)), (alone,) * (len(values) == 1), len(chosen) < depth
