"""Python packages that not everybody has: loaded on use, or a message with the line that installs them.

In:  the name of a package, why it is needed.
Out: the package; or a PackageError.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from ...errors import PackageError


def loaded(name: str, wanted: str, otherwise: str = "", *, extra: str) -> ModuleType:
    """The package. Raises PackageError where it is missing or does not work.

    wanted: why it is needed. otherwise: a sentence that says what goes without it. extra: what brings it, the
    same name in pyproject.toml and as a flag of bootstrap.py.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == name
        why = "is not installed" if is_missing else f"does not work here ({error})"
        raise PackageError(
            f"{wanted}, but the Python package {name} {why}. Install it: python3 install/bootstrap.py "
            f'app --{extra}, or pip install "bone-segmentation[{extra}]" (for Avizo: python3 '
            f"install/bootstrap.py worker --{extra}).{' ' * bool(otherwise)}{otherwise}"
        ) from error


def told_by(error: BaseException) -> str:
    """The last line of what a package says, where the fault mostly is."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1].strip()[:200]
