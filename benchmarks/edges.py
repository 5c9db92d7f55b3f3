"""How alike are the grey scales of scans: by what lies beside edges, by means over all voxels, by Z-score?

In:  the folder of real scans (--data, default ../shared/data). Run as: python -m benchmarks.edges [--curves]
Out: a table: where what surrounds bone (two and three voxels away) and bone itself come to lie in each scan
     and altered copy, by each scale; mean and standard deviation over them in units of the distance between
     the two. Less spread is better: the network then sees the same numbers for the same things.
     --curves: instead, which power a prediction finds in scans that were stored with a gamma, by models of
     different scans; and in how many of the scans as they are, and of copies with an offset, noise and blur,
     it finds one where there is none.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks.accuracy import BONE, place, read, write_scan
from benchmarks.sidebyside import ROOT, add_quick, machine, markdown_table
from bone_backend.intensity.grey_curve import seek
from bone_backend.intensity.normalisation import normalisation
from bone_backend.intensity.statistics import Statistics, measure
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.volume import open_volume, save

SCANS = ("c57bl6", "balb", "dba2", "cast", "cast, gamma .75", "cast, enlarged", "cast, blurred", "femur")
SCANS += ("trabecular", "trabecular 1", "trabecular 3", "tooth")
SCALES = {  # normalisation, and the voxels that it goes by
    "beside edges": ("tissue", "edge-tissues"),
    "beside edges, means": ("tissue", "edges"),
    "tissues of all voxels": ("tissue", "auto"),
    "Z-score": ("ZScore", "nonzero"),
}


def places(folder: Path) -> list[tuple[float, float]]:
    """Of what surrounds bone and of bone, by each scale."""
    mask = read(folder / "classes.tif") == BONE
    near, far = (ndimage.binary_dilation(mask, iterations=steps) for steps in (1, 3))
    with open_volume(folder / "scan.tif") as volume:
        statistics = measure(volume)
        greys = volume.read(0, volume.header.shape[0])
    found = []
    for mode, voxels in SCALES.values():
        scale = normalisation(mode, statistics, voxels=voxels)
        found.append(tuple(float(scale.apply(greys[part]).mean()) for part in (far & ~near, mask)))
    return found


def table(rows: dict[str, list[tuple[float, float]]]) -> str:
    """Each scan, then mean and standard deviation."""
    lines = [[name, *(f"{low:.2f} / {high:.2f}" for low, high in found)] for name, found in rows.items()]
    numbers = np.array(list(rows.values()))  # scan, scale, tissue
    distance = (numbers[:, :, 1] - numbers[:, :, 0]).mean(axis=0)
    spread = numbers.std(axis=0) / distance[:, None]
    lines.append(["spread, of the distance", *(f"{low:.3f} / {high:.3f}" for low, high in spread)])
    return markdown_table(["around bone / bone", *SCALES], lines)


# --- curves

FITS = {
    "three skulls": ("c57bl6", "balb", "dba2"),
    "one skull": ("c57bl6",),
    "two parts of a biopsy": ("trabecular 1", "trabecular 2"),
    "two parts of a femur": ("femur 1", "femur 2"),
    "three skulls and a femur": ("c57bl6", "balb", "dba2", "femur"),
}
STORED = ("cast", "dba2", "trabecular 3", "femur 3", "tooth")
PLAIN = ("cast, enlarged", "cast, blurred", "femur", "trabecular")
GAMMAS = (0.6, 0.75, 0.85, 1.2, 1.33)
# In shares of the brightest grey value; blur in voxels.
OFFSETS, NOISES, BLURS = (-0.03, 0.0, 0.08, 0.18), (0.0, 0.02, 0.04), (0.0, 0.5, 0.9)


def altered(grey: np.ndarray, offset: float, noise: float, blur: float) -> np.ndarray:
    """With four fifths of the contrast."""
    top = float(grey.max())
    soft = ndimage.gaussian_filter(grey.astype(np.float32), blur) if blur else grey.astype(np.float32)
    found = 0.8 * soft + (offset + np.random.default_rng(0).normal(0, noise, grey.shape)) * top
    return np.clip(np.round(found), 0, np.iinfo(grey.dtype).max).astype(grey.dtype)


def power_found(folder: Path, grey: np.ndarray, fitted: list[Statistics]) -> float | None:
    """By which a prediction raises the greys of a scan."""
    path = folder / "altered.tif"
    save(path, grey, overwrite=True)
    curve, _ = seek(path, measure(ArrayVolume(grey)), fitted, voxels="shared-tissues")
    return curve.power if curve else None


def curves(data: Path, folder: Path, *, is_quick: bool) -> str:
    """Two tables: scans stored with a gamma, and scans that were not."""
    fits, more = (dict([*FITS.items()][:1]), STORED[:1]) if is_quick else (FITS, (*STORED, *PLAIN))
    names = sorted({name for fit in fits.values() for name in fit} | {*more})
    for name in names:
        write_scan(data, folder, name, slab=24 if is_quick else None)
    greys = {name: read(place(folder, name) / "scan.tif") for name in names}
    statistics = {name: measure(ArrayVolume(grey)) for name, grey in greys.items()}
    rows, found, asked = [], 0, 0
    for fit, fitted_names in fits.items():
        fitted = [statistics[name] for name in fitted_names]
        others = [name for name in names if name not in fitted_names]
        for name in (name for name in STORED if name in others):
            cells = []
            for gamma in GAMMAS:
                top = float(greys[name].max())
                stored = np.round(top * (greys[name] / top) ** gamma).astype(greys[name].dtype)
                power = power_found(folder, stored, fitted)
                cells.append("-" if power is None else f"{power:.2f}")
            rows.append([fit, name, *cells])
        for name in others:
            changes = list(itertools.product(OFFSETS, NOISES, BLURS))
            for change in changes[:2] if is_quick else changes:
                asked += 1
                copy = greys[name] if change == (0, 0, 0) else altered(greys[name], *change)
                found += power_found(folder, copy, fitted) is not None
    head = ["fitted on", "scan", *(f"gamma {gamma:g} ({1 / gamma:.2f})" for gamma in GAMMAS)]
    told = f"A power was found in {found} of {asked} scans that were stored without a gamma."
    return f"{markdown_table(head, rows)}\n\n{told}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--curves", action="store_true", help="Which powers are found.")
    add_quick(parser)
    given = parser.parse_args(words)
    if given.curves:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{machine()}\n\n{curves(given.data, Path(folder), is_quick=given.quick)}")
        return
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in SCANS[:2] if given.quick else SCANS:
            write_scan(given.data, Path(folder), name, slab=24 if given.quick else None)
            rows[name] = places(place(Path(folder), name))
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
