"""RAM, processor and GPU of a run, as small bars beside its progress.

In:  gauges.
Out: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from .gauges import Gauge
from .theme import colours

WIDE, HIGH, GAP, BAR = 128, 30, 14, 5  # px
MOST = 3  # side by side; more GPUs stand in the hint
FULL = 0.92  # of the RAM: worth a warning colour


class GaugeStrip(QWidget):
    """Hidden while nothing is known."""

    def __init__(self) -> None:
        super().__init__()
        self.gauges: list[Gauge] = []
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.hide()

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's)
        count = min(len(self.gauges), MOST)
        return QSize(max(count * (WIDE + GAP) - GAP, 0), HIGH)

    def show_gauges(self, gauges: Sequence[Gauge]) -> None:
        if [*gauges] == self.gauges:
            return
        is_other = len(gauges) != len(self.gauges)
        self.gauges = [*gauges]
        words = [f"{gauge.name} {gauge.told}" for gauge in gauges]
        self.setToolTip("This run: " + "; ".join(words))
        self.setAccessibleName("; ".join(words))
        self.setVisible(bool(gauges))
        if is_other:
            self.updateGeometry()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's)
        painter, found = QPainter(self), colours()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPointSizeF(font.pointSizeF() * 0.88)
        painter.setFont(font)
        for number, gauge in enumerate(self.gauges[:MOST]):
            left = number * (WIDE + GAP)
            painter.setPen(QColor(found.hint))
            words = f"{gauge.name}  {gauge.told}"
            place = QRectF(left, 0, WIDE + GAP, HIGH - BAR - 5)
            painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
            painter.setPen(Qt.PenStyle.NoPen)
            whole = QRectF(left, HIGH - BAR - 2, WIDE, BAR)
            painter.setBrush(QColor(found.edge))
            painter.drawRoundedRect(whole, 2, 2)
            is_full = gauge.name == "RAM" and gauge.share > FULL
            painter.setBrush(QColor(found.wrong if is_full else found.accent))
            whole.setWidth(max(WIDE * min(gauge.share, 1.0), 2.0))
            painter.drawRoundedRect(whole, 2, 2)
        painter.end()
