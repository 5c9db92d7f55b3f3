"""What a prediction asks, of one scan.

In:  plain values from any door.
Out: PredictOptions, frozen and checked; or an OptionError that names all faults at once.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...errors import Fault, called
from ...volumes.formats import SAID_BY_ENDING, in_words, labels_fault
from ..converting.places import SIZES, VoxelSize
from ..field import AUTO
from ..fields import Options, option
from ..types import (
    DEVICE,
    ChunkSize,
    Device,
    InputPath,
    ModelPath,
    Normalization,
    Share,
    UserPath,
)
from .cleaning import WAYS, Clean

Weight = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


class PredictOptions(Options):
    """BONe DLPred: label a scan with a fitted model."""

    title: ClassVar[str] = "BONe DLPred"

    scan: InputPath = option(
        group="Data",
        label="Scan",
        kind="volume",
        positional=True,
        help=f"The scan to label: {in_words()}.",
    )
    model: ModelPath = option(
        group="Data",
        easy=True,
        label="Model file",
        kind="file",
        rest="more_models",
        help="The .pth file of a fit, or its run folder: then the best model in it. Of several the mean of "
        "their probabilities counts.",
    )
    output: UserPath = option(
        group="Data",
        label="Labels",
        kind="save",
        help=f"Where the labels go. {SAID_BY_ENDING}",
    )
    more_models: tuple[ModelPath, ...] = option(
        (),
        group="Data",
        label="Further models",
        flag="--model",
        metavar="paths",
        advanced=True,
        help="Model files of the same classes whose probabilities are averaged with those of the model file.",
    )
    model_weights: tuple[Weight, ...] = option(
        (),
        group="Data",
        label="Weights of the models",
        metavar="numbers",
        advanced=True,
        help="How much each model counts in the mean, in their order, e.g. 2 1; none: all the same.",
    )
    overwrite: bool = option(
        False, group="Data", label="Overwrite", often=True, help="Replace existing labels."
    )
    resume: bool = option(
        True,
        group="Data",
        label="Resume",
        help="Go on with the same prediction where it was broken off: what was finished is kept in a folder "
        "NAME.unfinished beside the labels. Off: begin anew.",
    )
    voxel_size: VoxelSize | None = option(
        None,
        group="Data",
        label="Voxel size",
        kind="text",
        metavar=SIZES,
        help="The voxel size of the scan, instead of what it says: one number, or z,y,x; um where no unit is "
        "written.",
    )
    resample: bool = option(
        False,
        group="Data",
        label="Resample",
        often=True,
        help="Bring the scan to the voxel size that the model was fitted on where it differs by more than a "
        "quarter, and the labels back to the grid of the scan.",
    )
    axes: Literal["auto", "z", "zyx"] = option(
        "auto",
        group="Chunks",
        label="Axes",
        applies={"mode": ("2D", "2.5D")},
        help="Slices along which axes are labelled: z, or z, y and x one after the other, of which the mean "
        "counts (three times the work, and room on the disk); auto: as the model was fitted.",
    )
    chunk_size: ChunkSize = option(
        None,
        group="Chunks",
        label="Chunk size",
        often=True,
        unit="px",
        metavar="N|auto",
        none_word=AUTO,
        help="Edge of the square windows that a slice is cut into. auto: whole slices where the network sees "
        "no further than its patches, as Easy's do; else twice the patches of the fit. 512: as in the "
        "published program.",
    )
    chunk_depth: Annotated[int, Field(ge=8, le=1024)] = option(
        64,
        group="Chunks",
        label="Chunk depth",
        unit="slices",
        applies={"mode": ("3D",)},
        help="Depth of the windows of a 3D model; ignored by 2D and 2.5D models.",
    )
    chunk_overlap: Annotated[float, Field(ge=0, le=0.9)] = option(
        0.25, group="Chunks", label="Chunk overlap", help="Share of a chunk that its neighbour covers too."
    )
    merge: Literal["uniform", "gaussian"] = option(
        "uniform",
        group="Chunks",
        label="Merging",
        advanced=True,
        help="Weights of overlapping chunks: all the same (as in the paper), or less towards the borders.",
    )
    average: Literal["none", "flips", "turns"] = option(
        "none",
        group="Chunks",
        label="Averaging",
        help="Label each chunk also mirrored (flips: four times the work, of a 3D model eight), or mirrored "
        "and turned by quarters (turns: twice as much); the mean counts.",
    )
    confidence_threshold: Share = option(
        0.5,
        group="Labels",
        label="Confidence threshold",
        often=True,
        help="Voxels whose highest class probability is below this become background.",
    )
    maps: tuple[Literal["confidence", "entropy", "probabilities"], ...] = option(
        (),
        group="Labels",
        label="Maps",
        metavar="confidence|entropy|probabilities",
        help="Volumes that are written beside the labels: how sure the network was of each voxel (8 bit, 255 "
        "is 1), the entropy, the probability of every class.",
    )
    clean: tuple[Clean, ...] = option(
        (),
        group="Labels",
        label="Cleaning",
        often=True,
        metavar="CLASS:WHAT[=NUMBER]",
        help=f"What is cleaned in the labels, done in this order: {', '.join(WAYS)}. E.g. 1:largest, "
        "1:islands=50 (voxels, or 0.01mm3), 1:fill, 1:median=2 (radius). docs/prediction.md has all.",
    )
    normalization: Normalization | None = option(
        None,
        group="Labels",
        label="Normalization",
        advanced=True,
        help="Of the grey values, for an older model file that does not say how it was fitted; none: what "
        "the model file says.",
    )
    grey_curve: Literal["auto", "keep"] = option(
        "auto",
        group="Labels",
        label="Grey curve",
        advanced=True,
        help="auto: a scan that was stored with another gamma, so that its tissues lie and spread as in the "
        "scans of the fit only when its grey values are raised to some power, is labelled by these, and a "
        "warning says so; with models of the normalization tissue. keep: the grey values as they are.",
    )
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = option(
        None,
        group="Machine",
        label="Batch size",
        unit="chunks",
        advanced=True,
        help="Chunks in one step; none: sized to the free memory.",
    )
    device: Device = DEVICE
    precision: Literal["auto", "bf16", "fp16", "fp32", "int8"] = option(
        "auto",
        group="Machine",
        may_change=True,
        label="Precision",
        help="auto: bf16 where the hardware has it, else fp16 on a GPU, else fp32. int8: approximate, on a "
        "CPU only, by OpenVINO and NNCF, which are installed beside BONe; calibrated on the scan, and a "
        "warning tells how many voxels it labels otherwise.",
    )
    backend: Literal["auto", "torch", "openvino", "mps"] = option(
        "auto",
        group="Machine",
        label="Backend",
        advanced=True,
        help="What computes the network: torch; OpenVINO, a package that is installed beside BONe, on a CPU "
        "only; mps, the GPU of an Apple computer, in fp32. auto: torch, but another where it is there and "
        "was measured to be faster here.",
    )

    @property
    def is_int8(self) -> bool:
        """Whether the networks are quantized; then OpenVINO computes them, on a CPU."""
        return self.precision == "int8"

    def cross_faults(self) -> list[Fault]:
        fault = labels_fault(self.output)
        found = [Fault(fault)] if fault else []
        if self.is_int8 and self.backend in ("torch", "mps"):
            found.append(
                Fault(
                    f"{called('precision')} is int8, which OpenVINO computes, but {called('backend')} is "
                    f"{self.backend}. Use {called('backend')} auto, or {called('precision')} auto."
                )
            )
        if self.is_int8 and self.device not in ("auto", "cpu"):
            found.append(
                Fault(
                    f"{called('precision')} is int8, which is computed on a CPU, but {called('device')} is "
                    f"{self.device}. Use {called('device')} cpu, or {called('precision')} auto."
                )
            )
        if self.backend == "mps" and self.precision not in ("auto", "fp32", "int8"):
            found.append(
                Fault(
                    f"{called('backend')} is mps, which computes in fp32, but {called('precision')} is "
                    f"{self.precision}. Use {called('precision')} auto, or {called('backend')} torch."
                )
            )
        if self.backend in ("openvino", "mps") and self.device not in ("auto", "cpu"):
            where = "a CPU" if self.backend == "openvino" else "the GPU of an Apple computer"
            found.append(
                Fault(
                    f"{called('backend')} is {self.backend}, which computes on {where}, but "
                    f"{called('device')} is {self.device}. Use {called('device')} cpu, or "
                    f"{called('backend')} torch."
                )
            )
        weights, models = len(self.model_weights), 1 + len(self.more_models)
        if weights not in (0, models):
            found.append(
                Fault(
                    f"{called('model_weights')} has {weights} {'number' if weights == 1 else 'numbers'}, but "
                    f"{models} {'model is' if models == 1 else 'models are'} named. Give one for each model, "
                    "in their order, or leave it out."
                )
            )
        return found
