"""`bone window`: opens, closes on Ctrl-C, never loads torch; where it cannot open, it says what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bone_backend.errors import HardwareError, PackageError
from standalone.window import start
from tests.standalone.terminal import BONE, ROOT

WITHOUT_TORCH = """
import sys
from standalone.window.start import make_application
application = make_application()
from standalone.window.main import Window
from standalone.window.memory import Memory
from pathlib import Path
window = Window(memory=Memory(Path(sys.argv[1])))
window.show()
application.processEvents()
print([name for name in ("torch", "pyqtgraph", "matplotlib", "rich", "scipy") if name in sys.modules])
window.close()
"""


def test_without_a_screen_the_command_says_so_in_one_sentence():
    plain = {name: value for name, value in os.environ.items() if "DISPLAY" not in name and "QT_" not in name}
    done = subprocess.run(
        [*BONE, "window"], env=plain, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("bone window: There is no screen here (DISPLAY is not set).")
    assert done.stderr.count("\n") == 1


def test_a_wrong_tab_is_told_with_those_that_there_are():
    done = subprocess.run(
        [*BONE, "window", "fits"], capture_output=True, text=True, check=False, timeout=120, cwd=ROOT
    )
    assert done.returncode == 1
    assert done.stderr == "bone window: TAB is 'fits': choose fit, predict or iou; did you mean fit?\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_close_the_window(application, tmp_path, number):
    offscreen = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "BONE_CACHE": str(tmp_path)}
    process = subprocess.Popen(
        [*BONE, "window", "predict"], env=offscreen, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "window.json").exists():  # written when the window is made
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)
    try:
        process.send_signal(number)
        told, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, told) == (0, "The window is closed.\n")


def test_the_window_opens_without_torch_and_without_what_it_needs_later(application, tmp_path):
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "window.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=ROOT)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ModuleNotFoundError("No module named 'PySide6'", name="PySide6"),
            "The window needs the package PySide6-Essentials. Install it with: pip install",
        ),
        (
            ImportError("libEGL.so.1: cannot open shared object file: No such file or directory"),
            "The window needs the system's library libEGL.so.1. Install it with: sudo apt install libegl1",
        ),
    ],
)
def test_what_qt_lacks_is_named_with_the_command_that_installs_it(error, told):
    assert start._lacking(error).startswith(told)


def test_curves_that_cannot_be_drawn_are_told_before_the_window_opens(application, monkeypatch):
    monkeypatch.setattr(start.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PackageError, match=r"needs the package pyqtgraph\. Install it with: pip"):
        start.make_application()


def test_a_library_without_which_qt_would_end_the_process_is_asked_for_before(monkeypatch):
    monkeypatch.setattr(start.sys, "platform", "linux")
    for name in ("QT_QPA_PLATFORM", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(start, "X11_LIBRARIES", ("libbone-none.so.0",))
    with pytest.raises(
        PackageError, match=r"the system's library libbone-none\.so\.0\. Install it with: sudo"
    ):
        start.check_screen()
    monkeypatch.delenv("DISPLAY")
    with pytest.raises(HardwareError, match="There is no screen here"):
        start.check_screen()
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    start.check_screen()
