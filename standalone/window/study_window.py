"""A study to look at: its runs by their states, renewed while it goes on; and its report.

In:  the folder of a study, which another program may be working in.
Out: a table; the report in the browser. Nothing is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, QUrl
from PySide6.QtGui import QBrush, QColor, QDesktopServices
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from bone_backend.errors import BoneError, ScanError
from bone_backend.information.describe import describe

from .theme import colours

LOOK_MS, PER_RUN_MS = 2000, 10  # between two looks; more where there are many runs
HEADS = ("Run", "State", "mIoU", "Why it failed")


class StudyWindow(QDialog):
    """Raises ScanError where the folder is none of a study."""

    def __init__(self, folder: Path, parent: QWidget | None = None):
        super().__init__(parent)
        self.folder = folder
        self.facts = self._read()
        self.setWindowTitle(f"Study {self.facts['name']}")
        self.resize(820, 520)
        column = QVBoxLayout(self)
        self.told, self.bar = QLabel(), QProgressBar()
        column.addWidget(self.told)
        self.bar.setTextVisible(False)
        column.addWidget(self.bar)
        self.table = QTableWidget(0, len(HEADS))
        self.table.setHorizontalHeaderLabels(HEADS)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.setAccessibleName("Runs of the study")
        self.table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.table.horizontalHeader().setStretchLastSection(True)
        column.addWidget(self.table)
        row = QHBoxLayout()
        self.report = QPushButton("Open report")
        self.report.clicked.connect(self.open_report)
        row.addWidget(self.report)
        row.addStretch()
        column.addLayout(row)
        self.timer = QTimer(self)
        self.timer.setInterval(LOOK_MS + PER_RUN_MS * self.facts["runs"])
        self.timer.timeout.connect(self.look)
        self.timer.start()
        self._show()

    def _read(self) -> dict[str, Any]:
        found = describe(self.folder)
        if found["kind"] != "study":
            raise ScanError(
                f"{self.folder} is no folder of a study. Name the one that bone study was given with "
                "--output."
            )
        return found

    def look(self) -> None:
        """Read the states again; what cannot be read at this moment stays as it was."""
        try:
            self.facts = self._read()
        except BoneError as error:
            self.told.setText(str(error))
            return
        self._show()

    def _show(self) -> None:
        facts = self.facts
        begun = f", {len(facts['started'])} started" if facts["started"] else ""
        failed = f", {len(facts['failed'])} failed" if facts["failed"] else ""
        self.told.setText(f"{facts['done']} of {facts['runs']} runs are done{begun}{failed}.")
        self.bar.setRange(0, max(facts["runs"], 1))
        self.bar.setValue(facts["done"])
        self.report.setEnabled(facts["report"] is not None)
        self.table.setRowCount(len(facts["each"]))
        for number, one in enumerate(facts["each"]):
            score = "" if one["mean_iou"] is None else f"{one['mean_iou']:.4f}"
            for place, text in enumerate((one["run"], one["state"], score, one["cause"])):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if one["state"] == "failed" and place:
                    item.setForeground(QBrush(QColor(colours().wrong)))
                if place == HEADS.index("mIoU"):
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(number, place, item)

    def open_report(self) -> None:
        """In the browser of the system."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(self.facts["report"]))
