"""Phantom scans: femur-like micro-CT with labels that are known exactly.

In:  a Phantom: shape, seed and the difficulties that it should have.
Out: scan (z, y, x) uint8 or uint16 and mask uint8 (0 background, 1 bone, 2 pores), by slabs or as folders.
A slice depends on the phantom and its z alone: slabs of any size give the same voxels, at any size of volume.

    python -m mocks.scans OUT --shape 64 128 128 --seed 3 --bits 16 --rings 0.04
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np

from . import artefacts
from .femur import BACKGROUND, Femur, Place
from .random_fields import Field

SALINE, MUSCLE, TUBE = 0.12, 0.24, 0.36  # greys of what surrounds the bone
GAP = 2.5  # voxels between two bones, at least
FIELD_OF_VIEW = 0.985  # radius of the reconstructed circle, as a part of the slice's


@dataclass(frozen=True)
class Phantom:
    """A scan that does not exist yet.

    shape:          (z, y, x) voxels; at least (8, 32, 32).
    bits:           8 or 16.
    contrast:       1 is plain; .4 is dim (mineral hardly brighter than soft tissue).
    steps:          how often the brightness jumps along z, as in scans put together from parts.
    step_height:    size of the jumps, relative.
    beam_hardening: how much darker the inside of the bone is than its rim, relative (cupping).
    rings:          strength of ring artefacts, in greys where white is 1.
    noise:          standard deviation of the grain, in the same greys.
    blur:           standard deviation of the scanner's blur, in voxels.
    two_bones:      two bones, two to six voxels apart where they are closest.
    """

    shape: tuple[int, int, int] = (64, 128, 128)
    seed: int = 0
    bits: int = 8
    contrast: float = 1.0
    steps: int = 0
    step_height: float = 0.15
    beam_hardening: float = 0.1
    rings: float = 0.01
    noise: float = 0.05
    blur: float = 0.75
    two_bones: bool = False
    voxel_size_um: float = 10.0

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or self.shape[0] < 8 or min(self.shape[1:]) < 32:
            raise ValueError(f"shape is {self.shape}; a phantom needs at least (8, 32, 32) voxels (z, y, x).")
        if self.bits not in (8, 16):
            raise ValueError(f"bits is {self.bits}; use 8 or 16.")

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    def slab(self, z0: int, z1: int) -> tuple[np.ndarray, np.ndarray]:
        """Scan and mask of the slices z0 to z1 - 1."""
        scan = np.empty((z1 - z0, *self.shape[1:]), dtype=self.dtype)
        mask = np.empty(scan.shape, dtype=np.uint8)
        scanner = scanner_of(self)
        for index, z in enumerate(range(z0, z1)):
            scan[index], mask[index] = scanner.slice(z)
        return scan, mask

    def slabs(self, slices: int = 16) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The whole phantom, a few slices at a time."""
        for z0 in range(0, self.shape[0], slices):
            yield self.slab(z0, min(z0 + slices, self.shape[0]))

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        return self.slab(0, self.shape[0])


class Scanner:
    """Makes the slices of one phantom; remembers the few neighbours that the blur along z needs."""

    def __init__(self, phantom: Phantom):
        self.phantom = phantom
        self.bones = bones_of(phantom)
        shape, seed = phantom.shape, phantom.seed
        radius = min(shape[1:]) / 2.0
        y, x = np.mgrid[: shape[1], : shape[2]].astype(np.float32)
        self.distance = np.hypot(y - np.float32((shape[1] - 1) / 2), x - np.float32((shape[2] - 1) / 2))
        self.unseen = self.distance > FIELD_OF_VIEW * radius
        self.tube = np.abs(self.distance - 0.94 * radius) < max(0.8, 0.018 * radius)
        self.clouds = Field(seed, 80, shape, wavelength=(0.4 * radius, 0.25 * radius, 0.25 * radius))
        self.rings = artefacts.ring_profile(seed, int(np.ceil(self.distance.max())) + 2)[
            np.rint(self.distance).astype(int)
        ]
        self.taps = artefacts.kernel(phantom.blur)
        self.kept: OrderedDict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = OrderedDict()

    def specimen(self, z: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, material greys, distance to the surface of a slice; z beyond the ends repeats them."""
        z = min(max(z, 0), self.phantom.shape[0] - 1)
        if z not in self.kept:
            self.kept[z] = self.make_specimen(z)
            while len(self.kept) > len(self.taps) + 1:
                self.kept.popitem(last=False)
        return self.kept[z]

    def make_specimen(self, z: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        labels, greys, depth = self.bones[0].slice(z)
        for bone in self.bones[1:]:
            more, of_more, other = bone.slice(z, keep_off=depth - np.float32(GAP))
            labels = np.maximum(labels, more)
            greys = greys + of_more
            depth = np.minimum(depth, other)
        clouds = self.clouds.slice(z)
        near = np.clip(1.0 - depth / np.float32(0.3 * self.bones[0].place.radius), 0.0, 1.0)
        muscle = np.float32(MUSCLE - SALINE) * np.clip((clouds + 1.5 * near - 1.6) * 5.0, 0.0, 1.0)
        around = np.where(
            self.tube, np.float32(TUBE), np.float32(SALINE) + muscle + np.float32(0.01) * clouds
        )
        return labels, np.where(labels == BACKGROUND, around, greys).astype(np.float32), depth

    def slice(self, z: int) -> tuple[np.ndarray, np.ndarray]:
        """Scan and mask of one slice."""
        phantom, length = self.phantom, self.phantom.shape[0]
        labels, _, depth = self.specimen(z)
        reach = len(self.taps) // 2
        image = sum(
            self.taps[reach + offset] * self.specimen(z + offset)[1] for offset in range(-reach, reach + 1)
        )
        image = artefacts.blur_axis(artefacts.blur_axis(image, self.taps, 0), self.taps, 1)
        image = np.float32(SALINE) + np.float32(phantom.contrast) * (image - np.float32(SALINE))
        if phantom.beam_hardening:
            deep = np.clip(-depth / np.float32(0.5 * self.bones[0].place.radius), 0.0, 1.0)
            image *= 1.0 - np.float32(phantom.beam_hardening) * deep * (2.0 - deep)
        gain = artefacts.step_gain(phantom.seed, z, length, steps=phantom.steps, height=phantom.step_height)
        image *= np.float32(gain)
        if phantom.rings:
            strength = phantom.rings * artefacts.ring_strength(phantom.seed, z, length)
            image += np.float32(strength) * self.rings
        if phantom.noise:
            image += np.float32(phantom.noise) * artefacts.noise(phantom.seed, z, image.shape)
        scan = artefacts.digitise(image, phantom.bits)
        scan[self.unseen] = 0
        return scan, labels


def bones_of(phantom: Phantom) -> list[Femur]:
    """One bone in the middle, or a large and a small one beside each other."""
    _, height, width = phantom.shape
    half = min(height, width) / 2.0
    y, x = (height - 1) / 2.0, (width - 1) / 2.0
    turn = float(np.random.Generator(np.random.Philox(phantom.seed)).uniform(0, 2 * np.pi))
    if not phantom.two_bones:
        return [Femur(phantom.shape, seed=phantom.seed, place=Place(y, x, 1.08 * half, turn), number=1)]
    dy, dx = half * math.sin(turn), half * math.cos(turn)
    large = Place(y - 0.27 * dy, x - 0.27 * dx, 0.74 * half, turn)
    small = Place(y + 0.43 * dy, x + 0.43 * dx, 0.52 * half, turn)
    return [
        Femur(phantom.shape, seed=phantom.seed, place=place, number=number)
        for number, place in enumerate((large, small), start=1)
    ]


@lru_cache(maxsize=4)
def scanner_of(phantom: Phantom) -> Scanner:
    return Scanner(phantom)


def write(folder: Path, phantom: Phantom, *, overwrite: bool = False) -> tuple[Path, Path]:
    """Write `scan` and `mask` as TIFF folders under `folder`, a few slices at a time; returns both."""
    from bone_backend.volumes.volume import Header, create  # the phantom itself needs numpy only

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    size = (phantom.voxel_size_um,) * 3
    scan = Header(name="scan", shape=phantom.shape, dtype=phantom.dtype, voxel_size=size)
    mask = Header(name="mask", shape=phantom.shape, dtype=np.dtype(np.uint8), voxel_size=size)
    paths = folder / "scan", folder / "mask"
    with (
        create(paths[0], scan, overwrite=overwrite) as greys,
        create(paths[1], mask, overwrite=overwrite) as labels,
    ):
        for some_greys, some_labels in phantom.slabs():
            greys.write(some_greys)
            labels.write(some_labels)
    return paths


def main(arguments: list[str] | None = None) -> int:
    """The command line; one flag for each field of Phantom."""
    parser = argparse.ArgumentParser(prog="python -m mocks.scans", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for scan and mask")
    parser.add_argument("--overwrite", action="store_true")
    for field in fields(Phantom):
        flag = "--" + field.name.replace("_", "-")
        if field.name == "shape":
            parser.add_argument(flag, type=int, nargs=3, metavar=("Z", "Y", "X"), default=field.default)
        elif isinstance(field.default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(
                flag, type=type(field.default), default=field.default, help=f"[{field.default}]"
            )
    given = vars(parser.parse_args(arguments))
    out, overwrite = given.pop("out"), given.pop("overwrite")
    given["shape"] = tuple(given["shape"])
    try:
        for path in write(out, Phantom(**given), overwrite=overwrite):
            print(path)
    except Exception as fault:  # ValueError of Phantom, BoneError of the writer: one line for the user
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
