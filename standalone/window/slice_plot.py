"""IoU of every slice along z, class by class, and the worst slices in a list; a click leads to a slice.

In:  SliceScores, names and colours of the classes.
Out: `chosen` with the number of a slice; `ranked` with the ranking that was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pyqtgraph
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from bone_backend.scores.slices import SliceScores

from .curves import Epochs
from .theme import colours, line_width
from .worst import Ranking, by_iou

FLOOR = 0.9  # the plot begins here at the highest, so that a good result does not look ragged
LIST_WIDTH = 190
FIGURE = "\u2007"  # a space as wide as a digit


class Slices(Epochs):
    """Slices are counted from 1."""

    def tickStrings(self, values, scale, spacing):  # noqa: N802 (pyqtgraph's)
        found = super().tickStrings(values, scale, spacing)
        return [text if value >= 1 else "" for value, text in zip(values, found, strict=True)]


class SlicePlot(QWidget):
    """A plot, and beside it the worst slices."""

    chosen = Signal(int)
    ranked = Signal(object)  # a Ranking

    def __init__(self) -> None:
        super().__init__()
        self._scores: SliceScores | None = None
        self.ranking: Ranking | None = None
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 6, 0, 0)
        self.plot = pyqtgraph.PlotWidget(axisItems={"bottom": Slices("bottom")})
        self.plot.setMouseEnabled(x=False, y=False)
        self.plot.setMenuEnabled(False)
        self.plot.hideButtons()
        self.plot.showGrid(x=True, y=True, alpha=0.2)
        self.plot.setLabel("left", "IoU")
        self.plot.setLabel("bottom", "slice along z (click to look at it)")
        for side in ("left", "bottom"):
            self.plot.getAxis(side).enableAutoSIPrefix(False)
        self.plot.setAccessibleName("IoU of every slice; the list beside it has the worst")
        self.plot.scene().sigMouseClicked.connect(self._clicked)
        self.here = pyqtgraph.InfiniteLine(angle=90, movable=False)
        column = QVBoxLayout()
        self.legend = QLabel()
        column.addWidget(self.legend)
        column.addWidget(self.plot, 1)
        row.addLayout(column, 1)
        column = QVBoxLayout()
        label = QLabel("Worst slices by")
        column.addWidget(label)
        self.by = QComboBox()
        self.by.setAccessibleName("Worst slices by")
        label.setBuddy(self.by)
        self.by.currentIndexChanged.connect(lambda _: self._rank())
        column.addWidget(self.by)
        self.list = WorstList()
        self.list.setAccessibleName("Worst slices")
        self.list.setFixedWidth(LIST_WIDTH)
        self.by.setFixedWidth(LIST_WIDTH)
        self.list.taken.connect(self.chosen)
        column.addWidget(self.list, 1)
        row.addLayout(column)
        self._names: dict[int, str] = {}
        self._colours: dict[int, str] = {}
        self.take_colours()

    def show_scores(self, scores: SliceScores, names: Mapping[int, str], shades: Mapping[int, str]) -> None:
        """names, shades: of each class that is scored."""
        self._scores, self._names, self._colours = scores, dict(names), dict(shades)
        self._draw()
        self.by.blockSignals(True)
        self.by.clear()
        self.by.addItem("mean of the classes", None)
        for value in scores.values:
            self.by.addItem(self._names[value], value)
        self.by.blockSignals(False)
        self._rank()

    def show_slice(self, index: int | None) -> None:
        """Mark the slice that is looked at along z."""
        self.here.setVisible(index is not None)
        if index is not None:
            self.here.setValue(index + 1)

    def _draw(self) -> None:
        scores = self._scores
        if scores is None:
            return
        self.plot.clear()
        iou, mean = scores.iou, scores.mean_iou
        numbers = np.arange(1, len(mean) + 1)
        for place, value in enumerate(scores.values):
            if value:  # background is near 1 everywhere
                pen = pyqtgraph.mkPen(self._colours[value], width=line_width(2))
                self._line(numbers, iou[:, place], self._names[value], pen)
        self._line(
            numbers,
            mean,
            "mean",
            pyqtgraph.mkPen(colours().mean, width=line_width(2), style=Qt.PenStyle.DashLine),
        )
        self.plot.addItem(self.here)
        shades = {self._names[value]: self._colours[value] for value in scores.values if value}
        told = [f'<span style="color:{shade}">■</span> {escape(name)}' for name, shade in shades.items()]
        self.legend.setText("&nbsp;&nbsp; ".join(["IoU of each slice:", *told, "╌ mean"]))
        self.plot.setYRange(min(FLOOR, float(np.nanmin([1.0, *mean, *iou.flat]))), 1.0, padding=0.03)
        self.plot.setXRange(1, max(len(mean), 2), padding=0.02)

    def _line(self, numbers: np.ndarray, values: np.ndarray, name: str, pen: object) -> None:
        """A gap where a class is in neither; a dot where a slice stands alone."""
        is_alone = np.isfinite(values) & np.pad(np.isnan(values), 1, constant_values=True)[:-2]
        is_alone &= np.pad(np.isnan(values), 1, constant_values=True)[2:]
        self.plot.plot(numbers, values, name=name, pen=pen, connect="finite")
        if is_alone.any():
            self.plot.plot(
                numbers[is_alone], values[is_alone], pen=None, symbol="o", symbolSize=5,
                symbolBrush=pyqtgraph.mkPen(pen).color(), symbolPen=None,
            )  # fmt: skip

    def _rank(self) -> None:
        if self._scores is None:
            return
        value = self.by.currentData()
        self.ranking = by_iou(self._scores, value, self._names.get(value, ""))
        self.list.clear()
        width = max((len(f"slice {z + 1:,}") for z in self.ranking.slices), default=0)
        for z, told in zip(self.ranking.slices, self.ranking.told, strict=True):
            item = QListWidgetItem(f"slice {z + 1:,}".ljust(width, FIGURE) + f"   {told.rsplit(' ', 1)[-1]}")
            item.setData(Qt.ItemDataRole.UserRole, z)
            self.list.addItem(item)
        self.ranked.emit(self.ranking)

    def _clicked(self, event: object) -> None:
        place = self.plot.getPlotItem().vb.mapSceneToView(event.scenePos())  # type: ignore[attr-defined]
        if self._scores is not None:
            index = min(max(round(place.x()) - 1, 0), len(self._scores.mean_iou) - 1)
            self.chosen.emit(index)

    def take_colours(self) -> None:
        """Those of the present scheme."""
        found = colours()
        self.plot.setBackground(found.field)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setPen(found.edge)
            self.plot.getAxis(side).setTextPen(found.ink)
        self.here.setPen(pyqtgraph.mkPen(found.accent, width=line_width(1)))
        self._draw()


class WorstList(QListWidget):
    """A list of slices; a click or Return takes one."""

    taken = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.itemClicked.connect(self._take)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's)
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentItem():
            self._take(self.currentItem())
            return
        super().keyPressEvent(event)

    def _take(self, item: QListWidgetItem) -> None:
        self.taken.emit(item.data(Qt.ItemDataRole.UserRole))
