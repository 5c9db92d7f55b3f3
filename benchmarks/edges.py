"""How alike are the grey scales of scans: by what lies beside edges, by means over all voxels, by Z-score?

In:  the folder of real scans (--data, default ../shared/data). Run as: python -m benchmarks.edges
Out: a table: where what surrounds bone (two and three voxels away) and bone itself come to lie in each scan
     and altered copy, by each scale; mean and standard deviation over them in units of the distance between
     the two. Less spread is better: the network then sees the same numbers for the same things.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks.accuracy import BONE, place, read, write_scan
from benchmarks.sidebyside import ROOT, add_quick, machine, markdown_table
from bone_backend.intensity.normalisation import normalisation
from bone_backend.intensity.statistics import measure
from bone_backend.volumes.volume import open_volume

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


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    add_quick(parser)
    given = parser.parse_args(words)
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in SCANS[:2] if given.quick else SCANS:
            write_scan(given.data, Path(folder), name, slab=24 if given.quick else None)
            rows[name] = places(place(Path(folder), name))
    print(f"{machine()}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
