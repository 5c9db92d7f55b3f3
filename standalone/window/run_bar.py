"""The lower edge of a tab: Start, Stop, how far it is, and what came of it.

In:  a Task while one runs; words about what is still to be given.
Out: `started`, `stopped`; buttons for what can be done with a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from .gauge_strip import GaugeStrip
from .task import Task
from .theme import mark

STEPS = 1000
QUEUE = "Add to queue"
QUIET_S = 0.6  # after a start; the second half of a double click is no second run


class RunBar(QWidget):
    """Start, Stop, progress, result."""

    started = Signal()
    stopped = Signal()

    def __init__(self, verb: str):
        super().__init__()
        self.verb, self.waits = verb, False
        self._quiet_until = 0.0
        self.start = QPushButton(verb)
        self.start.setProperty("kind", "first")
        self.start.setToolTip("Ctrl+Return")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("What was reached is kept")
        self.stop.setEnabled(False)
        self.bar = QProgressBar()
        self.bar.setRange(0, STEPS)
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress")
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.told.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.actions = QHBoxLayout()
        self.buttons: dict[str, QPushButton] = {}
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(self.bar)
        line = QHBoxLayout()
        line.addWidget(self.told, 1)
        line.addLayout(self.actions)
        column.addLayout(line)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 12, 10)
        row.setSpacing(10)
        row.addWidget(self.start)
        row.addWidget(self.stop)
        row.addLayout(column, 1)
        self.strip = GaugeStrip()
        row.addWidget(self.strip)
        self.start.clicked.connect(self._begin)
        self.stop.clicked.connect(self.stopped)

    def _begin(self) -> None:
        if time.monotonic() >= self._quiet_until:
            self.started.emit()
            self._quiet_until = time.monotonic() + QUIET_S if self.waits else 0.0

    def offer(self, *, waits: bool) -> None:
        """Whether a start now means to wait for the run that goes on."""
        self.waits = waits
        self.start.setText(QUEUE if waits else self.verb)
        self.start.setToolTip(
            "Ctrl+Return: it begins when the runs before it have ended" if waits else "Ctrl+Return"
        )
        if waits:
            self.start.setEnabled(True)

    def tell(self, text: str, kind: str = "hint") -> None:
        """One or a few lines. kind: "hint", "fault", "doubt", "good" or "" (plain)."""
        self.told.setText(text)
        mark(self.told, "kind", kind)

    def show_task(self, task: Task) -> None:
        """How far it is."""
        self.start.setEnabled(not task.is_running or self.waits)
        self.stop.setEnabled(task.is_running and not task.is_stopping)
        self.bar.setValue(round(STEPS * task.share))
        self.strip.show_gauges(task.gauges())
        if task.is_running:
            self.tell(task.in_words(), "")

    def show_actions(self, actions: Sequence[tuple[str, Callable[[], object]]]) -> None:
        """Buttons for what can be done with a result."""
        for button in self.buttons.values():
            self.actions.removeWidget(button)
            button.hide()
            button.deleteLater()
        self.buttons = {}
        for words, action in actions:
            button = QPushButton(words)
            button.clicked.connect(lambda _=False, action=action: action())
            self.actions.addWidget(button)
            self.buttons[words] = button
