"""The record of labels: what made them, as JSON values.

In:  options, models, classes, geometry and result of a prediction.
Out: a dictionary that is written beside the labels (`scores/meaning.write_record`).
It is passed on with the labels: of paths it has the last two parts only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..files import digests
from ..files.inside import MARK, parts_of
from ..machine.versions import versions
from ..model_files.header import ModelHeader
from ..options.programs import PredictOptions, dump
from ..progress import Progress
from ..volumes.header import Header
from ..volumes.volume import Volume
from .labels import ClassMap


def record(
    options: PredictOptions,
    models: Sequence[ModelHeader],
    class_map: ClassMap,
    header: Header,
    result: Mapping[str, Any],
    *,
    scan: Mapping[str, Any],
    labels_sha256: str,
) -> dict[str, Any]:
    """What made the labels; where they are scored, their meaning is read from it. scan: see `of_scan`."""
    fitted = models[0].bone.get("options")
    fitted = fitted if isinstance(fitted, dict) else {}
    files = [{"file": model.path.name, "sha256": model.sha256} for model in models]
    return {
        "shape": list(header.shape),
        "map_labels": fitted.get("map_labels") or [],
        "ignore_label": fitted.get("ignore_label"),
        "classes": [
            {"value": value, "name": name}
            for value, name in zip(class_map.values, class_map.names, strict=True)
        ],
        "labels": {"sha256": labels_sha256},
        "scan": dict(scan),
        "model": files[0],
        "more_models": files[1:],
        "options": shortened(options),
        "result": {name: value for name, value in result.items() if name != "output"},
        "voxel_size_um": header.voxel_size_um,
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def of_scan(scan: Volume, path: Path, *, progress: Progress) -> dict[str, Any]:
    """What a scan is: how many files, bytes, and the SHA-256 over them in order."""
    files = scan.files or (path,)

    def look(share: float) -> None:
        progress(int(100 * share), 100, "Reading the scan")

    size = sum(file.stat().st_size for file in files)
    return {"files": len(files), "bytes": size, "sha256": digests.of_files(files, look=look)}


def shortened(options: PredictOptions) -> dict[str, Any]:
    """The options as a record has them."""
    return dump(options.with_paths(_short))


def _short(path: Path) -> Path:
    file, inside = parts_of(path)
    short = Path(*file.parts[-2:])
    return Path(f"{short}{MARK}{inside}") if inside else short
