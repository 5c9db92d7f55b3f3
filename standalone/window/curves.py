"""Live curves of a fit: loss of every step and epoch, IoU of every class.

In:  the figures that a run tells, and the scores that it writes.
Out: two plots. Qt and pyqtgraph only draw; the numbers come from scores.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import pyqtgraph
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from bone_backend.volumes.classes import COLOURS, MEAN, TRAINING, VALIDATION

from .scores import Curves
from .theme import colours, is_dark

DRAW_S = 1.0  # between two drawings of the steps
MOST_STEPS = 4000  # points of the loss; of more, every second one is dropped
BACKGROUND = "#8a8a8a"  # which is black elsewhere, and unseen on dark paper
LINES = {"training": TRAINING, "validation": VALIDATION}


class Epochs(pyqtgraph.AxisItem):
    """An axis with whole numbers only."""

    def tickStrings(self, values, scale, spacing):  # noqa: N802 (pyqtgraph's)
        return [f"{value:.0f}" if abs(value - round(value)) < 1e-6 else "" for value in values]


class CurvesPage(QWidget):
    """Loss and IoU, side by side."""

    def __init__(self) -> None:
        super().__init__()
        pyqtgraph.setConfigOptions(antialias=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        self.nothing = QLabel("The curves begin with the first step of a fit.")
        self.nothing.setProperty("kind", "hint")
        column.addWidget(self.nothing)
        self.loss = self._plot("loss", legend=(-10, 10))
        self.iou = self._plot("validation IoU", legend=(-5, -5))
        self.iou.setYRange(0, 1)
        row = QHBoxLayout()
        for plot in (self.loss, self.iou):
            row.addWidget(plot, 1)
        column.addLayout(row, 1)
        self.steps: list[tuple[float, float]] = []
        self._drawn = 0.0
        self._by_name: dict[str, str] = {}
        self._step_line = self.loss.plot([], [], pen=pyqtgraph.mkPen("#7f8a96", width=1))
        self._lines: dict[str, pyqtgraph.PlotDataItem] = {}
        self.take_colours()

    def _plot(self, left: str, *, legend: tuple[int, int]) -> pyqtgraph.PlotWidget:
        plot = pyqtgraph.PlotWidget(axisItems={"bottom": Epochs("bottom")})
        plot.getAxis("left").enableAutoSIPrefix(False)
        plot.getAxis("bottom").enableAutoSIPrefix(False)
        plot.setMouseEnabled(x=False, y=False)
        plot.setLabel("left", left)
        plot.setLabel("bottom", "epoch")
        plot.showGrid(x=True, y=True, alpha=0.2)
        plot.addLegend(offset=legend, labelTextSize="9pt")
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setAccessibleName(f"Curve of {left}")
        return plot

    def take_colours(self) -> None:
        """Those of the present scheme."""
        found = colours()
        for plot in (self.loss, self.iou):
            plot.setBackground(found.field)
            for side in ("left", "bottom"):
                plot.getAxis(side).setPen(found.edge)
                plot.getAxis(side).setTextPen(found.ink)
            legend = plot.getPlotItem().legend
            legend.setLabelTextColor(found.ink)
            legend.setBrush(f"{found.field}c0")  # over the lines
            for _sample, label in legend.items:
                label.setText(label.text, color=found.ink)
        if "mean" in self._lines:
            self._lines["mean"].setPen(self._pen("mean", 0))

    def begin(self, colours_by_name: Mapping[str, str] | None = None) -> None:
        """Forget the run before. colours_by_name: of classes, as their columns are headed."""
        self._by_name = dict(colours_by_name or {})
        self.steps = []
        self._step_line.setData([], [])
        for plot in (self.loss, self.iou):
            plot.getPlotItem().legend.clear()
        for line in self._lines.values():
            for plot in (self.loss, self.iou):
                plot.removeItem(line)
        self._lines = {}

    def add_step(self, epoch: float, loss: float) -> None:
        """The loss so far within an epoch."""
        self.steps.append((epoch, loss))
        if len(self.steps) > MOST_STEPS:
            del self.steps[::2]
        if time.monotonic() - self._drawn >= DRAW_S:
            self.draw_steps()

    def draw_steps(self) -> None:
        """Draw the steps so far; seldom, since the fit needs the processor."""
        if self.steps:
            self._drawn = time.monotonic()
            self.nothing.hide()
            self._step_line.setData(*zip(*self.steps, strict=True))

    def show_curves(self, found: Curves) -> None:
        """The scores after each epoch."""
        self.draw_steps()
        if not found.epochs:
            return
        self.nothing.hide()
        for number, (name, values) in enumerate(found.losses.items()):
            self._line(self.loss, f"loss {name}", name, LINES[name], number).setData(found.epochs, values)
        for number, (name, values) in enumerate(found.scores.items()):
            if not any(map(math.isfinite, values)):
                continue  # a class that no scan holds; pyqtgraph would complain of it at each epoch
            usual = COLOURS[(number - 1) % len(COLOURS)] if number else BACKGROUND
            colour = self._by_name.get(name, usual)
            self._line(self.iou, name, name, colour, number).setData(found.epochs, values)

    def _line(
        self, plot: pyqtgraph.PlotWidget, key: str, name: str, colour: str, number: int
    ) -> pyqtgraph.PlotDataItem:
        if key not in self._lines:
            pen = self._pen(name, number, colour)
            self._lines[key] = plot.plot(
                [], [], name=name, pen=pen, symbol="o", symbolSize=5, symbolBrush=pen.color(), symbolPen=None
            )
        return self._lines[key]

    def _pen(self, name: str, number: int, colour: str = MEAN) -> object:
        if name == "mean":
            return pyqtgraph.mkPen("#e6e8eb" if is_dark() else MEAN, width=3)
        return pyqtgraph.mkPen(colour, width=2)
