"""The processes that a script starts.

In:  Python's audit events.
Out: `session.processes`, a list of (event, arguments), while a script of that session runs.
Avizo's licence counts processes, so only the worker may be started; a test can see here what was.
"""

from __future__ import annotations

import sys

from . import current

EVENTS = (
    "subprocess.Popen",
    "os.system",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.exec",
    "os.startfile",
)
_watching: list = []


def _note(event, arguments, events=EVENTS, running=current.running):
    """What it needs is bound here: hooks are called until the interpreter's last moment."""
    if event in events and running() is not None:
        running().processes.append((event, arguments))


def watch_processes():
    """Start to note processes; audit hooks stay for the life of the interpreter, so this is done once."""
    if not _watching:
        _watching.append(True)
        sys.addaudithook(_note)
