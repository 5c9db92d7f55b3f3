"""What `bone verify` asks.

In:  plain values.
Out: VerifyOptions, frozen and checked.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ..fields import Options, option
from ..types import DEVICE, PRECISION, Device, InputPath, ModelPath, Precision


class VerifyOptions(Options):
    """Whether labels are what their record says, and come out again."""

    title: ClassVar[str] = "bone verify"

    labels: InputPath = option(
        group="Data", label="Labels", kind="volume", positional=True, help="Labels with their record beside."
    )
    scan: InputPath | None = option(
        None,
        group="Data",
        label="Scan",
        kind="volume",
        help="The scan that was labelled; none: looked for where the record says, from here and from the "
        "labels.",
    )
    model: ModelPath | None = option(
        None,
        group="Data",
        label="Model file",
        kind="file",
        rest="more_models",
        help="The model that labelled it (all of several, in their order); none: looked for in the same way.",
    )
    more_models: tuple[ModelPath, ...] = option(
        (), group="Data", label="Further models", flag="--model", help="Those behind the first."
    )
    slices: Annotated[int, Field(ge=1, le=10_000)] = option(
        8,
        group="Comparison",
        label="Slices",
        help="How many slices, spread over the scan, are labelled again and compared.",
    )
    whole: bool = option(
        False,
        group="Comparison",
        label="Whole",
        help="Label the whole scan again and compare every voxel. Labels that were cleaned, or made in "
        "several passes (three axes, models that differ), are compared so anyway where labelling took up to "
        "two minutes: there no slice stands for itself.",
    )
    device: Device = DEVICE
    precision: Precision = PRECISION
