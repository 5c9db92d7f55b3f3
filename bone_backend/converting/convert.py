"""Convert a scan or labels to another format, slab by slab.

In:  ConvertOptions: a source, what is to be done to it, and the name of the output.
Out: the output, whole or not at all, and a Conversion, which names what its format could not hold.
Told once, in the order in which things happen. Memory holds a few slices, whatever the size of the source.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError, ScanError, called
from ..machine.monitor import Monitor
from ..options.converting.conversion import ConvertOptions
from ..options.converting.places import box_of
from ..progress import Part, Progress, silent
from ..scores.meaning import forget_record
from ..volumes.cache import cache_folder
from ..volumes.formats import COMPRESSION, Format, format_written
from ..volumes.header import UM_PER_UNIT, Header, Triple
from ..volumes.output import claim, prepare
from ..volumes.views.cut import CutVolume, TurnedVolume
from ..volumes.views.numbers import NumbersVolume
from ..volumes.views.resampled import ResampledVolume
from ..volumes.views.unpacked import in_any_order
from ..volumes.volume import Volume, create, open_volume, peek, volume_name
from .contents import check_held, classes_of, content_of, has_to_look, type_of
from .looking import Seen, look
from .lost import lost, made_up

log = logging.getLogger("bone.convert")

SLAB_BYTES = 16 << 20
UNPACKED, LOOKED = 20, 40  # per cent of the progress


@dataclass(frozen=True)
class Conversion:
    """What a conversion gave.

    lost: what the output does not hold of the source, by name; made_up: what it says though nobody told it.
    done: what was done to the voxels, in words. content: "greys", "labels", or "" where it does not matter.
    cut_off: voxels below and above the range, and those that were no number.
    """

    source: str
    output: str
    format: str
    shape: tuple[int, int, int]
    dtype: str
    voxel_size_um: Triple | None
    content: str
    classes: tuple[dict[str, Any], ...]
    done: tuple[str, ...]
    lost: tuple[str, ...]
    made_up: tuple[str, ...]
    cut_off: dict[str, int]
    seconds: float
    peak_ram_gib: float

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), **{name: list(getattr(self, name)) for name in LISTS}}


LISTS = ("shape", "classes", "done", "lost", "made_up")


def convert(options: ConvertOptions, *, progress: Progress = silent) -> Conversion:
    """Convert; the output appears when it is whole.

    Raises ScanError, OptionError or OutputError, before the work where that is possible; Cancelled.
    """
    began = time.monotonic()
    options.check_paths()
    row = format_written(options.output)
    with ExitStack() as opened:
        opened.enter_context(claim(options.output, doing="a conversion"))
        monitor = opened.enter_context(Monitor())
        source = opened.enter_context(open_volume(options.source))
        done: list[str] = []
        shaped = _shaped(options, source, done, opened, Part(progress, first=0, share=UNPACKED, steps=100))
        _check_place(options, row, shaped.header)
        looking = Part(progress, first=UNPACKED, share=LOOKED - UNPACKED, steps=100)
        seen = look(shaped, looking) if has_to_look(options, row, shaped.header) else None
        content = content_of(options, row, shaped.header, seen)
        whole = _with_numbers(options, _resampled(options, shaped, content, done), seen, content, done)
        classes = classes_of(options, row, shaped.header, content, seen)
        given = replace(whole.header, name=volume_name(options.output), classes=classes)
        _write(options, row, whole, given, Part(progress, first=LOOKED, share=100 - LOOKED, steps=100))
        found = _held(options, row, given, whole)
        seconds, peak = round(time.monotonic() - began, 3), monitor.figures()["peak_ram_gib"]
        result = Conversion(**found, content=content, done=tuple(done), seconds=seconds, peak_ram_gib=peak)
    _tell(result)
    return result


def _held(options: ConvertOptions, row: Format, given: Header, written: Volume) -> dict[str, Any]:
    """What the output is now, and what it does not hold of what it was given."""
    held = peek(options.output)
    return {
        "source": str(options.source),
        "output": str(options.output),
        "format": row.words,
        "shape": held.shape,
        "dtype": str(held.dtype),
        "voxel_size_um": held.voxel_size_um,
        "classes": tuple(item._asdict() for item in given.classes),
        "lost": tuple(lost(given, held)),
        "made_up": tuple(made_up(given, held)),
        "cut_off": _cut_off(written),
    }


def convert_job(options: ConvertOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "convert"."""
    return convert(options, progress=progress).plain()


def _shaped(
    options: ConvertOptions, source: Volume, done: list[str], opened: ExitStack, progress: Progress
) -> Volume:
    """The source with the voxel size that was given, cut and turned over."""
    header = source.header
    if options.voxel_size is not None:
        source.header = header = header.with_voxel_size_um(options.voxel_size)
        done.append(f"voxel size given: {_sizes(options.voxel_size)} (z, y, x)")
    if options.crop is not None:
        try:
            box = box_of(options.crop, header.shape)
        except ValueError as fault:
            raise OptionError(
                f"{called('crop')} {options.crop}: {fault}; {header.name} has {header.sides} voxels."
            ) from fault
        source = CutVolume(source, (box[0], box[1], box[2]))
        done.append(f"cut to {options.crop} (z, y, x)")
    if options.flip:
        axes = [axis for axis in "zyx" if axis in options.flip]
        if "z" in axes:
            source = in_any_order(source, opened, folder=cache_folder(), progress=progress)
        source = TurnedVolume(source, axes)
        done.append(f"turned over along {', '.join(axes)}")
    return source


def _resampled(options: ConvertOptions, volume: Volume, content: str, done: list[str]) -> Volume:
    if options.resample is None:
        return volume
    header = volume.header
    if header.voxel_size is not None and header.voxel_size_um is None:
        raise ScanError(
            f"{header.path or header.name}: the unit of its voxel size is unknown, so it cannot "
            f"be brought to another. Give it with {called('voxel_size')}."
        )
    z, y, x = (length / UM_PER_UNIT[header.unit or "um"] for length in options.resample)
    how = options.labels_by if content == "labels" else ""
    resampled = ResampledVolume(volume, (z, y, x), labels_by=how)
    way = {"": "greys as means", "majority": "the most frequent label", "nearest": "the nearest label"}[how]
    old, new = _sizes(header.voxel_size_um or (0, 0, 0)), _sizes(options.resample)
    done.append(f"resampled from {old} to {new} (z, y, x), {way}")
    return resampled


def _sizes(sizes: Sequence[float]) -> str:
    """A voxel size in um, once where all axes have the same.

    >>> _sizes((20, 20, 20)), _sizes((40, 20, 20))
    ('20 um', '40 x 20 x 20 um')
    """
    return f"{' x '.join(f'{size:.5g}' for size in (sizes if len({*sizes}) > 1 else sizes[:1]))} um"


def _check_place(options: ConvertOptions, row: Format, header: Header) -> None:
    """Raise OptionError or OutputError for what the format does not hold, or the disk."""
    dtype = type_of(options, header)
    if row.numbers and dtype.name not in row.numbers:
        raise OptionError(
            f"{called('output')} is a {row.words}, which holds {' or '.join(row.numbers)}; {header.name} has "
            f"{dtype}. Add {called('dtype')} {row.numbers[-1]}, of greys {called('grey_range')} LOW HIGH too."
        )
    if options.compress and COMPRESSION in row.lacks:
        raise OptionError(f"{called('compress')}: a {row.words} is not compressed. Leave it out.")
    if not (row.packed or options.compress):
        voxels = header.voxels
        if options.resample is not None and header.voxel_size_um is not None:
            sizes = zip(header.voxel_size_um, options.resample, strict=True)
            voxels = round(voxels * float(np.prod([old / new for old, new in sizes])))
        needed = voxels * dtype.itemsize
        prepare(options.output, overwrite=options.overwrite, needed_bytes=needed)


def _with_numbers(
    options: ConvertOptions, volume: Volume, seen: Seen | None, content: str, done: list[str]
) -> Volume:
    """With the type that was asked for. Raises ScanError where it does not hold the values."""
    dtype, header = type_of(options, volume.header), volume.header
    if options.grey_range is not None:
        if content == "labels":
            raise OptionError(
                f"{called('grey_range')} would turn the labels of {header.name} into others. Leave it out, "
                f"or say {called('content')} greys."
            )
        low, high = options.grey_range
        done.append(f"grey values {low:g} to {high:g} spread over {dtype}")
        return NumbersVolume(volume, dtype, spread=options.grey_range)
    if dtype == header.dtype:
        return volume
    if seen is not None:
        check_held(header, dtype, seen)
    done.append(f"{header.dtype} as {dtype}, values as they are")
    return NumbersVolume(volume, dtype)


def _write(options: ConvertOptions, row: Format, volume: Volume, header: Header, progress: Progress) -> None:
    compression = "zlib" if options.compress and not row.packed else None
    depth = header.shape[0]
    with create(options.output, header, overwrite=options.overwrite, compression=compression) as writer:
        for z0, z1 in volume.slabs(SLAB_BYTES):
            progress(z0, depth, f"Writing {options.output.name}")
            writer.write(volume.read(z0, z1))
        progress(depth, depth, f"Writing {options.output.name}")
        forget_record(options.output)  # of labels that were there before


def _cut_off(volume: Volume) -> dict[str, int]:
    if not isinstance(volume, NumbersVolume):
        return {"below": 0, "above": 0, "no_number": 0}
    return {"below": volume.below, "above": volume.above, "no_number": volume.no_number}


def _tell(result: Conversion) -> None:
    """Warnings, a line each."""
    name = Path(result.output).name
    for thing in result.lost:
        log.warning("%s: lost is %s. This format (%s) does not hold it.", name, thing, result.format)
    for thing in result.made_up:
        log.info("%s: it now says %s.", name, thing)
    voxels = int(np.prod(result.shape))
    is_cut = result.dtype != "float32"
    for side, number in result.cut_off.items():
        if number and (is_cut or side == "no_number"):
            share = 100 * number / voxels
            told = "are no number" if side == "no_number" else f"lie {side} the range"
            log.warning("%s: %d voxels (%.2g %%) %s and were cut off.", name, number, share, told)
