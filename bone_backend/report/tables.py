"""Tables of the report: what the run took, and all that is needed to repeat it.

In:  the record of the run.
Out: the values of sections of the page.
Options that are not at their default stand out; the command line gives them again.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from ..options.field import OptionField
from ..options.programs import FitOptions
from .command_words import option_words

NOT_REPEATED = ("resume", "overwrite", "dry_run")

Record = Mapping[str, Any]


def words_for_time(seconds: float) -> str:
    """
    >>> words_for_time(5), words_for_time(125), words_for_time(7300)
    ('5.0 s', '2 min 5 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def time_section(record: Record) -> list[tuple[str, str]]:
    """Seconds, patches per second, waiting, RAM, GPU, disk."""
    rows, figures = record["scores"], record["figures"]
    facts: list[tuple[str, str]] = []
    if rows:
        seconds = [row["seconds"] for row in rows]
        facts.append(
            (
                "Time of an epoch",
                f"{words_for_time(sum(seconds) / len(seconds))} on average "
                f"({words_for_time(min(seconds))} to {words_for_time(max(seconds))}), validation included",
            )
        )
        facts.append(("Training patches per second", f"{figures['patches_per_s']:.4g}, validation included"))
        facts.append(("Waiting for data", f"{figures['waiting_share']:.1%} of the time"))
        facts.append(
            (
                "Skipped steps",
                f"{sum(row['skipped_steps'] for row in rows)}, for a gradient that was not finite",
            )
        )
    facts.append(("Time in all", words_for_time(record["seconds_in_all"])))
    facts.append(
        ("RAM of its own", f"peak {figures['peak_ram_gib']:.2f} GiB, mean {figures['mean_ram_gib']:.2f} GiB")
    )
    for gpu in figures.get("gpus", {}).values():
        own = "" if gpu["own_peak_gib"] is None else f", {gpu['own_peak_gib']:.2f} GiB of it by this run"
        facts.append(
            (
                f"GPU {gpu['name']}",
                f"peak {gpu['peak_gib']:.2f} GiB{own}; in use {gpu['mean_percent']:.0f} % of the time",
            )
        )
    if "read_mib_per_s" in figures:
        disk = (
            f", {figures['disk_mib_per_s']:.2f} MiB/s of it from the disk"
            if "disk_mib_per_s" in figures
            else ""
        )
        facts.append(("Files read", f"{figures['read_mib_per_s']:.2f} MiB/s{disk}"))
    return facts


def repeat_section(record: Record) -> dict[str, Any]:
    """Command line, scans, options, versions and machine."""
    options = FitOptions.model_validate({**record["options"], "resume": None})
    groups = [["bone", "fit"], *option_words(options, leave_out=NOT_REPEATED)]
    command = " \\\n    ".join(shlex.join(group) for group in groups)
    versions, machine = record["versions"], record["machine"]
    threads = machine["threads"]
    facts = [
        ("Device", record["device_name"]),
        ("Random seed", str(options.seed)),
        ("Reproducibility mode", "on" if options.reproducible else "off"),
        (
            "Versions",
            ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in versions.items() if text),
        ),
        (
            "Machine",
            f"{machine['system']}, {machine['processor']}, {threads} thread{'s' * (threads != 1)}".replace(
                ", ,", ","
            ),
        ),
        (
            "Network",
            f"{record['parameters']:,} parameters, {record['multiply_adds'] / 1e9:.2f} G multiply-adds a "
            "patch",
        ),
        ("Run folder", str(record["result"]["run_folder"])),
    ]
    return {
        "command": command,
        "machine": facts,
        "options": _options(options),
        "columns": _columns(record),
        "scans": [_scan(record, item) for item in record["inputs"]],
    }


def _has_subjects(record: Record) -> bool:
    return any(item["subject"] for item in record["inputs"])


def _columns(record: Record) -> list[str]:
    """The columns of the table of scans behind the scan's name; `_scan` fills them in this order."""
    subject = ["subject"] if _has_subjects(record) else []
    plain = ["used for", *subject, "voxels (z, y, x)", "type", "µm", "MB"]
    return [*plain, *(item["name"] for item in record["classes"])]


def _use(record: Record, name: str) -> str:
    """What a scan was used for; the slices of a slab are counted from 1."""
    if slab := record["split"].get("validation_slices", {}).get(name):
        return f"training and validation (slices {slab[0] + 1}-{slab[1]})"
    return "training" if name in record["result"]["train_scans"] else "validation"


def _scan(record: Record, item: Record) -> dict[str, Any]:
    """One scan: its cells, and the files below them."""
    size, counts, edges = item["shape"], item["voxels_per_class"], item["voxel_size_um"]
    cells = [
        _use(record, item["name"]),
        *([item["subject"] or ""] if _has_subjects(record) else []),
        " × ".join(map(str, size)),
        item["dtype"],
        " × ".join(f"{edge:.4g}" for edge in edges) if edges else "unknown",
        f"{prod(size) * np.dtype(item['dtype']).itemsize / 1e6:,.1f}",
        *(f"{count / max(sum(counts), 1):.2%}" for count in counts),
    ]
    return {"name": item["name"], "cells": cells, "scan": item["scan"], "mask": item["mask"]}


def _options(options: FitOptions) -> dict[str, list[dict[str, Any]]]:
    """All options that apply, by group."""
    values = vars(options)
    groups: dict[str, list[dict[str, Any]]] = {}
    for field in options.option_fields():
        if field.name == "pairs" or field.name in NOT_REPEATED or not field.is_applicable(values):
            continue
        value = values[field.name]
        is_changed = field.required or value != field.default
        row = {"name": field.name, "value": _shown(field, value), "is_changed": is_changed}
        groups.setdefault(field.group, []).append(row)
    return groups


def _shown(field: OptionField, value: Any) -> str:
    if value is None or value in ((), ""):
        return (value is None and field.none_word) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if field.kind == "list":
        return ", ".join(
            f"{item.value}: {item.name}"
            if hasattr(item, "name")
            else ":".join(map(str, item))
            if isinstance(item, tuple)
            else str(item)
            for item in value
        )
    return f"{value} {field.unit}".strip()
