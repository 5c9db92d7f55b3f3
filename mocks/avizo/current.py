"""Which session the executed script is talking to.

In:  sessions as they are made and run.
Out: the one that is running, or else the youngest; its warnings; a check of the thread.
Avizo has one session per process; tests make many, one after the other.
"""

from __future__ import annotations

import threading
import weakref

_running: list = []
_youngest = None


def register(session):
    """Note `session` as the youngest one (held weakly: its arrays must be able to go)."""
    global _youngest
    _youngest = weakref.ref(session)


def enter(session):
    """`session` runs code of a script from now on, until `leave`."""
    _running.append(session)


def leave():
    """The counterpart of `enter`."""
    _running.pop()


def running():
    """The session that runs code of a script now, or None."""
    return _running[-1] if _running else None


def session():
    """The running session, or else the youngest. Raises RuntimeError when there is none."""
    found = running() or (_youngest() if _youngest is not None else None)
    if found is None:
        raise RuntimeError("There is no session: make mocks.avizo.Session() first.")
    return found


def warn(text):
    """Record something doubtful, that Avizo may or may not take; tests of ours ask for none."""
    session().warnings.append(text)


def check_thread(what):
    """Raise RuntimeError outside the thread of the session: no script touches hx_ objects from a worker."""
    if threading.get_ident() != session().thread:
        raise RuntimeError(
            f"{what} was used from a worker thread; only the thread of the window may (section 3)."
        )
