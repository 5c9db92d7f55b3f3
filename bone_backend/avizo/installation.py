"""Is everything there that a module needs? Said when it is loaded, and again when it is to work.

In:  the command of the module.
Out: in words what is missing, and the command that installs it; "" when nothing is.
Packages are looked for and not imported, so that loading a module takes no time.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from ..errors import WorkerError
from ..jobs.interpreter import find_worker_python

# Package as it is imported -> as it is installed.
_ALL = {"tifffile": "tifffile", "platformdirs": "platformdirs"}
_NETWORKS = {"torch": "torch", "segmentation_models_pytorch": "segmentation-models-pytorch"}
PACKAGES = {"fit": {**_ALL, **_NETWORKS, "jinja2": "Jinja2"}, "predict": {**_ALL, **_NETWORKS}, "iou": _ALL}
NEEDS_WORKER = ("fit", "predict")  # statistics are counted there


def lacking(command: str, *, in_worker: bool = False) -> str:
    """What this command lacks, in sentences. in_worker: the networks run in the worker, not here."""
    wanted = {} if in_worker else PACKAGES[command]
    absent = [name for package, name in wanted.items() if importlib.util.find_spec(package) is None]
    told = []
    if absent:
        told.append(
            f"Avizo's Python {sys.version_info[0]}.{sys.version_info[1]} lacks {', '.join(absent)}. "
            f"Install with: {install_command()} and restart Avizo."
        )
    if command in NEEDS_WORKER or in_worker:
        try:
            find_worker_python()
        except WorkerError as fault:
            told.append(str(fault))
    return "\n".join(told)


def install_command() -> str:
    """The command that installs what Avizo's own Python needs."""
    listed = Path(__file__).resolve().parents[2] / "bone-requirements.txt"  # written by the installer
    if not listed.is_file():
        listed = Path(__file__).resolve().parents[2] / "install" / "requirements-avizo.txt"
    return f'edm run -e <environment> -- pip install -r "{listed}"'
