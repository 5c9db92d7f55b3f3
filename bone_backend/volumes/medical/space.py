"""Between a header's geometry (z, y, x) and the matrices of medical formats (x, y, z).

In:  a matrix whose columns are the steps of x, y and z in the patient's space (left, back, head; LPS).
Out: voxel size, direction and origin of a header; and back.
NIfTI and some NRRD files count towards right and front: their signs are turned here, and nowhere else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..header import UM_PER_UNIT, Header, Triple

RAS = np.array([-1.0, -1.0, 1.0])  # signs from (right, front, head) to (left, back, head), and back


class Place(NamedTuple):
    """As in a Header."""

    voxel_size: Triple
    direction: tuple[Triple, Triple, Triple]
    origin: Triple


def place_of(steps: np.ndarray, origin: np.ndarray) -> Place | None:
    """From the steps (3, 3) of x, y, z (columns) and the first voxel's centre, LPS.

    None where they are no numbers, or the axes lie in one plane.

    >>> place_of(np.diag([2.0, -3, 4]), np.array([10.0, 20, 30])).direction
    ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
    """
    steps, origin = np.asarray(steps, float), np.asarray(origin, float)
    if not (np.isfinite(steps).all() and np.isfinite(origin).all()):
        return None
    sizes = np.linalg.norm(steps, axis=0)
    if not (sizes > 0).all() or abs(np.linalg.det(steps / sizes)) < 1e-3:
        return None
    turned = (steps / sizes).T[::-1, ::-1] + 0.0  # rows: axes z, y, x; columns: components z, y, x; no -0.0
    rows = tuple(_triple(row) for row in turned)
    return Place(_triple(sizes[::-1]), (rows[0], rows[1], rows[2]), _triple(origin[::-1] + 0.0))


def _triple(values: np.ndarray) -> Triple:
    z, y, x = (float(value) for value in values)
    return z, y, x


def matrix_of(header: Header, *, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Steps (3, 3) of x, y, z as columns and the first voxel's centre, LPS, times `scale`.

    A header without a direction lies straight; one without a voxel size has steps of 1.
    """
    sizes = np.array(header.voxel_size or (1.0, 1.0, 1.0))[::-1] * scale
    rows = np.array(header.direction if header.direction else np.eye(3))
    return rows[::-1, ::-1].T * sizes, np.array(header.origin)[::-1] * scale


def mm_per_unit(header: Header) -> float | None:
    """What turns a header's lengths into mm; None where their unit is unknown, or there are none."""
    if header.voxel_size is None or header.unit == "":
        return None
    return UM_PER_UNIT[header.unit] / 1e3
