"""What `bone convert` asks: a scan or labels in one format, to be written in another.

In:  plain values from any door.
Out: ConvertOptions, frozen and checked; or an OptionError that names all faults at once.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ...errors import Fault, called
from ...volumes.formats import SAID_BY_ENDING, in_words, labels_fault
from ..fields import Options, option
from ..types import ClassNames, InputPath, UserPath, name_faults
from .places import SIZES, Crop, GreyRange, VoxelSize


class ConvertOptions(Options):
    """A scan or labels in another format, cut, turned over, resampled or with other numbers where wanted."""

    title: ClassVar[str] = "bone convert"

    source: InputPath = option(
        group="Data",
        label="Source",
        kind="volume",
        positional=True,
        help=f"The scan or mask to convert: {in_words()}.",
    )
    output: UserPath = option(
        group="Data",
        label="Output",
        kind="save",
        help=f"What is written. {SAID_BY_ENDING}",
    )
    overwrite: bool = option(
        False, group="Data", label="Overwrite", often=True, help="Replace what is there."
    )
    compress: bool = option(
        False,
        group="Data",
        label="Compress",
        help="Pack the voxels of a TIFF (Deflate). .nii.gz, .nrrd and .png always are, other formats never.",
    )
    crop: Crop | None = option(
        None,
        group="Geometry",
        label="Crop",
        metavar="Z0:Z1,Y0:Y1,X0:X1",
        often=True,
        help="Keep this box of the source, in voxels, counted from 0; the second number is the first voxel "
        "that is left out. 100:200,:,: keeps slices 100 to 199 whole.",
    )
    flip: tuple[Literal["z", "y", "x"], ...] = option(
        (),
        group="Geometry",
        label="Flip",
        metavar="z|y|x",
        help="Axes to turn over, after cropping. Where the source says how it lies in the patient, its "
        "direction is turned too, so that every voxel stays in its place.",
    )
    voxel_size: VoxelSize | None = option(
        None,
        group="Geometry",
        label="Voxel size",
        kind="text",
        metavar=SIZES,
        often=True,
        help="The voxel size of the source, instead of what it says: one number, or z,y,x; um where no unit "
        "is written.",
    )
    resample: VoxelSize | None = option(
        None,
        group="Geometry",
        label="Resample",
        kind="text",
        metavar=SIZES,
        often=True,
        help="Bring it to this voxel size, after cropping: greys by the mean over the new voxel (linear "
        "interpolation where it becomes finer), labels as labels_by says.",
    )
    content: Literal["auto", "greys", "labels"] = option(
        "auto",
        group="Numbers",
        label="Content",
        often=True,
        help="What the numbers are. auto: labels where the file names classes, or where it matters and there "
        "are at most 64 different whole numbers.",
    )
    labels_by: Literal["majority", "nearest"] = option(
        "majority",
        group="Numbers",
        label="Labels by",
        help="With resample, the label of a new voxel: that which fills most of it, or that at its centre.",
    )
    dtype: Literal["uint8", "uint16", "int16", "float32"] | None = option(
        None,
        group="Numbers",
        label="Type",
        often=True,
        help="Type of the numbers; none: as they are. Without range every value is kept as it is, and one "
        "that the type does not hold is refused.",
    )
    grey_range: GreyRange | None = option(
        None,
        flag="--range",
        kind="list",
        metavar="LOW HIGH",
        group="Numbers",
        label="Range",
        often=True,
        help="Grey values that become the lowest and the highest number of the type (of float32: 0 and 1), "
        "all others in between. What lies outside is cut off, and told.",
    )
    class_names: ClassNames = option(
        (),
        metavar="VALUE:NAME[:#rrggbb]",
        group="Numbers",
        label="Class names",
        help="Names and colours of the label values, e.g. 1:bone 2:pores, or a .csv with the columns value, "
        "name and colour. They go before those that the source tells.",
    )

    def cross_faults(self) -> list[Fault]:
        faults = [Fault(told)] if (told := labels_fault(self.output, what="a volume is")) else []
        if self.grey_range is not None and self.dtype is None:
            told = f"{called('grey_range')} is given, but not the type that it is spread over"
            faults.append(Fault(f"{told}. Add {called('dtype')} uint8, uint16, int16 or float32."))
        if self.content == "greys" and self.class_names:
            faults.append(Fault(f"{called('class_names')} names labels, but {called('content')} is greys."))
        if self.grey_range is not None and (self.content == "labels" or self.class_names):
            told = f"{called('grey_range')} would turn labels into other labels"
            faults.append(Fault(f"{told}. Leave it out, or say {called('content')} greys."))
        return faults + name_faults(self.class_names)

    def settings(self) -> dict[str, Any]:
        """What was asked for, without the paths."""
        return self.model_dump(mode="json", exclude={"source", "output", "overwrite"})
