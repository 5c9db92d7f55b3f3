"""Tables of the report: what the run took, and all that is needed to repeat it.

In:  the record of the run.
Out: sections of HTML.
Options that are not at their default stand out; the command line gives them again.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from math import prod
from typing import Any

import numpy as np

from ..options.fields import OptionField
from ..options.programs import FitOptions
from ..options.words import option_words

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


def time_section(record: Record) -> str:
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
    return f"<section><h2>Time and memory</h2>{_facts(facts)}</section>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts)
    return f"<table class=facts>{rows}</table>"


def repeat_section(record: Record) -> str:
    """Command line, scans, options, versions and machine."""
    options = FitOptions.model_validate({**record["options"], "resume": None})
    groups = [["bone", "fit"], *option_words(options, leave_out=NOT_REPEATED)]
    command = " \\\n    ".join(shlex.join(group) for group in groups)
    versions, machine = record["versions"], record["machine"]
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
            f"{machine['system']}, {machine['processor']}, {machine['threads']} threads".replace(", ,", ","),
        ),
        (
            "Network",
            f"{record['parameters']:,} parameters, {record['multiply_adds'] / 1e9:.2f} G multiply-adds a "
            "patch",
        ),
        ("Run folder", str(record["result"]["run_folder"])),
    ]
    return "\n".join(
        [
            "<section><h2>To repeat this run</h2>",
            f"<pre>{escape(command)}</pre>",
            "<p class=note>Name another output folder. The same options are in <code>options.json</code> "
            "(<code>bone fit --config options.json</code>).</p>",
            f"<h3>Scans</h3>{_inputs(record)}",
            f"<h3>Machine and versions</h3>{_facts(facts)}",
            f"<h3>Options</h3><p class=note>Bold: not the default.</p>{_options(options)}</section>",
        ]
    )


def _inputs(record: Record) -> str:
    has_subjects = any(item["subject"] for item in record["inputs"])
    names = ("used for", *["subject"] * has_subjects, "voxels (z, y, x)", "type", "µm", "MB")
    head = "".join(f"<th>{name}</th>" for name in names)
    head += "".join(f"<th>{escape(item['name'])}</th>" for item in record["classes"])
    rows = []
    for item in record["inputs"]:
        size, counts = item["shape"], item["voxels_per_class"]
        role = "training" if item["name"] in record["result"]["train_scans"] else "validation"
        voxel = (
            " × ".join(f"{edge:.4g}" for edge in item["voxel_size_um"])
            if item["voxel_size_um"]
            else "unknown"
        )
        megabytes = prod(size) * np.dtype(item["dtype"]).itemsize / 1e6
        subject = f"<td>{escape(item['subject'] or '')}</td>" if has_subjects else ""
        shares = "".join(f"<td>{count / max(sum(counts), 1):.2%}</td>" for count in counts)
        rows.append(
            f"<tr><th class=row>{escape(item['name'])}</th><td>{role}</td>{subject}"
            f"<td>{' × '.join(map(str, size))}</td><td>{escape(item['dtype'])}</td><td>{voxel}</td>"
            f"<td>{megabytes:,.1f}</td>{shares}</tr>"
            f"<tr><td class=path colspan={1 + len(names) + len(counts)}>{escape(item['scan'])}"
            f"<br>{escape(item['mask'])}</td></tr>"
        )
    return (
        f"<div class=wide><table class=inputs><tr><th class=row>scan</th>{head}</tr>{''.join(rows)}</table>"
        "</div>"
        "<p class=note>Under the classes: share of the mask's voxels.</p>"
    )


def _options(options: FitOptions) -> str:
    """All options that apply, by group."""
    values = vars(options)
    groups: dict[str, list[str]] = {}
    for field in options.option_fields():
        if field.name == "pairs" or field.name in NOT_REPEATED or not field.is_applicable(values):
            continue
        value = values[field.name]
        kind = " class=changed" if field.required or value != field.default else ""
        groups.setdefault(field.group, []).append(
            f"<tr{kind}><td>{escape(field.name)}</td><td>{escape(_shown(field, value))}</td></tr>"
        )
    parts = [
        f"<div><h3>{escape(name)}</h3><table>{''.join(rows)}</table></div>" for name, rows in groups.items()
    ]
    return f"<div class=options>{''.join(parts)}</div>"


def _shown(field: OptionField, value: Any) -> str:
    if value is None or value in ((), ""):
        return "none"
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
