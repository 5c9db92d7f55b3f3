"""A histogram of the greys with two borders to drag: what is black and what is white.

In:  bins, and the two borders.
Out: `moved` with the new borders, while they are dragged or moved with the arrow keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QLinearGradient,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
)
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from .greys import Bins, moved, shown_range
from .theme import colours

HEIGHT, FOOT, RAMP = 74, 18, 5  # px; of it for the numbers below and the colours
NEAR = 12.0  # px from a border within which it is taken
STEP = 0.01  # of what is shown, for an arrow key


class Histogram(QWidget):
    """Draws on a logarithmic scale, so that the little bone beside much air is seen."""

    moved = Signal(float, float)

    def __init__(
        self, name: str = "Histogram: black and white", ends: tuple[str, str] = ("black", "white")
    ) -> None:
        super().__init__()
        self._ends = ends  # what the two borders are, in words
        self.table: Sequence[int] = [0xFF000000, 0xFFFFFFFF]  # colours (ARGB) from one border to the other
        self.bins: Bins | None = None
        self.low, self.high = 0.0, 1.0
        self._range = (0.0, 1.0)
        self._taken = ""  # the border that the mouse holds
        self._key = "low"  # the border that arrow keys move
        self._last = 0.0
        self.setFixedHeight(HEIGHT)
        self.setMinimumWidth(120)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName(name)
        told = f"Drag the borders, {ends[0]} and {ends[1]}. Between them, both move."
        self.setToolTip(f"{told} Keys: Left and Right move a border, Space takes the other one.")
        self.setAccessibleDescription(self.toolTip())

    def show_bins(self, bins: Bins | None, low: float, high: float) -> None:
        """Another volume."""
        self.bins = bins
        self.low, self.high = low, high
        if bins is not None:
            self._range = shown_range(bins, low, high)
        self.update()

    def show_borders(self, low: float, high: float) -> None:
        """Borders that were moved elsewhere."""
        self.low, self.high = low, high
        if self.bins is not None and not self._taken:
            self._range = shown_range(self.bins, low, high)
        self.update()

    def x_of(self, grey: float) -> float:
        first, last = self._range
        return (grey - first) / (last - first) * self.width()

    def grey_at(self, x: float) -> float:
        first, last = self._range
        return first + x / max(self.width(), 1) * (last - first)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 (Qt's)
        painter, found, floor = QPainter(self), colours(), self.height() - FOOT
        painter.fillRect(0, 0, self.width(), floor, QColor(found.field))
        if self.bins is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_bars(painter, self.bins, floor)
        left, right = self.x_of(self.low), self.x_of(self.high)
        shade = QColor(found.paper)
        shade.setAlpha(170)
        painter.fillRect(QRectF(0, 0, left, floor), shade)
        painter.fillRect(QRectF(right, 0, self.width() - right, floor), shade)
        self._paint_ramp(painter, left, right, floor)
        for tissue in self.bins.tissues or ():
            painter.setPen(QPen(QColor(colours().tissue), 1.5, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(self.x_of(tissue), 4), QPointF(self.x_of(tissue), floor - RAMP))
        for name, x in (("low", left), ("high", right)):
            is_taken = self.hasFocus() and self._key == name
            painter.setPen(QPen(QColor(found.accent if is_taken else found.ink), 3 if is_taken else 2))
            painter.drawLine(QPointF(x, 0), QPointF(x, floor))
        self._paint_numbers(painter, floor)

    def _paint_ramp(self, painter: QPainter, left: float, right: float, floor: int) -> None:
        """In which colours the values are drawn."""
        colours_ = [QColor.fromRgba(argb) for argb in self.table]
        ramp = QLinearGradient(left, 0, right, 0)
        for place, colour in enumerate(colours_):
            ramp.setColorAt(place / (len(colours_) - 1), colour)
        painter.fillRect(QRectF(0, floor - RAMP, left, RAMP), colours_[0])
        painter.fillRect(QRectF(right, floor - RAMP, self.width() - right, RAMP), colours_[-1])
        painter.fillRect(QRectF(left, floor - RAMP, right - left, RAMP), ramp)

    def _paint_bars(self, painter: QPainter, bins: Bins, floor: int) -> None:
        """One filled outline, which is drawn faster than bars and looks the same."""
        outline = QPolygonF([QPointF(self.x_of(bins.edges[0]), floor - RAMP)])
        for start, end, height in zip(bins.edges[:-1], bins.edges[1:], bins.heights, strict=True):
            y = floor - RAMP - height * (floor - 10)
            outline.append(QPointF(self.x_of(float(start)), y))
            outline.append(QPointF(self.x_of(float(end)), y))
        outline.append(QPointF(self.x_of(float(bins.edges[-1])), floor - RAMP))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours().hint))
        painter.drawPolygon(outline)

    def _paint_numbers(self, painter: QPainter, floor: int) -> None:
        """Below: the two borders, and between them the tissues where there is room."""
        painter.setPen(QColor(colours().hint))
        flags = Qt.AlignmentFlag.AlignVCenter
        place = QRectF(2, floor, self.width() - 4, FOOT)
        painter.drawText(place, flags | Qt.AlignmentFlag.AlignLeft, f"{self._ends[0]} {self.low:,.5g}")
        painter.drawText(place, flags | Qt.AlignmentFlag.AlignRight, f"{self._ends[1]} {self.high:,.5g}")
        if self.bins is not None and self.bins.tissues:
            dark, bright = self.bins.tissues
            painter.setPen(QColor(colours().tissue))
            told = f"tissues {dark:,.3g} and {bright:,.3g}"
            painter.drawText(place, flags | Qt.AlignmentFlag.AlignHCenter, told)

    def border_near(self, x: float) -> str:
        """ "low" or "high" where one is near, "both" between them; "" outside."""
        left, right = self.x_of(self.low), self.x_of(self.high)
        if min(abs(x - left), abs(x - right)) <= NEAR:
            return "low" if abs(x - left) < abs(x - right) or (x < left == right) else "high"
        return "both" if left < x < right else ""

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's)
        x = event.position().x()
        self._taken = self.border_near(x)
        self._last = self.grey_at(x)
        if self._taken in ("low", "high"):
            self._key = self._taken
        self.update()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:  # noqa: N802 (Qt's)
        self._taken = ""
        if self.bins is not None:
            self._range = shown_range(self.bins, self.low, self.high)
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's)
        x = event.position().x()
        if self._taken:
            grey = self.grey_at(x)
            self._move(self._taken, grey - self._last)
            self._last = grey
        shapes = {"low": Qt.CursorShape.SplitHCursor, "high": Qt.CursorShape.SplitHCursor}
        shapes["both"] = Qt.CursorShape.SizeHorCursor
        self.setCursor(shapes.get(self._taken or self.border_near(x), Qt.CursorShape.ArrowCursor))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's)
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        key = Qt.Key(event.key())
        if key in steps:
            self._move(self._key, steps[key] * STEP * (self._range[1] - self._range[0]))
        elif key in (Qt.Key.Key_Space, Qt.Key.Key_Return):
            self._key = "high" if self._key == "low" else "low"
            self.update()
        else:
            super().keyPressEvent(event)

    def _move(self, which: str, by: float) -> None:
        least = (self._range[1] - self._range[0]) / 500
        self.low, self.high = moved(self.low, self.high, by=by, which=which, least=least)
        self.update()
        self.moved.emit(self.low, self.high)


class GreyRow(QWidget):
    """The histogram of a scan, and the way back to what suits it."""

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.histogram = Histogram()
        row.addWidget(self.histogram, 1)
        self.auto = QPushButton("Auto")
        self.auto.setToolTip("Back to what suits the scan")
        row.addWidget(self.auto, 0, Qt.AlignmentFlag.AlignTop)
