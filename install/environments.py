"""Make a virtual environment with exact package versions, or find in no time that it is there.

In:  a folder, the Python versions that will do, requirement files (layers), and where packages come from.
Out: the environment's interpreter.
A stamp in the folder says what is in it; a mark says that it is half-made and has to be made again. A folder
with neither is somebody else's: it is used when it holds the right packages, and never removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pythons
from running import InstallError, Line, run

STAMP = "bone-environment.json"
UNFINISHED = "bone-unfinished"
LOG = "bone-install.log"

HELD = """
import importlib.metadata as m, json, re, sys
have = {re.sub("[-_.]+", "-", d.name).lower(): d.version.split("+")[0] for d in m.distributions() if d.name}
wanted = json.loads(sys.argv[1])
print(json.dumps([n for n, v in wanted.items() if have.get(n) not in v]))
"""

HOW_TO_CPU = (
    "No CPU build of torch is where pip looks. On Linux these builds are on PyTorch's own index (its start "
    "page names it): give it with --index URL, or a folder of wheels with --wheels DIR. The plain build, "
    "without --torch, runs on CPUs as well; it only takes more room."
)

# torch/version.py alone: importing torch takes seconds.
BUILD = """
import importlib.util as u, pathlib, runpy
facts = runpy.run_path(str(pathlib.Path(u.find_spec("torch").origin).parent / "version.py"))
print("cuda" if facts["cuda"] else "cpu")
"""


@dataclass(frozen=True)
class Source:
    """Where packages come from. torch: "cuda", "cpu" or None (what is there, else the registry's)."""

    torch: str | None = None
    wheels: Path | None = None
    index: str | None = None

    def pip_flags(self) -> list[str]:
        flags = ["--no-index", "--find-links", str(self.wheels)] if self.wheels else []
        return flags + (["--extra-index-url", self.index] if self.index else [])


@dataclass(frozen=True)
class Environment:
    """What an environment should be. own: the checkout, when its `bone` command belongs in it."""

    folder: Path
    versions: tuple[tuple[int, int], ...]
    layers: tuple[Path, ...]
    own: Path | None = None
    source: Source = field(default_factory=Source)

    @property
    def python(self) -> Path:
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def wanted(self) -> dict[str, str]:
        """The hash of each thing that goes in."""
        named = (self.own / name for name in ("pyproject.toml", "setup.py")) if self.own else ()
        files = [*self.layers, *(file for file in named if file.is_file())]
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def make(environment: Environment, *, find: Callable[..., pythons.Python] = pythons.find) -> Path:
    """Bring an environment to what is wanted; returns its interpreter. 50 ms when it is so already."""
    stamp = read_stamp(environment)
    if stamp and not missing(environment, stamp):
        return environment.python
    line = Line(environment.folder.name)
    adopted = stamp["adopted"] if stamp else adopt(environment)
    if stamp is None and not adopted:
        begin(environment, line, find=find)
    if not adopted:
        mark(environment.folder, unfinished=True)
    torch = environment.source.torch or (stamp or {}).get("torch")
    install(environment, line, torch=torch)
    version = version_of(environment.python)
    found = check_torch(environment)
    write_stamp(environment, {"python": version, "torch": found, "adopted": adopted})
    mark(environment.folder, unfinished=False)
    line.done(f"ready, Python {version}" + (f", torch for {found}" if found else ""))
    return environment.python


def read_stamp(environment: Environment) -> dict | None:
    """What is in a whole environment that still runs; None for anything else."""
    try:
        stamp = json.loads((environment.folder / STAMP).read_text(encoding="utf-8"))
        unfinished = (environment.folder / UNFINISHED).exists()
    except (OSError, ValueError):
        return None
    version = None if unfinished else version_of(environment.python)
    if version is None or version != stamp.get("python"):
        return None
    if tuple(map(int, version.split(".")[:2])) not in environment.versions:
        return None
    return None if environment.source.torch not in (None, stamp.get("torch")) else stamp


def missing(environment: Environment, stamp: dict) -> list[str]:
    held = stamp.get("layers", {})
    return [name for name, value in environment.wanted().items() if held.get(name) != value]


def write_stamp(environment: Environment, facts: dict) -> None:
    """Written under another name first, so that a stamp is whole or absent. Layers already there are kept."""
    path = environment.folder / STAMP
    try:
        earlier = json.loads(path.read_text(encoding="utf-8")).get("layers", {})
    except (OSError, ValueError):
        earlier = {}
    text = json.dumps({**facts, "layers": {**earlier, **environment.wanted()}}, indent=2)
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def mark(folder: Path, *, unfinished: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if unfinished:
        (folder / UNFINISHED).write_text("bootstrap.py is at work here, or was stopped\n", encoding="utf-8")
    else:
        with contextlib.suppress(FileNotFoundError):  # an adopted one never had it
            (folder / UNFINISHED).unlink()


def version_of(python: Path) -> str | None:
    return pythons.ask(
        [str(python), "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"]
    )


def adopt(environment: Environment) -> bool:
    """True for an environment that somebody else made and that holds every package of the layers."""
    if not environment.folder.exists() or is_ours(environment.folder) or environment.source.torch:
        return False
    version = version_of(environment.python)
    if version is None or tuple(map(int, version.split(".")[:2])) not in environment.versions:
        return False
    wanted = {}
    for layer in environment.layers:
        for name, pinned in pins(layer).items():
            wanted.setdefault(name, []).extend(pinned)
    answer = pythons.ask([str(environment.python), "-I", "-c", HELD, json.dumps(wanted)])
    lacking = [n for n in json.loads(answer or '["?"]') if n != "colorama"]
    return not lacking


def pins(layer: Path) -> dict[str, list[str]]:
    """Names and exact versions in a requirement file; several where they depend on Python's version."""
    found: dict[str, list[str]] = {}
    for line in layer.read_text(encoding="utf-8").splitlines():
        for name, version in named(line).items():
            found.setdefault(name, []).append(version)
    return found


def named(line: str) -> dict[str, str]:
    """The package that a line of a requirement file pins, and its version; nothing in other lines."""
    if "==" not in line or line.startswith("#"):
        return {}
    name, version = line.split(";")[0].split("#")[0].split("==")
    return {name.strip().replace("_", "-").lower(): version.strip()}


def is_ours(folder: Path) -> bool:
    """Made by this program, wholly or half: only such a folder may be removed."""
    try:
        return not json.loads((folder / STAMP).read_text(encoding="utf-8")).get("adopted", False)
    except (OSError, ValueError):
        return (folder / STAMP).exists() or (folder / UNFINISHED).exists()


def remove_half_made(folder: Path) -> None:
    if not folder.exists():
        return
    if folder.is_symlink() or not (is_ours(folder) or not any(folder.iterdir())):
        raise InstallError(
            f"{folder} was not made by this program and does not hold what is wanted. Rename or remove it, "
            "or make the environments elsewhere with --folder DIR."
        )
    shutil.rmtree(folder)


def begin(environment: Environment, line: Line, *, find: Callable[..., pythons.Python]) -> None:
    """An empty environment of the best Python there is."""
    python = find(environment.versions)
    if python.version[:2] != environment.versions[0]:
        wish = "{}.{}".format(*environment.versions[0])
        line.note(f"no Python {wish} here; Python {python.text} does it too")
    remove_half_made(environment.folder)
    mark(environment.folder, unfinished=True)
    line.step(f"Python {python.text}")
    run([python.path, "-I", "-m", "venv", str(environment.folder)], environment.folder / LOG, line)


def install(environment: Environment, line: Line, *, torch: str | None) -> None:
    """Let pip bring in the layers and, last, the checkout's own command."""
    pip = [str(environment.python), "-I", "-m", "pip", "install", "--progress-bar", "off", "--no-input"]
    pip += ["--disable-pip-version-check", "--no-compile", *environment.source.pip_flags()]
    log = environment.folder / LOG
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "requirements.txt"
        text = joined(environment.layers)
        whole.write_text(of_cpu(text, environment.source) if torch == "cpu" else text, encoding="utf-8")
        try:
            run([*pip, "-r", str(whole)], log, line, packages=text.count("=="))
        except InstallError as fault:
            raise InstallError(f"{fault}\n{HOW_TO_CPU}" if "+cpu" in str(fault) else str(fault)) from None
    if environment.own:
        own = [*pip, "--no-deps", "--no-build-isolation", "--no-index", "-e", str(environment.own)]
        run(own, log, line)


def joined(layers: Sequence[Path]) -> str:
    """The lines of all layers; where two pin one package, those of the later."""
    texts, later = list[str](), set[str]()
    for layer in reversed(layers):
        lines = layer.read_text(encoding="utf-8").splitlines()
        texts.append("\n".join(one for one in lines if not later & {*named(one)}))
        later |= {*pins(layer)}
    return "\n".join(reversed(texts))


def of_cpu(requirements: str, source: Source) -> str:
    """On Linux the registry's torch is the CUDA build (2.5 GB more); the CPU build is called +cpu.

    A wheel folder without a "+cpu" is taken as it is: its owner has chosen.
    """
    if platform.system() != "Linux" or (source.wheels and not any(source.wheels.glob("torch-*+cpu*"))):
        return requirements
    lines = requirements.splitlines()
    return "\n".join(one + "+cpu" if one.startswith(("torch==", "torchvision==")) else one for one in lines)


def check_torch(environment: Environment) -> str | None:
    """Which torch there is: "cuda", "cpu" or None; raises when it is not the one that was asked for."""
    if not any("torch" in pins(layer) for layer in environment.layers):
        return None
    found = pythons.ask([str(environment.python), "-I", "-c", BUILD])
    asked = environment.source.torch
    if asked and found != asked:
        raise InstallError(
            f"--torch {asked} was asked for, but the packages found hold a torch for {found}. "
            "Name an index of such builds with --index URL (PyTorch's start page lists them), "
            "or a folder with --wheels DIR."
        )
    return found
