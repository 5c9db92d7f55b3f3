"""The label field that a prediction leaves in the project, and the field that says how sure it was.

In:  labels (x, y, z), the scan's name and bounding box, the classes of the model.
Out: fields among the module's results, made only when all is there.
Materials get names from an AmiraMesh file, the only way that was ever seen; else Avizo names them itself.
Names that are there already are read for the scores.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..volumes.lattice import Box
from .host import Field, Host, array_of, is_label_field


def show_labels(host: Host, labels: np.ndarray, *, name: str, box: Box) -> Field:
    """Put labels into the project: into the module's last result where that is of the same scan, else anew.

    labels: uint8 or uint16 (x, y, z). name: of the scan.
    """
    wanted = f"{name}.labels"
    field = host.module.results[0]
    is_ours = field is not None and is_label_field(field) and _is_name(field.name, wanted)
    if not is_ours:
        field = host.new_label_field()
        field.name = wanted
    field.set_array(labels)
    field.bounding_box = box
    if not is_ours:
        host.module.results[0] = None  # an earlier result stays in the project
        host.module.results[0] = field
    return field


def load_labels(host: Host, path: Path) -> Field | None:
    """Load an AmiraMesh of labels as the module's result; None where Avizo made something else of it."""
    field = host.load(str(path))
    if field is None or not hasattr(field, "get_array") or not is_label_field(field):
        return None
    host.module.results[0] = None
    host.module.results[0] = field
    return field


def show_beside(host: Host, labels: Field, sure: np.ndarray | None, *, name: str, box: Box) -> str:
    """Make the field of confidence the second result, anew or in place as the labels are; gives its name.

    labels: the first result. sure: uint8 (x, y, z); None: there is none, and an earlier one, which would
    belong to other labels, only stays in the project.
    """
    results = host.module.results
    before: Any = results[1] if len(results) > 1 else None
    if sure is None:
        if before is not None:
            host.module.results = [labels]
        return ""
    wanted = f"{name}.confidence"
    is_ours = before is not None and not is_label_field(before) and _is_name(before.name, wanted)
    field: Field = before if is_ours else host.new_scalar_field()
    if not is_ours:
        field.name = wanted
    field.set_array(sure)
    field.bounding_box = box
    if not is_ours:
        host.module.results = [labels, field]  # as a whole: alone, only slot 0 was ever seen to be filled
    return str(field.name)


def _is_name(found: str, wanted: str) -> bool:
    """Whether it is the name, or the name with the number that Avizo gives to a second object of a name."""
    stem, _, suffix = wanted.partition(".")
    return found == wanted or (found.startswith(f"{stem}(") and found.endswith(f").{suffix}"))


def renumbered(field: Field, labels: np.ndarray) -> dict[int, int]:
    """Label values that Avizo has changed: ours -> its own. Looked for only where values have gaps.

    Some of Avizo's operations number labels 0, 1, 2 ... (its own headers say so).
    """
    values = values_of(labels)
    if values == list(range(len(values))):
        return {}
    now = values_of(array_of(field))
    return {} if now == values else dict(zip(values, now, strict=False))


def values_of(labels: np.ndarray) -> list[int]:
    """The values that occur in labels (x, y, z), counted slice by slice."""
    found: set[int] = set()
    for z in range(labels.shape[2]):
        found.update(np.flatnonzero(np.bincount(labels[:, :, z].ravel(order="K"))).tolist())
    return sorted(found)


def material_names(field: Field, values: Sequence[int]) -> dict[int, str]:
    """The names of a label field's materials by label value, without those that Avizo made up (Material2); {}
    where it is not certain which is which.

    values: that occur in the field. Materials have an Id and no label value; Id less 1, and the order of the
    values, both were seen to give it. They agree where labels and Ids run without gaps; only then are they
    used.
    """
    try:
        materials = ast.literal_eval(str(field.parameters["Materials"]))
        names = {int(material["Id"]) - 1: str(name) for name, material in materials.items()}
    except Exception:  # seen in one program only; scores need no names
        return {}
    if not sorted(names) == list(range(len(names))) == sorted(values):
        return {}
    return {value: name for value, name in names.items() if not re.fullmatch(r"Material\d+", name)}


_of_models: dict[str, dict[int, str]] = {}  # field -> names of its labels, of the predictions of this session


def remember_names(field: Field, classes: Sequence[Mapping[str, Any]], changed: Mapping[int, int]) -> None:
    """Keep what the model calls the labels of a prediction, which Avizo's own materials do not tell."""
    _of_models[str(field.name)] = {
        changed.get(int(entry["value"]), int(entry["value"])): str(entry["name"]) for entry in classes
    }


def label_names(field: Field, values: Sequence[int]) -> dict[int, str]:
    """What the labels of a field are called: by its materials where they have names, else by its model.

    values: that occur in it.
    """
    return _of_models.get(str(field.name), {}) | material_names(field, values)


def class_names(
    classes: Sequence[Mapping[str, Any]], voxels: Mapping[str, int], changed: Mapping[int, int]
) -> str:
    """Which label value is which class, and its share of the voxels."""
    total = max(sum(voxels.values()), 1)
    told = []
    for entry in classes:
        value = int(entry["value"])
        share = voxels.get(str(value), 0) / total
        now = f" (Avizo has renumbered it {changed[value]})" if changed.get(value, value) != value else ""
        told.append(f"{value} {entry['name']} {share:.1%}{now}")
    return ", ".join(told)
