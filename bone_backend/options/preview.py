"""The choices of an augmentation sheet: those of a fit that change what a patch looks like, and its own.

In:  plain values from any door.
Out: one frozen, checked object; or an OptionError that names all faults at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from ..errors import Fault, OptionError, called
from ..files.outputs import check_output
from .fields import OptionField, option
from .fit import FitOptions
from .types import UserPath

# Options of a fit that change what a patch looks like.
_SEEN = (
    *("pairs", "map_labels", "class_names", "ignore_label"),
    *("mode", "slices", "tile_depth", "patch_depth", "patch_size", "normalization", "statistics_voxels"),
    *("augmentation", "flip_probability", "turn_probability"),
    *("brightness_probability", "brightness_range", "contrast_probability", "contrast_range", "transforms"),
    *("seed", "sheet", "overwrite", "resume", "examples", "variants"),
)


class PreviewOptions(FitOptions):
    """Examples of augmented patches.

    The one place with two levels of inheritance, so that what is shown is defined once, in the fit. Of its
    options those are taken that change what a patch looks like; all others are unknown here.
    """

    title: ClassVar[str] = "bone preview-augmentation"
    output: UserPath = option(
        Path("run"), group="Output", label="Run folder", kind="folder", help="Of the fit; not used."
    )
    overwrite: bool = option(False, group="Output", label="Overwrite", help="Replace an existing picture.")
    resume: UserPath | None = option(
        None, group="Output", label="Run folder", kind="folder", help="Show what the run in this folder does."
    )
    sheet: UserPath = option(
        Path("augmentation.png"),
        group="Preview",
        label="Sheet",
        often=True,
        kind="save",
        metavar="FILE.png",
        help="The picture that is written.",
    )
    examples: Annotated[int, Field(ge=1, le=20)] = option(
        3,
        group="Preview",
        label="Examples",
        often=True,
        unit="patches",
        help="Patches shown, taken from the pairs in turn.",
    )
    variants: Annotated[int, Field(ge=1, le=12)] = option(
        5,
        group="Preview",
        label="Variants",
        often=True,
        help="How often each patch is shown as training would change it.",
    )

    def check_paths(self) -> None:
        check_output(self.sheet, inputs=self.inputs(), overwrite=self.overwrite, name="sheet")

    @classmethod
    def option_fields(cls) -> list[OptionField]:
        """Those that mean something here."""
        return [field for field in super().option_fields() if field.name in _SEEN]

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check plain values; options of a fit that change nothing of what is shown are unknown."""
        foreign = [name for name in values if name in cls.model_fields and name not in _SEEN]
        unknown = [
            f"{called(name)} is an option of a fit that changes no patch; leave it out of {cls.title}."
            for name in foreign
        ]
        try:
            made = super().parse({name: value for name, value in values.items() if name not in foreign})
        except OptionError as error:
            raise OptionError([*unknown, *error.faults]) from error
        if unknown:
            raise OptionError(unknown)
        return made

    def cross_faults(self) -> list[Fault]:
        faults = super().cross_faults()
        if self.sheet.suffix.lower() != ".png":
            faults.append(Fault(f"{called('sheet')} is {self.sheet}; its name must end in .png."))
        return faults

    def network_faults(self) -> list[Fault]:
        return []
