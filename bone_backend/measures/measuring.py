"""Measure bone in labels: volumes, surface, thickness, connectivity, porosity, and the profile along z.

In:  labels (a volume or a path), and what in them is bone.
Out: Measures.
Told once, in the order in which things happen. All but the thickness is read slab by slab; the thickness is
measured block by block, with a halo, so that memory is bounded for any size.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PackageError, ScanError
from ..options.predicting.measuring import AUTO
from ..progress import Part, Progress, silent
from ..scores import meaning as label_meaning
from ..volumes.classes import class_name
from ..volumes.medical.matching import on_grid_of
from ..volumes.volume import Header, Volume, open_volume
from . import marching_cubes, phases, values
from .blocks import Thickness, thickness
from .cells import crofton
from .counting import Counted, Structure, count, store_for
from .indices import Index, Unit, indices
from .phases import BONE, PORE, TISSUE, Phases

log = logging.getLogger("bone.measures")

PICTURES = (0.25, 0.5, 0.75)  # of the depth
BINS = 40
THIN = 3  # voxels: below, thickness is mostly a matter of the grid
LEAST_CUBIC = 1.05  # of voxel sizes; more is told


@dataclass(frozen=True)
class Measures:
    """What labels measure.

    unit: of lengths. classes: value, name, voxels, volume and share (%) of each label. indices: see
    docs/measures.md. profile: for each slice lists by name. thickness: by the index of their means. warnings:
    what to mind.
    """

    labels: str
    shape: tuple[int, int, int]
    unit: Unit
    phases: Phases
    region: str
    surface: str
    classes: tuple[dict[str, Any], ...]
    indices: tuple[Index, ...]
    profile: dict[str, list[float | None]]
    thickness: Mapping[str, Thickness] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    def value(self, index: str) -> float | None:
        """Of an index; None where it has none, or was not measured."""
        return next((one.value for one in self.indices if one.index == index), None)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        histograms = {}
        for name, one in self.thickness.items():
            edges, shares = one.histogram(BINS)
            histograms[name] = {"edges": edges.tolist(), "shares": shares.tolist(), "factor": one.factor}
        return {
            "labels": self.labels,
            "shape": list(self.shape),
            "unit": self.unit.length,
            "voxel_size": list(self.unit.spacing),
            "bone": list(self.phases.bone),
            "pores": list(self.phases.pores),
            "tissue_volume": self.phases.told,
            "region": self.region,
            "surface": self.surface,
            "classes": list(self.classes),
            "indices": [one.plain() for one in self.indices],
            "profile": self.profile,
            "histograms": histograms,
            "notes": list(self.phases.notes),
            "warnings": list(self.warnings),
            "seconds": self.seconds,
        }


def measure(
    labels: Volume | Path | str,
    *,
    bone: Sequence[int] = (),
    pores: Sequence[int] = (),
    tissue_volume: str = AUTO,
    tissue_mask: Volume | Path | str | None = None,
    region: str = "trabecular",
    thickness: bool = True,
    fine_radius: int = 24,
    surface: str = "marching-cubes",
    voxel_size: Sequence[float] | None = None,
    progress: Progress = silent,
) -> Measures:
    """Measure labels; the arguments are those of `bone measure` (voxel_size in micrometres).

    Raises ScanError for what are no labels, for labels that are not there, and a mask of another geometry;
    HardwareError where the thickness does not fit into memory; Cancelled.
    """
    _check_scipy()
    began = time.monotonic()
    share = 20 if thickness else 50  # per cent of the progress, where all but thickness ends
    with contextlib.ExitStack() as opened:
        volume = _open(labels, opened)
        header, names = volume.header, _names(volume.header)
        mask = _mask(tissue_mask, volume, opened)
        unit, warnings = unit_of(header, voxel_size)
        met = values.count(volume, Part(progress, first=0, share=share // 4, steps=100))
        said = {"bone": bone, "pores": pores, "tissue_volume": tissue_volume}
        found = _settled(met, names, said, region, of=header.name, has_mask=mask is not None)
        store = opened.enter_context(store_for(header))
        counting = Part(progress, first=share // 4, share=share - share // 4, steps=100)
        counted = count(volume, found, store, mask=mask, progress=counting)
        structures = _structures(store, found, region) if thickness else {}
        rest = Part(progress, first=share, share=100 - share, steps=100)
        fitted, more = _thickness(structures, unit, fine_radius, rest)
    listed = indices(
        counted,
        surface=_surface(counted, unit, surface),
        unit=unit,
        thickness={name: fitted.get(name) for name in structures},
        has_pores=bool(found.pores),
        is_cortical=region == "cortical",
        is_masked=mask is not None,
    )
    return Measures(
        labels=str(header.path or header.name),
        shape=header.shape,
        unit=unit,
        phases=found,
        region=region,
        surface=surface,
        classes=tuple(_classes(met, names, unit)),
        indices=tuple(listed),
        profile=_profile(counted, met, fitted, unit),
        thickness=fitted,
        warnings=_told([*warnings, *more, *_doubts(listed, fitted, unit)]),
        seconds=round(time.monotonic() - began, 3),
    )


def _settled(
    met: values.Values,
    names: Mapping[int, str],
    said: Mapping[str, Any],
    region: str,
    *,
    of: str,
    has_mask: bool,
) -> Phases:
    """What is bone, pores and tissue; said: by whoever asked. of: name of the labels."""
    found = phases.settle(
        met.values, names, **said, has_mask=has_mask, is_cortical=region == "cortical", of=of
    )
    found = phases.with_tissue(found, reaches_sides=met.reach_sides(found.bone))
    log.info("Tissue volume: %s.", found.told)
    return found


def _surface(counted: Counted, unit: Unit, way: str) -> float:
    """Of bone, in the unit."""
    area = crofton(unit.spacing) if way == "crofton" else marching_cubes.areas(unit.spacing)
    return counted.cells.total(area)


def _told(warnings: Sequence[str]) -> tuple[str, ...]:
    for warning in warnings:
        log.warning("%s", warning)
    return tuple(warnings)


def _check_scipy() -> None:
    try:
        import scipy  # noqa: F401
    except ImportError as fault:
        raise PackageError("Measuring needs the package scipy: pip install scipy") from fault


def _open(labels: Volume | Path | str, opened: contextlib.ExitStack) -> Volume:
    return labels if isinstance(labels, Volume) else opened.enter_context(open_volume(labels))


def _mask(given: Volume | Path | str | None, labels: Volume, opened: contextlib.ExitStack) -> Volume | None:
    """The mask of the tissue on the grid of the labels. Raises ScanError where it is of another geometry."""
    if given is None:
        return None
    mask = on_grid_of(_open(given, opened), labels.header)
    if mask.header.shape != labels.header.shape:
        raise ScanError(
            f"{mask.header.name}: the tissue mask is {mask.header.sides} (z, y, x), but the labels "
            f"{labels.header.name} are {labels.header.sides}. Give a mask of the same scan."
        )
    if mask.header.dtype.kind not in "iub":
        raise ScanError(f"{mask.header.name}: holds {mask.header.dtype} values; a mask has whole numbers.")
    return mask


def unit_of(header: Header, voxel_size: Sequence[float] | None) -> tuple[Unit, list[str]]:
    """Millimetres where the voxel size is known (or said, in um), else voxels; and what to mind."""
    told = header.voxel_size_um
    if voxel_size:
        sizes = [float(size) for size in voxel_size] * (3 if len(voxel_size) == 1 else 1)
        told = (sizes[0], sizes[1], sizes[2])
    warnings: list[str] = []
    if told is None:
        ratio = header.voxel_size or (1.0, 1.0, 1.0)
        least = min(ratio)
        warnings.append(
            f"{header.name}: the voxel size is not known, so all lengths are in voxels. Give it with "
            "--voxel-size, in um."
        )
        return Unit("voxels", (ratio[0] / least, ratio[1] / least, ratio[2] / least)), warnings
    if not voxel_size and not header.is_z_told:
        warnings.append(
            f"{header.name}: the file says the voxel size in x and y only; z is taken to be the same "
            f"({told[2]:g} um). Give all three with --voxel-size if it is not."
        )
    if max(told) > LEAST_CUBIC * min(told):
        sizes_told = " x ".join(f"{size:g}" for size in told)
        warnings.append(
            f"{header.name}: its voxels are no cubes ({sizes_told} um, z y x). Volumes and distances take "
            "that into account, but surface and thickness are less exact along the long axis."
        )
    return Unit("mm", (told[0] / 1000, told[1] / 1000, told[2] / 1000)), warnings


def _names(header: Header) -> dict[int, str]:
    """Of labels, from the file or the record beside it."""
    names = {one.value: one.name for one in header.classes}
    return {**names, **label_meaning.find(header.path, header.shape).names}


def _structures(store: Any, found: Phases, region: str) -> dict[str, Structure]:
    """What the thickness is measured of, by its index."""
    in_bone = BONE | TISSUE
    if region == "trabecular":
        return {"Tb.Th": Structure(store, in_bone, in_bone), "Tb.Sp": Structure(store, in_bone, TISSUE)}
    both = in_bone | PORE
    cortex = Structure(store, both, in_bone, PORE | TISSUE if found.pores else 0)
    if not found.pores:
        return {"Ct.Th": cortex}
    return {"Ct.Th": cortex, "Po.Dm": Structure(store, both, PORE | TISSUE)}


THICKNESS_OF = {"Tb.Th": "bone", "Tb.Sp": "the space between", "Ct.Th": "the cortex", "Po.Dm": "the pores"}


def _thickness(
    structures: Mapping[str, Structure], unit: Unit, fine_radius: int, progress: Progress
) -> tuple[dict[str, Thickness], list[str]]:
    """Of each structure that has one; and why others have none."""
    found: dict[str, Thickness] = {}
    warnings: list[str] = []
    for number, (name, structure) in enumerate(structures.items()):
        fitted = thickness(
            structure,
            unit.spacing,
            progress=Part(progress, first=number, share=1, steps=len(structures)),
            name=THICKNESS_OF[name],
            fine_radius=fine_radius,
            pictures=PICTURES,
        )
        if fitted is None:
            told = f"{THICKNESS_OF[name]} is nowhere, or nowhere ends"
            warnings.append(f"{name} is left out: {told}, so no sphere can be fitted.")
            continue
        found[name] = fitted
        if fitted.factor > 1:
            limit = 2 * fine_radius * min(unit.spacing)
            warnings.append(
                f"{name}: where it is above {limit:.3g} {unit.length} it was measured on voxels up to "
                f"{fitted.factor} times as large (at most 3 % off); --fine-radius says otherwise."
            )
    return found, warnings


def _doubts(listed: Sequence[Index], fitted: Mapping[str, Thickness], unit: Unit) -> Iterator[str]:
    for name in ("Tb.Th", "Ct.Th"):
        if name in fitted and fitted[name].mean < THIN * min(unit.spacing):
            voxels = fitted[name].mean / min(unit.spacing)
            yield f"{name} is {voxels:.1f} voxels: too few to be measured well; scan with smaller voxels."
    for one in listed:
        if one.index == "Conn.D" and one.value is not None and one.value < 0:
            yield (
                "Conn.D is below 0: the bone is in several parts, or encloses cavities. It stands for one "
                "piece without any; bone predict --clean LABEL:largest LABEL:fill makes such labels."
            )


def _classes(met: values.Values, names: Mapping[int, str], unit: Unit) -> Iterator[dict[str, Any]]:
    total = int(met.voxels.sum())
    for value, number in zip(met.values, met.voxels.sum(axis=0).tolist(), strict=True):
        yield {
            "value": value,
            "name": names.get(value) or class_name(value),
            "voxels": number,
            "volume": number * unit.voxel,
            "share": 100 * number / total,
        }


def _profile(
    counted: Counted, met: values.Values, fitted: Mapping[str, Thickness], unit: Unit
) -> dict[str, list[float | None]]:
    """By name a list over the slices: areas, BV/TV (%), mean thickness; z: of the middle of a slice."""
    depth = len(counted.tissue)
    share = np.full(depth, np.nan)
    np.divide(100.0 * counted.bone, counted.tissue, out=share, where=counted.tissue > 0)
    tables: dict[str, np.ndarray] = {
        "z": (np.arange(depth) + 0.5) * unit.spacing[0],
        "tissue_area": counted.tissue * unit.area,
        "bone_area": counted.bone * unit.area,
        "bone_share": share,
        **({"pore_area": counted.pores * unit.area} if counted.pores.any() else {}),
        **{name: one.slice_means for name, one in fitted.items()},
        **{f"label_{v}_area": met.voxels[:, n] * unit.area for n, v in enumerate(met.values)},
    }
    return {name: [None if np.isnan(v) else float(v) for v in table] for name, table in tables.items()}
