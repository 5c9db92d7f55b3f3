"""What `bone info` shows: a card in words and units for each kind of file.

In:  the facts of bone_backend/information/describe.py, of which some may be missing.
Out: text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bone_backend.durations import measured
from bone_backend.volumes import formats
from bone_backend.volumes.header import GIVEN

from .columns import Row, percent, printable, rows, score, size, table, value

FORMATS = {row.name: row.words for row in formats.FORMATS}
NUMBERS = {
    "uint8": "8 bit (0 to 255)",
    "uint16": "16 bit (0 to 65,535)",
    "int16": "16 bit with sign (-32,768 to 32,767)",
    "float32": "32-bit decimal numbers",
}


def card(found: dict[str, Any]) -> str:
    """The card of one path."""
    kinds = {
        "scan": _volume,
        "mask": _volume,
        "scan or mask": _volume,
        "model": _model,
        "run": _run,
        "study": _study,
        "ours": _ours,
    }
    return "\n".join(kinds.get(found["kind"], _unknown)(found))


def name_of(names: Mapping[Any, str], label: Any) -> str:
    """A class as people call it: its label value and, where it is known, its name."""
    if not str(label).isdecimal():  # a run that has no record yet tells names alone
        return str(label)
    known = names.get(str(label)) or names.get(int(label))
    if known is None and str(label) == "0":
        known = "background"
    return f"{label} {known}" if known and known != f"class {label}" else f"class {label}"


def _volume(found: dict[str, Any]) -> list[str]:
    looked = found.get("looked_at") or {}
    kind = {"mask": "a mask (labels)", "scan": "a scan (grey values)"}.get(found["kind"], found["kind"])
    if found.get("decided_by"):
        kind += f": {found['decided_by']}"
    facts: list[Row] = [
        ("This is", kind),
        ("Path", found.get("path")),
        ("File", _file(found)),
        ("Size", _shape(found)),
        ("Voxel size", _voxel_size(found)),
        ("Numbers", NUMBERS.get(found.get("dtype", ""), found.get("dtype"))),
        ("Fault", found.get("fault")),
        ("Looked at", _looked(looked)),
    ]
    if found.get("grey_range"):
        low, high = (f"{grey:,.6g}" for grey in found["grey_range"])
        facts += [
            ("Grey range", f"{low} to {high}; {percent(found['zero_share'])} of the voxels are 0"),
            ("Tissue peaks", _peaks(found["tissue_peaks"])),
        ]
    facts += [("Not a number", f"{found['not_a_number']:,} voxels" if found.get("not_a_number") else None)]
    lines = rows(facts)
    if labels := found.get("labels"):
        body = [
            [
                f"{item['value']} {item['name'] or ''}".rstrip(),
                f"{item['voxels']:,}",
                percent(item["share"]),
            ]
            for item in labels
        ]
        lines += ["", *table(["label", "voxels", "share"], body)]
    return lines


def _file(found: dict[str, Any]) -> str | None:
    if "format" not in found:
        return None
    told = FORMATS.get(found["format"], found["format"])
    if found.get("files", 1) > 1:
        told = f"{told}, {found['files']:,} files"
    packed = found.get("compression", "none")
    on_disk = f"{size(found['bytes_on_disk'])} on disk" if "bytes_on_disk" in found else ""
    return ", ".join(
        part
        for part in (told, "uncompressed" if packed == "none" else f"packed with {packed}", on_disk)
        if part
    )


def _shape(found: dict[str, Any]) -> str | None:
    if "shape" not in found:
        return None
    slices, height, width = found["shape"]
    return (
        f"{slices:,} slices x {height:,} high x {width:,} wide (z, y, x); {slices * height * width:,} voxels"
    )


def _voxel_size(found: dict[str, Any]) -> str | None:
    if "voxel_size" not in found:
        return None
    if not found["voxel_size"]:
        return "unknown: the file does not say it"
    sizes, unit = found["voxel_size"], found.get("unit") or "of an unknown unit"
    unit = {"um": "\N{MICRO SIGN}m"}.get(unit, unit)
    if max(sizes) - min(sizes) < 1e-6 * max(sizes):
        told = f"{sizes[0]:.6g} {unit} in all directions"
    else:
        told = f"{' x '.join(f'{s:.6g}' for s in sizes)} {unit} (z, y, x)"
    source = found.get("voxel_size_from")
    if source == GIVEN:
        return f"{told}, given by {source}"
    return f"{told}, from {source}" if source else told


def _looked(looked: dict[str, Any]) -> str | None:
    if not looked:
        return None
    if looked["all"]:
        return f"every voxel ({looked['voxels']:,})"
    told = f"{looked['voxels']:,} voxels in {looked['slices']:,} of {looked['of']:,} slices"
    return f"a sample, {told}; the figures below are of it"


def _peaks(peaks: list[float]) -> str:
    if len(peaks) < 2:
        return "none: there is one grey value"
    told = f"{', '.join(f'{peak:,.4g}' for peak in peaks[:-1])} and {peaks[-1]:,.4g}"
    return f"{told} (means of Otsu's {len(peaks)} classes; voxels of value 0 left out)"


def _model(found: dict[str, Any]) -> list[str]:
    parts = (found.get("architecture"), found.get("backbone") or "an unknown backbone")
    named = (
        f"{parts[0]} ({found['plain_unet']})" if found.get("plain_unet") else " with ".join(map(str, parts))
    )
    network = f"{named}, {found['mode']}" if "mode" in found else None
    if found.get("mode") == "2.5D":
        network = f"{network} ({found['in_channels']} slices at once)"
    if found.get("param_count"):
        network = f"{network}; {value(found['param_count'])} parameters"
    obstacles = found.get("published_program")
    facts: list[Row] = [
        ("This is", f"a fitted model, written by {found.get('written_by') or 'an unknown program'}"),
        ("Path", found.get("path")),
        ("File", f"{size(found['bytes_on_disk'])} on disk" if "bytes_on_disk" in found else None),
        ("Missing", found.get("missing")),
        ("Network", network),
        ("Grey values", f"normalized by {found['normalization']}" if "normalization" in found else None),
        ("Patches", _patches(found)),
        ("Fitted on", _names(found.get("train_dataset"))),
        ("Validated on", _names(found.get("val_dataset"))),
        ("Voxel size", _trained_sizes(found.get("trained_voxel_sizes_um"))),
        ("Score", _score(found)),
        ("Options", _options(found.get("other_options") or {})),
        ("Version", value(found["version"]) if "version" in found else None),
        ("Written", found.get("written")),
    ]
    if obstacles is not None:
        told = f"cannot use it as it is: {'; '.join(obstacles)}" if obstacles else "can use it"
        facts.append(("Published BONe", told))
    lines = rows([(name, printable(text) if text else text) for name, text in facts])
    if found.get("classes"):
        ious = found.get("val_iou_per_class") or {}
        colours = found.get("colours") or {}
        body = [
            [
                printable(name_of(found["classes"], label)),
                score(ious.get(str(label)), none="-"),
                str(colours.get(label) or "-"),
            ]
            for label, name in found["classes"].items()
        ]
        lines += ["", *table(["class", "validation IoU", "colour"], body)]
    elif "num_classes" in found:
        lines += rows([("Classes", f"{found['num_classes']}, without names")])
    return lines


def _patches(found: dict[str, Any]) -> str | None:
    if "patch_size" not in found:
        return None
    depth = f", {value(found['patch_depth'])} slices deep" if found.get("patch_depth") else ""
    return f"{value(found['patch_size'])} px wide{depth}"


def _names(names: Any) -> str | None:
    if not names:
        return None
    listed = names if isinstance(names, (list, tuple)) else [names]
    told = ", ".join(value(name) for name in listed[:6])
    return f"{told} and {len(listed) - 6:,} more" if len(listed) > 6 else told


def _trained_sizes(sizes: Any) -> str | None:
    if not sizes:
        return None
    told = [" x ".join(f"{length:.4g}" for length in one) for one in sizes[:4]]
    return f"{', '.join(told)}{' ...' if sizes[4:] else ''} \N{MICRO SIGN}m (z, y, x) in fitting"


def _score(found: dict[str, Any]) -> str | None:
    number = found.get("best_val_score", found.get("best_val_iou"))
    if not isinstance(number, (int, float)):
        return None
    epoch = f" in epoch {value(found['best_epoch'])}" if found.get("best_epoch") else ""
    return f"mean IoU {score(number)} in validation{epoch}"


def _options(options: dict[str, Any]) -> str:
    return "; ".join(f"{name.replace('_', ' ')} {value(item)}" for name, item in options.items())


def _run(found: dict[str, Any]) -> list[str]:
    silence = found.get("last_sign_s")
    asked = f" of {found['epochs_asked']:,}" if found.get("epochs_asked") else ""
    state = found["state"]
    if found.get("outcome") is None and silence is not None:
        state += f"; last sign of life {measured(silence)} ago"
    facts: list[Row] = [
        ("This is", "the run folder of a fit"),
        ("Path", found.get("path")),
        ("State", state),
        ("Epochs", f"{found['epochs']:,}{asked}"),
        ("Pairs", value(found["pairs"]) if found.get("pairs") else None),
        ("Best model", found.get("model") or "none yet"),
        ("Score", _score(found)),
        ("Report", found.get("report")),
        ("Go on", f"bone fit --resume {found['path']}" if found.get("can_resume") else None),
    ]
    lines = rows(facts)
    if ious := found.get("val_iou_per_class"):
        names = found.get("class_names") or {}
        body = [[name_of(names, label), score(iou)] for label, iou in ious.items()]
        lines += ["", *table(["class", "validation IoU"], body)]
    return lines


def _study(found: dict[str, Any]) -> list[str]:
    facts: list[Row] = [
        ("This is", "the folder of a study"),
        ("Path", found["path"]),
        ("Name", found["name"]),
        ("Runs", f"{found['done']:,} of {found['runs']:,} done, {found['waiting']:,} to do"),
        ("Begun", "\n".join(found["started"]) or None),
        ("Failed", "\n".join(f"{run}: {cause}" for run, cause in found["failed"].items()) or None),
        ("Report", found["report"]),
    ]
    return rows(facts)


def _ours(found: dict[str, Any]) -> list[str]:
    facts: list[Row] = [("This is", found["what"]), ("Path", found["path"])]
    return rows([*facts, *found["facts"].items(), ("To do", found["advice"])])


def _unknown(found: dict[str, Any]) -> list[str]:
    facts: list[Row] = [
        ("This is", found.get("what")),
        ("Path", found.get("path")),
        ("Size", size(found["bytes_on_disk"]) if "bytes_on_disk" in found else None),
        ("To do", found.get("advice")),
        ("Note", found.get("reads")),
    ]
    return rows(facts)
