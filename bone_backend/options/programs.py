"""Every choice a user has, once, program by program; those of a fit stand in fit.py and preview.py.

In:  plain values from any door (flags, a file, ports, a form).
Out: one frozen, checked object per program; or an OptionError that names all faults at once.
Ports, form, flags, metadata and documentation are made from these fields; nothing is repeated there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ..errors import Fault, called
from ..files.outputs import ending_fault
from ..volumes.formats import in_words
from .converting.places import SIZES, VoxelSize
from .fields import Options, option
from .fit import FitOptions
from .predicting.prediction import PredictOptions
from .preview import PreviewOptions
from .types import (
    ClassNames,
    InputPath,
    Label,
    LabelMap,
    ModelPath,
    Pair,
    UserPath,
    map_faults,
    name_faults,
)

__all__ = [
    "CacheOptions",
    "DemoOptions",
    "ExportOptions",
    "FitHostOptions",
    "FitOptions",
    "HostOptions",
    "InfoOptions",
    "IoUOptions",
    "Pair",
    "PredictHostOptions",
    "PredictOptions",
    "PreviewOptions",
    "StatisticsOptions",
    "WindowOptions",
    "dump",
]


class IoUOptions(Options):
    """BONe IoU: score predicted labels against a reference mask."""

    title: ClassVar[str] = "BONe IoU"

    reference: InputPath = option(
        group="Data", label="Reference", kind="volume", positional=True, help="Reference mask."
    )
    prediction: InputPath = option(
        group="Data",
        label="Prediction",
        kind="volume",
        positional=True,
        help="Predicted labels of the same geometry.",
    )
    map_labels: tuple[LabelMap, ...] = option(
        (),
        metavar="OLD:NEW",
        group="Data",
        label="Map labels",
        help="Change label values of the reference as the fit did, e.g. 255:1; of the prediction too where "
        "it holds the old values. None: what the record of the labels or the model says.",
    )
    class_names: ClassNames = option(
        (),
        metavar="VALUE:NAME[:#rrggbb]",
        group="Data",
        label="Class names",
        help="Names and colours of the label values, e.g. 1:bone 2:pores, or a .csv of them; those of the "
        "record, the model and the volumes count where you give none.",
    )
    ignore_label: Label | None = option(
        None,
        group="Data",
        label="Ignore label",
        help="Voxels with this mask value are not counted (not annotated). None: what the record of the "
        "labels or the model says.",
    )
    voxel_size: VoxelSize | None = option(
        None,
        group="Data",
        label="Voxel size",
        kind="text",
        metavar=SIZES,
        advanced=True,
        help="The voxel size of both, instead of what they say: one number, or z,y,x; um where no unit is "
        "written.",
    )
    model: ModelPath | None = option(
        None,
        group="Data",
        label="Model file",
        kind="file",
        help="The .pth file that made the labels, or its run folder: mapped labels, ignore label and class "
        "names are taken from it. None: from the record beside the labels, where there is one.",
    )
    output: UserPath | None = option(
        None, group="Data", label="Table", kind="save", help="Write the scores to this CSV file too."
    )
    slices: UserPath | None = option(
        None,
        group="Data",
        label="Table of slices",
        kind="save",
        help="Write the IoU of every slice along z to this CSV file too; its column z counts from 0.",
    )
    page: UserPath | None = option(
        None,
        group="Data",
        label="Page",
        kind="save",
        help="Write the scores, their curve over the slices and the worst slices to this HTML file too.",
    )
    overwrite: bool = option(
        False, group="Data", label="Overwrite", help="Replace existing tables and an existing page."
    )

    def cross_faults(self) -> list[Fault]:
        faults = [
            ending_fault(self.output, what="the table is", written=(".csv",)),
            ending_fault(self.slices, what="the table of slices is", written=(".csv",), name="slices"),
            ending_fault(self.page, what="the page is", written=(".html", ".htm"), name="page"),
        ]
        if self.slices is not None and self.slices == self.output:
            faults.append(f"{called('slices')} is the file of {called('output')}. Give each its own name.")
        found = [Fault(fault) for fault in faults if fault]
        return found + map_faults(self.map_labels) + name_faults(self.class_names)


class StatisticsOptions(Options):
    """Grey-value statistics of a scan, as normalisation uses them."""

    title: ClassVar[str] = "BONe statistics"

    scan: InputPath = option(
        group="Data", label="Scan", kind="volume", positional=True, help=f"The scan to measure: {in_words()}."
    )
    voxels: Literal["nonzero", "all"] = option(
        "nonzero", group="Data", label="Voxels", help="Count the non-zero voxels only, or all."
    )


class ExportOptions(Options):
    """A model file for other software."""

    title: ClassVar[str] = "BONe export"

    model: ModelPath = option(
        group="Data",
        label="Model file",
        kind="file",
        positional=True,
        help="The .pth file of a fit, or its run folder: then the best model in it.",
    )
    output: UserPath = option(group="Data", label="Export", kind="save", help="The file to write.")
    format: Literal["onnx", "safetensors"] = option(
        "onnx",
        flag="--to",
        group="Data",
        label="Format",
        help="onnx: network and weights, for onnxruntime and others. safetensors: weights only.",
    )
    overwrite: bool = option(False, group="Data", label="Overwrite", help="Replace an existing file.")

    def cross_faults(self) -> list[Fault]:
        written = (f".{self.format}",)
        fault = ending_fault(self.output, what=f"with --to {self.format} the model is", written=written)
        return [Fault(fault, "format")] if fault else []


class InfoOptions(Options):
    """What lies at a path."""

    title: ClassVar[str] = "bone info"

    path: Path = option(
        group="Data",
        label="Path",
        positional=True,
        help="A scan, a mask, a model file, a run folder or a study.",
    )
    voxel_size: VoxelSize | None = option(
        None,
        group="Data",
        label="Voxel size",
        kind="text",
        metavar=SIZES,
        help="The voxel size of a scan or mask, instead of what it says: one number, or z,y,x; um where no "
        "unit is written.",
    )


class CacheOptions(Options):
    """What BONe keeps between runs: unpacked volumes and statistics."""

    title: ClassVar[str] = "bone cache"

    clear: bool = option(
        False,
        group="Data",
        label="Clear",
        often=True,
        help="Remove all that no other run of BONe uses just now. It is made again when it is needed.",
    )


class DemoOptions(Options):
    """The main job in one go."""

    title: ClassVar[str] = "bone demo"

    data: UserPath | None = option(
        None,
        group="Data",
        label="Data",
        kind="folder",
        help="Folder with your own pairs instead of phantom scans.",
    )
    hold_out: str | None = option(
        None,
        group="Data",
        label="Hold out",
        metavar="NAME",
        help="With --data: the scan that is predicted and not fitted.",
    )
    output: UserPath = option(
        Path("demo"), group="Output", label="Output", kind="folder", help="Folder for everything."
    )
    minutes: Annotated[float, Field(gt=0, le=10_000)] = option(
        1.0,
        group="Fitting",
        label="How long",
        unit="min",
        help="Time for the fit; not used where epochs are given.",
    )
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = option(
        None, group="Fitting", label="Epochs", help="Passes over the scans, instead of a time."
    )

    def cross_faults(self) -> list[Fault]:
        if self.hold_out and not self.data:
            return [Fault(f"{called('hold_out')} names a scan of --data; give --data DIR too.")]
        return []


class WindowOptions(Options):
    """The window."""

    title: ClassVar[str] = "bone window"

    tab: Literal["fit", "predict", "iou"] = option(
        "fit", group="Window", label="Tab", positional=True, help="The tab to begin with."
    )


class HostOptions(Options):
    """What a module inside Avizo asks beyond its program's options."""

    title: ClassVar[str] = "Avizo"

    detail: Literal["Easy", "Advanced"] = option(
        "Easy",
        group="Panel",
        label="Panel",
        easy=True,
        help="Easy: the few choices that everybody makes, and those that you have changed. Advanced: all.",
    )
    unit: Literal["from Avizo", "nm", "um", "mm", "cm", "m", "unknown"] = option(
        "from Avizo",
        group="Data",
        label="Unit of coordinates",
        advanced=True,
        help="Unit in which this project gives voxel sizes. 'from Avizo' asks Avizo, which knows it when "
        "units "
        "management is switched on in its preferences; otherwise the voxel size is kept without a unit.",
    )
    run_in_worker: bool = option(
        False,
        group="Machine",
        label="Run in worker",
        help="Compute in the worker's own process instead of Avizo's: the same result and the same Stop, and "
        "Avizo survives "
        "a crash. The worker needs PyTorch: python3 install/bootstrap.py worker --with-torch",
    )


class FitHostOptions(HostOptions):
    """What BONe DLFit asks inside Avizo beyond FitOptions."""

    subjects: str = option(
        "",
        group="Data",
        label="Subjects",
        help="Animal or person of each pair, in order, with commas between; empty: every scan is a subject "
        "of its own. Scans "
        "of one subject are never split between training and validation.",
    )
    show_all_pairs: bool = option(
        False,
        group="Panel",
        label="Show all pairs",
        help="Show all connections; otherwise the next pair appears when the last one is connected.",
    )


class PredictHostOptions(HostOptions):
    """What BONe DLPred asks inside Avizo beyond PredictOptions."""

    confidence: bool = option(
        False,
        group="Labels",
        label="Confidence",
        help="A second field beside the labels: how sure the network was of each voxel (8 bit, 255 is 1).",
    )
    amira_mesh: UserPath | None = option(
        None,
        group="Labels",
        advanced=True,
        label="Save as AmiraMesh",
        kind="save",
        help="Write the labels to this .am file, with the names and colours of the classes as materials, and "
        "load it as the "
        "result. Without it the labels are in the project only, and Avizo names the materials itself.",
    )


def dump(options: Options) -> dict[str, Any]:
    """The options as plain JSON values (paths as text), those that `parse` takes."""
    return options.model_dump(mode="json", include={field.name for field in options.option_fields()})
