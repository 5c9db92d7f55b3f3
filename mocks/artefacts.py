"""What a scanner makes of a specimen: blur, rings, brightness steps, noise, and the number format.

In:  material greys float32 (y, x), 0..1, one slice at a time.
Out: the scan's grey values, uint8 or uint16 (y, x).
Each effect is exact arithmetic on one slice and its z, so that slabs of any size agree.
"""

from __future__ import annotations

import numpy as np

from .random_fields import generator

NOISE, RINGS, STEPS = 90, 91, 92  # streams of random numbers


def kernel(sigma: float) -> np.ndarray:
    """A Gaussian cut at 2.5 sigma, float32, sum 1.

    >>> kernel(0.0).tolist()
    [1.0]
    """
    reach = int(np.ceil(2.5 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    return (taps / taps.sum()).astype(np.float32)


def blur_axis(image: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Convolve along one axis of a slice; the border is repeated."""
    reach = len(taps) // 2
    if reach == 0:
        return image
    padded = np.pad(image, [(reach, reach) if a == axis else (0, 0) for a in range(2)], mode="edge")
    length = image.shape[axis]

    def shifted(by: int) -> np.ndarray:
        part = slice(reach + by, reach + by + length)
        return padded[part] if axis == 0 else padded[:, part]

    total = shifted(0) * taps[reach]
    for offset in range(1, reach + 1):
        total += (shifted(-offset) + shifted(offset)) * taps[reach + offset]
    return total


def noise(seed: int, z: int, shape: tuple[int, int]) -> np.ndarray:
    """Grain of standard deviation 1 that neighbouring voxels share in part, as reconstruction leaves it."""
    white = generator(seed, NOISE, z).standard_normal(shape, dtype=np.float32)
    taps = np.array([0.25, 0.5, 0.25], dtype=np.float32)
    grain = blur_axis(blur_axis(white, taps, 0), taps, 1)
    return (np.float32(0.6) * white + grain * np.float32(0.8 / 0.375)) / np.float32(np.sqrt(1.64))


def ring_profile(seed: int, reach: int) -> np.ndarray:
    """Gain errors of detector columns by distance from the rotation axis: few, 1 to 2 voxels wide."""
    chance = generator(seed, RINGS, 0)
    spikes = chance.standard_normal(reach) * (chance.random(reach) < 0.07)
    wide = spikes + 0.5 * np.roll(spikes, 1)
    return wide.astype(np.float32)


def ring_strength(seed: int, z: int, length: int) -> float:
    """Rings come and go along z."""
    phase = generator(seed, RINGS, 1).uniform(0, 2 * np.pi)
    return float(0.7 + 0.3 * np.sin(phase + 7.0 * z / length))


def step_gain(seed: int, z: int, length: int, *, steps: int, height: float) -> float:
    """Brightness of the part of the scan that slice z lies in: 1 +- up to height, by turns."""
    if steps == 0:
        return 1.0
    chance = generator(seed, STEPS, 0)
    cuts = (np.arange(1, steps + 1) + chance.uniform(-0.2, 0.2, steps)) / (steps + 1) * length
    signs = np.where(np.arange(steps + 1) % 2 == 0, 1.0, -1.0) * chance.uniform(0.6, 1.0, steps + 1)
    return float(1.0 + height * signs[int(np.searchsorted(cuts, z, side="right"))])


def digitise(image: np.ndarray, bits: int) -> np.ndarray:
    """Greys 0..1.2 as whole numbers; 0 is kept for what the scanner did not see."""
    full = (1 << bits) - 1
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.clip(np.rint(image * np.float32(full / 1.2)), 1, full).astype(dtype)
