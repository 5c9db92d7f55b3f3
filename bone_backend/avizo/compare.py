"""BONe IoU inside Avizo: a reference and a prediction in, scores out.

In:  two connected label fields of one lattice.
Out: IoU and Dice of every class and their means, in the panel, in the console, and as a CSV file if wanted.
The fields are counted where they lie; nothing is written but the table.
"""

from __future__ import annotations

from typing import Any

from ..comparison import compare, write_files
from ..errors import OptionError, OutputError, called
from ..files.outputs import check_output
from ..options.programs import IoUOptions
from ..volumes.lattice import volume_of
from .door import Door
from .fields import size_faults
from .forms import COMPARE, MOST_CLASS_LINES
from .host import array_of, box_of
from .labels import label_names
from .running import HostProgress, Outcome


class IoU(Door):
    """The module BONe IoU."""

    form = COMPARE

    def faults(self) -> list[str]:
        faults = self.option_faults()
        names = self.panel.connections
        faults += [
            f"Connect the {name} to {name.capitalize()}." for name in names if self.facts[name] is None
        ]
        reference, prediction = self.facts["reference"], self.facts["prediction"]
        if reference is not None and prediction is not None:
            if reference.shape != prediction.shape:
                faults.append(
                    f"{prediction.name} has {_lattice(prediction.shape)} voxels, but {reference.name} has "
                    f"{_lattice(reference.shape)} (x, y, z). Only labels of the same scan can be compared."
                )
            elif not self.panel.values(IoUOptions).get("voxel_size"):  # one that is given counts for both
                faults += [told[0].upper() + told[1:] for told in size_faults(reference, prediction)]
        for facts in (reference, prediction):
            if facts is not None and facts.dtype.kind not in "iu":
                faults.append(f"{facts.name} has voxels of type {facts.dtype}; labels are whole numbers.")
        try:
            self._parse()
        except (OptionError, OutputError) as error:
            faults += error.faults
        return faults

    def show(self) -> None:
        super().show()
        reference, prediction = self.facts["reference"], self.facts["prediction"]
        if reference is None or prediction is None:
            self._forget()

    def work(self, progress: HostProgress) -> dict[str, Any]:
        self._forget()
        fields = [self.panel.connections[name].source() for name in ("reference", "prediction")]
        volumes = [volume_of(array_of(field), box_of(field), name=str(field.name)) for field in fields]
        options = self._parse()
        result = compare(
            volumes[0],
            volumes[1],
            progress=progress,
            map_labels=options.map_labels or None,
            ignore_label=options.ignore_label,
            model=options.model,
            class_names=options.class_names,
            voxel_size=options.voxel_size,
            by_slice=bool(options.slices or options.page),
        )
        found = result.to_dict()
        write_files(options, found)
        written = [str(path) for path in (options.output, options.slices, options.page) if path is not None]
        return {**found, "written": written}

    def tell(self, outcome: Outcome) -> str:
        if outcome.is_stopped or outcome.result is None:
            return "Stopped; nothing was written."
        result = outcome.result
        names = self._class_names(result["classes"], result["names"])
        lines = [f"{names[value]}: {_scores(score)}" for value, score in result["classes"].items()]
        self.panel.tell("mean", f"IoU {_number(result['mean_iou'])}, Dice {_number(result['mean_dice'])}")
        print(f"{self.form.title}: mean {self.panel.lines['mean'].text}")
        print("\n".join(f"{self.form.title}: {line}" for line in lines))
        for number, (value, score) in enumerate(list(result["classes"].items())[:MOST_CLASS_LINES]):
            self.panel.lines[f"class{number}"].label = names[value]
            self.panel.tell(f"class{number}", _scores(score))
        more = len(lines) - MOST_CLASS_LINES
        told = f"{result['voxels']:,} voxels in {result['seconds']:.2f} s"
        told += f"; {result['ignored_voxels']:,} of them ignored" if result["ignored_voxels"] else ""
        told += f"; {more} more labels in the console" if more > 0 else ""
        told += f"; written: {', '.join(result['written'])}" if result["written"] else ""
        return "\n".join([told, *result["warnings"]])

    def _class_names(self, classes: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
        """What each label is called: "bone (1)" by material or model, else "Label 1".

        given: names of the model file, which count most.
        """
        names: dict[int, str] = {}
        for name, voxels in (("reference", "reference_voxels"), ("prediction", "predicted_voxels")):
            field = self.panel.connections[name].source()
            values = [int(value) for value, score in classes.items() if score[voxels]]
            names |= label_names(field, values)
        names |= {int(value): name for value, name in given.items()}
        return {
            value: f"{names[int(value)]} ({value})" if int(value) in names else f"Label {value}"
            for value in classes
        }

    def _forget(self) -> None:
        """Hide the scores of other fields."""
        for name in self.panel.lines:
            if name != "missing":
                self.panel.tell(name, "")

    def _parse(self) -> IoUOptions:
        values = self.panel.values(IoUOptions)
        checked = IoUOptions.parse({**values, "reference": "reference", "prediction": "prediction"})
        for name in ("output", "slices", "page"):
            if (path := getattr(checked, name)) is not None:
                check_output(path, overwrite=checked.overwrite, name=name)
        if checked.model is not None and not checked.model.is_file():
            raise OptionError(
                f"{called('model')} is {checked.model}, which is no file. Choose the .pth file of a fit."
            )
        return checked


def _scores(score: dict[str, Any]) -> str:
    told = f"IoU {_number(score['iou'])}, Dice {_number(score['dice'])}"
    return f"{told} ({score['reference_voxels']:,} voxels)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _lattice(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
