"""Pythons that differ from the one that runs the tests: too old, or with few packages.

In:  an empty folder, and what shall be different.
Out: the path of a real interpreter, an environment without packages of its own.
The difference is made when it starts, in a .pth file, so that it holds for its child processes too.
"""

from __future__ import annotations

import sys
import venv
from collections.abc import Sequence
from pathlib import Path

_ONLY = """
import sys

class Only:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root not in ALLOWED:
            raise ModuleNotFoundError("not among the packages of this Python: " + name, name=name)

sys.meta_path.insert(0, Only())
sys.path.append(PACKAGES)
"""


def python_of_version(folder: Path, version: tuple[int, int, int]) -> Path:
    """A Python that takes itself for this version."""
    return _environment(folder, f"import sys; sys.version_info = {(*version, 'final', 0)}\n")


def python_with_packages(folder: Path, packages: Sequence[str], *, found_in: Path) -> Path:
    """A Python that can import these packages from `found_in`, its standard library, and BONe; nothing else.

    The import of anything else fails as if it were not installed.
    """
    allowed = {*packages, "bone_backend", "external_worker", "mocks", "worker", "the_difference"}
    return _environment(folder, f"ALLOWED = {allowed!r}\nPACKAGES = {str(found_in)!r}\n{_ONLY}")


def _environment(folder: Path, difference: str) -> Path:
    venv.create(folder, symlinks=sys.platform != "win32", with_pip=False)
    inside = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    pattern = "Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages"
    site_packages = next(folder.glob(pattern))
    (site_packages / "the_difference.py").write_text(difference, encoding="utf-8")
    (site_packages / "the_difference.pth").write_text("import the_difference\n", encoding="utf-8")
    return folder / inside
