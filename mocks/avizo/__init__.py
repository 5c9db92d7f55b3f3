"""A strict stand-in for Avizo's Python API, as far as it is known.

In:  .pyscro files, ours and other people's.
Out: `Session`, which runs them; `Behaviour` and `BEHAVIOURS`, switches for what is not established.
It has the names that the vendor documents or that scripts in use call, and no others. The panel drawing is in
mocks.avizo.drawing.panel, the checks of .rc and .xml files in mocks.avizo.registration.
"""

from .behaviour import BEHAVIOURS, Behaviour
from .services import Message, ProgressRecord
from .session import Session

__all__ = ["BEHAVIOURS", "Behaviour", "Message", "ProgressRecord", "Session"]
