"""The versions that results depend on, for the records of fits and predictions.

In:  nothing.
Out: name -> version of BONe, Python and the packages that compute.
"""

from __future__ import annotations

import platform
from importlib.metadata import version

import numpy as np
import torch

from .. import __version__


def versions() -> dict[str, str]:
    """Of BONe and of what its results depend on."""
    return {
        "bone": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "segmentation_models_pytorch": version("segmentation_models_pytorch"),
        "numpy": np.__version__,
        "cuda": torch.version.cuda or "",
    }
