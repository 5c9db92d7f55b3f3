"""What a fit tells about itself: the metadata in its model files, and the record of the run.

In:  the fit under way.
Out: plain values for the model file and for record.json; nothing here is written or changed.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..files.names import all_readable
from ..machine.device import describe
from ..machine.versions import versions
from ..options.programs import dump
from .result import FitResult
from .state import FitState


def metadata(state: FitState) -> dict[str, Any]:
    """The published keys (docs/model_file.md)."""
    options, position, figures = state.options, state.position, state.figures()
    names = state.data.names
    numbers = {  # of the loss, where it has them
        field.name: getattr(options, field.name) if field.is_applicable(dict(options)) else None
        for field in options.option_fields()
        if field.name in ("loss_alpha", "loss_beta", "loss_gamma", "focal_weight")
    }
    return {
        "train_dataset": [names[i] for i in state.data.training],
        "val_dataset": [names[i] for i in state.data.validation],
        "num_classes": state.data.labels.num_classes,
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
        "model_arch": state.spec.architecture,
        "backbone": state.spec.backbone or None,
        "stride": str(state.spec.stride) if state.spec.stride else None,
        "in_channels": state.spec.in_channels,
        "mode": options.mode,
        "optimizer": options.optimizer,
        "optim_momentum": options.momentum if options.optimizer == "SGD" else None,
        "optim_weight_decay": options.weight_decay if options.optimizer != "Adam" else None,
        "learning_rate": options.learning_rate,
        "criterion": options.loss,
        "criterion_alpha": numbers["loss_alpha"],
        "criterion_beta": numbers["loss_beta"],
        "criterion_gamma": numbers["loss_gamma"],
        "criterion_foc_wt": numbers["focal_weight"],
        "criterion_tver_wt": 1 - options.focal_weight if options.loss == "Focal Tversky" else None,
        "metric": "JaccardIndex",
        "flops_G": state.complexity.multiply_adds / 1e9,
        "param_count": state.complexity.parameters,
        "peak_ram_GB": figures["peak_ram_gib"] * 2**30 / 1e9,
        "peak_vram_GB": (figures.get("peak_gpu_gib") or 0.0) * 2**30 / 1e9,
        "avg_gpu_util_percent": figures.get("mean_gpu_percent") or 0.0,
        "wall_time_sec": state.seconds_in_all(),
        "fitting_time_sec": sum(row["seconds"] for row in position.history),
        "best_val_score": position.best_score if position.best_epoch else None,
        "best_epoch": position.best_epoch,
    }


def own_metadata(state: FitState) -> dict[str, Any]:
    """What our own readers want beyond the published keys."""
    position = state.position
    own = {
        "classes": state.classes,
        "network": {"align_corners": state.spec.align_corners, **_plain(state)},
        "voxel_size_um": [pair.header.voxel_size_um for pair in state.data.pairs],
        "statistics": {
            pair.name: found.to_dict()
            for pair, found in zip(state.data.pairs, state.data.statistics, strict=True)
        },
        "bright_voxels": {
            pair.name: found
            for pair, found in zip(state.data.pairs, state.data.bright_voxels, strict=True)
            if found is not None
        },
        "statistics_voxels": state.options.counted_voxels,
        "options": _options(state, place=lambda path: Path(*path.parts[-2:])),  # it will be passed on
        "scores": position.history[-1] if position.history else {},
        "versions": versions(),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return dict(all_readable(own))  # other programs take no name that is not UTF-8


def _plain(state: FitState) -> dict[str, Any]:
    """What only a Plain U-Net has to say of itself."""
    return {} if state.spec.plain is None else {"plain": asdict(state.spec.plain)}


def record(state: FitState, result: FitResult, figures: dict[str, Any]) -> dict[str, Any]:
    """Everything that it takes to repeat the run, as JSON values. figures: of the monitor."""
    return {
        "result": result.plain(),
        "options": _options(state),
        "device": str(state.training.device),
        "processes": state.world.size,
        "device_name": describe(state.training.device, state.step.precision),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "classes": state.classes,
        "split": state.split,
        "confusion": state.position.best_counts,
        "pieces": state.step.pieces,  # of every batch; more than 1 where the memory did not suffice
        "parameters": state.complexity.parameters,
        "multiply_adds": state.complexity.multiply_adds,
        "versions": versions(),
        "machine": {
            # platform.platform() and .processor() start a process, which Avizo would draw a licence for
            "system": f"{platform.system()} {platform.release()}",
            "processor": platform.machine(),
            "threads": torch.get_num_threads(),
        },
        "figures": figures | _pace(state),
        "seconds_in_all": state.seconds_in_all(),
        "inputs": inputs(state),
        "scores": state.position.history,
    }


def _options(state: FitState, place: Callable[[Path], Path] = Path.absolute) -> dict[str, Any]:
    """Those of the run, however often it was resumed. place: what is told of a path."""
    return dump(state.options.with_paths(place)) | {"resume": None}


def inputs(state: FitState) -> list[dict[str, Any]]:
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
            "voxels_per_class": [int(n) for n in state.data.labels.counts[i]],
            "statistics": state.data.statistics[i].to_dict(),
        }
        for i, pair in enumerate(state.data.pairs)
    ]


def _pace(state: FitState) -> dict[str, float]:
    """Patches per second, and the share of the time spent waiting for data, over all epochs."""
    rows = state.position.history
    seconds = max(sum(row["seconds"] for row in rows), 1e-9)
    names = ("patches_per_s", "waiting_share") if rows else ()
    return {name: round(sum(row[name] * row["seconds"] for row in rows) / seconds, 4) for name in names}
