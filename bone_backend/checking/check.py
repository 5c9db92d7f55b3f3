"""Check pairs of scan and mask before any work: formats, geometry, labels, duplicates, masks that lie beside.

In:  CheckOptions: the pairs, how labels are to be read, who validates.
Out: plain values: a row for each pair, findings, each a fault (with which no fit begins) or a doubt, the
split and the needs of a fit; a page where one is asked for.
Every voxel is read once, slab by slab (scans of 32-bit decimal numbers twice); the faults are those of a fit,
from the same functions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..dataset import checks
from ..dataset.plan import Extent
from ..errors import BoneError, ScanError
from ..files.whole import write_text
from ..options.types import Pair
from ..pairing.names import unique_names
from ..progress import Part, Progress
from ..volumes.classes import Named
from ..volumes.header import Header, Triple
from ..volumes.medical.matching import MatchedVolume, on_grid_of
from ..volumes.output import prepare
from ..volumes.patch_source import unpacked_bytes
from ..volumes.volume import Volume, open_volume
from . import contents, plan, together, words
from .named import classes_of
from .options import CheckOptions
from .plan import Candidate
from .planes import Look
from .reading import Seen, read_pair
from .subjects import guessed
from .together import DOUBT, FAULT, Finding

MOST_SHOWN = 64  # label values of a mask
MOST_LOOKED_AT = 100  # pairs of which slices stand on the page
GIB = 2**30


def check_job(options: CheckOptions, progress: Progress) -> dict[str, Any]:
    """The command "check"."""
    options.check_paths()
    if options.page is not None:
        prepare(options.page, overwrite=options.overwrite, needed_bytes=0)
    began = time.monotonic()
    findings: list[Finding] = []
    rows, seen, sound, looks = [], dict[int, Seen](), list[Candidate](), dict[int, list[Look]]()
    names = unique_names([pair.scan for pair in options.pairs])
    for number, (name, pair) in enumerate(zip(names, options.pairs, strict=True), start=1):
        part = Part(progress, first=100 * (number - 1), share=100, steps=100 * len(options.pairs))
        row, own, candidate, told = _pair(pair, number, name, options, part)
        rows.append(row)
        if own:
            seen[number] = own
            if len(looks) < MOST_LOOKED_AT and options.page is not None:
                looks[number] = own.looks
            own.looks = []
        if candidate:
            sound.append(candidate)
        findings += told
    _name_subjects(rows)
    marks = [seen[row["number"]].marks if row["number"] in seen else [] for row in rows]
    findings += [Finding(DOUBT, number, text) for number, text in contents.shared(marks)]
    findings += together.odd_ones(rows) + together.same_subjects(rows)
    statistics = {number: own.statistics for number, own in seen.items() if own.statistics}
    findings += together.odd_greys(statistics)
    findings += together.empty_masks({number: own.labels for number, own in seen.items()})
    classes, named, doubts = classes_of(options, rows)
    more, fit = _as_a_fit(options, sound, rows, classes=classes, named=named)
    findings += doubts + more
    findings.sort(key=lambda one: (one.kind != FAULT, one.pair or 0))
    faults = sum(one.kind == FAULT for one in dict.fromkeys(findings))
    if fit and faults:
        fit = {**fit, "split": None, "told": [words.refusal(faults), words.needs_in_words(fit["needs"])]}
    found = {
        "pairs": rows,
        "classes": classes,
        "findings": [one._asdict() for one in dict.fromkeys(findings)],
        "faults": faults,
        "doubts": sum(one.kind == DOUBT for one in dict.fromkeys(findings)),
        "gib": sum(row.get("gib", 0.0) for row in rows),
        "seconds": time.monotonic() - began,
        "fit": fit,
        "page": str(options.page) if options.page else None,
    }
    if options.page is not None:
        from ..report.check_page import page  # loads Jinja2, and stands on a higher shelf

        write_text(options.page, page(found, looks))
    return found


def _pair(
    pair: Pair, number: int, name: str, options: CheckOptions, progress: Progress
) -> tuple[dict[str, Any], Seen | None, Candidate | None, list[Finding]]:
    """Row, what the voxels tell, the pair for a fit where it is sound, and findings."""
    row: dict[str, Any] = {
        "number": number,
        "name": name,
        "subject": pair.subject,
        "guessed_subject": None,
        "scan": {"path": str(pair.scan)},
        "mask": {"path": str(pair.mask)},
    }
    opened, findings = _open(pair, number, row, options.voxel_size)
    if opened is None:
        return row, None, None, findings
    scan, mask = opened
    with scan, mask:
        row["gib"] = (scan.header.nbytes + mask.header.nbytes) / GIB
        findings += [
            Finding(FAULT, number, fault.partition(": ")[2])
            for fault in checks.pair_faults(scan, mask, number=number)
        ]
        if scan.header.voxel_size is None:
            findings.append(Finding(DOUBT, number, "the voxel size of its scan is unknown"))
        try:
            seen = read_pair(
                scan, mask, Path(pair.scan), ignore_label=options.ignore_label, progress=progress
            )
        except ScanError as error:
            return row, None, None, [*findings, *_faults(number, error)]
        folder = plan.folder_of_cache()
        unpacked = sum(unpacked_bytes(volume, folder) for volume in (scan, mask))
    _tell(row, seen)
    findings += [Finding(FAULT, number, text) for text in seen.faults] + _beside(seen, number)
    if any(one.kind == FAULT for one in findings) or seen.maker is None:
        return row, seen, None, findings
    extent = Extent(*scan.header.shape)
    candidate = Candidate(
        number, row["name"], pair, extent, seen.labels, seen.maker, seen.statistics, unpacked
    )
    return row, seen, candidate, findings


def _open(
    pair: Pair, number: int, row: dict[str, Any], voxel_size: Triple | None
) -> tuple[tuple[Volume, Volume] | None, list[Finding]]:
    """Both sides of a pair, the mask on the grid of its scan; what they are goes into the row.

    voxel_size: in um, instead of what they say.
    """
    findings: list[Finding] = []
    volumes: list[Volume] = []
    for side, path in (("scan", pair.scan), ("mask", pair.mask)):
        try:
            volume = open_volume(path)
        except BoneError as error:
            findings += _faults(number, error)
            continue
        if voxel_size is not None:
            volume.header = volume.header.with_voxel_size_um(voxel_size)
        row[side] |= _facts(volume.header)
        volumes.append(volume)
    if len(volumes) == 2:
        try:
            mask = on_grid_of(volumes[1], volumes[0].header)
            if isinstance(mask, MatchedVolume):
                row["mask"]["matched"] = mask.in_words()
            return (volumes[0], mask), findings
        except ScanError as error:
            findings += _faults(number, error)
    for volume in volumes:
        volume.close()
    return None, findings


def _faults(number: int, error: BoneError) -> list[Finding]:
    return [Finding(FAULT, number, str(fault)) for fault in error.faults]


def _facts(header: Header) -> dict[str, Any]:
    return {
        "format": header.format,
        "shape": list(header.shape),
        "dtype": str(header.dtype),
        "voxel_size_um": list(header.voxel_size_um) if header.voxel_size_um else None,
        "voxel_size_from": header.voxel_size_from or None,
        "gib": header.nbytes / GIB,
        "classes": [item._asdict() for item in header.classes],
    }


def _tell(row: dict[str, Any], seen: Seen) -> None:
    """Put what was seen into the row."""
    row["labels"] = dict([*seen.labels.items()][:MOST_SHOWN])
    row["statistics"] = seen.statistics.to_dict() if seen.statistics else None
    if seen.verdict is not None:
        row["explained"] = seen.verdict.own


def _beside(seen: Seen, number: int) -> list[Finding]:
    """Doubts about one pair that its voxels raise."""
    texts = contents.odd_slices(seen.marks)
    lies = seen.verdict.in_words() if seen.verdict else None
    texts += [lies] if lies else []
    if seen.shift is not None and not lies:
        texts.append(seen.shift.in_words())
    return [Finding(DOUBT, number, text) for text in texts]


def _name_subjects(rows: list[dict[str, Any]]) -> None:
    found = guessed([row["name"] for row in rows], [row["subject"] for row in rows])
    for row, guess in zip(rows, found, strict=True):
        row["guessed_subject"] = guess


def _as_a_fit(
    options: CheckOptions,
    sound: list[Candidate],
    rows: list[dict[str, Any]],
    *,
    classes: list[dict[str, Any]],
    named: list[Named],
) -> tuple[list[Finding], Mapping[str, Any] | None]:
    """What a fit finds in the pairs that are sound by themselves, in its words; its split and needs.

    classes: by the values that are stored; named: by those after mapping.
    """
    shapes = {
        row["number"]: (row["name"], tuple(row["scan"]["shape"])) for row in rows if "shape" in row["scan"]
    }
    if not shapes:
        return [], None
    chosen, findings = plan.settle(options.of_fit(), shapes)
    findings += plan.greys(chosen, sound)
    counts = {one.number: one.counts for one in sound}
    lone = together.lone_labels(counts, {item["value"]: item["name"] for item in classes})
    try:
        labels = checks.read_labels(
            [*counts.values()],
            [str(one.pair.mask) for one in sound],
            map_labels=options.map_labels,
            ignore_label=options.ignore_label,
        )
    except ScanError as error:
        told = [Finding(FAULT, None, str(fault)) for fault in error.faults] if sound else []
        return findings + told + lone, None
    findings += lone
    if len(sound) < len(rows):
        return findings, None  # which a fit does not begin with
    if fault := checks.name_fault(options, labels):
        flags = {field.name: field.flag for field in options.option_fields()}
        in_flags = fault.put(lambda name: flags.get(name, name)).removesuffix(".")
        return [*findings, Finding(FAULT, None, in_flags)], None
    sides, concerns = plan.split(chosen, sound, labels, {item.value: item.name for item in named})
    needs = plan.needs(chosen, sound)
    lines = [*([words.split_in_words(sides)] if sides else []), words.needs_in_words(needs)]
    fit = {"split": sides, "needs": needs, "patch_size": chosen.patch_size, "told": lines}
    return findings + concerns + plan.room(needs), fit
