"""BONe DLPred inside Avizo: a scan and a model file in, a label field out.

In:  the connected scan and the options of the panel.
Out: a label field with the scan's bounding box and name; if wanted also a field of confidence, and an
AmiraMesh file with materials.
The labels appear in the project when they are whole; a stop or a fault leaves nothing there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dataset.checks import SCAN_DTYPES
from ..errors import BoneError, Fault, OptionError, OutputError, called
from ..files.names import from_home
from ..files.outputs import ENDINGS, check_output
from ..inference import voxel_size
from ..inference.labels import ClassMap
from ..options.predicting import cleaning
from ..options.programs import PredictOptions, dump
from ..runs.files import model_of
from ..volumes.formats import AMIRA
from ..volumes.header import Header
from ..volumes.lattice import geometry_of, read_xyz
from ..volumes.volume import open_volume
from .door import Door
from .fields import shapes_zyx
from .forms import PREDICT
from .labels import class_names, load_labels, remember_names, renumbered, show_beside, show_labels
from .running import HostProgress, Outcome
from .spill import spilling

if TYPE_CHECKING:
    from ..model_files.header import ModelHeader


class DLPred(Door):
    """The module BONe DLPred."""

    form = PREDICT

    def __init__(self, module: Any, names: Any):
        self._headers: dict[tuple[str, int], ModelHeader] = {}
        super().__init__(module, names)

    def show(self) -> None:
        header = self._header()
        self.panel.show({"mode": header.mode} if header else {})
        card = [_card(header), self._size_advice(header)] if header else []
        self.panel.tell("card", "\n".join(line for line in card if line))

    def faults(self) -> list[str]:
        faults = self.option_faults()
        scan = self.facts["scan"]
        if scan is None:
            faults.append("Connect the scan to be labelled.")
        elif scan.is_label:
            faults.append(f"{scan.name} is a label field. Connect the grey values that are to be labelled.")
        elif scan.dtype.name not in SCAN_DTYPES:
            allowed = ", ".join(SCAN_DTYPES)
            faults.append(f"{scan.name} has voxels of type {scan.dtype}; BONe takes {allowed}. Convert it.")
        try:
            self._parse(Path("scan"), Path("labels"))
            self._header()
        except BoneError as error:
            faults += error.faults
        return faults + self._mesh_faults()

    def work(self, progress: HostProgress) -> dict[str, Any]:
        header, scan = self._header(), self.facts["scan"]
        assert header is not None
        assert scan is not None
        field, box, classes = self.panel.sources()["scan"], scan.box, _classes(header)
        with spilling(f"predict {os.getpid()} {id(self)}") as spill:
            self.paths = spill.names
            voxels = scan.nbytes // scan.dtype.itemsize
            spill.check_space(scan.nbytes + voxels * (2 if self._wants_confidence() else 1))
            path, _ = spill.write(field, 1, unit=self.unit(), progress=progress)
            output = spill.folder / "labels.npy"
            result = self.start(dump(self._parse(path, output)), progress)
            sure = _read(result["maps"][0], progress) if result["maps"] else None
            made, changed = self._show(output, box=box, classes=classes, progress=progress)
        beside = show_beside(self.host, made, sure, name=scan.name, box=box)
        told = {"changed": changed, "field": made.name, "beside": beside, "classes": classes}
        return {**result, **told}

    def _show(
        self, output: Path, *, box: Any, classes: list[dict[str, Any]], progress: HostProgress
    ) -> tuple[Any, dict[int, int]]:
        """Put the labels into the project, by way of an AmiraMesh where that is wanted; gives their field,
        and the label values that Avizo has changed.
        """
        scan = self.facts["scan"]
        assert scan is not None
        with open_volume(output) as labels:
            mesh = self._mesh()
            if mesh is not None:
                is_new = bool(self.panel.options["overwrite"].read())
                settings = {"box": box, "classes": classes, "overwrite": is_new, "progress": progress}
                AMIRA.call("labels", mesh, labels, **settings)
                made = load_labels(self.host, mesh)
                if made is not None:
                    return made, {}
            array = read_xyz(labels, progress=progress, message="Showing the labels")
        made = show_labels(self.host, array, name=scan.name, box=box)
        changed = renumbered(made, array)
        remember_names(made, classes, changed)
        return made, changed

    def _wants_confidence(self) -> bool:
        return bool(self.panel.options["confidence"].read())

    def tell(self, outcome: Outcome) -> str:
        if outcome.is_stopped or outcome.result is None:
            self.panel.tell("classes", "")
            return "Stopped; the project is as it was."
        result = outcome.result
        told = class_names(result["classes"], result["voxels"], result["changed"])
        self.panel.tell("classes", told)
        print(f"{self.form.title}: classes {told}")
        confidence = result["confidence"].get("mean")
        sure = f", mean confidence {confidence:.3f}" if confidence is not None else ""
        told = f"{result['slices']} slices in {result['seconds']:.1f} s on {result['device']}"
        beside = [f"{result['beside']}: how sure it was of each voxel, 255 is 1."] if result["beside"] else []
        cleaned = [f"Cleaned {cleaning.in_words(one)}" for one in result.get("cleaning", ())]
        lines = [f"{result['field']}: {told}{sure}", *beside, *cleaned, *result.get("warnings", [])]
        return "\n".join(lines)

    def _size_advice(self, header: ModelHeader) -> str:
        """Whether the connected scan has voxels of another size than the model's scans."""
        scan = self.facts["scan"]
        if scan is None:
            return ""
        unit, scale = self.unit()
        size, _ = geometry_of(scan.shape, scan.box, scale=scale)
        known = Header(scan.name, shapes_zyx([scan])[0], scan.dtype, size, unit).voxel_size_um
        return voxel_size.advice(header.bone.get("voxel_size_um"), known, mode=header.mode)

    def _parse(self, scan: Path, output: Path) -> PredictOptions:
        header = self._header(told=False)
        values = self.panel.values(PredictOptions, {"mode": header.mode} if header else {})
        if self._wants_confidence():
            values["maps"] = ["confidence"]
        return PredictOptions.parse({**values, "scan": str(scan), "output": str(output), "overwrite": False})

    def _header(self, *, told: bool = True) -> ModelHeader | None:
        """The model file's header, read again when the file has changed; None while none is named."""
        from ..model_files.header import read_header  # of the shelf of networks, but it needs no torch

        name = self.panel.options["model"].read()
        if not name:
            return None
        try:
            path = self._model(name)
            mark = (str(path), path.stat().st_mtime_ns if path.exists() else 0)
            if mark not in self._headers:
                self._headers = {mark: read_header(path)}
            return self._headers[mark]
        except BoneError:
            if told:
                raise
            return None

    @staticmethod
    def _model(name: str) -> Path:
        try:
            return model_of(from_home(name))
        except ValueError as error:
            raise OptionError(f"{called('model')} is {name}: {error}.") from error

    def _mesh(self) -> Path | None:
        name = self.panel.options["amira_mesh"].read()
        if not name:
            return None
        path = from_home(name)
        ending = AMIRA.written[0]
        return path if path.suffix.lower() == ending else path.with_name(path.name + ending)

    def _mesh_faults(self) -> list[str]:
        mesh = self._mesh()
        if mesh is None:
            return []
        named = Path(str(self.panel.options["amira_mesh"].read()))
        if named.suffix.lower() in ENDINGS - {*AMIRA.written}:
            return [
                Fault(
                    f"{called('amira_mesh')} is {named}; labels are saved as AmiraMesh. Give a name that "
                    "ends in .am."
                )
            ]
        header = self._header(told=False)
        try:
            inputs = [("the model file", header.path)] if header else []
            is_new = bool(self.panel.options["overwrite"].read())
            check_output(mesh, inputs=inputs, overwrite=is_new, name="amira_mesh")
        except OutputError as error:
            return list(error.faults)
        return []


def _read(path: str, progress: HostProgress) -> np.ndarray:
    """A volume that lies in a file, (x, y, z)."""
    with open_volume(path) as volume:
        return read_xyz(volume, progress=progress, message="Showing the confidence")


def _classes(header: ModelHeader) -> list[dict[str, Any]]:
    """Value, name and colour of each class."""
    known = ClassMap.from_model(header.bone.get("classes"), header.num_classes)
    colours = {entry.get("value"): entry.get("colour") for entry in header.bone.get("classes") or []}
    return [
        {"value": value, "name": name, "colour": colours.get(value)}
        for value, name in zip(known.values, known.names, strict=True)
    ]


def _card(header: ModelHeader) -> str:
    """The model in one line."""
    names = ", ".join(f"{entry['value']} {entry['name']}" for entry in _classes(header))
    score = header.metadata.get("best_val_score")
    network = header.spec.words if header.plain else f"{header.architecture}, {header.backbone}"
    return f"{header.mode} {network}; {names}" + (
        f"; validation IoU {score:.3f}" if isinstance(score, float) else ""
    )
