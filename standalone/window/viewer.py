"""Looks into volumes: slices along z, y and x, labels over them, errors in red, the voxel under the mouse.

In:  a View.
Out: what is seen. Moving through slices reads one slice each; nothing here waits for a whole volume.
"""

from __future__ import annotations

from html import escape

import numpy as np
from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QColor, QImage, QKeyEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from bone_backend.errors import BoneError
from bone_backend.volumes.classes import wrong_colour

from .canvas import Canvas
from .sharpen import Sharpening
from .view import AXES, Plane, View, as_bytes, as_indices, grey_table, outlines

WAIT_MS = 150  # between two looks whether a small copy is there
REST_MS = 250  # after which a slice along y is read in full
NOTHING = "Nothing to look at yet."


class Viewer(QWidget):
    """One view and its controls."""

    def __init__(self, nothing: str = NOTHING) -> None:
        super().__init__()
        self.view: View | None = None
        self.axis = 0
        self.indices = [0, 0, 0]
        self.low, self.high = 0.0, 255.0
        self._nothing = nothing
        self.canvas = Canvas()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Slice number")
        self.number = QSpinBox()
        self.number.setAccessibleName("Slice number")
        self.number.setKeyboardTracking(False)
        self.facts = QLabel()
        self.facts.setProperty("kind", "hint")
        self.facts.setMinimumWidth(80)
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.legend.setToolTip("Click on a class to hide it, or to show it again")
        self.legend.linkActivated.connect(self._switch_class)
        self.hidden: set[int] = set()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addLayout(self._bar())
        column.addWidget(self.canvas, 1)
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        column.addLayout(row)
        column.addWidget(self.facts)
        column.addWidget(self.legend)
        self.slider.valueChanged.connect(self.go_to)
        self.number.valueChanged.connect(self.go_to)
        self.canvas.scrolled.connect(lambda steps: self.go_to(self.indices[self.axis] + steps))
        self.canvas.pointed.connect(self._point)
        self.canvas.left.connect(self._tell_greys)
        self.canvas.windowed.connect(self._window)
        self._waiting = QTimer(self)
        self._waiting.timeout.connect(self._look_again)
        self._sharp: Sharpening | None = None
        self._resting = QTimer(self)
        self._resting.timeout.connect(self._rest)
        self.show_view(None)

    def _bar(self) -> QHBoxLayout:
        bar = QHBoxLayout()
        self.axes = QButtonGroup(self)
        for number, name in enumerate(AXES):
            button = QToolButton()
            button.setText(name)
            button.setCheckable(True)
            button.setChecked(number == 0)
            button.setMinimumSize(QSize(28, 24))
            button.setToolTip(f"Slices along {name}")
            button.setAccessibleName(f"Slices along {name}")
            self.axes.addButton(button, number)
            bar.addWidget(button)
        self.axes.idClicked.connect(self.show_axis)
        bar.addSpacing(8)
        self.title = QLabel()
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)  # is cut first
        bar.addWidget(self.title, 1)
        self.errors = QPushButton("Errors")
        self.errors.setCheckable(True)
        self.errors.setChecked(True)
        self.errors.setToolTip("Voxels in which the labels differ from the reference, in red")
        self.labels = QLabel("Labels")
        self.outline = QPushButton("Outlines")
        self.outline.setCheckable(True)
        self.outline.setToolTip("Draw the edges of the labels only")
        self.outline.toggled.connect(lambda _: self.draw())
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(45)
        self.opacity.setFixedWidth(90)
        self.opacity.setAccessibleName("Opacity of labels")
        self.opacity.setToolTip("How strongly the labels cover the scan")
        self.auto = QPushButton("Contrast")
        self.auto.setToolTip(
            "Back to what suits the scan. Drag with the right mouse button to change contrast (sideways) "
            "and brightness (up, down)"
        )
        self.whole = QPushButton("Whole slice")
        self.whole.setToolTip(
            "Show the whole slice (double click). Ctrl + wheel zooms, the left button moves."
        )
        for widget in (self.errors, self.outline, self.labels, self.opacity, self.auto, self.whole):
            bar.addWidget(widget)
        self.errors.toggled.connect(lambda _: self.draw())
        self.opacity.valueChanged.connect(lambda _: self.draw())
        self.auto.clicked.connect(self._auto)
        self.whole.clicked.connect(self.canvas.fit)
        return bar

    def show_view(self, view: View | None, told: str = "") -> None:
        """Look at another view, which is then this widget's to close. told: in place of one."""
        self._blur()
        if self.view is not None:
            self.view.close()
        self.view = view
        for widget in (self.slider, self.number, self.auto, self.whole, *self.axes.buttons()):
            widget.setEnabled(view is not None)
        is_labelled = bool(view and view.layers.keys() - {"scan"})
        for widget in (self.labels, self.opacity):
            widget.setVisible(is_labelled and view is not None and "scan" in view.layers)
        self.outline.setVisible(is_labelled)
        self.hidden = set()
        self.errors.setVisible(bool(view and view.has_errors))
        self.legend.setVisible(is_labelled)
        self.title.setText(view.title if view else "")
        self.title.setToolTip(view.title if view else "")
        self._told = told or self._nothing
        if view is not None:
            self.indices = [n // 2 for n in view.shape]
            self.low, self.high = view.first.low, view.first.high
            self.canvas.fit()
            self._tell_classes()
        self.show_axis(0)
        self._tell_greys()

    def show_axis(self, axis: int) -> None:
        """Slices along z (0), y (1) or x (2)."""
        self.axis = axis
        button = self.axes.button(axis)
        if button:
            button.setChecked(True)
        last = self.view.shape[axis] - 1 if self.view else 0
        for widget in (self.slider, self.number):
            widget.blockSignals(True)
            widget.setRange(0, last)
            widget.setValue(self.indices[axis])
            widget.blockSignals(False)
        self.number.setSuffix(f" of {last}")
        self.draw()

    def go_to(self, index: int) -> None:
        """Another slice; beyond the ends the last one."""
        if self.view is None:
            return
        self.indices[self.axis] = min(max(index, 0), self.view.shape[self.axis] - 1)
        for widget in (self.slider, self.number):
            widget.blockSignals(True)
            widget.setValue(self.indices[self.axis])
            widget.blockSignals(False)
        self.draw()

    def draw(self) -> None:
        """Read the slice and draw it."""
        view = self.view
        self._blur()
        if view is None:
            self.canvas.show_images(None, [], size=(1, 1), spacing=(1, 1), told=self._told)
            return
        size = tuple(n for number, n in enumerate(view.shape) if number != self.axis)
        told, base, overlays = "", None, []
        try:
            planes = {kind: view.plane(kind, self.axis, self.indices[self.axis]) for kind in view.layers}
            if any(plane is None for plane in planes.values()):
                told = view.fault() or f"Making a small copy of the volume: {view.share():.0%}"
                self._waiting.start(WAIT_MS)
            else:
                base, overlays = self._images(view, planes)  # type: ignore[arg-type]
                if any(plane and plane.step > 1 for plane in planes.values()):
                    self._resting.start(REST_MS)
        except (BoneError, OSError) as fault:
            told = str(fault)
        spacing = view.spacing(self.axis)
        self.canvas.show_images(base, overlays, size=size, spacing=spacing, told=told)  # type: ignore[arg-type]

    def _blur(self) -> None:
        """Leave the slice that was being read in full."""
        self._resting.stop()
        if self._sharp is not None:
            self._sharp.end()
            self._sharp = None

    def _rest(self) -> None:
        """Read the slice in full, then draw it so."""
        view = self.view
        if view is None:
            self._blur()
        elif self._sharp is None:
            self._sharp = view.sharpen(self.axis, self.indices[self.axis])
            self._resting.start(WAIT_MS)
            if self._sharp is None:
                self._resting.stop()
        elif self._sharp.is_done:
            found = self._sharp.planes or {}
            self._blur()
            small = {kind: view.plane(kind, self.axis, self.indices[self.axis]) for kind in view.layers}
            planes = {kind: Plane(found[kind]) if kind in found else plane for kind, plane in small.items()}
            if found and all(plane is not None for plane in planes.values()):
                base, overlays = self._images(view, planes)  # type: ignore[arg-type]
                self.canvas.show_images(
                    base, overlays, size=self.canvas.size_voxels, spacing=view.spacing(self.axis)
                )

    def _images(
        self, view: View, planes: dict[str, Plane]
    ) -> tuple[QImage | None, list[tuple[QImage, float]]]:
        """The slice, and what lies over it with its opacity."""
        base, overlays = None, []
        if "scan" in planes:
            base = _grey(planes["scan"], self.low, self.high)
        opacity = self.opacity.value() / 100 if base else 1.0
        shown = "labels" if "labels" in planes else "reference"
        if shown in planes:
            labels = as_indices(planes[shown])
            drawn = outlines(labels) if self.outline.isChecked() else labels
            overlays.append((_indexed(drawn, self._table(view)), opacity))
            if view.has_errors and self.errors.isChecked():
                wrong = view.differs(planes["labels"], planes["reference"]).view(np.uint8)
                red = QColor(wrong_colour(view.colours.values())).rgba()
                overlays.append((_indexed(wrong, [0, red]), 1.0))
        return base, overlays

    def _table(self, view: View) -> list[int]:
        """The colour of every label; the background is clear."""
        shown = (view.colour(value) if value not in self.hidden else None for value in range(1, 256))
        return [0, *(QColor(colour).rgba() if colour else 0 for colour in shown)]

    def _switch_class(self, link: str) -> None:
        """Hide a class, or show it again."""
        self.hidden ^= {int(link)}
        self._tell_classes()
        self.draw()

    def _tell_classes(self) -> None:
        """What the colours mean; of the values that have names, else of the first ones."""
        view = self.view
        if view is None:
            return
        names = {value: name for value, name in view.names.items() if value}
        ink = self.palette().color(self.foregroundRole()).name()
        told = []
        for value, name in sorted(names.items())[:12]:
            colour, line = (view.colour(value), "none") if value not in self.hidden else (ink, "line-through")
            words = f'<span style="color:{ink}; text-decoration:{line}">{value} {escape(name)}</span>'
            square = f'<span style="color:{colour}">{"■" if value not in self.hidden else "□"}</span>'
            told.append(f'<a href="{value}" style="text-decoration:none">{square} {words}</a>')
        if view.has_errors:
            told.append(f'<span style="color:{wrong_colour(view.colours.values())}">■</span> differs')
        self.legend.setText("&nbsp;&nbsp; ".join(told))
        self.legend.setVisible(bool(told))

    def take_classes(self, classes: dict[int, tuple[str, str | None]]) -> None:
        """Names and colours of classes that changed."""
        if self.view is not None:
            self.view.take_classes(classes)
            self._tell_classes()
            self.draw()

    def place_of(self, row: float, column: float) -> tuple[int, int, int]:
        """(z, y, x) of a place in the slice."""
        inside = [int(row), int(column)]
        inside.insert(self.axis, self.indices[self.axis])
        return inside[0], inside[1], inside[2]

    def _point(self, row: float, column: float) -> None:
        if self.view is not None:
            try:
                self.facts.setText(self.view.facts(self.place_of(row, column)))
            except (BoneError, OSError) as fault:
                self.facts.setText(str(fault))

    def _tell_greys(self) -> None:
        """While the mouse is elsewhere."""
        is_grey = self.view is not None and "scan" in self.view.layers
        self.facts.setText(f"black {self.low:,.5g}   ·   white {self.high:,.5g}" if is_grey else " ")

    def _window(self, level: float, width: float) -> None:
        """Contrast and brightness, by dragging."""
        if self.view is None or "scan" not in self.view.layers:
            return
        span = max(self.high - self.low, 1e-9)
        middle = (self.low + self.high) / 2 + level * span
        span *= 2.0 ** (width * 3)
        self.low, self.high = middle - span / 2, middle + span / 2
        self._tell_greys()
        self.draw()

    def _auto(self) -> None:
        if self.view is not None:
            self.low, self.high = self.view.first.low, self.view.first.high
            self._tell_greys()
            self.draw()

    def _look_again(self) -> None:
        self._waiting.stop()
        if self.view is not None and not self.view.fault():
            self.draw()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's)
        steps = {Qt.Key.Key_PageUp: 1, Qt.Key.Key_PageDown: -1, Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}
        zooms = {Qt.Key.Key_Plus: 1.25, Qt.Key.Key_Minus: 0.8}
        axes = {Qt.Key.Key_Z: 0, Qt.Key.Key_Y: 1, Qt.Key.Key_X: 2}
        key = Qt.Key(event.key())
        if key in steps:
            self.go_to(self.indices[self.axis] + steps[key])
        elif key in zooms:
            self.canvas.zoom_by(zooms[key])
        elif key in axes and self.view is not None:
            self.show_axis(axes[key])
        else:
            super().keyPressEvent(event)

    def close_view(self) -> None:
        self._waiting.stop()
        self._blur()
        self.show_view(None)


def _grey(plane: Plane, low: float, high: float) -> QImage:
    """A slice in grey, in the format that Qt draws fastest."""
    if plane.values.dtype == np.uint8:
        greys = (int(grey) for grey in grey_table(plane, low, high))
        return _indexed(plane.values, [0xFF000000 | grey * 0x010101 for grey in greys], is_opaque=True)
    values = np.ascontiguousarray(as_bytes(plane, low, high))
    height, width = values.shape
    image = QImage(values.data, width, height, width, QImage.Format.Format_Grayscale8)
    return image.convertToFormat(QImage.Format.Format_RGB32)


def _indexed(values: np.ndarray, table: list[int], *, is_opaque: bool = False) -> QImage:
    """Each value in its colour of the table (ARGB)."""
    values = np.ascontiguousarray(values)
    height, width = values.shape
    image = QImage(values.data, width, height, width, QImage.Format.Format_Indexed8)
    image.setColorTable(table)
    formats = QImage.Format
    return image.convertToFormat(formats.Format_RGB32 if is_opaque else formats.Format_ARGB32_Premultiplied)
