"""Pictures that are looked at after a change: every page of each tab, and what stands beside.

In:  the desk of pictures.py, when a fit, a prediction and a comparison were made on it.
Out: every_*.png. A real X server shows menus, dialogs and hints as a person sees them; offscreen those are
left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

MENUS = ("file", "view")


def start_screen(scale: int) -> tuple[subprocess.Popen[bytes], str]:
    """An X server with room for the window, and its name. Raises RuntimeError where there is none."""
    found = shutil.which("Xvfb")
    if found is None:
        raise RuntimeError("Xvfb is not installed: apt-get install xvfb")
    read, write = os.pipe()
    size = f"{1600 * scale}x{1000 * scale}x24"
    server = subprocess.Popen(
        [found, "-displayfd", str(write), "-screen", "0", size, "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    if not number:
        raise RuntimeError("Xvfb did not start.")
    return server, f":{number}"


def draw(desk: Any, folder: Path) -> None:
    """All of them."""
    window = desk.window
    _label_with_maps(desk, folder / "mapped.tif")
    for scheme in ("light", "dark"):
        window.choose_scheme(scheme)
        for everything in (False, True):
            window.show_everything(everything)
            level = "advanced" if everything else "easy"
            for name, tab in window.by_name.items():
                window.tabs.setCurrentWidget(tab)
                for number in range(tab.pages.count()):
                    tab.pages.setCurrentIndex(number)
                    page = tab.pages.tabText(number).lower()
                    scroll = tab.panel.verticalScrollBar()
                    scroll.setValue(scroll.maximum() * (number == 1))  # the rest of the fields, once
                    desk.draw(f"every_{name}_{page}_{level}_{scheme}")
        window.show_everything(False)
        _overlay(desk, scheme)
        _faults(desk, scheme)
        _queue(desk, folder, scheme)
        _tour(desk, scheme)
        _menus(desk, scheme)


def _label_with_maps(desk: Any, labels: Path) -> None:
    """The scan of the Predict tab once more, with all maps beside its labels."""
    tab = desk.window.predict
    desk.window.tabs.setCurrentWidget(tab)
    tab.form.set("maps", ["confidence", "entropy", "probabilities"])
    tab.panel.show_values()
    tab.panel.rows["output"].editor.take(str(labels))
    tab.run_bar.start.click()
    desk.wait(lambda: tab.task.outcome)


def _overlay(desk: Any, scheme: str) -> None:
    """The map of a prediction over its scan, along y."""
    tab = desk.window.predict
    desk.window.tabs.setCurrentWidget(tab)
    tab.pages.setCurrentIndex(0)
    tab.viewer.contrast.setChecked(False)
    if tab.viewer.add_overlay.maps:
        first = tab.viewer.add_overlay.maps[0]
        tab.viewer.open_overlay(first.path, first.colours)
    tab.viewer.worst.go(0)
    desk.draw(f"every_overlay_{scheme}")
    tab.viewer.show_axis(1)
    tab.viewer.outline.setChecked(True)
    desk.draw(f"every_outlines_{scheme}")
    tab.viewer.outline.setChecked(False)
    tab.viewer.show_axis(0)


def _faults(desk: Any, scheme: str) -> None:
    """A field that does not hold in each tab, in Easy."""
    window = desk.window
    for name, field, wrong in (
        ("fit", "minutes", "soon"),
        ("predict", "model", "nowhere/model.pth"),
        ("iou", "reference", "nowhere/mask.tif"),
    ):
        tab = window.by_name[name]
        window.tabs.setCurrentWidget(tab)
        before = tab.form.given.get(field)
        tab.form.set(field, wrong)
        tab.panel.show_values()
        tab.field_changed(field)
        desk.wait(timeout_s=0.7)
        tab.start()
        desk.draw(f"every_fault_{name}_{scheme}")
        tab.form.reset(field) if before is None else tab.form.set(field, before)
        tab.panel.show_values()
        tab.field_changed(field)
        tab.check()
        desk.wait(timeout_s=0.5)


def _queue(desk: Any, folder: Path, scheme: str) -> None:
    """Runs that wait, one that failed, one that is done."""
    from standalone.window.runs import DONE, Run

    dock, options = desk.window.dock, desk.window.predict.checked.options
    desk.window.tabs.setCurrentWidget(desk.window.predict)
    rows = dock.runs.rows
    dock.runs.rows = [
        Run("fit", options, "Fit into bone_run (3 pairs)", DONE, "Done: the best model is that of epoch 5."),
        Run("predict", options, "Label femur_5.tif with bone_run", is_held=True),
        Run("predict", options, "Label femur_6.tif with bone_run", is_held=True),
    ]
    dock.runs.fail(Run("predict", options, "Label femur_7.tif with bone_run"), "femur_7.tif: does not exist.")
    dock.show()
    dock.fill()
    desk.draw(f"every_queue_{scheme}")
    dock.runs.rows = rows
    dock.fill()
    dock.hide()


def _tour(desk: Any, scheme: str) -> None:
    desk.window.tour.offer(again=True)
    desk.draw(f"every_tour_{scheme}")
    desk.window.tour.end()


def _menus(desk: Any, scheme: str) -> None:
    """Those of the bar, as they open on a real screen."""
    if not desk.is_real:
        return
    bar = desk.window.menuBar()
    for number, name in enumerate(MENUS):
        menu = bar.actions()[number].menu()
        menu.popup(bar.mapToGlobal(bar.actionGeometry(bar.actions()[number]).bottomLeft()))
        desk.draw(f"every_menu_{name}_{scheme}")
        menu.close()
