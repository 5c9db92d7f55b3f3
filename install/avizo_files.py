"""Put BONe's modules into an installed Avizo, look whether they are there, take them out again.

In:  Avizo's folder, e.g. C:/Program Files/Thermo Scientific Amira-Avizo3D 2024.2; the worker's interpreter.
Out: files under its share/ folder and a record of them; commands for Avizo's own Python, printed and not run.
Only files that the record names are ever removed. The places were seen in use; no vendor promises them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import environments
import pythons
from running import InstallError

CHECKOUT = Path(__file__).resolve().parent.parent
MODULES = ("BONe_DLFit", "BONe_DLPred", "BONe_IoU")
PACKAGES = ("bone_backend", "external_worker")

SCRIPTS = Path("share/python_script_objects")
PYTHON_MODULES = Path("share/python_modules")
PLACES = {".pyscro": SCRIPTS, ".rc": SCRIPTS, ".html": SCRIPTS, ".png": SCRIPTS, ".xml": Path("share/xml")}
RECORD = PYTHON_MODULES / "bone-installed.json"
WORKER_NOTE = PYTHON_MODULES / "external_worker" / "python.txt"
REQUIREMENTS = PYTHON_MODULES / "bone-requirements.txt"

# What the backend needs in Avizo's Python. numpy is Avizo's own and stays as it is.
IN_AVIZO = (
    *(
        "torch",
        "torchvision",
        "segmentation-models-pytorch",
        "nvidia-ml-py",
        "psutil",
        "pydantic",
        "tifffile",
    ),
    *("nibabel", "pynrrd", "pydicom", "h5py", "olefile", "scipy"),
    *("imagecodecs", "rich", "pyyaml", "matplotlib", "jinja2", "markupsafe", "platformdirs"),
)


def contents(checkout: Path = CHECKOUT) -> dict[Path, bytes]:
    """Every file that belongs into Avizo, without the worker's note: place under its folder -> bytes."""
    found: dict[Path, bytes] = {}
    for module in MODULES:
        for file in sorted((checkout / "avizo_modules" / module).glob("*")):
            if file.suffix in PLACES:
                found[PLACES[file.suffix] / file.name] = file.read_bytes()
    for package in PACKAGES:
        files = [*(checkout / package).rglob("*.py"), *(checkout / package).rglob("templates/*.*")]
        for file in sorted(files):
            found[PYTHON_MODULES / file.relative_to(checkout)] = file.read_bytes()
    found[REQUIREMENTS] = requirements(checkout).encode("utf-8")
    return found


def requirements(checkout: Path = CHECKOUT) -> str:
    """The packages for Avizo's Python with the versions that the tests on Python 3.11 use."""
    pins = environments.pins(checkout / "install" / "requirements-avizo.txt")
    lines = [f"{name}=={pins[name][0]}" for name in IN_AVIZO]
    return "\n".join(["# For Avizo's own Python; numpy is left as Avizo has it.", *lines, ""])


def refuse_early(folder: Path) -> None:
    """Raise before any work when this is no Avizo, or nothing may be written there."""
    if not (folder / "share").is_dir():
        raise InstallError(
            f"{folder} is not where Avizo is installed: it has no folder 'share'. It is the folder that "
            "holds 'bin' and 'share', such as C:/Program Files/Thermo Scientific Amira-Avizo3D 2024.2."
        )
    for place in (SCRIPTS, PYTHON_MODULES, Path("share/xml")):
        trial = folder / place / "bone-trial.txt"
        try:
            trial.parent.mkdir(parents=True, exist_ok=True)
            trial.write_text("may BONe write here?", encoding="utf-8")
            trial.unlink()
        except OSError as fault:
            raise no_access(folder / place, fault) from fault


def no_access(place: Path, fault: OSError) -> InstallError:
    return InstallError(
        f"Nothing can be written to {place} ({fault.strerror or fault}). Close Avizo and run this in a "
        "terminal started as administrator (Windows: right click, 'Run as administrator'; Linux: sudo)."
    )


def install(folder: Path, *, worker: Path, checkout: Path = CHECKOUT) -> int:
    """Copy everything; files of an earlier installation that are no longer needed go."""
    refuse_early(folder)
    files = contents(checkout)
    lacking = [m for m in MODULES if not any(p.stem == m and p.suffix == ".pyscro" for p in files)]
    if lacking:
        raise InstallError(f"This copy of BONe lacks the modules {', '.join(lacking)} in avizo_modules.")
    files[WORKER_NOTE] = f"{worker}\n".encode()
    changed = [
        path for path, data in files.items() if digest(folder / path) != hashlib.sha256(data).hexdigest()
    ]
    try:
        # the record first: a broken installation can be taken out too
        write_record(folder, {**read_record(folder), **hashes(files)})
        for path in changed:
            put(folder / path, files[path])
        remove(folder, [path for path in map(Path, read_record(folder)) if path not in files])
        write_record(folder, hashes(files))
    except OSError as fault:
        raise no_access(Path(fault.filename or folder), fault) from fault
    print(f"BONe is in {folder}: {len(files)} files, {len(changed)} of them new or changed.")
    print(next_steps(folder))
    return 0


def check(folder: Path, *, checkout: Path = CHECKOUT) -> int:
    """Say whether every file is in its place and the worker runs; 1 when something is amiss."""
    faults = []
    if not read_record(folder):
        faults.append("BONe is not installed there")
    else:
        for path, data in contents(checkout).items():
            there = digest(folder / path)
            if there != hashlib.sha256(data).hexdigest():
                faults.append(
                    f"{path}: " + ("missing" if there is None else "differs from this copy of BONe")
                )
        faults += check_worker(folder / WORKER_NOTE)
    for fault in faults:
        print(fault)
    print(
        f"{folder}: " + (f"{len(faults)} faults; install again" if faults else "everything is in its place")
    )
    return 1 if faults else 0


def check_worker(note: Path) -> list[str]:
    if not note.is_file():
        return [f"{note}: missing"]
    python = note.read_text(encoding="utf-8").strip()
    if pythons.ask([python, "-I", "-c", "import numpy, tifffile, psutil; print('ready')"]) != "ready":
        return [f"the worker's Python {python} does not run, or lacks packages"]
    return []


def uninstall(folder: Path) -> int:
    """Take out what the record names, and folders that are empty then."""
    record = read_record(folder)
    if not record:
        print(f"BONe is not installed in {folder}; nothing was removed.")
        return 0
    try:
        remove(folder, [Path(path) for path in record])
        (folder / RECORD).unlink()
    except OSError as fault:
        raise no_access(Path(fault.filename or folder), fault) from fault
    print(f"BONe was taken out of {folder} ({len(record)} files).")
    return 0


def remove(folder: Path, paths: list[Path]) -> None:
    """Remove files, what Python compiled from them, and BONe's own folders once they are empty."""
    for path in paths:
        if (folder / path).exists():
            (folder / path).unlink()
        for compiled in (folder / path).parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink()
    ours = {parent for path in paths for parent in path.parents if parent.parts[:2] == PYTHON_MODULES.parts}
    ours -= {PYTHON_MODULES}
    for parent in sorted(ours, key=lambda one: len(one.parts), reverse=True):
        for empty in (folder / parent / "__pycache__", folder / parent):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()


def put(path: Path, data: bytes) -> None:
    """Write a file under another name first, so that Avizo never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    new.replace(path)


def digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def hashes(files: dict[Path, bytes]) -> dict[str, str]:
    return {path.as_posix(): hashlib.sha256(data).hexdigest() for path, data in files.items()}


def read_record(folder: Path) -> dict[str, str]:
    """Files of the installation with their hashes; empty where there is none."""
    try:
        files = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
        return {name: told for name, told in files.items() if is_inside(name) and isinstance(told, str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def is_inside(name: str) -> bool:
    """Whether a name from a record is that of a file below the folder: it may be removed by that name.

    >>> is_inside("share/bone.pyscro"), is_inside("../x"), is_inside("/etc/x"), is_inside("C:x")
    (True, False, False, False)
    """
    parts = name.replace("\\", "/").split("/")
    return not {"", ".", ".."}.intersection(parts) and not set(":\0").intersection(name)


def write_record(folder: Path, files: dict[str, str]) -> None:
    put(folder / RECORD, json.dumps({"files": files}, indent=1).encode("utf-8"))


def next_steps(folder: Path) -> str:
    """Commands for Avizo's own Python. EDM as in version 2024.2."""
    needs = folder / REQUIREMENTS
    edm = r"%LOCALAPPDATA%\Programs\Enthought\edm\edm.bat" if shutil.which("cmd") else "edm"
    return f"""
Next, in Avizo (once for each computer; names as in 2024.2):
  1. Developer > Python Environments > Create Python Environment: name it bone. Enthought asks for a log-in.
  2. In a terminal, for its packages:
       {edm} run -e bone -- pip install -r "{needs}"
     On Windows that brings the torch for CPUs. For an NVIDIA GPU first install torch and torchvision of the
     same versions from PyTorch's own index, with the command that PyTorch's start page gives, after "-- ".
  3. Developer > Python Environments > Select Python Environment: bone. Then restart Avizo.
  4. Load a scan, right click on it in the Project View: BONe DLFit, BONe DLPred and BONe IoU are in the menu.
Check it at any time with: python3 install/bootstrap.py avizo --avizo-dir "{folder}" --check"""
