"""The shape of a femur-like bone, slice by slice, with exact labels.

In:  shape (z, y, x), a seed, where the bone lies in the slice and how large it is.
Out: labels uint8 (y, x) (0 background, 1 bone, 2 pores), and the grey of each voxel's material, float32 0..1.
From the first slice to the last: condyles with dense trabeculae, a growth plate (cartilage), a metaphysis
with ever fewer trabeculae, and a shaft with a thick cortex, canals and an empty marrow cavity. A drill hole
goes through the cortex. Everything inside the bone's outer surface that is not mineral is label 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .random_fields import Field, generator

BACKGROUND, BONE, PORES = 0, 1, 2

# Grey values of the materials where white is 1: measured by eye on mouse femora scanned in a tube of saline.
GREY = {"marrow": 0.20, "fat": 0.14, "cartilage": 0.29, "trabecula": 0.62, "cortex": 0.74}

GROWTH_PLATE = 0.30  # where it lies, as a part of the length
DRILL_HOLE = 0.62


def ease(value: float | np.ndarray, low: float, high: float) -> float | np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    part = np.clip((value - low) / (high - low), 0.0, 1.0)
    return part * part * (3.0 - 2.0 * part)


def bump(cosine: np.ndarray, width: float) -> np.ndarray:
    """1 where the cosine of an angle is 1, falling off on both sides, 0 on the far one."""
    part = np.maximum(1.0 - (1.0 - cosine) / (4.0 * width), 0.0)
    part *= part
    return part * part


@dataclass(frozen=True)
class Place:
    """Where a bone lies: centre (y, x) and radius in voxels, turned by `angle` in radians."""

    y: float
    x: float
    radius: float
    angle: float


class Femur:
    """One bone; `slice(z)` gives its labels and greys."""

    def __init__(self, shape: tuple[int, int, int], *, seed: int, place: Place, number: int):
        self.shape, self.place = shape, place
        self.random = generator(seed, 100 * number, 0).uniform(-1.0, 1.0, 4).tolist()
        unit = place.radius
        spacing = 0.042 * unit + 3.0  # finer than the bone: large scans show more trabeculae
        stretch = 1.7  # trabeculae run along the bone

        def field(stream: int, along: float, across: float) -> Field:
            wavelength = (max(along, 2.0), max(across, 2.0), max(across, 2.0))
            return Field(seed, 100 * number + stream, shape, wavelength=wavelength)

        self.plates = field(1, stretch * spacing, spacing)
        self.struts = field(2, stretch * spacing, spacing)
        self.gaps = field(3, 1.4 * spacing, 1.3 * spacing)
        self.surface = field(4, 0.5 * unit, 0.22 * unit)
        self.canals = field(5, 12.0 + 0.2 * unit, max(2.2, 0.028 * unit))
        self.mineral = field(6, 0.4 * unit, 0.3 * unit)
        self.tissue = field(7, 3.0, 2.5)
        self.layer = field(8, 1e9, 0.35 * unit)  # one surface: the same at every z
        y, x = np.mgrid[: shape[1], : shape[2]].astype(np.float32)
        self.y, self.x = y - np.float32(place.y), x - np.float32(place.x)

    def part_of_length(self, z: float) -> float:
        return (z + 0.5) / self.shape[0]

    def outline(self, z: int) -> tuple[np.ndarray, np.ndarray]:
        """Signed distance to the outer surface in voxels (inside < 0); distance from the axis, surface 1."""
        t, chance, unit = self.part_of_length(z), self.random, self.place.radius
        y = self.y - np.float32(unit * 0.07 * math.sin(3.0 * t + 3 * chance[0]))
        x = self.x - np.float32(unit * 0.07 * math.sin(2.5 * t + 3 * chance[1]))
        r = np.sqrt(x * x + y * y) + np.float32(1e-3)
        angle = self.place.angle + 0.35 * t
        c = (x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))) / r
        s = (y * np.float32(math.cos(angle)) - x * np.float32(math.sin(angle))) / r
        wide = 1.0 - float(ease(t, 0.15, 0.75))
        base = 0.47 + 0.25 * wide - 0.26 * (1.0 - float(ease(t, -0.12, 0.2)))
        edge = base + (base * (0.07 + 0.10 * wide)) * (2 * s * s - 1.0)
        edge += (0.03 * base * chance[2]) * (4 * c * c * c - 3 * c)
        edge -= (0.30 * wide * base) * bump(c, 0.20)  # the notch between the condyles
        edge += (0.10 * base * (1.0 - wide)) * bump(s, 0.12)  # the ridge along the shaft
        edge += np.float32(0.012) * self.surface.slice(z)
        edge *= np.float32(unit)
        return r - edge, r / edge

    def cortex_depth(self, z: int) -> float:
        """Thickness of the cortical shell in voxels, at least two."""
        t = self.part_of_length(z)
        return max(2.0, self.place.radius * (0.045 + 0.12 * float(ease(t, 0.38, 0.9))))

    def slice(
        self, z: int, *, keep_off: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, greys (0 where background) and the signed distance of one slice.

        keep_off: float32 (y, x), negative where there is no room; the bone's surface follows that border.
        """
        depth, share = self.outline(z)
        if keep_off is not None:
            depth = np.maximum(depth, -keep_off)
        inside = depth < 0
        mineral = 1.0 + np.float32(0.05) * self.mineral.slice(z)
        cortex = inside & (depth > -self.cortex_depth(z) * (1.0 + np.float32(0.25) * self.surface.slice(z)))
        canals = (self.canals.slice(z) > 2.15) & (depth < -1.5)
        cortex &= ~canals
        cartilage, plate = self.growth_plate(z)
        trabeculae = (self.trabeculae(z, share) & inside & ~cartilage) | (plate & inside)
        hole = self.drill_hole(z)
        bone = (cortex & ~(cartilage & (depth < -1.5)) | trabeculae) & ~hole
        labels = np.where(inside, np.where(bone, BONE, PORES), BACKGROUND).astype(np.uint8)
        soft = np.where(self.tissue.slice(z) > 0.9, np.float32(GREY["fat"]), np.float32(GREY["marrow"]))
        soft[cartilage] = GREY["cartilage"]
        hard = np.where(cortex, np.float32(GREY["cortex"]), np.float32(GREY["trabecula"])) * mineral
        return labels, np.where(labels == BONE, hard, soft * (labels == PORES)), depth

    def trabeculae(self, z: int, share: np.ndarray) -> np.ndarray:
        """Plates with gaps, and struts; dense beside growth plate and cortex, none far down the shaft."""
        t = self.part_of_length(z)
        if t > 0.92:
            return np.zeros(share.shape, dtype=bool)
        width = 0.40 - 0.10 * float(ease(t, GROWTH_PLATE, GROWTH_PLATE + 0.3))
        sparse = -0.3 + 2.2 * float(ease(t, GROWTH_PLATE + 0.02, 0.85))  # they become fewer, not thinner
        present = self.gaps.slice(z) + np.float32(1.2) * (share - np.float32(0.7)) - np.float32(sparse)
        first, second = np.abs(self.plates.slice(z)), np.abs(self.struts.slice(z))
        plates = (first < width) & (present > 0)
        struts = (first < 1.5 * width) & (second < 1.5 * width) & (present > -0.8)
        return plates | struts

    def growth_plate(self, z: int) -> tuple[np.ndarray, np.ndarray]:
        """Cartilage, and the thin bony plate under it: two wavy layers across the bone, bool (y, x) each."""
        length = self.shape[0]
        bend = (self.x**2 + self.y**2) / np.float32(self.place.radius**2)
        height = length * (GROWTH_PLATE + 0.02 * self.layer.slice(0) - 0.05 * bend)
        thick = max(2.0, 0.022 * length)
        above = z - height
        return (above > 0) & (above < thick), (above <= 0) & (above > -max(1.5, 0.008 * length))

    def drill_hole(self, z: int) -> np.ndarray:
        """A cylinder through one side of the cortex, into the marrow."""
        unit, length = self.place.radius, self.shape[0]
        away = z - DRILL_HOLE * length
        radius = min(0.10 * unit, 0.12 * length)
        if abs(away) >= radius:
            return np.zeros(self.shape[1:], dtype=bool)
        angle = self.place.angle + 2.0 + 0.5 * self.random[3]
        along = self.x * np.float32(math.cos(angle)) + self.y * np.float32(math.sin(angle))
        across = self.y * np.float32(math.cos(angle)) - self.x * np.float32(math.sin(angle))
        return (along > 0) & (np.abs(across) < math.sqrt(radius**2 - away**2))
