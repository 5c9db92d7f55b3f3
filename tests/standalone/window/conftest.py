"""The real window, offscreen, with a stand-in for the process that runs jobs; skipped where Qt is lacking."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def application() -> Any:
    from bone_backend.errors import BoneError
    from standalone.window.start import make_application

    try:
        return make_application()
    except BoneError as fault:
        pytest.skip(f"Qt cannot be loaded here: {fault}")


class Runner:
    """Runs nothing: tells what a test gives it, until the test or a stop ends it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.end = threading.Event()
        self.result: Any = {}
        self.pictures: list[bytes] = []
        self.begun: tuple[Any, int] | None = None  # job folder and process
        self.reports: list[tuple[int, int, str, dict[str, float]]] = [(0, 10, "Beginning", {})]

    def __call__(self, command: str, options: dict[str, Any], *, progress: Any, python: Any) -> Any:
        self.asked.append((command, options))
        if self.begun:
            progress.begun(*self.begun)
        for number, picture in enumerate(self.pictures, start=1):
            progress.picture(number, picture)
        while True:
            for report in self.reports:
                progress(*report)
            if self.end.wait(0.02):
                break
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


class Driver:
    """The window, and what a person does with it."""

    def __init__(self, application: Any, window: Any):
        self.application, self.window = application, window

    def wait(self, condition: Callable[[], Any], timeout_s: float = 20.0) -> None:
        """Let Qt work until something holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "it did not come to pass"
            self.application.processEvents()
            time.sleep(0.005)

    def type_into(self, tab: Any, name: str, text: str) -> None:
        """Into the line of an option, key by key."""
        from PySide6.QtTest import QTest

        line = tab.panel.rows[name].editor.focusProxy()
        line.clear()
        QTest.keyClicks(line, text)
        if not text:
            line.textEdited.emit("")
        tab.check()

    def click(self, button: Any) -> None:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        self.application.processEvents()
        assert button.isEnabled()
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.application.processEvents()


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    yield made
    made.end.set()


@pytest.fixture
def make_driver(application, tmp_path) -> Iterator[Callable[..., Driver]]:
    """Makes a window with a runner; at the end it is closed, and faults in slots fail the test."""
    from standalone.window.main import Window
    from standalone.window.memory import Memory

    faults: list[BaseException] = []
    before, sys.excepthook = sys.excepthook, lambda _kind, error, _trace: faults.append(error)
    made: list[Any] = []

    def make(**given: Any) -> Driver:
        window = Window(memory=Memory(tmp_path / "memory" / "window.json"), **given)
        made.append(window)
        window.show()
        application.processEvents()
        return Driver(application, window)

    yield make
    for window in made:
        window.ask_to_close = lambda: True
        window.close()
        window.deleteLater()
    application.processEvents()
    sys.excepthook = before
    if faults:
        raise faults[0]


@pytest.fixture
def driver(make_driver, runner) -> Driver:
    return make_driver(runner=runner)
