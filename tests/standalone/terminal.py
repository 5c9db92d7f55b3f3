"""A person at a terminal: starts a command in a pseudo-terminal, reads the screen, types, resizes, hangs up.

In:  a command, the size of the window.
Out: what the screen shows, drawn by pyte as a real terminal draws it; the exit status.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parents[2]
# Makes the pseudo-terminal the one that Ctrl-C and a hang-up come from, as the window of a shell is, also
# where the tests themselves run under nohup.
OWN = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
BONE = [sys.executable, "-m", "standalone.command"]
CTRL_C = "\x03"


class Terminal:
    """A context manager; what still runs at its end is killed."""

    def __init__(self, words: list[object], *, columns: int = 80, rows: int = 40, folder: Path = ROOT):
        self.columns = columns
        self._screen = pyte.HistoryScreen(columns, rows, history=5000)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        surroundings = {
            name: value for name, value in os.environ.items() if name not in ("CI", "COLUMNS", "LINES")
        }
        surroundings |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN, *map(str, words)],
            cwd=folder,
            env=surroundings,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    def resize(self, columns: int, rows: int = 40) -> None:
        """Pull at the corner of the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if columns != self.columns:
            self._screen.resize(rows, columns)
            self.columns = columns

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def hang_up(self) -> None:
        """Close the window, or lose the ssh connection: the command gets SIGHUP, its output goes nowhere."""
        with contextlib.suppress(OSError):
            os.close(self._master)

    def lines(self) -> list[str]:
        """Everything shown so far, as it stands on the screen and above it."""
        history = [
            "".join(line[x].data for x in range(self.columns)).rstrip() for line in self._screen.history.top
        ]
        return [*history, *(line.rstrip() for line in self._screen.display)]

    def text(self) -> str:
        return "\n".join(self.lines()).rstrip()

    def wait(self, until: Callable[[str], bool] = lambda _: False, *, timeout_s: float = 240) -> int | None:
        """Read until the screen shows what is waited for (None) or the command ends (its exit status)."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    part = os.read(self._master, 65536)
                except OSError:
                    part = b""
                if not part:
                    return self.process.wait(30)
                self._stream.feed(part)
            if until(self.text()):
                return None
        raise TimeoutError(self.text())
