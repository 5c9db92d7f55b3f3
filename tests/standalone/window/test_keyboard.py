"""Without a mouse: Tab reaches everything that can be worked with, and a screen reader has a name for it."""

from __future__ import annotations

import numpy as np
import pytest

from bone_backend.volumes.volume import save
from standalone.window.worst import by_mean

PAGES = [("fit", False), ("fit", True), ("predict", True), ("iou", True)]


def reachable(window) -> list:
    """What takes the focus by Tab and is seen now."""
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QWidget

    return [
        widget
        for widget in window.findChildren(QWidget)
        if widget.isVisible()
        and widget.isEnabled()
        and widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        and widget.focusProxy() is None
    ]


def told(widget) -> str:
    """What a screen reader says of a widget."""
    from PySide6.QtGui import QAccessible
    from PySide6.QtWidgets import QComboBox

    found = QAccessible.queryAccessibleInterface(widget).text(QAccessible.Text.Name)
    return widget.accessibleName() if isinstance(widget, QComboBox) else found  # else it is the choice


@pytest.fixture
def tab(driver, tmp_path, request):
    """A tab with something in every row of its viewer."""
    name, everything = request.param
    shape = (5, 12, 12)
    volume = np.random.default_rng(0).integers(0, 3, shape, np.uint8)
    for one in ("scan", "mask", "labels"):
        save(tmp_path / f"{one}.npy", volume)
    driver.window.show_everything(everything)
    tab = driver.window.by_name[name]
    driver.window.tabs.setCurrentWidget(tab)
    tab.look(*(str(tmp_path / f"{one}.npy") for one in ("scan", "mask", "labels")))
    tab.viewer.take_classes({1: ("bone", None)})
    tab.viewer.open_overlay(str(tmp_path / "scan.npy"))
    tab.viewer.contrast.setChecked(True)
    tab.viewer.show_ranking(by_mean([0.5] * 5, "confidence"))
    driver.application.processEvents()
    return tab


@pytest.mark.parametrize("tab", PAGES, indirect=True, ids=str)
def test_everything_that_takes_the_focus_has_a_name_and_is_reached_by_tab(driver, tab):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication

    window = driver.window
    window.activateWindow()
    wanted = reachable(window)
    assert len(wanted) > 20
    nameless = [widget for widget in wanted if not told(widget)]
    assert [(type(widget).__name__, widget.parentWidget()) for widget in nameless] == []
    wanted[0].setFocus()
    seen = set()
    for _ in range(3 * len(wanted)):
        here = QApplication.focusWidget()
        seen.add(here)
        QTest.keyClick(here, Qt.Key.Key_Tab)
    missed = [widget for widget in wanted if not seen & {widget, *beside(widget)}]
    assert [f"{type(widget).__name__} {told(widget)}" for widget in missed] == []


def beside(widget) -> list:
    """Of buttons of which one is down, Tab reaches one, and the arrow keys the others."""
    group = widget.group() if hasattr(widget, "group") else None
    return group.buttons() if group and group.exclusive() else []


@pytest.mark.parametrize("tab", PAGES[:1], indirect=True, ids=str)
def test_arrows_choose_among_axes_and_between_easy_and_advanced(driver, tab):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    button = tab.viewer.axes.button(0)
    button.setFocus()
    QTest.keyClick(button, Qt.Key.Key_Right)
    assert tab.viewer.axis == 1
    driver.window.easy.setFocus()
    QTest.keyClick(driver.window.easy, Qt.Key.Key_Right)
    assert tab.panel.everything
