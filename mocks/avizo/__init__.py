"""A strict stand-in for Avizo's Python API, after avizo_api.md.

In:  .pyscro files, ours and other people's.
Out: `Session`, which runs them; `Behaviour` and `BEHAVIOURS`, switches for what is not established.
Nothing that avizo_api.md does not list exists here. The panel drawing is in mocks.avizo.drawing.panel, the
checks of .rc and .xml files in mocks.avizo.registration.
"""

from .behaviour import BEHAVIOURS, Behaviour
from .services import Message, ProgressRecord
from .session import Session

__all__ = ["BEHAVIOURS", "Behaviour", "Message", "ProgressRecord", "Session"]
