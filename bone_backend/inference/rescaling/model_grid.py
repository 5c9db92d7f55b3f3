"""Label a scan on voxels of the size that its model was fitted on, and bring the labels back.

In:  PredictOptions with `resample`, and the function that labels one scan.
Out: labels and maps on the grid of the scan itself, and their record.
Greys are averaged over voxels that become larger, and interpolated where they become smaller. Labels come
back by interpolation of each class, so that edges have no steps; of maps the values are interpolated.
What lies between stands on the disk, slice by slice: the scan in the cache, the labels beside the output.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import OptionError, OutputError, ScanError, called
from ...files.whole import remove
from ...model_files.header import ModelHeader
from ...options.programs import PredictOptions
from ...progress import Part, Progress
from ...scores import meaning
from ...volumes.array import NpyWriter
from ...volumes.cache import cache_folder
from ...volumes.header import UM_PER_UNIT, Header, Triple, volume_name
from ...volumes.kept import folder_of
from ...volumes.output import claim, prepare
from ...volumes.patch_source import fingerprint
from ...volumes.views.resampled import ResampledVolume
from ...volumes.volume import Volume, create, open_volume
from .. import maps, voxel_size
from ..labels import ClassMap
from ..opening import read_models
from ..record import of_scan, shortened

log = logging.getLogger("bone.prediction")

SLAB_BYTES = 16 << 20
CUBIC = 1.05  # edges of voxels that differ by less are taken for cubes
LABELLED, BACK = 5, 85  # per cent of the progress, where these begin
Label = Callable[..., Any]  # (options, progress=) -> PredictionResult


def label_on_model_grid(
    options: PredictOptions, label: Label, *, progress: Progress, are_several: bool = False
) -> Any:
    """What `label` gives for the scan, its voxels brought to the size of the model where they differ.
    are_several: machines that label it, so the resampled scan stands beside the output, where all see it.

    Raises OptionError where one of the sizes is unknown; what `label` raises. Broken off it goes on like any
    prediction.
    """
    began = time.perf_counter()
    with open_volume(options.scan) as scan:
        if options.voxel_size is not None:
            scan.header = scan.header.with_voxel_size_um(options.voxel_size)
        models = read_models(options)
        size = model_size(models, scan.header)
        if size is None:
            log.info("%s has voxels as the model knows them; nothing is resampled.", scan.header.name)
            return label(options.model_copy(update={"resample": False}), progress=progress)
        with (
            claim(options.output, doing="a prediction"),
            _between(options, scan, models, size, are_several=are_several) as (there, place),
        ):
            _write_scan(scan, size, there, Part(progress, first=0, share=LABELLED, steps=100))
            inner = options.model_copy(
                update={"scan": there, "output": place, "resample": False, "voxel_size": None}
            )
            part = Part(progress, first=LABELLED, share=BACK - LABELLED, steps=100)
            found = label(inner.model_copy(update={"overwrite": True}), progress=part)
            rest = Part(progress, first=BACK, share=100 - BACK, steps=100)
            voxels, paths = _bring_back(options, scan.header, place, found.maps, rest)
            sizes = f"{_told(scan.header.voxel_size_um)} to {_told(size)} and the labels back"
            log.info("%s: voxels were brought from %s.", scan.header.name, sizes)
            result = replace(
                found,
                output=options.output,
                seconds=time.perf_counter() - began,
                slices=scan.header.shape[0],
                voxels={value: voxels[int(value)] for value in found.voxels},
                maps=tuple(map(str, paths)),
            )
            _write_record(options, scan, place, result)
        return result


def model_size(models: Sequence[ModelHeader], scan: Header) -> Triple | None:
    """The voxel size (z, y, x; um) nearest to the scan's that the models know; None where the scan has it.

    A 2D model does not see how far slices are apart: z stays, but where cubes become cubes, which can be
    labelled along all axes. Raises OptionError where a size is unknown.
    """
    own = scan.voxel_size_um
    if own is None:
        raise OptionError(
            f"{called('resample')}: the voxel size of {scan.path or scan.name} is unknown. Give it with "
            f"{called('voxel_size')}."
        )
    sizes = [voxel_size.known(model.bone.get("voxel_size_um")) for model in models]
    if not all(sizes):
        raise OptionError(
            f"{called('resample')}: the model does not say on which voxels it was fitted. Leave it out, or "
            "convert the scan to the size that you know: bone convert --resample SIZE."
        )
    first = 1 if all(model.mode == "2D" for model in models) else 0
    low, high = ([pick(one[axis] for one in sizes[0]) for axis in range(3)] for pick in (min, max))
    wanted = [min(max(own[axis], low[axis]), high[axis]) for axis in range(3)]
    near = voxel_size.TOLERANCE
    if all(1 / near <= own[axis] / wanted[axis] <= near for axis in range(first, 3)):
        return None
    keeps_z = first and not (_are_cubes(own) and _are_cubes(wanted))
    return own[0] if keeps_z else wanted[0], wanted[1], wanted[2]


def _are_cubes(size: Sequence[float]) -> bool:
    return max(size) <= CUBIC * min(size)


@contextmanager
def _between(
    options: PredictOptions, scan: Volume, models: Sequence[ModelHeader], size: Triple, *, are_several: bool
) -> Iterator[tuple[Path, Path]]:
    """Where the scan and the labels stand meanwhile; both are removed but where the work can go on there."""
    names = maps.names_of(
        options.maps, ClassMap.from_model(models[0].bone.get("classes"), models[0].num_classes)
    )
    for path in (options.output, *(maps.path_of(options.output, name) for name in names)):
        prepare(path, overwrite=options.overwrite, needed_bytes=scan.header.voxels)
    key = fingerprint(scan.files or (options.scan,), scan.header.voxel_size, size)
    folder = options.output.with_name(f"{options.output.name}.at-model-size")
    base = folder if are_several else cache_folder()
    greys = base / "resampled" / key / f"{scan.header.name}.npy"
    own = ("labels", "resampled")
    if folder.exists() and any(not path.name.lstrip(".").startswith(own) for path in folder.iterdir()):
        raise OutputError(f"{folder}: is in the way, and not BONe's. Move it, or choose another output.")
    is_broken_off = False
    try:
        yield greys, folder / "labels.tif"
    except BaseException:
        is_broken_off = folder_of(folder / "labels.tif").exists()
        raise
    finally:
        if not is_broken_off:
            remove(folder)
            remove(greys.parent)


def _write_scan(scan: Volume, size: Triple, path: Path, progress: Progress) -> None:
    """The scan with voxels of another size, once."""
    if path.exists():
        return
    if scan.header.unit == "":
        raise ScanError(f"{scan.header.name}: the unit of its voxel size is unknown.")
    factor = UM_PER_UNIT[scan.header.unit]
    volume = ResampledVolume(scan, (size[0] / factor, size[1] / factor, size[2] / factor))
    path.parent.mkdir(parents=True, exist_ok=True)
    with NpyWriter(path, volume.header, keeps_geometry=True) as writer:
        for z0, z1 in volume.slabs(SLAB_BYTES):
            progress(z0, volume.header.shape[0], "Resampling the scan")
            writer.write(volume.read(z0, z1))


def _bring_back(
    options: PredictOptions, scan: Header, labels: Path, made: Sequence[str], progress: Progress
) -> tuple[Counter[int], list[Path]]:
    """Labels and maps on the grid of the scan; gives the voxels of each label, and where the maps are."""
    paths = []
    for path in map(Path, made):
        end = volume_name(path).removeprefix(volume_name(labels)).removeprefix("_")
        paths.append(maps.path_of(options.output, end))
        _copy(path, paths[-1], scan, options, progress, labels_by="")
    return _copy(labels, options.output, scan, options, progress, labels_by="smooth"), paths


def _copy(
    source: Path,
    target: Path,
    scan: Header,
    options: PredictOptions,
    progress: Progress,
    *,
    labels_by: str,
) -> Counter[int]:
    voxels: Counter[int] = Counter()
    depth = scan.shape[0]
    with open_volume(source) as volume:
        assert scan.voxel_size_um is not None
        factor = UM_PER_UNIT[volume.header.unit]
        z, y, x = (length / factor for length in scan.voxel_size_um)
        back = ResampledVolume(volume, (z, y, x), labels_by=labels_by, shape=scan.shape)
        own = volume.header
        header = replace(scan, name=volume_name(target), dtype=own.dtype, classes=own.classes)
        with create(target, header, overwrite=options.overwrite) as writer:
            for z0, z1 in back.slabs(SLAB_BYTES):
                progress(z0, depth, f"Bringing {target.name} back to the scan")
                slab = back.read(z0, z1)
                writer.write(slab)
                values, counts = np.unique(slab, return_counts=True)
                voxels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
            if labels_by:
                meaning.forget_record(target)
    return voxels


def _write_record(options: PredictOptions, scan: Volume, labels: Path, result: Any) -> None:
    """That of the labels between, with what is true of those that were brought back."""
    told = meaning.read_record(labels)
    digest = hashlib.sha256()
    with open_volume(options.output) as volume:
        for z0, z1 in volume.slabs(SLAB_BYTES):
            slab = volume.read(z0, z1)
            digest.update(slab.astype(slab.dtype.newbyteorder("<"), copy=False).tobytes())
    told |= {
        "shape": list(scan.header.shape),
        "labels": {"sha256": digest.hexdigest()},
        "scan": of_scan(scan, options.scan, progress=lambda *_: None),
        "options": shortened(options),
        "result": {name: value for name, value in result.plain().items() if name != "output"},
        "voxel_size_um": scan.header.voxel_size_um,
    }
    meaning.write_record(options.output, told)


def _told(size: Triple | None) -> str:
    lengths = size or (math.nan,) * 3
    return f"{' x '.join(f'{one:.4g}' for one in (lengths if len(set(lengths)) > 1 else lengths[:1]))} um"
