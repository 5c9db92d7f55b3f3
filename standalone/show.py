"""Results in words, for people who read the terminal.

In:  a command's result as a dictionary.
Out: a few lines of text.
"""

from __future__ import annotations

from typing import Any


def result(command: str, found: dict[str, Any]) -> str:
    """The result of a command as text, lines apart without a character that could steer the terminal."""
    return "\n".join(_printable(line) for line in SHOWN[command](found).split("\n"))


def _fit(found: dict[str, Any]) -> str:
    if found.get("dry_run"):
        return "\n".join([*found["told"], *(f"Warning: {warning}" for warning in found["warnings"])])
    reached = f"in epoch {found['best_epoch']} of {found['epochs']}"
    per_class = (f"{value}: {_score(score)}" for value, score in found["val_iou_per_class"].items())
    lines = [
        f"Best model:       {found['model']}",
        f"Validation mIoU:  {_score(found['best_val_iou'])} {reached}",
        f"IoU per class:    {', '.join(per_class)}",
        f"Run folder:       {found['run_folder']}",
        f"Time, RAM:        {_seconds(found['seconds'])}, peak {found['peak_ram_gib']:.2f} GiB",
    ]
    return "\n".join(lines)


def _predict(found: dict[str, Any]) -> str:
    voxels = found["voxels"]
    total = sum(voxels.values())
    shares = ", ".join(
        f"{value}: {number:,} ({number / max(total, 1):.2%})" for value, number in voxels.items()
    )
    sure = found["confidence"]
    per_class = ", ".join(f"{value}: {_score(known['mean'])}" for value, known in sure["per_class"].items())
    uncertain = f"{sure['uncertain_voxels']:,} voxels ({sure['uncertain_share']:.2%})"
    took = f"{_seconds(found['seconds'])} for {found['slices']} slices"
    lines = [
        f"Labels:      {found['output']}",
        f"Voxels:      {shares}",
        f"Confidence:  mean {_score(sure['mean'])}; per class {per_class}",
        f"Uncertain:   {uncertain} below the confidence threshold, now background",
        f"Time, RAM:   {took}, peak {found['peak_ram_gib']:.2f} GiB",
    ]
    return "\n".join(lines)


def _iou(found: dict[str, Any]) -> str:
    lines = [f"{'class':>7} {'IoU':>8} {'Dice':>8} {'reference':>15} {'predicted':>15} {'both':>15}"]
    for value, scores in found["classes"].items():
        numbers = [scores[f"{name}_voxels"] for name in ("reference", "predicted", "intersection")]
        lines.append(
            f"{value:>7} {_score(scores['iou']):>8} {_score(scores['dice']):>8} "
            + " ".join(f"{number:>15,}" for number in numbers)
        )
    lines.append(f"{'mean':>7} {_score(found['mean_iou']):>8} {_score(found['mean_dice']):>8}")
    return "\n".join(lines)


def _statistics(found: dict[str, Any]) -> str:
    lines = [f"{name:<12} {found[name]:,.6g}" for name in ("count", "mean", "std", "min", "max")]
    lines += [f"{name + ' %':<12} {value:,.6g}" for name, value in found["percentiles"].items()]
    return "\n".join(lines)


def _listing(found: dict[str, Any]) -> str:
    width = max(len(name) for name in found)
    return "\n".join(
        f"{_value(name.replace('_', ' ')):<{width}}  {_value(value)}" for name, value in found.items()
    )


def _demo(found: dict[str, Any]) -> str:
    lines = [
        f"Labelled a scan that was not seen in fitting: mean IoU {_score(found['mean_iou'])}.",
        f"IoU per class: {', '.join(f'{value}: {_score(s)}' for value, s in found['iou_per_class'].items())}",
        f"Time: {_seconds(found['seconds'])}",
        "Pictures:",
        *(f"  {path}" for path in found["pictures"]),
        f"Model: {found['model']}",
        f"Labels: {found['labels']}",
    ]
    if found["kept"]:
        lines.append("All of it is of an earlier run with the same scans, options and versions.")
    return "\n".join(lines)


def _preview(found: dict[str, Any]) -> str:
    lines = [
        f"Sheet:    {found['sheet']}",
        f"Patches:  {'; '.join(found['patches'])}",
        f"Changes:  {'; '.join(found['changes']) or 'none'}",
    ]
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{_value(name)}: {_value(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(inner) for inner in value)
    return _printable(str(value))


def _printable(text: str) -> str:
    """Text of a file with U+FFFD for control characters, also those that turn the direction of writing."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _score(value: float | None) -> str:
    return "absent" if value is None else f"{value:.4f}"


def _seconds(value: float) -> str:
    minutes, seconds = divmod(value, 60)
    return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"


SHOWN = {
    "fit": _fit,
    "predict": _predict,
    "iou": _iou,
    "statistics": _statistics,
    "export": _listing,
    "info": _listing,
    "demo": _demo,
    "preview-augmentation": _preview,
}
