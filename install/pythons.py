"""Find a Python of a wanted version on this machine.

In:  versions in order of preference, e.g. ((3, 12), (3, 13), (3, 11)).
Out: the first interpreter that can make an environment, or a message on where was looked and how to get one.
Each candidate is run and asked what it is: a name on PATH proves nothing (pyenv has shims, Windows a stub).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ASK = """
import importlib.util as u, json, struct, sys, sysconfig
print(json.dumps({
    "python": getattr(sys, "_base_executable", None) or sys.executable,
    "version": list(sys.version_info[:3]), "name": sys.implementation.name, "bits": 8 * struct.calcsize("P"),
    "free": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "lacks": [n for n in ("venv", "ensurepip") if u.find_spec(n) is None]}))
"""


class NoPythonError(Exception):
    """No usable interpreter; the text says where was looked and how to get one."""


@dataclass(frozen=True)
class Python:
    """An interpreter that can make environments."""

    path: str
    version: tuple[int, int, int]

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))


def clean_environment() -> dict[str, str]:
    """This process's variables without those that make one Python load another's modules."""
    poison = ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    kept = {name: value for name, value in os.environ.items() if name not in poison}
    return {**kept, "PYTHONUTF8": "1"}


def ask(command: list[str], timeout_s: float = 20) -> str | None:
    """Standard output of a short command; None where it fails, hangs or does not exist."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            env=clean_environment(),
            cwd=str(Path.home()) if Path.home().is_dir() else None,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else None


def examine(path: str, version: tuple[int, int]) -> tuple[Python | None, str]:
    """Run an interpreter and judge it; returns (interpreter or None, why not)."""
    answer = ask([path, "-I", "-c", ASK])
    if answer is None:
        return None, "does not run"
    try:
        facts = json.loads(answer)
    except ValueError:
        return None, "does not answer as a Python"
    if tuple(facts["version"][:2]) != version:
        return None, "is {}.{}.{}".format(*facts["version"])
    if facts["name"] != "cpython" or facts["bits"] != 64 or facts["free"]:
        return None, "is not the usual 64-bit CPython (with GIL)"
    if facts["lacks"]:
        return None, "lacks {}; on Debian and Ubuntu: apt install python{}.{}-venv".format(
            " and ".join(facts["lacks"]), *version
        )
    return Python(facts["python"], tuple(facts["version"])), ""


def on_path(version: tuple[int, int]) -> Iterator[str]:
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for name in ("python{}.{}".format(*version), "python3", "python"):
            found = shutil.which(name, path=folder) if folder else None
            if found:
                yield found


def by_launcher(version: tuple[int, int]) -> Iterator[str]:
    launcher = shutil.which("py")
    answer = launcher and ask(
        [launcher, "-{}.{}".format(*version), "-c", "import sys; print(sys.executable)"]
    )
    if answer:
        yield answer


def executables(folder: Path, version: tuple[int, int]) -> Iterator[str]:
    """The interpreter of an installation folder, wherever its system puts it."""
    for name in ("bin/python{}.{}".format(*version), "bin/python3", "python.exe"):
        if (folder / name).exists():
            yield str(folder / name)
            return


def newest_first(folders: Iterator[Path]) -> list[Path]:
    return sorted(folders, key=lambda f: [int(n) for n in re.findall(r"\d+", f.name)], reverse=True)


def of_pyenv(version: tuple[int, int]) -> Iterator[str]:
    roots = [os.environ.get("PYENV_ROOT"), os.environ.get("PYENV"), str(Path.home() / ".pyenv")]
    roots += [str(Path.home() / ".pyenv" / "pyenv-win")]
    for root in filter(None, roots):
        for folder in newest_first(Path(root).glob("versions/{}.{}.*".format(*version))):
            yield from executables(folder, version)


def of_conda(version: tuple[int, int]) -> Iterator[str]:
    """Environments known to conda; those of another version are left out without running them."""
    roots = [Path(os.environ[name]) for name in ("CONDA_PREFIX", "CONDA_ROOT") if os.environ.get(name)]
    if os.environ.get("CONDA_EXE"):
        roots.append(Path(os.environ["CONDA_EXE"]).parent.parent)
    roots += [Path.home() / n for n in ("miniforge3", "miniconda3", "anaconda3", "mambaforge", "micromamba")]
    listed = Path.home() / ".conda" / "environments.txt"
    if listed.is_file():
        roots += [Path(line) for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    for root in roots:
        for folder in [root, *sorted(root.glob("envs/*"))]:
            if any(folder.glob("conda-meta/python-{}.{}.*.json".format(*version))):
                yield from executables(folder, version)


def of_uv(version: tuple[int, int]) -> Iterator[str]:
    uv = shutil.which("uv")
    answer = uv and ask([uv, "python", "find", "--system", "--offline", "{}.{}".format(*version)])
    if answer:
        yield answer.splitlines()[-1]


def usual_places(version: tuple[int, int]) -> Iterator[str]:
    """Installers' own folders, which are often not on PATH."""
    dotted, joined = "{}.{}".format(*version), "{}{}".format(*version)
    folders = [
        "/usr",
        "/usr/local",
        "/opt/homebrew",
        "/Library/Frameworks/Python.framework/tuple[int, int]s/" + dotted,
    ]
    for name in ("LOCALAPPDATA", "ProgramFiles"):
        if os.environ.get(name):
            inner = "Programs/Python/Python" if name == "LOCALAPPDATA" else "Python"
            folders.append(os.path.join(os.environ[name], inner + joined))  # noqa: PTH118 -- text in, text out
    for folder in folders:
        for name in ("bin/python" + dotted, "python.exe"):
            if (Path(folder) / name).exists():
                yield str(Path(folder) / name)


PLACES = {
    "PATH": on_path,
    "the py launcher": by_launcher,
    "pyenv": of_pyenv,
    "conda": of_conda,
    "uv": of_uv,
    "the installers' folders": usual_places,
}


def find(versions: tuple[tuple[int, int], ...]) -> Python:
    """The first usable interpreter, the versions taken in their order; raises NoPythonError."""
    refused: dict[str, str] = {}
    for version in versions:
        if sys.version_info[:2] == version:
            found, why = examine(getattr(sys, "_base_executable", None) or sys.executable, version)
            if found:
                return found
            refused[sys.executable] = why
        for place in PLACES.values():
            for path in place(version):
                if path in refused and refused[path] == "does not run":
                    continue
                found, why = examine(path, version)
                if found:
                    return found
                refused[path] = why
    raise NoPythonError(how_to_get(versions, refused))


def how_to_get(versions: tuple[tuple[int, int], ...], refused: dict[str, str]) -> str:
    """What to tell somebody who has no such Python."""
    first, *others = ["{}.{}".format(*version) for version in versions]
    also = " ({} would do too)".format(" or ".join(others)) if others else ""
    windows = "Windows: winget install Python.Python.{0}    macOS: brew install python@{0}"
    lines = [
        f"Python {first}{also} was not found. Looked at: the running one ({sys.version.split()[0]}), "
        f"{', '.join(PLACES)}.",
        *(f"  {path}: {why}" for path, why in sorted(refused.items())),
        "Get it in one of these ways, then run this again:",
        "  " + windows.format(first),
        f"  Ubuntu, Debian: sudo apt install python{first} python{first}-venv",
        f"  pyenv install {first}    conda create -n bone python={first}    uv python install {first}",
    ]
    return "\n".join(lines)
