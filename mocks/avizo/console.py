"""The Python console of a session.

In:  what scripts print, tracebacks.
Out: the text.
A stream as poor as a console in a window: no file number, no terminal.
"""

from __future__ import annotations

import io
import sys


class ConsoleStream(io.TextIOBase):
    """Keeps what is written; with `echo` it also goes to the real stdout."""

    def __init__(self, *, echo=False):
        super().__init__()
        self._parts = []
        self._echo = echo

    def writable(self):
        return True

    def write(self, text):
        self._parts.append(text)
        if self._echo:
            sys.__stdout__.write(text)
        return len(text)

    def text(self):
        """All that was written."""
        return "".join(self._parts)
