"""What in labels is bone, what is pores, and of what volume bone is a share.

In:  what the user said; the label values that occur, with their names; whether bone reaches the sides.
Out: Phases; for each slab a byte a voxel (BONE, PORE, TISSUE), on which all further measuring is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import ScanError, called
from ..options.predicting.measuring import AUTO, CONTOUR, LABELLED, WHOLE, tissue_labels

BONE, PORE, TISSUE = 1, 2, 4
BONE_NAMES = re.compile(r"bone|knochen|trabec|cortical|cortex", re.IGNORECASE)
PORE_NAMES = re.compile(r"pore|poros|marrow|canal|lacuna|void|cavit|space", re.IGNORECASE)
OF_CORTEX = re.compile(r"pore|poros|canal|lacuna", re.IGNORECASE)  # marrow is none of its pores


@dataclass(frozen=True)
class Phases:
    """bone, pores: label values. tissue: WHOLE, CONTOUR, or "labels" (tissue_values), or "mask". told: of the
    tissue volume, in words. notes: what was chosen because nobody said it.
    """

    bone: tuple[int, ...]
    pores: tuple[int, ...]
    tissue: str
    tissue_values: tuple[int, ...] = ()
    told: str = ""
    notes: tuple[str, ...] = ()

    def flags(self, labels: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """uint8 (z, y, x): BONE, PORE and TISSUE of each voxel of some slices. mask: the tissue, where it is
        a volume of its own.
        """
        bone, pores = _among(labels, self.bone), _among(labels, self.pores)
        if mask is not None:
            tissue = mask != 0
        elif self.tissue == CONTOUR:
            tissue = filled(bone)
        elif self.tissue == WHOLE:
            tissue = np.ones(labels.shape, bool)
        else:
            tissue = _among(labels, self.tissue_values)
        found: np.ndarray = bone * np.uint8(BONE) | pores * np.uint8(PORE) | tissue * np.uint8(TISSUE)
        return found


def _among(labels: np.ndarray, values: Iterable[int]) -> np.ndarray:
    found = np.zeros(labels.shape, bool)
    for value in values:
        found |= labels == value
    return found


def filled(bone: np.ndarray) -> np.ndarray:
    """Bone with all that it encloses, slice by slice: what the border of a slice cannot reach.

    >>> bool(filled(np.array([[[1, 1, 1], [1, 0, 1], [1, 1, 1]]], bool)).all())
    True
    """
    from scipy import ndimage

    return np.stack([ndimage.binary_fill_holes(one) for one in bone])


def settle(
    values: Sequence[int],
    names: Mapping[int, str],
    *,
    bone: Sequence[int] = (),
    pores: Sequence[int] = (),
    tissue_volume: str = AUTO,
    has_mask: bool = False,
    is_cortical: bool = False,
    of: str = "labels",
) -> Phases:
    """The phases, with AUTO still in `tissue` where it depends on where bone lies. values: that occur. of:
    name of the labels.

    Raises ScanError where a label is named that is not there, or where there is no bone.
    """
    inside = [value for value in values if value]
    held = ", ".join(map(str, values[:12])) + (" ..." if len(values) > 12 else "")
    tissue = tissue_labels(tissue_volume) or ()
    for name, named in (("bone", bone), ("pores", pores), ("tissue_volume", tissue)):
        if lost := [str(value) for value in named if value not in values]:
            raise ScanError(
                f"{of}: {called(name)} names label {', '.join(lost)}, which is not there; there are {held}."
            )
    if not inside and not bone:
        raise ScanError(
            f"{of}: nothing is labelled: every voxel has label 0. Give labels, or name the bone: --bone 0."
        )
    notes: list[str] = []
    is_bone = {v: bool(BONE_NAMES.search(names.get(v, ""))) and not _is_pore(names, v) for v in inside}
    chosen = tuple(bone) or tuple(v for v in inside if is_bone[v] and v not in pores)
    if not chosen:
        rest = [value for value in inside if value not in pores]
        if not rest:
            raise ScanError(f"{of}: no label is left for bone; there are {held}. Name it: --bone LABEL.")
        chosen = (rest[0],)
    if not bone and len(inside) > 1:
        notes.append(f"Bone is taken to be label {_listed(chosen, names)}; --bone says otherwise.")
    others = [value for value in inside if value not in chosen]
    known = OF_CORTEX if is_cortical else PORE_NAMES
    open_ = tuple(pores) or tuple(value for value in others if known.search(names.get(value, "")))
    if not open_ and len(others) == 1 and not names.get(others[0]) and not is_cortical:
        open_ = (others[0],)
    if is_cortical and not open_:
        notes.append("No label is taken to be pores of the cortex; --pores names them.")
    if open_ and not pores:
        notes.append(f"Pores are taken to be label {_listed(open_, names)}; --pores says otherwise.")
    kind = "mask" if has_mask else "labels" if tissue else tissue_volume
    if kind == LABELLED or (kind == AUTO and others):
        kind, tissue = "labels", tuple(inside)
    if kind == "labels":
        tissue = tuple(sorted({*tissue, *chosen}))
    return Phases(chosen, open_, kind, tissue if kind == "labels" else (), _told(kind, tissue), tuple(notes))


def _told(kind: str, tissue: Sequence[int]) -> str:
    return {
        WHOLE: "the whole volume",
        CONTOUR: "the outline of the bone in each slice, filled",
        "mask": "the tissue mask",
        "labels": f"the voxels of label {', '.join(map(str, tissue))}",
    }.get(kind, "")


def with_tissue(phases: Phases, *, reaches_sides: bool) -> Phases:
    """AUTO settled: a block cut from bone is measured whole, a bone that lies free by its outline."""
    if phases.tissue != AUTO:
        return phases
    kind = WHOLE if reaches_sides else CONTOUR
    return Phases(phases.bone, phases.pores, kind, (), _told(kind, ()), phases.notes)


def _is_pore(names: Mapping[int, str], value: int) -> bool:
    return bool(PORE_NAMES.search(names.get(value, "")))


def _listed(values: Sequence[int], names: Mapping[int, str]) -> str:
    return ", ".join(f"{value} ({names[value]})" if names.get(value) else str(value) for value in values)
