"""Smooth random fields that are the same wherever one starts to look.

In:  a seed, a name's number, a shape (z, y, x) and a wavelength per axis in voxels.
Out: one slice of the field at a time, float32 (y, x), mean 0 and standard deviation near 1.
White noise on a lattice, interpolated by cubic B-splines. Each lattice plane has its own counter-based
generator, so a slice depends on its position alone, never on which slices were made before.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# A cubic B-spline between lattice points of variance 1 has variance 0.46 to 0.50 along each axis.
SPLINE_VARIANCE = 0.479


def generator(seed: int, stream: int, index: int) -> np.random.Generator:
    """A generator for one plane or slice of one named stream; cheap to make, independent of all others."""
    key = np.array([seed, stream], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, index], dtype=np.uint64)))


def spline_weights(fraction: np.ndarray) -> np.ndarray:
    """Weights of the four lattice points around positions in [0, 1) between the middle two; shape (4, n).

    >>> spline_weights(np.array([0.0]))[:, 0].round(3).tolist()
    [0.167, 0.667, 0.167, 0.0]
    """
    f = np.asarray(fraction, dtype=np.float64)
    return np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]) / 6.0


def spline_matrix(length: int, wavelength: float) -> np.ndarray:
    """float32 (length, lattice points): lattice values -> values at voxel positions."""
    position = np.arange(length) / wavelength
    cell = np.floor(position).astype(int)
    matrix = np.zeros((length, cell[-1] + 4), dtype=np.float32)
    weights = spline_weights(position - cell)
    for offset in range(4):
        matrix[np.arange(length), cell + offset] = weights[offset]
    return matrix


class Field:
    """A smooth random field over a volume.

    wavelength: (z, y, x) distance of the lattice points in voxels; zero crossings lie about 1.5 times as far.
    """

    def __init__(
        self, seed: int, stream: int, shape: tuple[int, int, int], *, wavelength: tuple[float, float, float]
    ):
        self.seed, self.stream, self.step_z = seed, stream, wavelength[0]
        self.left = spline_matrix(shape[1], wavelength[1])
        self.right = np.ascontiguousarray(spline_matrix(shape[2], wavelength[2]).T)
        self.plane = lru_cache(maxsize=8)(self._plane)

    def _plane(self, index: int) -> np.ndarray:
        shape = (self.left.shape[1], self.right.shape[0])
        return generator(self.seed, self.stream, index).standard_normal(shape, dtype=np.float32)

    def slice(self, z: int) -> np.ndarray:
        """float32 (y, x)."""
        position = z / self.step_z
        cell = int(np.floor(position))
        weights = spline_weights(np.array([position - cell]))[:, 0].astype(np.float32)
        lattice = weights[0] * self.plane(cell)
        for offset in range(1, 4):
            lattice = lattice + weights[offset] * self.plane(cell + offset)
        return (self.left @ lattice @ self.right) * np.float32(SPLINE_VARIANCE**-1.5)
