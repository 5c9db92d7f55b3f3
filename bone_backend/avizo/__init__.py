"""BONe's three modules inside Avizo: the only place that knows the names of Avizo's Python API.

In:  a script object and the global names of its .pyscro.
Out: DLFit, DLPred, IoU, each with `update` and `compute`.
Loading it imports no torch; that happens when a network is to be run.
"""

from .compare import IoU
from .fit import DLFit
from .predict import DLPred

__all__ = ["DLFit", "DLPred", "IoU"]
