"""Score predicted labels against a reference mask.

In:  two volumes of labels.
Out: IoU and Dice of each class in a table; where they differ, in red.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from bone_backend.files.names import from_home
from bone_backend.volumes.classes import class_colour

from ..cards import name_of
from ..columns import score
from ..show import iou as iou_in_words
from .tab import RunTab
from .task import Outcome, Task
from .view import scan_of

COLUMNS = ("Class", "IoU", "Dice", "Voxels in reference", "Voxels in prediction", "In both")
SIDES = ("reference_voxels", "predicted_voxels", "intersection_voxels")


class IoUTab(RunTab):
    """The third tab."""

    command = "iou"
    verb = "Compare"
    nothing = "Choose a reference and a prediction to see where they differ."

    def add_pages(self) -> None:
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setAccessibleName("Scores of the classes")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.pages.addTab(self.table, "Scores")

    def set_prediction(self, path: str) -> None:
        """As if a person had chosen it."""
        editor: Any = self.panel.rows["prediction"].editor
        editor.take(path)

    def field_changed(self, name: str) -> None:
        if name in ("reference", "prediction"):
            self.look_later()

    def show_chosen(self) -> None:
        prediction, reference = self.form.value("prediction"), self.form.value("reference")
        if prediction and reference:
            prediction, reference = str(from_home(prediction)), str(from_home(reference))
            scan = scan_of(Path(prediction))
            if self.look(str(scan) if scan else None, prediction, reference) and scan:
                self.look(None, prediction, reference)

    def show_result(self, outcome: Outcome, task: Task) -> None:
        result = outcome.result
        if outcome.is_stopped or result is None:
            self.run_bar.tell("Stopped; nothing was scored.", "")
            return
        self.log.appendPlainText(iou_in_words(result))
        self._fill(result)
        self.pages.setCurrentWidget(self.table)
        mean = f"Mean IoU {score(result['mean_iou'])}, mean Dice {score(result['mean_dice'])}."
        self.run_bar.tell(f"Done. {mean}", "good")
        if self.viewer.view is not None:
            self.viewer.view.take_meaning(result.get("map_labels") or (), result.get("ignore_label"))
        names = {int(value): (name, None) for value, name in (result.get("names") or {}).items()}
        self.viewer.take_classes(names)
        self.run_bar.show_actions([("Show errors", self.show_errors)])

    def show_errors(self) -> None:
        self.viewer.errors.setChecked(True)
        self.pages.setCurrentWidget(self.viewer)

    def _fill(self, result: dict[str, Any]) -> None:
        names, rows = result.get("names") or {}, []
        for label, told in result["classes"].items():
            voxels = [f"{told[side]:,}" if side in told else "" for side in SIDES]
            row = [name_of(names, label), score(told["iou"]), score(told["dice"]), *voxels]
            rows.append((int(label), row))
        self.table.setRowCount(len(rows) + 1)
        for number, (label, row) in enumerate(rows):
            self._row(number, row, class_colour(label))
        self._row(
            len(rows), ["mean", score(result["mean_iou"]), score(result["mean_dice"]), "", "", ""], None
        )

    def _row(self, number: int, texts: list[str], colour: str | None) -> None:
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            elif colour:
                picture = QPixmap(12, 12)
                picture.fill(QColor(colour))
                item.setIcon(QIcon(picture))
            if colour is None:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            self.table.setItem(number, column, item)
