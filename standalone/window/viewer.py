"""Looks into volumes: slices along z, y and x, labels over them, errors in red, the voxel under the mouse.

In:  a View; which of its slices are the worst, where that is known.
Out: what is seen. Moving through slices reads one slice each; nothing here waits for a whole volume.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from bone_backend.errors import BoneError
from bone_backend.volumes.classes import wrong_colour

from .canvas import Canvas
from .histogram import GreyRow
from .images import grey_image, indexed_image
from .legend import Legend
from .overlay import RANKED
from .overlay_bar import OverlayBar, OverlayButton
from .sharpen import Sharpening
from .view import Plane, View, as_indices, outlines
from .viewer_bar import ViewerBar
from .worst import Ranking, by_mean
from .worst_bar import WorstBar

WAIT_MS = 150  # between two looks whether a small copy is there
REST_MS = 250  # after which a slice along y is read in full
NOTHING = "Nothing to look at yet."


class Viewer(QWidget):
    """One view and its controls."""

    moved = Signal(object)  # the slice along z that is looked at; None along another axis

    def __init__(self, nothing: str = NOTHING) -> None:
        super().__init__()
        self.view: View | None = None
        self.axis = 0
        self.indices = [0, 0, 0]
        self.low, self.high = 0.0, 255.0
        self._nothing = nothing
        self.canvas = Canvas()
        self.bar = bar = ViewerBar()
        self.axes, self.title, self.labels, self.opacity = bar.axes, bar.title, bar.labels, bar.opacity
        self.errors, self.outline, self.contrast, self.whole = (
            bar.errors,
            bar.outline,
            bar.contrast,
            bar.whole,
        )
        self.slider, self.number = QSlider(Qt.Orientation.Horizontal), QSpinBox()
        for widget in (self.slider, self.number):
            widget.setAccessibleName("Slice number")
        self.number.setKeyboardTracking(False)
        self.facts = QLabel()
        self.facts.setProperty("kind", "hint")
        self.facts.setMinimumWidth(80)
        self.fault = QLabel()
        self.fault.setProperty("kind", "fault")
        self.fault.setWordWrap(True)
        self.legend, self.greys = Legend(), GreyRow()
        self.greys.hide()
        self.add_overlay = OverlayButton()
        self.overlay, self.worst = OverlayBar(), WorstBar()
        self._lay_out()
        self._connect()
        self._waiting = QTimer(self)
        self._waiting.timeout.connect(self._look_again)
        self._sharp: Sharpening | None = None
        self._resting = QTimer(self)
        self._resting.timeout.connect(self._rest)
        self._is_by_overlay = False  # what ranks the slices
        self._ranking = QTimer(self)
        self._ranking.setSingleShot(True)
        self._ranking.timeout.connect(self._rank_overlay)
        self.show_view(None)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.addWidget(self.bar)
        column.addWidget(self.overlay)
        column.addWidget(self.canvas, 1)
        row = QHBoxLayout()
        row.addWidget(self.slider, 1)
        row.addWidget(self.number)
        column.addLayout(row)
        column.addWidget(self.worst)
        column.addWidget(self.greys)
        column.addWidget(self.facts)
        column.addWidget(self.fault)
        row = QHBoxLayout()
        row.addWidget(self.legend, 1)
        row.addWidget(self.add_overlay, 0, Qt.AlignmentFlag.AlignRight)
        column.addLayout(row)

    def _connect(self) -> None:
        self.add_overlay.chosen.connect(self.open_overlay)
        self.overlay.maps.currentIndexChanged.connect(lambda _: self._rank_overlay())
        self.worst.chosen.connect(self.go_to_z)
        self.overlay.changed.connect(self.draw)
        self.overlay.closed.connect(self.close_overlay)
        self.greys.histogram.moved.connect(self.show_greys)
        self.greys.auto.clicked.connect(self._auto)
        self.legend.changed.connect(self.draw)
        self.axes.idClicked.connect(self.show_axis)
        self.contrast.toggled.connect(self._show_histogram)
        self.whole.clicked.connect(self.canvas.fit)
        self.bar.changed.connect(self.draw)
        for widget in (self.slider, self.number):
            widget.valueChanged.connect(lambda number: self.go_to(number - 1))
        self.canvas.scrolled.connect(lambda steps: self.go_to(self.indices[self.axis] + steps))
        self.canvas.pointed.connect(self._point)
        self.canvas.left.connect(self._tell_greys)
        self.canvas.windowed.connect(self._window)

    def show_view(self, view: View | None, told: str = "") -> None:
        """Look at another view, which is then this widget's to close. told: in place of one."""
        self._blur()
        if self.view is not None:
            self.view.close()
        self.view = view
        buttons = (self.contrast, self.whole, self.add_overlay, *self.axes.buttons())
        for widget in (self.slider, self.number, *buttons):
            widget.setEnabled(view is not None)
        is_labelled = bool(view and view.layers.keys() & {"labels", "reference"})
        for widget in (self.labels, self.opacity):
            widget.setVisible(is_labelled and view is not None and "scan" in view.layers)
        self.outline.setVisible(is_labelled)
        self.errors.setVisible(bool(view and view.has_errors))
        self.legend.show_view(view if is_labelled else None)
        self.show_ranking(None)
        self.add_overlay.offer(())
        self.title.setText(view.title if view else "")
        self.title.setToolTip(view.title if view else "")
        self._told = told or self._nothing
        if view is not None:
            self.indices = [n // 2 for n in view.shape]
            self.low, self.high = view.first.low, view.first.high
            self.canvas.fit()
        self._show_histogram()
        self._show_overlay()
        self.show_axis(0)
        self._tell_greys()

    def show_axis(self, axis: int) -> None:
        """Slices along z (0), y (1) or x (2)."""
        self.axis = axis
        button = self.axes.button(axis)
        if button:
            button.setChecked(True)
        count = self.view.shape[axis] if self.view else 1
        for widget in (self.slider, self.number):
            widget.blockSignals(True)
            widget.setRange(1, count)  # people count slices from 1, as Fiji does
            widget.setValue(self.indices[axis] + 1)
            widget.blockSignals(False)
        self.number.setSuffix(f" of {count:,}")
        self.draw()

    def go_to(self, index: int) -> None:
        """Another slice; beyond the ends the last one."""
        if self.view is None:
            return
        self.indices[self.axis] = min(max(index, 0), self.view.shape[self.axis] - 1)
        for widget in (self.slider, self.number):
            widget.blockSignals(True)
            widget.setValue(self.indices[self.axis] + 1)
            widget.blockSignals(False)
        self.draw()

    def draw(self) -> None:
        """Read the slice and draw it."""
        view = self.view
        self._blur()
        self.moved.emit(self.indices[0] if self.axis == 0 and view is not None else None)
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
            base = grey_image(planes["scan"], self.low, self.high)
        opacity = self.opacity.value() / 100 if base else 1.0
        shown = "labels" if "labels" in planes else "reference"
        over = self.overlay.image(planes.get("overlay"), is_over=base is not None)
        is_doubt = self.overlay.maps.currentText() in RANKED  # clear where it is sure, so it lies on top
        overlays += [over] if over and not is_doubt else []
        if shown in planes:
            labels = as_indices(planes[shown])
            drawn = outlines(labels) if self.outline.isChecked() else labels
            overlays.append((indexed_image(drawn, self._table(view)), opacity))
            if view.has_errors and self.errors.isChecked():
                wrong = view.differs(planes["labels"], planes["reference"]).view(np.uint8)
                red = QColor(wrong_colour(view.colours.values())).rgba()
                overlays.append((indexed_image(wrong, [0, red]), 1.0))
        return base, overlays + ([over] if over and is_doubt else [])

    def _table(self, view: View) -> list[int]:
        """The colour of every label; the background is clear."""
        shown = (view.colour(value) if value not in self.legend.off else None for value in range(1, 256))
        return [0, *(QColor(colour).rgba() if colour else 0 for colour in shown)]

    def take_classes(self, classes: dict[int, tuple[str, str | None]]) -> None:
        """Names and colours of classes that changed."""
        if self.view is not None:
            self.view.take_classes(classes)
            self.legend.tell()
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
        is_grey = self.view is not None and "scan" in self.view.layers and not self.greys.isVisible()
        self.facts.setText(f"black {self.low:,.5g}   ·   white {self.high:,.5g}" if is_grey else " ")

    def _window(self, level: float, width: float) -> None:
        """Contrast and brightness, by dragging."""
        if self.view is None or "scan" not in self.view.layers:
            return
        span = max(self.high - self.low, 1e-9)
        middle = (self.low + self.high) / 2 + level * span
        span *= 2.0 ** (width * 3)
        self.show_greys(middle - span / 2, middle + span / 2)

    def show_greys(self, low: float, high: float) -> None:
        """What is black and what is white."""
        self.low, self.high = low, high
        self.greys.histogram.show_borders(low, high)
        self._tell_greys()
        self.draw()

    def _auto(self) -> None:
        if self.view is not None:
            self.show_greys(self.view.first.low, self.view.first.high)

    def _show_histogram(self, _is_on: bool = False) -> None:
        greys = self.view.first.greys if self.view else None
        self.contrast.setVisible(greys is not None)
        is_shown = self.contrast.isChecked() and greys is not None
        self.greys.setVisible(is_shown)
        self._tell_greys()
        if is_shown and greys is not None:
            self.greys.histogram.show_bins(greys.bins, self.low, self.high)

    def open_overlay(self, path: str, colours: str = "") -> str:
        """Lay a volume over the others; what is wrong with it is told below, and given. colours: of MAPS."""
        if self.view is None:
            return ""
        try:
            self.view.add_overlay(path)
        except (BoneError, OSError) as fault:
            self.fault.setText(str(fault))
            self.fault.show()
            return str(fault)
        if colours:
            self.overlay.maps.setCurrentText(colours)
        self._show_overlay()
        self.draw()
        return ""

    def close_overlay(self) -> None:
        """Take it away."""
        if self.view is not None:
            self.view.drop_overlay()
        self._show_overlay()
        self.draw()

    def _show_overlay(self) -> None:
        layer = self.view.layers.get("overlay") if self.view else None
        self.fault.hide()
        self.overlay.setVisible(layer is not None)
        if layer is not None and layer.greys is not None:
            self.overlay.show_overlay(layer.header.name, layer.greys.bins, (layer.low, layer.high))
        self._rank_overlay()

    def _rank_overlay(self) -> None:
        """By the mean of an overlay that tells doubt, where nothing else ranks; waits for the small copy."""
        if self.worst.ranking is not None and not self._is_by_overlay:
            return
        order = RANKED.get(self.overlay.maps.currentText())
        means = self.view.overlay_means() if self.view and order else None
        self._is_by_overlay = means is not None
        self.worst.show_ranking(
            None if means is None else by_mean(means, "mean of the overlay", order=str(order))
        )
        if means is None and order and self.view and "overlay" in self.view.layers and not self.view.fault():
            self._ranking.start(REST_MS)

    def show_ranking(self, ranking: Ranking | None) -> None:
        """Which slices along z are worth a look, the worst first."""
        self._is_by_overlay = False
        self.worst.show_ranking(ranking)

    def go_to_z(self, index: int) -> None:
        """A slice along z."""
        if self.axis != 0:
            self.show_axis(0)
        self.go_to(index)

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
        elif key == Qt.Key.Key_W:
            self.worst.next()
        elif key in axes and self.view is not None:
            self.show_axis(axes[key])
        else:
            super().keyPressEvent(event)

    def close_view(self) -> None:
        self._waiting.stop()
        self._ranking.stop()
        self._blur()
        self.show_view(None)
