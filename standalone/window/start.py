"""`bone window` and `bone-window`: open the window, and say in a sentence why it cannot be opened.

In:  the tab to begin with.
Out: nothing; the window's process computes nothing itself and never loads torch.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bone_backend.errors import BoneError, HardwareError, PackageError
from bone_backend.options.programs import WindowOptions
from bone_backend.progress import Progress

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

INSTALL = "pip install '.[window]' in the folder of BONe, or python3 install/bootstrap.py app --window there"
# What Qt's plugin for X11 needs, and pip does not bring; without one of them Qt ends the whole process.
X11_LIBRARIES = ("libxcb-cursor.so.0", "libxkbcommon-x11.so.0", "libxcb-icccm.so.4", "libxcb-keysyms.so.1")
PACKAGES = (
    "sudo apt install libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 "
    "libdbus-1-3 libfontconfig1"
)
SIGNALS_MS = 200
STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def run(options: WindowOptions, progress: Progress) -> dict[str, Any]:
    """The command "window", until it is closed. Raises BoneError where it cannot open."""
    application = make_application()
    open_window(application, options.tab)
    return {}


def main() -> int:
    """The command `bone-window`, for menus; what is wrong is told to a terminal, where there is one."""
    from bone_backend.progress import silent

    given = sys.argv[1:]
    try:
        run(WindowOptions.parse({"tab": given[0]} if given else {}), silent)
    except BoneError as error:
        if sys.stderr is not None:
            print(f"bone-window: {error}", file=sys.stderr)
        return 1
    return 0


def make_application() -> QApplication:
    """Qt, ready to open windows."""
    check_screen()
    try:
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        raise PackageError(_lacking(error)) from error
    if importlib.util.find_spec("pyqtgraph") is None:  # which is loaded when a fit begins
        raise PackageError(f"The window needs the package pyqtgraph. Install it with: {INSTALL}")
    from . import theme

    application = QApplication.instance() or QApplication([*sys.argv[:1]])
    assert isinstance(application, QApplication)
    application.setApplicationName("BONe")
    application.setQuitOnLastWindowClosed(True)
    application.setDesktopFileName("bone-window")
    application.setStyle(theme.Style())
    theme.apply(application)
    return application


def open_window(application: QApplication, tab: str) -> None:
    """Show it, until it is closed."""
    from PySide6.QtCore import QTimer

    from . import theme
    from .main import Window
    from .memory import Memory

    memory = Memory()
    theme.choose(memory.get("scheme", "system"))
    theme.apply(application)
    window = Window(memory=memory, tab=tab)
    application.styleHints().colorSchemeChanged.connect(lambda _: window.take_colours())
    before = sys.excepthook, {number: signal.getsignal(number) for number in STOPS}
    sys.excepthook = fault_teller(window)
    for number in STOPS:  # whoever logs out or shuts down is not asked anything
        signal.signal(number, lambda *_: application.exit())
    signal.signal(signal.SIGINT, lambda *_: window.close())
    turn = QTimer()  # so that Python looks at signals while Qt waits
    turn.timeout.connect(lambda: None)
    turn.start(SIGNALS_MS)
    try:
        window.show()
        window.find_left()
        window.dock.take_kept()
        window.greet()
        application.exec()
    finally:
        sys.excepthook = before[0]
        for number, handler in before[1].items():
            signal.signal(number, handler)


def fault_teller(window: Any) -> Callable[..., None]:
    """What nobody foresaw goes into the log of the tab in front, and to the terminal where there is one."""

    def tell(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        if sys.stderr is not None:
            sys.stderr.write(text)
        window.tab.log.appendPlainText(text)
        window.tab.run_bar.tell(
            f"This is a fault of BONe, not of your scans: {kind.__name__}: {error}. "
            "Please report it, with the log.",
            "fault",
        )

    return tell


def check_screen() -> None:
    """Raise where Qt would end the process instead of saying why."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return
    if os.environ.get("WAYLAND_DISPLAY"):
        return
    if not os.environ.get("DISPLAY"):
        raise HardwareError(
            "There is no screen here (DISPLAY is not set). Open the window on your own machine, or over ssh "
            "with -X; bone fit, bone predict and bone iou do the same in a terminal."
        )
    for name in X11_LIBRARIES:
        try:
            ctypes.CDLL(name)
        except OSError as error:
            told = f"The window needs the system's library {name}. Install it with: {PACKAGES}"
            raise PackageError(told) from error


def _lacking(error: ImportError) -> str:
    """What Qt lacks: itself, or a library of the system."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("PySide6"):
        return f"The window needs the package PySide6-Essentials. Install it with: {INSTALL}"
    library = str(error).partition(":")[0]
    return f"The window needs the system's library {library}. Install it with: {PACKAGES}"


if __name__ == "__main__":
    sys.exit(main())
