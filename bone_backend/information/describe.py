"""What a path is: a scan, a mask, a model file, a run folder, a study, something else that BONe has made, or
nothing that it knows.

In:  a path.
Out: a dictionary of plain values; of large volumes some slices are looked at, of other files their headers.
"""

from __future__ import annotations

import math
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ..errors import OptionError, ScanError, called
from ..files.inside import file_of
from ..files.names import from_home
from ..options.programs import InfoOptions
from ..progress import Progress
from ..runs.files import BEST, CHECKPOINT, found, model_of
from ..volumes.formats import format_of, in_words
from ..volumes.header import Triple
from . import model as model_facts
from . import ours
from . import run as run_facts
from . import study as study_facts
from . import volume as volume_facts

READS = f"BONe reads scans and masks as {in_words()}; model files (.pth); and folders of fits and studies."
# How files begin that people may take for a scan.
BEGINNINGS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1f\x8b", "a gzip file"),
    (128, b"DICM", "a DICOM image"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"BM", "a BMP picture"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"# vtk", "a VTK file"),
    (0, b"solid", "an STL surface"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"%PDF", "a PDF document"),
    (0, b"{", "a text in JSON"),
)
VOLUMES = ("scan", "mask", "scan or mask")
KINDS = {"model": "a model file", "run": "the run folder of a fit", "study": "the folder of a study"}
ADVICE = {
    "a DICOM image": "Give the folder of its series.",
    "a PNG picture": "Give the folder of its slices.",
    "a BMP picture": "Give the folder of its slices.",
    "a JPEG picture": "Give the folder of its slices; but JPEG has changed the grey values.",
}


def describe(path: Path, *, voxel_size: Triple | None = None) -> dict[str, Any]:
    """The facts. Raises BoneError where there is nothing, or a scan or model file is damaged.

    voxel_size: of a scan or mask, in um, instead of what it says. Numbers that JSON does not have (nan, inf)
    are None.
    """
    path = _named(from_home(path))
    try:
        if not file_of(path).exists():
            raise ScanError(f"{path} does not exist.")
    except OSError as fault:
        raise ScanError(f"{str(path)[:300]} cannot be opened ({fault.strerror or fault}).") from fault
    facts = _facts(path, voxel_size)
    if voxel_size is not None and facts["kind"] not in VOLUMES:
        told = f"{called('voxel_size')} is for a scan or a mask"
        raise OptionError(f"{told}, and {path} is {KINDS.get(facts['kind']) or facts['what']}. Leave it out.")
    return {key: _finite(value) for key, value in facts.items()}


def describe_job(options: InfoOptions, progress: Progress) -> dict[str, Any]:
    """The command "info"."""
    return describe(options.path, voxel_size=options.voxel_size)


def _facts(path: Path, voxel_size: Triple | None) -> dict[str, Any]:
    if path.is_dir() and study_facts.is_study(path):
        return study_facts.facts(path)
    if path.is_dir() and run_facts.is_run(path):
        return run_facts.facts(path)
    if (found := ours.facts(path)) is not None:
        return found
    if path.is_dir():
        return volume_facts.facts(path, voxel_size) if format_of(path) else _folder(path)
    if path.name == CHECKPOINT and run_facts.is_run(path.parent):
        what = "the state of a fit, from which it goes on"
        return _unknown(path, what, f"Go on with: bone fit --resume {path.parent}", is_ours=True)
    if path.suffix.lower() in (".pth", ".pt"):
        return model_facts.facts(path)
    if format_of(path):
        return volume_facts.facts(path, voxel_size)
    kind = _kind_of_file(path)
    return _unknown(path, kind, ADVICE.get(kind, ""))


def _kind_of_file(path: Path) -> str:
    """What a file is that BONe does not read, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(1024)
    if not start:
        return "an empty file"
    kinds = (name for at, mark, name in BEGINNINGS if start[at : at + len(mark)] == mark)
    return next(kinds, "a file that BONe does not know")


def _folder(path: Path) -> dict[str, Any]:
    names = sorted(item.name for item in path.iterdir() if not item.name.startswith("."))
    inner = [name for name in names if (path / name).is_dir()]
    files = [name for name in names if name not in inner]
    entries = f"{len(names):,} entr{'ies' if len(names) > 1 else 'y'}"
    what = "an empty folder" if not names else f"a folder without TIFF slices ({entries})"
    if inner:
        return _unknown(
            path,
            what,
            f"Name one of the folders in it: {', '.join(inner[:6])}{', ...' if inner[6:] else ''}.",
        )
    kind = _kind_of_file(path / files[0]) if files else ""
    if kind in ADVICE:
        what = f"a folder without TIFF slices; its first file, {files[0]}, is {kind}"
    return _unknown(path, what, ADVICE.get(kind, ""))


def _unknown(path: Path, what: str, advice: str, *, is_ours: bool = False) -> dict[str, Any]:
    """is_ours: BONe has made it, so that what it reads instead is not told."""
    known = {"kind": "unknown", "path": str(path), "what": what, "advice": advice}
    known |= {} if is_ours else {"reads": READS}
    return known | ({} if path.is_dir() else {"bytes_on_disk": path.stat().st_size})


def _named(path: Path) -> Path:
    """The file meant by a pattern: of the best models of a run, the best."""
    try:
        return model_of(path) if fnmatch(path.name, BEST) else found(path)
    except ValueError as error:
        raise ScanError(f"{path}: {error}.") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
