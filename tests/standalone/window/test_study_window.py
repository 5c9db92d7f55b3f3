"""A study is opened, watched while it goes on, and its report looked at."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bone_backend.errors import FittingError
from bone_backend.studies.options import StudyOptions
from bone_backend.study import study
from tests.conftest import ROOT

STUDY = """
scans = "scans.csv"
folds = 3
[base]
recipe = "paper"
[[rows]]
name = "good"
[[rows]]
name = "bad one"
"""


SLOWLY = """
import sys
from bone_backend.study import study
from tests.conftest import ROOT
from bone_backend.studies.options import StudyOptions
study(StudyOptions.parse({"study": sys.argv[1], "output": sys.argv[2], "one_process": True}),
      work="tests.standalone.window.slow_runs:run_job")
"""


@pytest.fixture
def folder(pairs, tmp_path):
    lines = ["scan,mask", *(",".join(pair) for pair in pairs)]
    (tmp_path / "scans.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "s.toml").write_text(STUDY, encoding="utf-8")
    return tmp_path / "out"


def run(folder: Path, **changes):
    values = {"study": str(folder.parent / "s.toml"), "output": str(folder), "one_process": True}
    return study(StudyOptions.parse(values | changes), work="mocks.study_runs:run_job")


def cells(window):
    table = window.table
    return [[table.item(r, c).text() for c in range(4)] for r in range(table.rowCount())]


def test_a_study_is_opened_watched_and_looked_at(driver, folder):
    from PySide6.QtCore import QObject, QUrl, Slot
    from PySide6.QtGui import QDesktopServices

    class Browser(QObject):
        def __init__(self):
            super().__init__()
            self.opened = []

        @Slot(QUrl)
        def open(self, url):
            self.opened.append(url.toLocalFile())

    with pytest.raises(FittingError):
        run(folder)
    window = driver.window
    window.open_study(folder)
    look = window.study
    assert look.told.text() == "3 of 6 runs are done, 3 failed."
    assert [row[1] for row in cells(look)] == ["done"] * 3 + ["failed"] * 3
    assert cells(look)[3][::3] == ["bad one, fold 1, seed 42", "The loss is no number any more."]
    (folder.parent / "mended").touch()
    run(folder, retry_failed=True)
    look.timer.timeout.emit()
    assert look.told.text() == "6 of 6 runs are done."
    assert all(row[1] == "done" and float(row[2]) > 0.8 for row in cells(look))
    browser = Browser()
    QDesktopServices.setUrlHandler("file", browser, "open")
    driver.click(look.report)
    QDesktopServices.unsetUrlHandler("file")
    assert browser.opened == [str(folder / "study.html")]
    look.close()


@pytest.mark.slow
def test_a_study_that_is_running_is_watched_until_it_is_done(driver, folder):
    (folder.parent / "mended").touch()  # no run fails
    command = [sys.executable, "-c", SLOWLY, str(folder.parent / "s.toml"), str(folder)]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        driver.wait(lambda: (folder / "study.json").exists(), 60)
        driver.window.open_study(folder)
        look = driver.window.study
        look.timer.setInterval(50)
        seen = set()

        def is_done():
            seen.update(row[1] for row in cells(look))
            return look.told.text() == "6 of 6 runs are done."

        driver.wait(is_done, 60)
        assert {"waiting", "started", "done"} <= seen
        assert running.wait(60) == 0
        driver.wait(look.report.isEnabled)
        look.close()
    finally:
        running.kill()


def test_a_folder_of_anything_else_is_told(driver, tmp_path):
    window = driver.window
    window.open_study(tmp_path)
    assert "is no folder of a study" in window.box.informativeText()
    window.box.close()
