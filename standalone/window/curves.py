"""Live curves of a fit: loss of every step and epoch, IoU of every class.

In:  the figures that a run tells, and the scores that it writes.
Out: two plots. Qt and pyqtgraph only draw; the numbers come from scores.py.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from html import escape

import pyqtgraph
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from bone_backend.volumes.classes import COLOURS

from .scores import Curves
from .theme import colours, line_width

DRAW_S = 1.0  # between two drawings of the steps
MOST_STEPS = 4000  # points of the loss; of more, every second one is dropped
BACKGROUND = "#8a8a8a"  # which is black elsewhere, and unseen on dark paper
STEPS = "#7f8a96"
LOSS = "loss: "  # before the names of the lines of the first plot


class Epochs(pyqtgraph.AxisItem):
    """An axis with whole numbers only."""

    def tickStrings(self, values, scale, spacing):  # noqa: N802 (pyqtgraph's)
        return [f"{value:.0f}" if abs(value - round(value)) < 1e-6 else "" for value in values]


class CurvesPage(QWidget):
    """Loss and IoU, side by side; above each what its lines are."""

    def __init__(self) -> None:
        super().__init__()
        pyqtgraph.setConfigOptions(antialias=True)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        self.nothing = QLabel("The curves begin with the first step of a fit.")
        self.nothing.setProperty("kind", "hint")
        column.addWidget(self.nothing)
        self.loss, self.iou = self._plot("loss"), self._plot("validation IoU")
        self.iou.setYRange(0, 1)
        self.legends = {"loss": QLabel(), "iou": QLabel()}
        grid = QGridLayout()
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(2)
        for number, (legend, plot) in enumerate(
            zip(self.legends.values(), (self.loss, self.iou), strict=True)
        ):
            legend.setWordWrap(True)
            legend.setTextFormat(Qt.TextFormat.RichText)
            grid.addWidget(legend, 0, number, Qt.AlignmentFlag.AlignBottom)
            grid.addWidget(plot, 1, number)
            grid.setColumnStretch(number, 1)
        grid.setRowStretch(1, 1)
        column.addLayout(grid, 1)
        self.steps: list[tuple[float, float]] = []
        self._drawn = 0.0
        self._by_name: dict[str, str] = {}
        self._step_line = self.loss.plot([], [], pen=pyqtgraph.mkPen(STEPS, width=line_width(1)))
        self._lines: dict[str, pyqtgraph.PlotDataItem] = {}
        self._shades: dict[str, str] = {}  # of each line
        self.take_colours()

    def _plot(self, left: str) -> pyqtgraph.PlotWidget:
        plot = pyqtgraph.PlotWidget(axisItems={"bottom": Epochs("bottom")})
        plot.getAxis("left").enableAutoSIPrefix(False)
        plot.getAxis("bottom").enableAutoSIPrefix(False)
        plot.setMouseEnabled(x=False, y=False)
        plot.setLabel("left", left)
        plot.setLabel("bottom", "epoch")
        plot.showGrid(x=True, y=True, alpha=0.2)
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
        for key, line in self._lines.items():
            if key in self._own():
                self._colour(key, line, self._own()[key])
        self._tell_lines()

    def _own(self) -> dict[str, str]:
        """Lines whose colour is the scheme's."""
        found = colours()
        return {
            f"{LOSS}training": found.training,
            f"{LOSS}validation": found.validation,
            "mean": found.mean,
        }

    def begin(self, colours_by_name: Mapping[str, str] | None = None) -> None:
        """Forget the run before. colours_by_name: of classes, as their columns are headed."""
        self._by_name = dict(colours_by_name or {})
        self.steps = []
        self._step_line.setData([], [])
        for line in self._lines.values():
            for plot in (self.loss, self.iou):
                plot.removeItem(line)
        self._lines, self._shades = {}, {}
        self.nothing.show()
        self._tell_lines()

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
            self._tell_lines()

    def show_curves(self, found: Curves) -> None:
        """The scores after each epoch."""
        self.draw_steps()
        if not found.epochs:
            return
        self.nothing.hide()
        for name, values in found.losses.items():
            self._line(self.loss, f"{LOSS}{name}").setData(found.epochs, values)
        for number, (name, values) in enumerate(found.scores.items()):
            if not any(map(math.isfinite, values)):
                continue  # a class that no scan holds; pyqtgraph would complain of it at each epoch
            usual = COLOURS[(number - 1) % len(COLOURS)] if number else BACKGROUND
            self._line(self.iou, name, self._by_name.get(name, usual)).setData(found.epochs, values)
        self._tell_lines()

    def _line(self, plot: pyqtgraph.PlotWidget, key: str, colour: str = "") -> pyqtgraph.PlotDataItem:
        if key not in self._lines:
            line = plot.plot([], [], name=key, symbol="o", symbolSize=5, symbolPen=None)
            self._lines[key] = line
            self._colour(key, line, self._own().get(key, colour))
        return self._lines[key]

    def _colour(self, key: str, line: pyqtgraph.PlotDataItem, colour: str) -> None:
        self._shades[key] = colour
        line.setPen(pyqtgraph.mkPen(colour, width=line_width(3 if key == "mean" else 2)))
        line.setSymbolBrush(pyqtgraph.mkColor(colour))

    def _tell_lines(self) -> None:
        """What each line is, above its plot, where it hides none of them."""
        losses = [(key.removeprefix(LOSS), key) for key in self._shades if key.startswith(LOSS)]
        found = {"loss": [(name, self._shades[key]) for name, key in losses]}
        if self.steps:
            found["loss"].append(("each step", STEPS))
        found["iou"] = [(key, shade) for key, shade in self._shades.items() if not key.startswith(LOSS)]
        for which, lines in found.items():
            text = "&nbsp;&nbsp; ".join(
                f'<span style="color:{shade}">■</span>&nbsp;{escape(name)}' for name, shade in lines
            )
            if text != self.legends[which].text():
                self.legends[which].setText(text)
