"""What stands in the panel of each module, and in which order.

In:  the options of a program and those of its host.
Out: groups of options, names of connections and of the lines that tell how things stand.
Panel, port groups (.xml) and help page are made from the same form, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..jobs.commands import COMMANDS
from ..options.field import OptionField, in_labels
from ..options.fields import Options
from ..options.programs import (
    FitHostOptions,
    HostOptions,
    IoUOptions,
    PredictHostOptions,
    PredictOptions,
)
from .host import LABEL, SCALAR

MOST_PAIRS = 20
MOST_CLASS_LINES = 8
LOOSE = "Panel"  # options of this group stand above all groups
STATE = "State"
APPLY = "apply"


@dataclass(frozen=True)
class Connection:
    """A line to a field. types: what may be connected."""

    name: str
    label: str
    help: str
    types: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """A module's panel.

    name: of the module's files. command: in the table of commands. host: options that only a host has.
    without: options that the module fills in itself or does not offer. lines: name and label of its info
    ports.
    """

    name: str
    command: str
    host: type[HostOptions]
    without: tuple[str, ...]
    connections: tuple[Connection, ...]
    lines: tuple[tuple[str, str], ...]
    summary: str

    @property
    def options(self) -> type[Options]:
        """Those of the command."""
        return COMMANDS[self.command].table()

    @property
    def title(self) -> str:
        """The name in menus."""
        return self.options.title

    def groups(self) -> list[tuple[str, list[OptionField]]]:
        """The options by group: those above all groups first, then in the order of the program."""
        found: dict[str, list[OptionField]] = {LOOSE: []}
        for field in [*self.options.option_fields(), *self.host.option_fields()]:
            if field.name not in self.without:
                found.setdefault(field.group, []).append(field)
        return [(group, fields) for group, fields in found.items() if fields]

    def in_words(self, text: str) -> str:
        """A text in the panel's words."""
        return in_labels(text, [*self.options.option_fields(), *self.host.option_fields()])


def _pairs() -> tuple[Connection, ...]:
    made = []
    for number in range(1, MOST_PAIRS + 1):
        made.append(Connection(f"scan{number}", f"Scan {number}", "Grey values of a specimen.", (SCALAR,)))
        told = f"Labels of scan {number}: a label field, or an image of whole numbers."
        made.append(Connection(f"mask{number}", f"Mask {number}", told, (LABEL, SCALAR)))
    return tuple(made)


def _volumes(options: type[Options], types: tuple[str, ...]) -> tuple[Connection, ...]:
    fields = [field for field in options.option_fields() if field.kind == "volume"]
    # What stands behind a colon is about files.
    return tuple(
        Connection(field.name, field.label, field.help.partition(":")[0].rstrip(".") + ".", types)
        for field in fields
    )


FIT = Form(
    name="BONe_DLFit",
    command="fit",
    host=FitHostOptions,
    without=("pairs", "compile"),  # compilers are processes, which draw licences inside Avizo
    connections=_pairs(),
    lines=(("missing", "To do"), ("estimate", "Estimate"), ("result", "Result")),
    summary="Fit a network on scans and their masks; the best model goes into the run folder.",
)
PREDICT = Form(
    name="BONe_DLPred",
    command="predict",
    host=PredictHostOptions,
    without=("scan", "output", "maps", "resume"),  # of the maps, confidence is offered as a field
    connections=_volumes(PredictOptions, (SCALAR,)),
    lines=(("missing", "To do"), ("card", "Model"), ("result", "Result"), ("classes", "Classes")),
    summary="Label a scan with a fitted model; the result is a label field with the scan's bounding box.",
)
COMPARE = Form(
    name="BONe_IoU",
    command="iou",
    host=HostOptions,
    without=("reference", "prediction", "detail", "run_in_worker", "unit"),
    connections=_volumes(IoUOptions, (LABEL, SCALAR)),
    lines=(
        ("missing", "To do"),
        ("mean", "Mean"),
        *((f"class{number}", f"Class {number}") for number in range(MOST_CLASS_LINES)),
        ("result", "Result"),
    ),
    summary="Score predicted labels against a reference: IoU and Dice of every class and their means.",
)
FORMS = {form.command: form for form in (FIT, PREDICT, COMPARE)}
