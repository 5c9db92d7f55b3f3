"""What `bone measure` asks.

In:  plain values.
Out: MeasureOptions, frozen and checked.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from ...errors import Fault, called
from ...files.outputs import ending_fault
from ..converting.places import SIZES, VoxelSize
from ..fields import Options, option
from ..types import InputPath, UserPath, as_text

WHOLE, CONTOUR, LABELLED, AUTO = "whole", "contour", "labelled", "auto"
TISSUES = (AUTO, WHOLE, CONTOUR, LABELLED)
Value = Annotated[int, Field(ge=0, le=2**32 - 1)]  # that labels can hold


class MeasureOptions(Options):
    """The indices of bone in labels."""

    title: ClassVar[str] = "bone measure"

    labels: InputPath = option(
        group="Data", label="Labels", kind="volume", positional=True, help="Labels, or a mask."
    )
    bone: tuple[Value, ...] = option(
        (),
        group="Classes",
        label="Bone",
        metavar="LABEL",
        often=True,
        help="The label values that are bone, taken together. None: by their names, or else the lowest "
        "but 0.",
    )
    pores: tuple[Value, ...] = option(
        (),
        group="Classes",
        label="Pores",
        metavar="LABEL",
        often=True,
        help="The label values that are pores or marrow. None: by their names; or, of two labels, the one "
        "that is not bone (of the cortex by their names only).",
    )
    tissue_volume: Annotated[str, BeforeValidator(as_text)] = option(
        AUTO,
        group="Classes",
        label="Tissue volume (TV)",
        choices=TISSUES,
        metavar="auto|whole|contour|labelled|LABELS",
        often=True,
        help="What bone volume is a share of. whole: the whole volume. contour: in each slice the outline "
        "of the bone, filled. labelled: all that is not label 0. LABELS: label values with commas between, "
        "and the bone. auto: labelled where there are labels beside the bone; else the whole volume where "
        "bone reaches two or more of its four sides in x and y; else contour.",
    )
    tissue_mask: InputPath | None = option(
        None,
        group="Classes",
        label="Tissue mask",
        kind="volume",
        help="A mask of the same geometry whose voxels other than 0 are the tissue volume (a region of "
        "interest); "
        "nothing outside of it counts.",
    )
    region: Literal["trabecular", "cortical"] = option(
        "trabecular",
        group="Indices",
        label="Region",
        often=True,
        help="trabecular: Tb.Th, Tb.Sp, Tb.N. cortical: Ct.Th (of bone with its pores), Po.Dm.",
    )
    thickness: bool = option(
        True,
        group="Indices",
        label="Thickness",
        help="Local thickness by spheres, which takes most of the time. Off: all other indices.",
    )
    fine_radius: Annotated[int, Field(ge=4, le=1000)] = option(
        24,
        group="Indices",
        label="Fine radius",
        unit="voxels",
        help="Up to this radius of the largest sphere, thickness is measured voxel by voxel; a structure "
        "with "
        "larger ones at a half, a third, ... of the resolution, which is told. Larger: slower, more memory.",
    )
    surface: Literal["marching-cubes", "crofton"] = option(
        "marching-cubes",
        group="Indices",
        label="Surface",
        help="How bone surface is measured. marching-cubes: as most programs do (curved surfaces come out "
        "9 % too "
        "large). crofton: by lines in 13 directions (right for curved surfaces, up to 7 % too small for "
        "those "
        "along the axes).",
    )
    voxel_size: VoxelSize | None = option(
        None,
        group="Data",
        label="Voxel size",
        kind="text",
        metavar=SIZES,
        often=True,
        help="The voxel size of the labels, instead of what they say: one number, or z,y,x; um where no unit "
        "is written.",
    )
    output: UserPath | None = option(
        None,
        group="Files",
        label="Table",
        kind="save",
        often=True,
        help="Write the indices to this CSV file too.",
    )
    slices: UserPath | None = option(
        None,
        group="Files",
        label="Table of slices",
        kind="save",
        help="Write the profile to this CSV file too: areas and shares of every slice along z.",
    )
    page: UserPath | None = option(
        None,
        group="Files",
        label="Page",
        kind="save",
        often=True,
        help="Write indices, profile, thickness (histogram, and three slices in colour) to this HTML file "
        "too.",
    )
    overwrite: bool = option(
        False, group="Files", label="Overwrite", help="Replace existing tables and an existing page."
    )

    def cross_faults(self) -> list[Fault]:
        faults = [
            ending_fault(self.output, what="the table is", written=(".csv",)),
            ending_fault(self.slices, what="the table of slices is", written=(".csv",), name="slices"),
            ending_fault(self.page, what="the page is", written=(".html", ".htm"), name="page"),
        ]
        if self.slices is not None and self.slices == self.output:
            faults.append(f"{called('slices')} is the file of {called('output')}. Give each its own name.")
        if self.tissue_mask is not None and self.tissue_volume != AUTO:
            faults.append(
                f"{called('tissue_volume')} and {called('tissue_mask')} both say the tissue volume. Leave "
                f"one out."
            )
        if both := sorted({*self.bone} & {*self.pores}):
            faults.append(f"{called('bone')} and {called('pores')} both name label {both[0]}.")
        if tissue_labels(self.tissue_volume) is None:
            faults.append(
                f'{called("tissue_volume")} is "{self.tissue_volume}"; it is one of {", ".join(TISSUES)}, or '
                "label values with commas between, e.g. 1,2."
            )
        return [Fault(fault) for fault in faults if fault]

    def arguments(self) -> dict[str, Any]:
        """Those that say what is measured, as `measure` takes them."""
        files = {"labels", "output", "slices", "page", "overwrite"}
        return {name: value for name, value in self if name not in files}


def tissue_labels(text: str) -> tuple[int, ...] | None:
    """The label values of a tissue volume; none where it is a word; None where it is neither.

    >>> tissue_labels("1, 2"), tissue_labels("whole"), tissue_labels("bone")
    ((1, 2), (), None)
    """
    if text in TISSUES:
        return ()
    parts = [part.strip() for part in text.split(",")]
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else None
