"""The row above a slice: along which axis, what is drawn over it, and how strongly.

In:  nothing; a Viewer shows and hides what means something.
Out: `changed` when the slice is to be drawn anew.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QWidget,
)

from .view import AXES

PADDING = 20  # px, of a button


class Title(QLabel):
    """A name that is cut with … where there is no room for all of it."""

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 (Qt's)
        painter = QPainter(self)
        told = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, told)
        painter.end()


class ViewerBar(QWidget):
    """Buttons only; what they do stands in the Viewer."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.axes = QButtonGroup(self)
        for number, name in enumerate(AXES):
            button = QToolButton()
            button.setText(name)
            button.setCheckable(True)
            button.setChecked(number == 0)
            button.setMinimumSize(QSize(28, 24))
            button.setToolTip(f"Slices along {name} (key {name})")
            button.setAccessibleName(f"Slices along {name}")
            self.axes.addButton(button, number)
            row.addWidget(button)
        row.addSpacing(8)
        self.title = Title()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # is cut first
        row.addWidget(self.title, 1)
        self.errors = QPushButton("Errors")
        self.errors.setCheckable(True)
        self.errors.setChecked(True)
        self.errors.setToolTip("Voxels in which the labels differ from the reference, in red")
        self.outline = QPushButton("Outlines")
        self.outline.setCheckable(True)
        self.outline.setToolTip("Draw the edges of the labels only")
        self.labels = QLabel("Labels")
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(45)
        self.opacity.setFixedWidth(70)
        self.opacity.setAccessibleName("Opacity of labels")
        self.opacity.setToolTip("How strongly the labels cover the scan")
        self.contrast = QPushButton("Contrast")
        self.contrast.setCheckable(True)
        self.contrast.setToolTip(
            "Histogram of the greys, with what is black and what is white. Dragging with the right mouse "
            "button changes contrast (sideways) and brightness (up, down) too"
        )
        self.whole = QPushButton("Whole slice")
        self.whole.setToolTip(
            "Show the whole slice (double click). Ctrl + wheel zooms, the left button moves."
        )
        for widget in (self.errors, self.outline, self.labels, self.opacity, self.contrast, self.whole):
            if isinstance(widget, QPushButton):  # else it is 80 px wide, and the title has no room
                widget.setFixedWidth(widget.fontMetrics().horizontalAdvance(widget.text()) + PADDING)
            row.addWidget(widget)
        self.errors.toggled.connect(lambda _: self.changed.emit())
        self.outline.toggled.connect(lambda _: self.changed.emit())
        self.opacity.valueChanged.connect(lambda _: self.changed.emit())
