"""Go through labels once, slab by slab: what needs no more than that, and what is kept for the thickness.

In:  labels, what is bone, pores and tissue in them, and the mask of the tissue, if it is a volume of its own.
Out: Counted: voxels of every slice, the cubes of bone, open and closed pores; and a Store of flags.
Memory holds a slab; the flags, a byte a voxel, lie on disk where they are many.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import ScanError
from ..inference.parts import Parts
from ..progress import Progress
from ..volumes.cache import cache_folder
from ..volumes.scratch import Scratch
from ..volumes.volume import Header, Volume
from .cells import Cells
from .phases import BONE, PORE, TISSUE, Phases

SLAB_BYTES = 4 << 20  # of flags
IN_MEMORY = 256 << 20  # bytes of flags


@dataclass
class Pores:
    """voxels of pores that reach other tissue or the border of the volume, and of those that do not; how many
    the latter are.
    """

    open: int = 0
    closed: int = 0
    closed_number: int = 0


@dataclass
class Counted:
    """tissue, bone, pores: int64 (slice,), voxels in the tissue volume. cells: of bone."""

    cells: Cells
    tissue: np.ndarray
    bone: np.ndarray
    pores: np.ndarray
    parts: Pores = field(default_factory=Pores)


class Store:
    """Flags of all voxels, in memory or in a file."""

    def __init__(self, header: Header, scratch: Scratch | None):
        self._scratch, self._z = scratch, 0
        self._array = np.empty(header.shape, np.uint8) if scratch is None else None
        self.shape = header.shape

    def write(self, flags: np.ndarray) -> None:
        """Append slices."""
        if self._scratch is not None:
            self._scratch.write(flags)
        elif self._array is not None:
            self._array[self._z : self._z + len(flags)] = flags
        self._z += len(flags)

    def read(self, z0: int, z1: int) -> np.ndarray:
        """Slices z0 to z1, half-open."""
        found: np.ndarray = self._scratch.read(z0, z1) if self._array is None else self._array[z0:z1]  # type: ignore[union-attr]
        return found


@contextlib.contextmanager
def store_for(header: Header) -> Iterator[Store]:
    """A place for the flags of a volume; a file of it ends with this. Raises OutputError for a full disk."""
    own = replace(header, dtype=np.dtype(np.uint8), classes=())
    if own.nbytes <= IN_MEMORY:
        yield Store(own, None)
        return
    with Scratch(own, folder=cache_folder()) as scratch:
        yield Store(own, scratch)


@dataclass(frozen=True)
class Structure:
    """The voxels whose flags, among those of `asked`, are `wanted`."""

    store: Store
    asked: int
    wanted: int
    other: int = 0  # flags that stand for `wanted` too

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.store.shape

    def read(self, z0: int, z1: int) -> np.ndarray:
        """bool, slices z0 to z1."""
        flags = self.store.read(z0, z1) & np.uint8(self.asked)
        found: np.ndarray = flags == self.wanted
        return found | (flags == self.other) if self.other else found


def count(
    labels: Volume,
    phases: Phases,
    store: Store,
    *,
    mask: Volume | None,
    progress: Progress,
    slab_bytes: int = SLAB_BYTES,
) -> Counted:
    """Everything but the thickness. Raises ScanError for an empty tissue volume, Cancelled."""
    depth, height, width = labels.header.shape
    in_tissue, in_bone, in_pores = (np.zeros(depth, np.int64) for _ in range(3))
    found = Counted(Cells(depth), in_tissue, in_bone, in_pores)
    parts = Parts(kinds=3) if phases.pores else None
    step = max(1, slab_bytes // (height * width))
    for z0 in range(0, depth, step):
        progress(z0, depth, "Measuring surface and connectivity")
        z1 = min(z0 + step, depth)
        tissue = mask.read(z0, z1) if mask is not None else None
        flags = phases.flags(labels.read(z0, z1), tissue)
        store.write(flags)
        bone, inside = (flags & BONE) != 0, (flags & TISSUE) != 0
        pores = (flags & (PORE | TISSUE)) == (PORE | TISSUE)
        found.cells.add(bone, inside if mask is not None else None)
        for table, those in ((found.tissue, inside), (found.bone, bone & inside), (found.pores, pores)):
            table[z0:z1] = np.count_nonzero(those, axis=(1, 2))
        if parts is not None:
            kind = np.where(bone, 0, np.where(pores, 1, 2))
            parts.add(pores, kind, is_last=z1 == depth)
    if not found.tissue.any():
        raise ScanError(f"{labels.header.name}: the tissue volume is empty: {phases.told} holds no voxel.")
    if parts is not None:
        found.parts = _pores(parts)
    return found


def _pores(parts: Parts) -> Pores:
    joined = parts.join()
    is_open = joined.reaching | (joined.around[:, 2] > 0)
    return Pores(
        int(joined.sizes[is_open].sum()), int(joined.sizes[~is_open].sum()), int(np.count_nonzero(~is_open))
    )
