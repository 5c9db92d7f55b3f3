"""The main job in one go: fit, predict a scan that was not seen, score it, and draw what happened.

In:  nothing (phantom scans are made), or a folder with pairs of scans and masks.
Out: a folder with the run, the labels and two pictures; the scores.
It goes through the same jobs as the commands `bone fit`, `bone predict` and `bone iou`. A second run with the
same scans, options and versions finds what the first one made.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bone_backend.errors import OptionError, OutputError, ScanError, called
from bone_backend.files.json_files import read_json
from bone_backend.files.outputs import check_apart
from bone_backend.files.whole import write_text
from bone_backend.jobs import run as jobs
from bone_backend.machine.versions import versions
from bone_backend.options.programs import DemoOptions, FitOptions, IoUOptions, PredictOptions, dump
from bone_backend.pairing.names import unique_names
from bone_backend.progress import Part, Progress
from bone_backend.runs.files import RECORD
from bone_backend.volumes.output import made_folder
from bone_backend.volumes.volume import peek

from . import pictures
from .phantoms import Phantom, write

PHANTOM_SHAPE = (48, 160, 160)
PHANTOM_CLASSES = ("1:bone:#e69f00", "2:pores:#56b4e9")
# Names of the folders that hold a scan and its mask, one TIFF a slice.
FOLDERS = (("images", "masks"), ("scan", "mask"))
MEMORY = "demo.json"  # what was asked for last, and what came of it


class Found(NamedTuple):
    """A pair in a folder."""

    name: str
    scan: Path
    mask: Path


def run(options: DemoOptions, progress: Progress) -> dict[str, Any]:
    """Fit on all pairs but one, predict that one, score it. Gives scores, seconds and paths.

    kept: whether all of it was found from an earlier run.
    """
    began = time.monotonic()
    output, data = options.output, options.data
    time_given = {"epochs": options.epochs} if options.epochs else {"minutes": options.minutes}
    _check_free(output)
    any_pairs = [Found(name, Path(name), Path(f"{name}_mask")) for name in "ab"]
    # a fault is told before anything is drawn
    _fit_options(any_pairs, output, time_given, classes=())
    pairs = (
        find_pairs(data)
        if data
        else make_phantoms(output / "phantoms", Part(progress, first=0, share=5, steps=100))
    )
    train, test = choose(pairs, options.hold_out)
    if data:
        sides = [(f"the {side} of {p.name}", getattr(p, side)) for p in pairs for side in ("scan", "mask")]
        check_apart(output, sides)
    fit = _fit_options(train, output, time_given, classes=() if data else PHANTOM_CLASSES)
    asked = {
        "options": dump(fit),
        "test": [str(test.scan), str(test.mask)],
        "files": [_state(path) for pair in (*train, test) for path in (pair.scan, pair.mask)],
        "versions": versions(),
    }
    if earlier := _remembered(output, asked):
        return {**earlier, "kept": True}
    with made_folder(output):
        write_text(output / MEMORY, json.dumps({"asked": asked, "result": None}, indent=2) + "\n")
    made = _make(output, fit, test, progress)
    result = {
        **made,
        "seconds": round(time.monotonic() - began, 1),
        "fitted_on": [pair.name for pair in train],
    }
    write_text(output / MEMORY, json.dumps({"asked": asked, "result": result}, indent=2) + "\n")
    return {**result, "kept": False}


def _make(output: Path, fit: FitOptions, test: Found, progress: Progress) -> dict[str, Any]:
    """Fit, predict `test`, score and draw it; gives scores and paths."""
    fitted = jobs.run_here("fit", dump(fit), progress=Part(progress, first=5, share=80, steps=100))
    predict = PredictOptions.parse(
        {
            "scan": test.scan,
            "model": fitted["model"],
            "output": output / "labels",
            "overwrite": True,
        }
    )
    labelled = jobs.run_here("predict", dump(predict), progress=Part(progress, first=85, share=12, steps=100))
    compare = IoUOptions.parse(
        {
            "reference": test.mask,
            "prediction": output / "labels",
            "output": output / "scores.csv",
            "overwrite": True,
        }
    )
    scored = jobs.run_here("iou", dump(compare), progress=Part(progress, first=97, share=3, steps=100))
    names = {int(value): name for value, name in fitted["class_names"].items()}
    drawn = [
        pictures.overlay(
            output / "overlay.png",
            scan=test.scan,
            reference=test.mask,
            prediction=output / "labels",
            scores=scored,
            title=test.name,
            classes=_record(output / "run")["classes"],
        ),
        pictures.curves(output / "curves.png", output / "run" / RECORD),
    ]
    return {
        "mean_iou": scored["mean_iou"],
        "iou_per_class": {value: found["iou"] for value, found in scored["classes"].items()},
        "class_names": {str(value): name for value, name in names.items()},
        "predicted": test.name,
        "model": fitted["model"],
        "labels": labelled["output"],
        "pictures": [str(path) for path in drawn],
        "run_folder": fitted["run_folder"],
    }


def _record(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / RECORD).read_text(encoding="utf-8"))
    return found


def _fit_options(
    train: list[Found], output: Path, time_given: dict[str, Any], *, classes: tuple[str, ...]
) -> FitOptions:
    """time_given: minutes or epochs. All else is what a fit does by itself."""
    return FitOptions.parse(
        {
            "pairs": [(pair.scan, pair.mask) for pair in train],
            "output": output / "run",
            "name": "demo",
            "overwrite": True,
            "class_names": classes,
            **time_given,
        }
    )


def _check_free(output: Path) -> None:
    """Raise OutputError where the folder holds anything but an earlier demonstration."""
    if output.exists() and not output.is_dir():
        raise OutputError(f"{called('output')} {output} is a file; name a folder.")
    present = sorted(item.name for item in output.iterdir()) if output.exists() else []
    if present and present != ["phantoms"] and not (output / MEMORY).exists():
        raise OutputError(
            f"{called('output')} folder {output} is not empty and holds no demonstration (it has "
            f"{present[0]}). Name a new folder."
        )


def _state(path: Path) -> list[Any]:
    """What a file or the files of a folder look like from outside; another content has another state."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _remembered(output: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The result of an earlier run that was asked for the same, if all that it made is still there."""
    try:
        earlier = read_json(output / MEMORY)
        result = earlier["result"]
        made = [result["model"], result["labels"], *result["pictures"]]
        is_same = json.loads(json.dumps(asked)) == earlier["asked"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if is_same and all(Path(path).exists() for path in made) else None


def make_phantoms(folder: Path, progress: Progress) -> list[Found]:
    """Four phantom femora, written as TIFF folders: two of them dim or uneven, each with seeds of its own."""
    made = []
    kinds: list[dict[str, Any]] = [{}, {"contrast": 0.7}, {"beam_hardening": 0.3}, {"noise": 0.06}]
    for number, kind in enumerate(kinds):
        place = folder / f"femur_{number + 1}"
        scan, mask = place / "scan", place / "mask"
        progress(number, len(kinds), f"Making phantom {number + 1}")
        if not (scan.exists() and mask.exists()):
            write(place, Phantom(shape=PHANTOM_SHAPE, seed=number, **kind), overwrite=True)
        made.append(Found(place.name, scan, mask))
    return made


def find_pairs(folder: Path) -> list[Found]:
    """Pairs in a folder: NAME_image.tif beside NAME_mask.tif, or folders images/ and masks/ (or scan/ and
    mask/), up to two levels down.

    Raises ScanError where there are fewer than three.
    """
    if not folder.is_dir():
        raise ScanError(f"data folder {folder} does not exist.")
    found = sorted(_search(folder, levels=2))
    places = [one.scan.parent if one.scan.is_dir() else one.scan.with_name(one.name) for one in found]
    names = unique_names(places)  # --hold-out names one
    found = [pair._replace(name=name) for pair, name in zip(found, names, strict=True)]
    if len(found) < 3:
        raise ScanError(
            f"data folder {folder} holds {len(found)} pairs; the demo needs three, two to fit and one to "
            "predict. A pair is NAME_image.tif beside NAME_mask.tif, or a folder with images/ and masks/."
        )
    return found


def _search(folder: Path, *, levels: int) -> Iterator[Found]:
    for scans, masks in FOLDERS:
        if (folder / scans).is_dir() and (folder / masks).is_dir():
            yield Found(folder.name, folder / scans, folder / masks)
            return
    for scan in folder.glob("*_image.tif*"):
        mask = scan.with_name(re.sub(r"_image(?=\.tiff?$)", "_mask", scan.name))
        if mask.is_file():
            yield Found(re.sub(r"_image\.tiff?$", "", scan.name), scan, mask)
    if levels:
        for inner in folder.iterdir():
            if inner.is_dir():
                yield from _search(inner, levels=levels - 1)


def choose(pairs: list[Found], hold_out: str | None) -> tuple[list[Found], Found]:
    """The pairs to fit on and the one to predict.

    hold_out: name of the latter; without it the last of the largest group of one voxel size, and fitted are
    the others of that group, since scans of one resolution make the fairer demonstration.
    """
    if hold_out is not None:
        chosen = [pair for pair in pairs if pair.name == hold_out]
        if not chosen:
            known = ", ".join(pair.name for pair in pairs)
            raise OptionError(f"{called('hold_out')} is {hold_out!r}; the folder has {known}.")
        return [pair for pair in pairs if pair.name != hold_out], chosen[0]
    groups: dict[Any, list[Found]] = {}
    for pair in pairs:
        groups.setdefault(peek(pair.scan).voxel_size_um, []).append(pair)
    largest = max(groups.values(), key=len)
    group = largest if len(largest) >= 3 else pairs
    return group[:-1], group[-1]
