"""The card of a model file: what it labels, what it was fitted on, how good it was, who can open it.

In:  the path of a .pth file.
Out: plain values, from the file's header alone; torch is not needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..options import catalogue
from ..options.programs import FitOptions

if TYPE_CHECKING:
    from ..model_files.header import ModelHeader

PUBLISHED_NORMALIZATIONS = ("ZScore", "minMax")
# Options that do not say how the network was fitted, or that the card has in words of its own.
LEFT_OUT = (
    "pairs",
    "class_names",
    "output",
    "name",
    "overwrite",
    "resume",
    "dry_run",
    "mode",
    "architecture",
)
LEFT_OUT_TOO = (
    *("backbone", "plain_channels", "plain_depth", "plain_norm", "normalization", "patch_size"),
    *("validation_pairs", "device", "gpus", "epochs"),
)


def facts(path: Path) -> dict[str, Any]:
    """The card. Raises ModelFileError for what is no whole and harmless model file."""
    from ..model_files import header as model_header

    metadata, lacking = model_header.read_metadata(path)
    card: dict[str, Any] = {"kind": "model", "path": str(path), "bytes_on_disk": path.stat().st_size}
    if lacking:
        card["missing"] = f"{', '.join(lacking)}; BONe cannot use the model without"
        card |= {"architecture": metadata["model_arch"]}
        card |= {key: metadata[key] for key in ("backbone", "mode", "in_channels", "num_classes")}
    else:
        header = model_header.read_header(path)
        classes = header.bone.get("classes", [])
        card |= {
            "architecture": header.architecture,
            "backbone": header.backbone or None,
            "plain_unet": str(header.plain) if header.plain else None,
            "mode": header.mode,
            "in_channels": header.in_channels,
            "num_classes": header.num_classes,
            "classes": {item["value"]: item["name"] for item in classes},
            "colours": {item["value"]: item.get("colour") for item in classes},
            "published_program": _obstacles(header),
            "written_by": "BONe" if header.bone else "another BONe program",
        }
        card |= _own(header.bone)
    names = ("normalization", "patch_size", "patch_depth", "best_val_score", "best_epoch", "param_count")
    for key in (*names, "version", "train_dataset", "val_dataset"):
        if metadata.get(key) is not None:
            card[key] = metadata[key]
    return card


def _own(bone: dict[str, Any]) -> dict[str, Any]:
    """What only BONe's own files say; from a stranger's file anything may come."""
    told: dict[str, Any] = {}
    sizes = bone.get("voxel_size_um")
    if isinstance(sizes, list):
        is_size = [isinstance(s, (list, tuple)) and len(s) == 3 for s in sizes]
        good = [[float(n) for n in s] for s, ok in zip(sizes, is_size, strict=True) if ok and _are_numbers(s)]
        told["trained_voxel_sizes_um"] = [list(size) for size in dict.fromkeys(map(tuple, good))]
    scores = bone.get("scores")
    if isinstance(scores, dict):
        scores = {key.removeprefix("val_iou_"): scores[key] for key in scores if _is_class_score(key)}
        told["val_iou_per_class"] = {key: value for key, value in scores.items() if _are_numbers([value])}
    options = bone.get("options")
    if isinstance(options, dict):
        told["other_options"] = {
            field.name: options[field.name]
            for field in FitOptions.option_fields()
            if field.name in options
            and field.name not in LEFT_OUT + LEFT_OUT_TOO
            and not _is_default(options[field.name], field.default)
            and field.is_applicable(options)
        }
    if isinstance(bone.get("written"), str):
        told["written"] = bone["written"]
    return told


def _is_class_score(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("val_iou_") and key[8:].isdecimal()


def _are_numbers(values: Any) -> bool:
    return all(type(value) in (int, float) for value in values)


def _is_default(value: Any, default: Any) -> bool:
    return value == default or (value in ([], None, "") and default in ((), None, ""))


def _obstacles(header: ModelHeader) -> list[str]:
    """Why the published program cannot use the model as it is; nothing where it can."""
    if not header.bone:
        return []
    normalization = header.metadata.get("normalization")
    known = catalogue.ARCHITECTURES_3D if header.mode == "3D" else tuple(catalogue.ARCHITECTURES)
    found = []
    if normalization not in PUBLISHED_NORMALIZATIONS:
        found.append(f"it does not know the normalization {normalization}")
    if header.architecture not in known:
        found.append(f"it has no {header.architecture} in {header.mode}")
    if header.backbone and header.backbone not in catalogue.BACKBONES:
        found.append(f"it has no backbone {header.backbone}")
    enlarges_otherwise = header.bone.get("network", {}).get("align_corners", True)
    if header.mode == "3D" and header.plain is None and enlarges_otherwise:
        found.append("its 3D networks enlarge without align_corners, so the labels would differ")
    values = [item["value"] for item in header.bone.get("classes", [])]
    if values and values != list(range(len(values))):
        found.append(f"it would write the labels 0 to {len(values) - 1} for {', '.join(map(str, values))}")
    return found
