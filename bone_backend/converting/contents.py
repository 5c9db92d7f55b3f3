"""What a conversion knows of the numbers: greys or labels, their type, the classes of the output.

In:  ConvertOptions, the header of the source and, where something depends on its values, a look at them.
Out: plain decisions; ScanError where the values do not fit.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ..errors import ScanError
from ..options.converting.conversion import ConvertOptions
from ..volumes.classes import class_name, describe_classes
from ..volumes.formats import Format
from ..volumes.header import Header, LabelClass
from ..volumes.views.numbers import not_held
from .looking import Seen

log = logging.getLogger("bone.convert")


def type_of(options: ConvertOptions, header: Header) -> np.dtype:
    """Of the output: as asked for, else that of the source (16-bit decimals become 32-bit, exactly)."""
    if options.dtype is not None:
        return np.dtype(options.dtype)
    return np.dtype(np.float32) if header.dtype == np.float16 else header.dtype


def _is_for_labels(path: Path) -> bool:
    """Whether a format wants to know of every label."""
    return path.name.lower().endswith(".seg.nrrd")


def has_to_look(options: ConvertOptions, row: Format, header: Header) -> bool:
    """Whether something depends on the values."""
    is_open = options.content == "auto" and not (header.classes or options.class_names)
    depends = options.resample is not None or row.labels != "" or _is_for_labels(options.output)
    if is_open and depends and header.dtype.kind in "iu":
        return True
    if _is_for_labels(options.output) or (row.labels and options.content == "labels"):
        return True
    dtype = type_of(options, header)
    return options.grey_range is None and not _is_wider(dtype, header.dtype)


def _is_wider(dtype: np.dtype, source: np.dtype) -> bool:
    """Whether a type holds every value of another, exactly."""
    return bool(np.can_cast(source, dtype, "safe"))


def content_of(options: ConvertOptions, row: Format, header: Header, seen: Seen | None) -> str:
    if options.content != "auto":
        return options.content
    if header.classes or options.class_names:
        return "labels"
    if header.dtype.kind == "f" or options.grey_range is not None:
        return "greys"
    if seen is None:
        return ""
    if seen.are_labels:
        log.info(
            "%s holds %d different values, so it is taken for labels; if it is a scan, say --content greys.",
            header.name,
            len(seen.values or ()),
        )
        return "labels"
    return "greys"


def check_held(header: Header, dtype: np.dtype, seen: Seen) -> None:
    limits = np.iinfo(dtype) if dtype.kind in "iu" else None
    more = f" to {seen.high:.6g}"
    if limits is not None:
        if seen.has_no_numbers or not seen.is_whole:
            more += " with decimals" if not seen.is_whole else " and voxels that are no number"
        elif limits.min <= seen.low and seen.high <= limits.max:
            return
        raise ScanError(not_held(header.name, dtype, seen.low, more))
    if header.dtype.kind in "iu" and max(abs(seen.low), abs(seen.high)) > 2**24:
        raise ScanError(
            not_held(header.name, dtype, seen.low, f"{more}, of which the largest would be rounded")
        )


def classes_of(
    options: ConvertOptions, row: Format, header: Header, content: str, seen: Seen | None
) -> tuple[LabelClass, ...]:
    """Those that were given before those of the source; a format for labels gets one for every value."""
    is_wrong = seen is not None and not seen.are_labels
    if _is_for_labels(options.output) and (content == "greys" or is_wrong):
        raise ScanError(
            f"{header.name}: holds more than 64 different values, or values that are no labels, so it "
            "cannot be written as labels. Name an output ending in .nrrd, or give the mask."
        )
    if content == "greys":
        return ()
    known = {item.value: item for item in header.classes}
    known |= {item.value: LabelClass(item.value, item.name, item.colour) for item in options.class_names}
    if content == "labels" and (_is_for_labels(options.output) or row.labels):
        values = {0, *known, *(seen.values or () if seen else ())}
        new = [class_name(value) for value in sorted(values - {*known, 0})]
        if new:
            log.info("%s: label values without a name are called %s.", header.name, ", ".join(new))
        made = describe_classes(sorted(values), known.values())
        known = {item["value"]: LabelClass(**item) for item in made}
    return tuple(known[value] for value in sorted(known))
