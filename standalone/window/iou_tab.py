"""Score predicted labels against a reference mask.

In:  two volumes of labels.
Out: IoU and Dice of each class in a table, IoU of each slice in a plot; where they differ, in red; tables and
a page as files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from bone_backend.errors import BoneError
from bone_backend.files.names import from_home
from bone_backend.files.whole import write_text
from bone_backend.scores import tables
from bone_backend.scores.slices import SliceScores
from bone_backend.volumes.classes import class_colour
from bone_backend.volumes.volume import peek, volume_name

from ..cards import name_of
from ..columns import score
from ..show import iou as iou_in_words
from .beside import beside
from .tab import RunTab
from .task import Outcome, Task

VOLUMES = ("reference", "prediction")
COLUMNS = ("Class", "IoU", "Dice", "Voxels in reference", "Voxels in prediction", "In both")
ROW, EDGE = 24, "#8a8a8a"  # height of a row, px; edge of a colour
SIDES = ("reference_voxels", "predicted_voxels", "intersection_voxels")
# What can be saved of a result: words, ending of the suggested name, filter.
FILES = {
    "classes": ("Save table", "_scores.csv", "Tables (*.csv)"),
    "slices": ("Save slices", "_slices.csv", "Tables (*.csv)"),
    "page": ("Save page", "_scores.html", "Pages (*.html)"),
}


class IoUTab(RunTab):
    """The third tab."""

    command = "iou"
    verb = "Compare"
    nothing = "Choose a reference and a prediction to see where they differ."

    def __init__(self, runner: Any):
        self._unreadable: dict[str, str] = {}  # volumes that cannot be looked at, and why
        super().__init__(runner)

    def add_pages(self) -> None:
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(COLUMNS)
        self.table.setAccessibleName("Scores of the classes")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(ROW)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setSizeAdjustPolicy(QAbstractItemView.SizeAdjustPolicy.AdjustToContents)
        self.scores_page = QWidget()
        column = QVBoxLayout(self.scores_page)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.table)
        column.addStretch(1)
        self.slices: Any = None  # a SlicePlot, which is loaded with the first result
        self.result: dict[str, Any] = {}
        self.pages.addTab(self.scores_page, "Scores")

    def set_prediction(self, path: str) -> None:
        """As if a person had chosen it."""
        editor: Any = self.panel.rows["prediction"].editor
        editor.take(path)

    def field_changed(self, name: str) -> None:
        if name in VOLUMES:
            self._unreadable.pop(name, None)
            self.look_later()

    def more_faults(self) -> dict[str, list[str]]:
        return {name: [fault] for name, fault in self._unreadable.items()}

    def start(self) -> None:
        if self._unreadable:
            self.show_chosen()  # somebody may have mended it
        super().start()

    def _slice_plot(self) -> Any:
        """The plot, made when it is first wanted, so that the window opens without its library."""
        if self.slices is None:
            from .slice_plot import SlicePlot

            self.slices = SlicePlot()
            self.slices.chosen.connect(self.show_slice)
            self.slices.ranked.connect(self.viewer.show_ranking)
            column: Any = self.scores_page.layout()
            column.takeAt(1)  # what filled the page before
            column.addWidget(self.slices, 1)
            self.viewer.moved.connect(self.slices.show_slice)
            self.slices.show_slice(self.viewer.indices[0] if self.viewer.axis == 0 else None)
        return self.slices

    def show_slice(self, index: int) -> None:
        """Look at a slice along z."""
        self.show_errors()
        self.viewer.go_to_z(index)

    def show_chosen(self) -> None:
        self._unreadable = {}
        for name in VOLUMES:
            try:
                if path := self.form.value(name):
                    peek(from_home(path))
            except (BoneError, OSError) as fault:
                self._unreadable[name] = str(fault)
        self.check()
        prediction, reference = self.form.value("prediction"), self.form.value("reference")
        if prediction and reference:
            prediction, reference = str(from_home(prediction)), str(from_home(reference))
            found = beside(Path(prediction))
            scan = str(found.scan) if found.scan else None
            if self.look(scan, prediction, reference) and scan:
                self.look(None, prediction, reference)
            self.viewer.add_overlay.offer(found.maps if self.viewer.view is not None else ())

    def show_result(self, outcome: Outcome, task: Task) -> None:
        result = outcome.result
        if outcome.is_stopped or result is None:
            self.run_bar.tell("Stopped; nothing was scored.", "")
            return
        self.result = result
        self.log.appendPlainText(iou_in_words(result))
        self._fill(result)
        self.pages.setCurrentWidget(self.scores_page)
        mean = f"Mean IoU {score(result['mean_iou'])}, mean Dice {score(result['mean_dice'])}."
        self.run_bar.tell(f"Done. {mean}", "good")
        if self.viewer.view is not None:
            self.viewer.view.take_meaning(result.get("map_labels") or (), result.get("ignore_label"))
        colours = result.get("colours") or {}
        names = {
            int(value): (name, colours.get(value)) for value, name in (result.get("names") or {}).items()
        }
        self.viewer.take_classes(names)
        self._show_slices(result)
        saves = [
            (words, lambda kind=kind: self.ask_save(kind))
            for kind, (words, _ending, _filter) in FILES.items()
            if kind != "slices" or result.get("slices")
        ]
        self.run_bar.show_actions([("Show errors", self.show_errors), *saves])

    def _show_slices(self, result: dict[str, Any]) -> None:
        found = result.get("slices")
        if not found:
            if self.slices is not None:
                self.slices.hide()
            return
        scores = SliceScores.from_dict(found)
        names = {item["value"]: item["name"] for item in tables.classes_of(result)}
        view = self.viewer.view
        shades = {value: view.colour(value) if view else class_colour(value) for value in names}
        plot = self._slice_plot()
        plot.show_scores(scores, names, shades)
        plot.show()

    def ask_save(self, kind: str) -> None:
        """Ask where a table or the page goes."""
        words, ending, kinds = FILES[kind]
        prediction = Path(self.result["prediction"])
        suggested = prediction.with_name(f"{volume_name(prediction)}{ending}")
        path, _ = QFileDialog.getSaveFileName(self, words, str(suggested), kinds)
        if path:
            self.save(kind, Path(path))

    def save(self, kind: str, path: Path) -> None:
        """Write a table or the page of the last result, as the command does; replacing was asked for."""
        path = path if path.suffix else path.with_suffix(Path(FILES[kind][1]).suffix)
        try:
            if kind == "page":
                from bone_backend.report.comparison_page import page  # loads Jinja2

                write_text(path, page(self.result))
            else:
                table = tables.classes_table if kind == "classes" else tables.slices_table
                tables.write_table(path, table(self.result))
        except BoneError as fault:
            self.run_bar.tell(str(fault), "fault")
            return
        self.run_bar.tell(f"Saved as {path}.", "good")

    def take_colours(self) -> None:
        if self.slices is not None:
            self.slices.take_colours()

    def show_errors(self) -> None:
        self.viewer.errors.setChecked(True)
        self.pages.setCurrentWidget(self.viewer)

    def _fill(self, result: dict[str, Any]) -> None:
        names, rows = result.get("names") or {}, []
        colours = {item["value"]: item["colour"] for item in tables.classes_of(result)}
        for label, told in result["classes"].items():
            voxels = [f"{told[side]:,}" if side in told else "" for side in SIDES]
            row = [name_of(names, label), score(told["iou"]), score(told["dice"]), *voxels]
            rows.append((int(label), row))
        self.table.setRowCount(len(rows) + 1)
        for number, (label, row) in enumerate(rows):
            self._row(number, row, colours[label])
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
                picture.fill(QColor(EDGE))  # else black is not seen on dark paper
                with QPainter(picture) as painter:
                    painter.fillRect(1, 1, 10, 10, QColor(colour))
                item.setIcon(QIcon(picture))
            if colour is None:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            self.table.setItem(number, column, item)
