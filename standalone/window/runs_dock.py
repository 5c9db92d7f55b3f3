"""The list of runs at the lower edge: what runs, what waits, what came of the others.

In:  runs that the tabs ask for.
Out: each begins in its tab when its turn has come; `began`, `finished` with a Run, `shown` with one whose
result a person wants to see.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QBrush, QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDockWidget,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from bone_backend.errors import BoneError

from .kept_runs import KeptRuns
from .runs import FAILED, RUNS, Run, Runs
from .tab import RunTab
from .task import Outcome
from .theme import colours

COLUMNS = ("Run", "State", "Result")
LINE, LINES = 24, 4  # px of a line; most lines in sight
HELD = "Start held runs"
KEPT = "Was waiting when the window was closed"


class RunsDock(QDockWidget):
    """The queue, and the buttons that change it."""

    began = Signal(object)
    finished = Signal(object)
    shown = Signal(object)

    def __init__(self, tabs: Mapping[str, RunTab], kept: KeptRuns):
        super().__init__("Runs")
        self.setObjectName("runs")
        self.setFeatures(self.DockWidgetFeature.DockWidgetClosable)
        self.kept = kept
        self.runs, self.tabs = Runs(), {name: tab for name, tab in tabs.items() if tab.waits}
        self.table = self._table()
        self.told = QLabel()
        self.told.setProperty("kind", "hint")
        self.buttons: dict[str, QPushButton] = {}
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(12, 2, 12, 6)
        column.setSpacing(4)
        column.addWidget(self.table)
        row = QHBoxLayout()
        row.addWidget(self.told, 1)
        for words, tip, action in (
            (HELD, "Begin those that are held, one after the other", self.go_on),
            ("Move up", "Run it earlier", self.move_up),
            ("Remove", "Take it out of the list; what it has written stays", self.remove),
            ("Show result", "Also a double click", self.show_result),
            ("Clear finished", "Take all that have ended out of the list", self.clear),
        ):
            self.buttons[words] = QPushButton(words)
            self.buttons[words].setToolTip(tip)
            self.buttons[words].clicked.connect(lambda _=False, action=action: action())
            row.addWidget(self.buttons[words])
        column.addLayout(row)
        self.setWidget(inside)
        for name, tab in self.tabs.items():
            tab.asked.connect(partial(self._ask, name))
            tab.ended.connect(partial(self._ended, tab))
            tab.taken = self.runs.outputs
        self.hide()
        self.fill()

    def _table(self) -> QTableWidget:
        table = QTableWidget(0, len(COLUMNS))
        table.setHorizontalHeaderLabels(COLUMNS)
        table.setAccessibleName("Runs")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.verticalHeader().setDefaultSectionSize(LINE)
        table.setWordWrap(False)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        table.setColumnWidth(0, 460)
        table.itemSelectionChanged.connect(self._offer)
        table.cellDoubleClicked.connect(lambda *_: self.show_result())
        return table

    # what the tabs ask

    def _ask(self, command: str, asked: list[tuple[Any, str, str]]) -> None:
        """asked: for each run its options, what it is, and why it cannot begin, if so."""
        for options, what, fault in asked:
            run = Run(command, options, what)
            if fault:
                self.runs.fail(run, fault)
            else:
                self.runs.add(run)
        self.next()

    def follow(self, job: Any, options: Any) -> None:
        """A run that an earlier window has left."""
        tab = self.tabs[job.command]
        run = self.runs.add(Run(job.command, options, tab.what(options), state=RUNS))
        tab.begin(options, job=job)
        self.began.emit(run)
        self.fill()

    def take_kept(self) -> None:
        """Offer runs that waited when a window before was closed; none begins unasked."""
        for told in self.kept.take():
            tab = self.tabs.get(told["command"])
            run = Run(told["command"], None, told["what"], is_held=True, told=KEPT)
            try:
                if tab is None:
                    raise BoneError("This version of BONe has no such queue.")
                run.options = tab.form.table.parse(told["options"])
                self.runs.add(run)
            except BoneError as error:  # e.g. of another version of BONe
                self.runs.fail(run, f"{KEPT}, and is not understood any more: {error}")
        if self.runs.rows:
            self.show()
        self.fill()

    def close_queue(self) -> None:
        """The window ends: nothing begins any more, and what waits is kept for the next one."""
        self.runs.is_closed = True
        self.kept.leave(self.runs.waiting)

    def next(self) -> None:
        """Begin what is next."""
        run = self.runs.begin_next()
        if run is not None:
            tab = self.tabs[run.command]
            tab.begin(run.options, has_waited=run.has_waited)
            self.began.emit(run)
        if self.runs.waiting:
            self.show()
        self.fill()

    def _ended(self, tab: RunTab, outcome: Outcome) -> None:
        run = self.runs.end(outcome, " ".join(tab.run_bar.told.text().split("\n")))
        if run is not None:
            self.finished.emit(run)
        self.next()

    # what a person does

    @property
    def chosen(self) -> Run | None:
        rows = {index.row() for index in self.table.selectedIndexes()}
        number = rows.pop() if len(rows) == 1 else len(self.runs.rows)
        return self.runs.rows[number] if number < len(self.runs.rows) else None

    def choose(self, run: Run | None) -> None:
        if run in self.runs.rows:
            self.table.selectRow(self.runs.rows.index(run))

    def go_on(self) -> None:
        self.runs.go_on()
        self.next()

    def move_up(self) -> None:
        run = self.chosen
        if run is not None and self.runs.move_up(run):
            self.fill()
            self.choose(run)

    def remove(self) -> None:
        run = self.chosen
        if run is not None and self.runs.remove(run):
            self.table.clearSelection()
            self.next()

    def clear(self) -> None:
        self.table.clearSelection()
        self.runs.forget_over()
        self.fill()
        self.setVisible(bool(self.runs.waiting))

    def show_result(self) -> None:
        run = self.chosen
        if run is not None and run.is_over:
            self.shown.emit(run)

    # what is seen

    def fill(self) -> None:
        """Write all rows."""
        kept = self.chosen
        rows, found = self.runs.rows, colours()
        self.table.setRowCount(len(rows))
        self.table.setFixedHeight(LINE * (min(max(len(rows), 1), LINES) + 1) + 4)
        for number, run in enumerate(rows):
            state = "held" if run in self.runs.held else run.state
            for column, text in enumerate((run.what, state, run.told)):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if run.state == FAILED and column:
                    item.setForeground(QBrush(QColor(found.wrong)))
                self.table.setItem(number, column, item)
        self.told.setText(self.runs.in_words())
        self.choose(kept)
        for tab in self.tabs.values():
            tab.run_bar.offer(waits=self.runs.is_busy)
        if not self.runs.is_closed:
            self.kept.keep(self.runs.waiting)
        self._offer()

    def _offer(self) -> None:
        run = self.chosen
        waiting = self.runs.waiting
        self.buttons[HELD].setVisible(bool(self.runs.held))
        self.buttons["Move up"].setEnabled(run in waiting[1:])
        self.buttons["Remove"].setEnabled(run is not None and run.state != RUNS)
        self.buttons["Show result"].setEnabled(run is not None and run.is_over and run.options is not None)
        self.buttons["Clear finished"].setEnabled(any(one.is_over for one in self.runs.rows))
