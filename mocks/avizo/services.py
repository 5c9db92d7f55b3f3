"""Messages, progress, paths and viewers.

In:  calls of the script; answers and the Stop button set by the test.
Out: records that the test reads: session.messages, session.progress_log (sections 5.3 to 5.5).
`interrupted` is a request only: it never raises, the script must leave its own loop.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from . import current
from .ports.base import text_of
from .strict import Strict


class Message(NamedTuple):
    """One message box: kind "error", "warning", "info" or "confirmations"."""

    kind: str
    text: str


class HxMessage(Strict):
    """The service hx_message; every box is recorded and none raises."""

    __slots__ = ("_session",)

    def __init__(self, session):
        self._session = session

    def error(self, message):
        self._session.record_message("error", text_of(message, "the message"))

    def warning(self, message):
        self._session.record_message("warning", text_of(message, "the message"))

    def info(self, message):
        self._session.record_message("info", text_of(message, "the message"))

    def confirmations(self, text, /, *buttons):
        """The index of the pressed button, from the queue session.confirmations."""
        self._session.record_message("confirmations", text_of(text, "the message"))
        if not self._session.confirmations:
            raise RuntimeError(
                f"the script asked {text!r} {buttons}, and the test queued no answer in confirmations"
            )
        answer = self._session.confirmations.pop(0)
        if not 0 <= answer < len(buttons):
            raise RuntimeError(f"the queued answer is {answer}, the buttons are {buttons}")
        return answer


@dataclass
class ProgressRecord:
    """What a progress bar showed.

    texts: (step, text) in order; steps_seen: the largest step; looks: how often `interrupted` was asked;
    longest_silence_s: the longest time between two looks; told_at_s, closed_at_s: time.monotonic() when
    the script was first told to stop and when the bar was closed.
    """

    n_steps: int
    texts: list = field(default_factory=list)
    steps_seen: int = 0
    looks: int = 0
    longest_silence_s: float = 0.0
    told_at_s: float | None = None
    closed_at_s: float | None = None


class Progress(Strict):
    """A progress bar with a Stop button."""

    __slots__ = ("_current_step", "_last_look", "_record", "_session", "_started")

    def __init__(self, session, n_steps, text):
        self._session = session
        self._current_step = 0
        self._record = ProgressRecord(n_steps, [(0, text)])
        self._started = self._last_look = time.monotonic()

    def __enter__(self):
        self._session.progress_log.append(self._record)
        self._session.open_progress.append(self)
        self._started = self._last_look = time.monotonic()
        return self

    def __exit__(self, *error):
        self._record.closed_at_s = time.monotonic()
        self._session.open_progress.remove(self)

    def _check(self):
        current.check_thread("the progress bar")
        if self not in self._session.open_progress:
            raise RuntimeError("the progress bar is used outside its `with` block")

    @property
    def current_step(self):
        return self._current_step

    @current_step.setter
    def current_step(self, step):
        self._check()
        if not isinstance(step, int):
            raise TypeError(f"current_step is {step!r}; it is an int.")
        self._current_step = step
        self._record.steps_seen = max(self._record.steps_seen, step)

    def increase_progress_step(self):
        self.current_step = self._current_step + 1

    @property
    def value(self):
        """0 to 1."""
        return min(1.0, self._current_step / self._record.n_steps) if self._record.n_steps else 0.0

    @property
    def interrupted(self):
        """Whether the user pressed Stop (session.interrupt_after)."""
        self._check()
        now = time.monotonic()
        self._record.longest_silence_s = max(self._record.longest_silence_s, now - self._last_look)
        self._last_look = now
        self._record.looks += 1
        stop = self._session.stop_is_pressed(self._record, now - self._started)
        if stop and self._record.told_at_s is None:
            self._record.told_at_s = now
        return stop

    def set_text(self, text):
        self._check()
        self._record.texts.append((self._current_step, text_of(text, "the text of the progress bar")))


class HxProgress(Strict):
    """The service hx_progress."""

    __slots__ = ("_session",)

    def __init__(self, session):
        self._session = session

    def progress(self, n_steps, text):
        """A progress bar, for use in a `with` block."""
        current.check_thread("hx_progress.progress")
        if isinstance(n_steps, bool) or not isinstance(n_steps, int):
            raise TypeError(f"the number of steps is {n_steps!r}; it is an int.")
        return Progress(self._session, n_steps, text_of(text, "the text of the progress bar"))

    def set_text(self, text):
        """The text of the innermost open bar."""
        if self._session.open_progress:
            self._session.open_progress[-1].set_text(text)

    def stop_working(self):
        """Take the bar away."""
        current.check_thread("hx_progress.stop_working")


class HxPaths(Strict):
    """The service hx_paths."""

    __slots__ = ("_install_dir",)

    def __init__(self, install_dir):
        self._install_dir = install_dir

    @property
    def install_dir(self):
        return str(self._install_dir)

    @property
    def python_modules_dir(self):
        return str(self._install_dir / "share" / "python_modules")


class Camera(Strict):
    """The camera of a viewer."""

    __slots__ = ("position", "view_direction")

    def __init__(self):
        self.position = (0.0, 0.0, 1.0)
        self.view_direction = (0.0, 0.0, -1.0)


class Viewer(Strict):
    """A 3D viewer; a snapshot writes nothing here."""

    __slots__ = ("_camera",)

    def __init__(self):
        self._camera = Camera()

    @property
    def camera(self):
        return self._camera

    def snapshot(self, filename, offscreen=False, offscreen_size=None):
        text_of(filename, "filename")


class HxViewerManager(Strict):
    """The service hx_viewer_manager."""

    __slots__ = ("_viewers",)

    def __init__(self):
        self._viewers = [Viewer()]

    @property
    def viewers(self):
        return list(self._viewers)
