"""The commands of BONe, a row each: what each is for, its options, what runs, and how its result is shown.

In:  a command's name.
Out: its row; what the row names by a dotted path is imported on use, so that a page of help loads no torch.
The command line with its pages, the worker, Avizo's panels and docs/options.md are made from this table; a
new command is one row here, and its own file.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from ..progress import Progress

if TYPE_CHECKING:
    from ..options.fields import Options


@dataclass(frozen=True)
class Command:
    """One command.

    summary: one line; a command without it is a job that only BONe itself gives to the worker.
    options: "module:class"; without it the function takes plain values. function: "module:function" of the
    checked options and a progress, which gives plain values. shown: "module:function" that puts such a result
    into words. usage, examples: on its page of help, behind `bone NAME` and as typed. loads_torch: takes
    seconds to begin, so that something has to be told at once. in_worker, in_avizo: who else offers it.
    has_config: takes a configuration file. has_window: shows itself, so that the terminal stays quiet.
    at_terminal: the job that the command line does under this name, where it takes several inputs at once.
    patience_s: how long it may take to save what it has after a stop was asked for; then the worker is
    ended by force.
    """

    function: str
    options: str = ""
    summary: str = ""
    usage: str = ""
    examples: tuple[str, ...] = ()
    shown: str = "standalone.show:listing"
    loads_torch: bool = False
    in_worker: bool = True
    in_avizo: bool = False
    has_config: bool = True
    has_window: bool = False
    at_terminal: str = ""
    patience_s: float = 10.0

    def table(self) -> type[Options]:
        """The class of its options."""
        found: type[Options] = named(self.options)
        return found

    def run(self, values: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Check the options and do it, in this process. Raises what it raises."""
        checked = self.table().parse(values) if self.options else dict(values)
        result: dict[str, Any] = named(self.function)(checked, progress)
        return result


COMMANDS: dict[str, Command] = {
    "fit": Command(
        "bone_backend.fitting:fit_job",
        "bone_backend.options.fit:FitOptions",
        "fit a network on pairs of scan and mask",
        "--pair SCAN MASK [--pair ...] --output FOLDER [options]",
        (
            "bone fit --pair scans/femur_1 masks/femur_1 \\",
            "         --pair scans/femur_2 masks/femur_2 --output runs/femur",
        ),
        shown="standalone.show:fit",
        loads_torch=True,
        in_avizo=True,
    ),
    "predict": Command(
        "bone_backend.prediction:predict_job",
        "bone_backend.options.programs:PredictOptions",
        "label scans with a fitted model",
        "SCAN ... --model MODEL --output LABELS [options]",
        (
            "bone predict scans/femur_3 --model runs/femur --output labels/femur_3",
            "bone predict scans/* --model runs/femur --output-dir labels",
        ),
        shown="standalone.show:predict",
        loads_torch=True,
        in_avizo=True,
        at_terminal="predict-scans",
    ),
    "verify": Command(
        "bone_backend.verifying:verify_job",
        "bone_backend.options.predicting.verifying:VerifyOptions",
        "whether labels are what their record says, and come out again",
        "LABELS [--scan SCAN] [--model MODEL] [options]",
        ("bone verify labels/femur_3 --scan scans/femur_3 --model runs/femur",),
        shown="standalone.show:verify",
        loads_torch=True,
    ),
    "iou": Command(
        "bone_backend.comparison:compare_job",
        "bone_backend.options.programs:IoUOptions",
        "score predicted labels against a reference mask",
        "REFERENCE PREDICTION [options]",
        ("bone iou masks/femur_3 labels/femur_3",),
        shown="standalone.show:iou",
        in_avizo=True,
    ),
    "measure": Command(
        "bone_backend.measures.job:measure_job",
        "bone_backend.options.predicting.measuring:MeasureOptions",
        "the indices of bone in labels: BV/TV, thickness, connectivity, porosity",
        "LABELS [options]",
        (
            "bone measure labels/femur_3",
            "bone measure labels/femur_3 --output femur.csv --page femur.html",
        ),
        shown="standalone.show:measures",
    ),
    "study": Command(
        "bone_backend.study:study_job",
        "bone_backend.studies.options:StudyOptions",
        "many fits from one file: cross-validation, comparison, ranking",
        "STUDY.toml --output FOLDER [options]",
        ("bone study femora.toml --output studies/femora",),
        shown="standalone.show:study",
        loads_torch=True,
        has_config=False,
        patience_s=90.0,
    ),
    "statistics": Command(
        "bone_backend.intensity.asking:statistics_job",
        "bone_backend.options.programs:StatisticsOptions",
        "grey-value statistics of a scan",
        "SCAN [options]",
        ("bone statistics scans/femur_1",),
        shown="standalone.show:statistics",
        patience_s=2.0,
    ),
    "export": Command(
        "bone_backend.model_files.export:export_job",
        "bone_backend.options.programs:ExportOptions",
        "write a model for other software (ONNX, safetensors), checked against it",
        "MODEL --output FILE [options]",
        ("bone export femur.pth --output femur.onnx",),
        loads_torch=True,
    ),
    "preview-augmentation": Command(
        "standalone.preview:run",
        "bone_backend.options.preview:PreviewOptions",
        "draw examples of what the options of a fit do to patches",
        "--pair SCAN MASK [--pair ...] [options]",
        ("bone preview-augmentation --pair scans/femur_1 masks/femur_1 --sheet look.png",),
        shown="standalone.show:preview",
        loads_torch=True,
        in_worker=False,
    ),
    "info": Command(
        "bone_backend.information.describe:describe_job",
        "bone_backend.options.programs:InfoOptions",
        "what a scan, mask, model file, run folder or study is",
        "PATH [options]",
        ("bone info scans/femur_1", "bone info runs/femur"),
        shown="standalone.cards:card",
        has_config=False,
    ),
    "check": Command(
        "bone_backend.checking.check:check_job",
        "bone_backend.checking.options:CheckOptions",
        "look for faults in pairs of scan and mask before any work",
        "--pairs-from FOLDER [options]",
        (
            "bone check --pair scans/femur_1 masks/femur_1",
            "bone check --pair scans/femur_1 masks/femur_1 --page check.html",
        ),
        shown="standalone.findings:page",
    ),
    "cache": Command(
        "bone_backend.volumes.store.job:cache_job",
        "bone_backend.options.programs:CacheOptions",
        "what is kept between runs: where, how much; and clear it",
        "[--clear] [options]",
        ("bone cache", "bone cache --clear"),
        shown="standalone.cached:page",
        in_worker=False,
        has_config=False,
    ),
    "convert": Command(
        "bone_backend.converting.convert:convert_job",
        "bone_backend.options.converting.conversion:ConvertOptions",
        "write a scan or mask in another format, cut or resampled where wanted",
        "SOURCE --output TARGET [options]",
        (
            "bone convert masks/femur_1 --output femur_1.seg.nrrd",
            "bone convert femur.tif --output femur.nii.gz --resample 20um",
        ),
        shown="standalone.converted:page",
    ),
    "demo": Command(
        "standalone.demo:run",
        "bone_backend.options.programs:DemoOptions",
        "fit, predict and score on phantom scans (or your own), with pictures",
        "[--data FOLDER] [options]",
        ("bone demo", "bone demo --data my_pairs --epochs 10"),
        shown="standalone.show:demo",
        loads_torch=True,
        in_worker=False,
        has_config=False,
    ),
    "window": Command(
        "standalone.window.start:run",
        "bone_backend.options.programs:WindowOptions",
        "fit, predict and score in a window",
        "[TAB] [options]",
        ("bone window", "bone window predict"),
        shown="standalone.show:window",
        in_worker=False,
        has_config=False,
        has_window=True,
    ),
    # what statistics and fits ask the worker for: several scans, side by side in its processes
    "measure-greys": Command("bone_backend.intensity.statistics:measure_job", patience_s=2.0),
    # what a prediction of many scans asks the workers of a cluster for: one of them
    "predict-there": Command("bone_backend.predictions:scan_job", patience_s=60.0),
    # what a study asks it for: one of its runs, in a process of its own
    "study-run": Command("bone_backend.studies.running:run_job", patience_s=60.0),
}
# what the command line does for "predict": one scan, or many one after the other
COMMANDS["predict-scans"] = Command(
    "bone_backend.predictions:predict_scans_job",
    "bone_backend.options.predicting.scans:PredictScansOptions",
)
OFFERED = {name: command for name, command in COMMANDS.items() if command.summary}


def at_terminal(name: str) -> Command:
    """The row of what the command line does for a command."""
    return COMMANDS[COMMANDS[name].at_terminal or name]


def find(name: str) -> Command:
    """The row of a command. name: also "module:function" of a function of plain values and a progress.

    Raises OptionError for an unknown one.
    """
    found = Command(name) if ":" in name else COMMANDS.get(name)
    if found is None:
        raise OptionError(f"There is no command {name!r}; there are {', '.join(OFFERED)}.")
    return found


def named(path: str) -> Any:
    """What stands at "module:name"; of a door that is installed under another name (setup.py), there."""
    module, _, name = path.partition(":")
    if f"bone_{module.partition('.')[0]}" in sys.modules:
        module = f"bone_{module}"
    return getattr(importlib.import_module(module), name)
