"""The indices of bone from what was counted, under the names of Bouxsein et al. 2010.

In:  voxels, surface, Euler number, thickness; the size of a voxel.
Out: a list of Index; docs/measures.md has every formula with its source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .blocks import Thickness
from .counting import Counted

NAMES = {
    "TV": "tissue volume",
    "BV": "bone volume",
    "BV/TV": "bone volume fraction",
    "BS": "bone surface",
    "BS/BV": "specific bone surface",
    "BS/TV": "bone surface density",
    "Tb.Th": "trabecular thickness, mean",
    "Tb.Th.SD": "trabecular thickness, standard deviation",
    "Tb.Sp": "trabecular separation, mean",
    "Tb.Sp.SD": "trabecular separation, standard deviation",
    "Tb.N": "trabecular number, 1 / (Tb.Th + Tb.Sp)",
    "Ct.Th": "cortical thickness, mean",
    "Ct.Th.SD": "cortical thickness, standard deviation",
    "Ct.Po": "cortical porosity, pores / (bone + pores)",
    "Po.Dm": "pore diameter, mean",
    "Po.Dm.SD": "pore diameter, standard deviation",
    "Po(tot)": "porosity, pores / (bone + pores)",
    "Po(op)": "of that, pores that reach outside",
    "Po(cl)": "of that, pores enclosed in bone",
    "Po.N(cl)": "number of enclosed pores",
    "Eu.N": "Euler number of the bone",
    "Conn.D": "connectivity density, edges corrected",
}


@dataclass(frozen=True)
class Index:
    """One index. value: None where it has none. unit: "" for a number."""

    index: str
    value: float | None
    unit: str
    name: str

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Unit:
    """length: "mm" or "voxels". spacing: (z, y, x) of a voxel in it."""

    length: str
    spacing: tuple[float, float, float]

    @property
    def voxel(self) -> float:
        """Volume of a voxel."""
        return math.prod(self.spacing)

    @property
    def area(self) -> float:
        """Of a voxel in a slice."""
        return self.spacing[1] * self.spacing[2]

    def of(self, power: int) -> str:
        """
        >>> Unit("mm", (1, 1, 1)).of(2), Unit("voxels", (1, 1, 1)).of(-3)
        ('mm2', '1/voxels3')
        """
        digits = str(abs(power)) if abs(power) > 1 else ""
        return f"{'1/' if power < 0 else ''}{self.length}{digits}"


def indices(
    counted: Counted,
    *,
    surface: float,
    unit: Unit,
    thickness: Mapping[str, Thickness | None],
    has_pores: bool,
    is_cortical: bool,
    is_masked: bool,
) -> list[Index]:
    """All that can be said. thickness: by its index. surface: in the unit. is_masked: a mask is TV."""
    tissue, bone, pores = (
        int(table.sum()) * unit.voxel for table in (counted.tissue, counted.bone, counted.pores)
    )
    found = [
        _index("TV", tissue, unit.of(3)),
        _index("BV", bone, unit.of(3)),
        _index("BV/TV", _share(100 * bone, tissue), "%"),
        _index("BS", surface, unit.of(2)),
        _index("BS/BV", _share(surface, bone), unit.of(-1)),
        _index("BS/TV", _share(surface, tissue), unit.of(-1)),
    ]
    for name, one in thickness.items():
        found.append(_index(name, one.mean if one else None, unit.length))
        found.append(_index(f"{name}.SD", one.sd if one else None, unit.length))
    both = [thickness.get(name) for name in ("Tb.Th", "Tb.Sp")]
    if both[0] and both[1]:
        found.append(_index("Tb.N", 1 / (both[0].mean + both[1].mean), unit.of(-1)))
    if has_pores:
        whole = bone + pores
        parts = counted.parts
        total = "Ct.Po" if is_cortical else "Po(tot)"
        found += [
            _index(total, _share(100 * pores, whole), "%"),
            _index("Po(op)", _share(100 * parts.open * unit.voxel, whole), "%"),
            _index("Po(cl)", _share(100 * parts.closed * unit.voxel, whole), "%"),
            _index("Po.N(cl)", parts.closed_number, ""),
        ]
    if not is_masked:
        found.append(_index("Eu.N", counted.cells.euler_closed, ""))
    return [*found, _index("Conn.D", _share(connectivity(counted), tissue), unit.of(-3))]


def connectivity(counted: Counted) -> float:
    """1 - Euler number, edges corrected: how many struts can be cut before the bone falls apart."""
    return 1 - counted.cells.euler_corrected


def _index(index: str, value: float | None, unit: str) -> Index:
    return Index(index, value, unit, NAMES[index])


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
