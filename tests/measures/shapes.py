"""Shapes whose volume, surface, thickness and Euler number are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def grid(shape: Sequence[int], spacing: Sequence[float] = (1, 1, 1)) -> np.ndarray:
    """(3, z, y, x): where the centre of each voxel lies, from the middle of the volume."""
    found = np.indices(shape) + 0.5
    size = np.reshape(spacing, (3, 1, 1, 1))
    return (found - np.reshape(shape, (3, 1, 1, 1)) / 2) * size


def ball(shape, radius, *, spacing=(1, 1, 1), at=(0.3, 0.1, 0.2)) -> np.ndarray:
    return ((grid(shape, spacing) - np.reshape(at, (3, 1, 1, 1))) ** 2).sum(0) < radius**2


def plate(shape, thickness, *, normal=(1, 0, 0), at=0.0, spacing=(1, 1, 1)) -> np.ndarray:
    unit = np.array(normal) / np.linalg.norm(normal)
    return np.abs(np.tensordot(unit, grid(shape, spacing), 1) - at) < thickness / 2


def rod(shape, diameter, *, along=(1, 0, 0), at=(0.3, 0.1, 0.2)) -> np.ndarray:
    unit = np.array(along) / np.linalg.norm(along)
    place = grid(shape) - np.reshape(at, (3, 1, 1, 1))
    return (place**2).sum(0) - np.tensordot(unit, place, 1) ** 2 < diameter**2 / 4


def torus(shape, radius, tube) -> np.ndarray:
    z, y, x = grid(shape)
    return (np.hypot(y, x) - radius) ** 2 + z**2 < tube**2


def rough(shape, seed=0, *, sigma=1.5) -> np.ndarray:
    """Something like spongy bone."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).random(shape)
    smooth = ndimage.gaussian_filter(noise, sigma)
    return smooth > np.median(smooth)
