"""What a fit tells about itself: the metadata in its model files, and the record of the run.

In:  the fit under way.
Out: plain values for the model file and for record.json; nothing here is written or changed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .. import __version__
from ..files.names import all_readable
from ..machine.device import describe
from ..options.programs import dump
from ..volumes.classes import describe_classes

if TYPE_CHECKING:
    from .keeper import FitResult, Keeper

EXACT = ("count", "mean", "std", "min", "max")  # of the statistics: equal for equal voxels, bit by bit


def metadata(keeper: Keeper) -> dict[str, Any]:
    """The published keys (bone_model_file.md)."""
    options, position, figures = keeper.options, keeper.position, keeper.figures()
    names = [pair.name for pair in keeper.pairs]
    is_tversky = options.loss in ("Tversky", "Focal Tversky")
    is_mixed = options.loss in ("Focal Tversky", "Dice + Focal")
    return {
        "train_dataset": [names[i] for i in keeper.training.training_scans],
        "val_dataset": [names[i] for i in keeper.training.validation_scans],
        "num_classes": keeper.labels.num_classes,
        "num_patches": options.patches_per_tile,
        "patch_size": options.patch_size,
        "patch_depth": options.patch_depth if options.mode == "3D" else None,
        "max_overlap": options.max_patch_overlap,
        "batch_size": options.batch_size,
        "augmentations": "flips_rot90_bright_contrast" if options.augmentation else None,
        "normalization": options.normalization,
        "pt_workers": options.loader_threads,
        "prefetch_factor": 1,
        "random_seed": options.seed,
        "version": f"{__version__}.bone",
        "is_3d": options.mode == "3D",
        "model_arch": keeper.spec.architecture,
        "backbone": keeper.spec.backbone or None,
        "stride": str(keeper.spec.stride) if keeper.spec.stride else None,
        "in_channels": keeper.spec.in_channels,
        "mode": options.mode,
        "optimizer": options.optimizer,
        "optim_momentum": options.momentum if options.optimizer == "SGD" else None,
        "optim_weight_decay": options.weight_decay if options.optimizer != "Adam" else None,
        "learning_rate": options.learning_rate,
        "criterion": options.loss,
        "criterion_alpha": options.loss_alpha if is_tversky else None,
        "criterion_beta": options.loss_beta if is_tversky else None,
        "criterion_gamma": options.loss_gamma if options.loss == "Focal" or is_mixed else None,
        "criterion_foc_wt": options.focal_weight if is_mixed else None,
        "criterion_tver_wt": 1 - options.focal_weight if options.loss == "Focal Tversky" else None,
        "metric": "JaccardIndex",
        "flops_G": keeper.complexity.multiply_adds / 1e9,
        "param_count": keeper.complexity.parameters,
        "peak_ram_GB": figures["peak_ram_gib"] * 2**30 / 1e9,
        "peak_vram_GB": (figures.get("peak_gpu_gib") or 0.0) * 2**30 / 1e9,
        "avg_gpu_util_percent": figures.get("mean_gpu_percent") or 0.0,
        "wall_time_sec": keeper.seconds_in_all(),
        "fitting_time_sec": sum(row["seconds"] for row in position.history),
        "best_val_score": position.best_score if position.best_epoch else None,
        "best_epoch": position.best_epoch,
    }


def own_metadata(keeper: Keeper) -> dict[str, Any]:
    """What our own readers want beyond the published keys."""
    position = keeper.position
    own = {
        "classes": classes(keeper),
        "network": {"align_corners": keeper.spec.align_corners, **_plain(keeper)},
        "voxel_size_um": [pair.header.voxel_size_um for pair in keeper.pairs],
        "statistics": {
            pair.name: found.to_dict() for pair, found in zip(keeper.pairs, keeper.statistics, strict=True)
        },
        "statistics_voxels": keeper.options.counted_voxels,
        "options": _options(keeper, place=lambda path: Path(*path.parts[-2:])),  # it will be passed on
        "scores": position.history[-1] if position.history else {},
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return dict(all_readable(own))  # other programs take no name that is not UTF-8


def _plain(keeper: Keeper) -> dict[str, Any]:
    """What only a Plain U-Net has to say of itself."""
    return {} if keeper.spec.plain is None else {"plain": asdict(keeper.spec.plain)}


def record(keeper: Keeper, result: FitResult, figures: dict[str, Any]) -> dict[str, Any]:
    """Everything that it takes to repeat the run, as JSON values. figures: of the monitor."""
    return {
        "result": result.plain(),
        "options": _options(keeper),
        "device": str(keeper.training.device),
        "processes": keeper.world.size,
        "device_name": describe(keeper.training.device, keeper.training.step.precision),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "classes": classes(keeper),
        "split": keeper.split,
        "confusion": keeper.position.best_counts,
        "parameters": keeper.complexity.parameters,
        "multiply_adds": keeper.complexity.multiply_adds,
        "versions": versions(),
        "machine": {
            # platform.platform() and .processor() start a process, which Avizo would draw a licence for
            "system": f"{platform.system()} {platform.release()}",
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "figures": figures | _pace(keeper),
        "seconds_in_all": keeper.seconds_in_all(),
        "inputs": inputs(keeper),
        "scores": keeper.position.history,
    }


def _options(keeper: Keeper, place: Callable[[Path], Path] = Path.absolute) -> dict[str, Any]:
    """Those of the run, however often it was resumed. place: what is told of a path."""
    return dump(keeper.options.with_paths(place)) | {"resume": None}


def inputs(keeper: Keeper) -> list[dict[str, Any]]:
    """What went in: files, geometry, and exact counts of their voxels, pair by pair, as JSON values."""
    return [
        {
            "name": pair.name,
            "scan": str(pair.pair.scan.absolute()),
            "mask": str(pair.pair.mask.absolute()),
            "subject": pair.pair.subject,
            "shape": list(pair.header.shape),
            "dtype": str(pair.header.dtype),
            "voxel_size_um": pair.header.voxel_size_um,
            "voxels_per_class": [int(n) for n in keeper.labels.counts[i]],
            "statistics": keeper.statistics[i].to_dict(),
        }
        for i, pair in enumerate(keeper.pairs)
    ]


def changed_inputs(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> list[str]:
    """What is not as it was, in words, for two lists from `inputs`; empty where all voxels count the same."""
    changed = []
    for old, new in zip(before, now, strict=True):
        sides = {
            "scan": lambda one: [one["shape"], one["dtype"], *(one["statistics"][name] for name in EXACT)],
            "mask": lambda one: one["voxels_per_class"],
        }
        changed += [f"the {side} of {new['name']}" for side, of in sides.items() if of(old) != of(new)]
    return changed


def classes(keeper: Keeper) -> list[dict[str, Any]]:
    """Value, name and colour of every class."""
    return describe_classes(keeper.labels.values, keeper.options.class_names)


def _pace(keeper: Keeper) -> dict[str, float]:
    """Patches per second, and the share of the time spent waiting for data, over all epochs."""
    rows = keeper.position.history
    seconds = max(sum(row["seconds"] for row in rows), 1e-9)
    names = ("patches_per_s", "waiting_share") if rows else ()
    return {name: round(sum(row[name] * row["seconds"] for row in rows) / seconds, 4) for name in names}


def versions() -> dict[str, str]:
    """Of BONe and of what its results depend on."""
    import segmentation_models_pytorch as smp

    return {
        "bone": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "segmentation_models_pytorch": smp.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda or "",
    }
