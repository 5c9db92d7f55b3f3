"""Results in words, for people who read the terminal.

In:  a command's result as a dictionary.
Out: a few lines of text: labels on the left, classes by name in columns, nothing wider than the terminal (but
for paths, which stay in one piece).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bone_backend.durations import estimated, measured
from bone_backend.jobs.commands import COMMANDS, named
from bone_backend.options.predicting.cleaning import in_words

from .cards import name_of
from .columns import Row, percent, printable, rows, score, sentence, short, table, value


def result(command: str, found: dict[str, Any]) -> str:
    """The result of a command as text, lines apart without a character that could steer the terminal."""
    return "\n".join(printable(line) for line in named(COMMANDS[command].shown)(found).split("\n"))


def fit(found: dict[str, Any]) -> str:
    """The best model and its scores, or what a dry run tells."""
    if found.get("dry_run"):
        new = [line for line in found["told"] if line not in found["notes"]]  # which the log has told
        told = [*new, *(f"Warning: {warning}" for warning in found["warnings"])]
        return "\n".join(map(sentence, told))
    names = found.get("class_names") or {}
    reached = f"in epoch {found['best_epoch']} of {found['epochs']}"
    facts: list[Row] = [
        ("Best model", found["model"] or "none: no epoch was finished"),
        ("Validation", f"mean IoU {score(found['best_val_iou'])} {reached}" if found["model"] else None),
        ("Run folder", found["run_folder"]),
        ("Time, RAM", f"{measured(found['seconds'])}, peak {found['peak_ram_gib']:.2f} GiB"),
    ]
    classes = [[name_of(names, label), score(iou)] for label, iou in found["val_iou_per_class"].items()]
    return "\n".join([*rows(facts), "", *table(["class", "validation IoU"], classes)])


def predict(found: dict[str, Any]) -> str:
    """Where the labels are, how sure they are, and how much of each class there is; of several scans a
    table.
    """
    if "scans" in found:
        return scans(found)
    voxels, sure = found["voxels"], found["confidence"]
    total = max(sum(voxels.values()), 1)
    names = {label: known["name"] for label, known in sure["per_class"].items()}
    uncertain = f"{sure['uncertain_voxels']:,} voxels ({sure['uncertain_share']:.2%})"
    some = sure["uncertain_voxels"]  # of two classes none can be below one half
    cleaned = found.get("cleaning", ())
    took = f"{measured(found['seconds'])} for {found['slices']:,} slices"
    facts: list[Row] = [
        ("Labels", found["output"]),
        ("Confidence", f"mean {score(sure['mean'])}"),
        ("Uncertain", f"{uncertain} below the confidence threshold, now background" if some else None),
        ("Least sure", _doubtful(sure.get("doubtful_slices") or [])),
        ("Maps", "\n".join(found.get("maps", ()))),
        ("Cleaned", "\n".join(map(in_words, cleaned))),
        ("Time, RAM", f"{took}, peak {found['peak_ram_gib']:.2f} GiB"),
    ]
    classes = [
        [
            name_of(names, label),
            f"{number:,}",
            percent(number / total),
            score(sure["per_class"].get(label, {}).get("mean"), none="-"),
        ]
        for label, number in voxels.items()
    ]
    told = [*rows(facts), "", *table(["class", "voxels", "share", "confidence"], classes)]
    return "\n".join([*told, *(["", measures(found["measures"])] if "measures" in found else [])])


def verify(found: dict[str, Any]) -> str:
    """What is the same."""
    share = found["share"]
    again = (
        f"{found['equal']:,} of {found['compared']:,} voxels ({percent(share)})"
        if share is not None
        else None
    )
    facts: list[Row] = [
        ("Verified", "no" if found["failed"] else "the files only" if share is None else "yes"),
        ("Labels", found["labels"]),
        ("Scan", found["scan"]),
        ("Models", found["models"]),
        ("Come again", again or "not tried"),
        ("Note", "\n".join(found["notes"])),
    ]
    return "\n".join(rows(facts))


def _doubtful(slices: list[dict[str, Any]]) -> str:
    """The slices to look at first."""
    if len(slices) < 2:
        return ""
    told = ", ".join(str(one["z"] + 1) for one in slices[:5])
    return f"slices {told} (counted from 1), confidence {score(slices[0]['mean'])} and more"


def scans(found: dict[str, Any]) -> str:
    """How it went with each of several scans."""
    names = _short_names([one["scan"] for one in found["scans"]])
    lines, faults = [], []
    for one in found["scans"]:
        name = names[one["scan"]]
        if "error" in one:
            lines.append([name, "failed", "", "", ""])
            told = one["error"].split("\n")
            faults += [line if one["scan"] in line else f"{one['scan']}: {line}" for line in told]
            continue
        warned = str(len(one["warnings"])) if one["warnings"] else ""
        sure = score(one["confidence"]["mean"])
        state = "labelled before" if one.get("is_kept") else "labelled"
        lines.append([name, state, sure, measured(one["seconds"]), warned])
    failed = found["failed"]
    done = len(lines) - failed
    told = f"{done} of {len(lines)} scans labelled in {measured(found['seconds'])}"
    return "\n".join(
        [
            *table(["scan", "", "confidence", "time", "warnings"], lines),
            "",
            told + (f"; {failed} failed:" if failed else "."),
            *map(sentence, faults),
        ]
    )


def _short_names(paths: list[str]) -> dict[str, str]:
    """The last parts of each path, as many as tell all of them apart.

    >>> list(_short_names(["a/b/femur.tif", "a/c/femur.tif"]).values())
    ['b/femur.tif', 'c/femur.tif']
    """
    most = max((len(Path(path).parts) for path in paths), default=1)
    for count in range(1, most + 1):
        names = {path: str(Path(*Path(path).parts[-count:])) for path in paths}
        if len({*names.values()}) == len({*paths}):
            return names
    return {path: path for path in paths}


def iou(found: dict[str, Any]) -> str:
    """IoU and Dice of every class, and what was counted."""
    names = found.get("names") or {}
    classes = [
        [
            name_of(names, label),
            score(scores["iou"]),
            score(scores["dice"]),
            *(f"{scores[f'{side}_voxels']:,}" for side in ("reference", "predicted", "intersection")),
        ]
        for label, scores in found["classes"].items()
    ]
    mean = ["mean", score(found["mean_iou"]), score(found["mean_dice"]), "", "", ""]
    lines = table(["class", "IoU", "Dice", "reference", "predicted", "both"], [*classes, mean])
    facts: list[Row] = [
        ("Voxels", f"{found['voxels']:,}" if "voxels" in found else None),
        ("Not counted", f"{found['ignored_voxels']:,} voxels" if found.get("ignored_voxels") else None),
        ("Mapped", ", ".join(f"{old} to {new}" for old, new in found.get("map_labels") or [])),
        ("Taken from", found.get("labels_from")),
        ("Written", "\n".join(found.get("written") or [])),
    ]
    return "\n".join([*lines, "", *rows(facts)]).rstrip("\n")


def measures(found: dict[str, Any]) -> str:
    """Classes and indices, and of what they are."""
    is_metric = found["unit"] == "mm"
    classes = [
        [
            f"{one['value']} {one['name']}",
            f"{one['voxels']:,}",
            *([short(one["volume"])] if is_metric else []),
            percent(one["share"] / 100),
        ]
        for one in found["classes"]
    ]
    heads = ["class", "voxels", *(["mm3"] if is_metric else []), "share"]
    lines = [[one["index"], short(one["value"]), one["unit"], one["name"]] for one in found["indices"]]
    facts: list[Row] = [
        ("Bone", f"label {', '.join(map(str, found['bone']))}"),
        ("Pores", f"label {', '.join(map(str, found['pores']))}" if found["pores"] else None),
        ("Tissue volume", found["tissue_volume"]),
        ("Note", "\n".join(found["notes"])),
        ("Written", "\n".join(found.get("written") or [])),
        ("Time", measured(found["seconds"])),
    ]
    return "\n".join([*table(heads, classes), "", *_indices(lines), "", *rows(facts)])


def _indices(lines: list[list[str]]) -> list[str]:
    """Values to the right, units and words to the left."""
    sizes = [max(len(line[i]) for line in lines) for i in range(3)]
    return [
        f"{index.ljust(sizes[0])}  {text.rjust(sizes[1])}  {unit.ljust(sizes[2])}  {name}".rstrip()
        for index, text, unit, name in lines
    ]


def study(found: dict[str, Any]) -> str:
    """The ranking and where everything is, or the table of a dry run."""
    if found.get("dry_run"):
        lines = [[run["run"], estimated(run["fit_s"]), estimated(run["predict_s"])] for run in found["runs"]]
        told = [*found["told"], *(f"Warning: {warning}" for warning in found["warnings"])]
        return "\n".join([*table(["run", "fit", "labels"], lines), "", *map(sentence, told)])
    ranks = [
        [
            one["configuration"],
            score(one["mean_iou"]),
            score(one["sd"], none="-"),
            f"{one['score']:.3f}",
            str(one["rank"]),
        ]
        for one in found["ranking"]
    ]
    facts: list[Row] = [
        ("Best", f"{found['best']}, by mean IoU" if len(ranks) > 1 else None),
        ("Report", found["report"]),
        ("Table", found["results"]),
        ("Time", measured(found["seconds"])),
    ]
    return "\n".join([*table(["configuration", "mean IoU", "SD", "score", "rank"], ranks), "", *rows(facts)])


def statistics(found: dict[str, Any]) -> str:
    """Mean, spread and percentiles of the grey values."""
    counted = "value 0 left out" if found.get("voxels", "nonzero") == "nonzero" else "all"
    facts: list[Row] = [
        ("Voxels", f"{found['count']:,} ({counted})"),
        ("Mean", value(found["mean"])),
        ("Standard deviation", value(found["std"])),
        ("Lowest", value(found["min"])),
        ("Highest", value(found["max"])),
        ("Tissue means", " and ".join(map(value, found.get("otsu_means") or ()))),
        ("Tissue scale", _tissues(found.get("tissues"))),
    ]
    shares = [[f"{name} %", value(grey)] for name, grey in found["percentiles"].items()]
    return "\n".join([*rows(facts), "", *table(["percentile", "grey value"], shares)])


def _tissues(found: dict[str, float] | None) -> str | None:
    if not found:
        return None
    told = f"{value(found['low'])} and {value(found['high'])}, of all voxels"
    left = [f"{100 * found[kind]:.3g} % {kind}" for kind in ("border", "metal") if found[kind]]
    return f"{told} but {' and '.join(left)}" if left else told


def listing(found: dict[str, Any]) -> str:
    """Any other result: its values by name."""
    return "\n".join(
        rows([(name.replace("_", " ").capitalize(), value(item)) for name, item in found.items()])
    )


def demo(found: dict[str, Any]) -> str:
    """The scores on the scan that was not seen, and where everything is."""
    names = found.get("class_names") or {}
    classes = [[name_of(names, label), score(iou)] for label, iou in found["iou_per_class"].items()]
    facts: list[Row] = [
        ("Mean IoU", f"{score(found['mean_iou'])} on {found['predicted']}, which was not seen in fitting"),
        ("Time", measured(found["seconds"])),
        *((("Pictures", "")[number > 0], path) for number, path in enumerate(found["pictures"])),
        ("Model", found["model"]),
        ("Labels", found["labels"]),
    ]
    lines = [*rows(facts), "", *table(["class", "IoU"], classes)]
    if found["kept"]:
        lines += ["", "All of it is of an earlier run with the same scans, options and versions."]
    return "\n".join(lines)


def preview(found: dict[str, Any]) -> str:
    """What is on the sheet."""
    facts: list[Row] = [
        ("Sheet", found["sheet"]),
        ("Patches", "; ".join(found["patches"])),
        ("Changes", "; ".join(found["changes"]) or "none"),
    ]
    return "\n".join(rows(facts))


def window(found: dict[str, Any]) -> str:
    """Nothing came of it but what the window itself has told."""
    return "The window is closed."
