"""Small studies on phantoms, for the tests beside this file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bone_backend.studies.options import StudyOptions
from bone_backend.studies.results import TIMES

WORK = "mocks.study_runs:run_job"  # instead of fits
BASE = """
recipe = "paper"
patch_size = 32
patches_per_tile = 1
batch_size = 6
epochs = 2
architecture = "Plain U-Net"
plain_channels = 8
plain_depth = 3
precision = "fp32"
train_split = 0.6
reproducible = true
learning_rate = 0.005
"""


def write_study(path: Path, scans: str, *, top: str = "folds = 2", base: str = BASE, more: str = "") -> Path:
    """A study file. scans: the table (CSV) beside it. top, base, more: TOML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "scans.csv").write_text(scans, encoding="utf-8")
    path.write_text(f'scans = "scans.csv"\n{top}\n[base]\n{base}\n{more}\n', encoding="utf-8")
    return path


def options(study: Path, output: Path, **changes: Any) -> StudyOptions:
    values = {"study": str(study), "output": str(output), "one_process": True, **changes}
    return StudyOptions.parse(values)


def rows(folder: Path) -> list[dict[str, str]]:
    """results.csv without its times."""
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def table(pairs: list[tuple[str, str]], columns: Mapping[str, list[str]] | None = None) -> str:
    """A table of scans. columns: further ones, a value a scan."""
    more = dict(columns or {})
    lines = [",".join(["scan", "mask", *more])]
    lines += [",".join([*pair, *(values[i] for values in more.values())]) for i, pair in enumerate(pairs)]
    return "\n".join(lines) + "\n"
