"""The row of controls for a volume that lies over a scan: on or off, colours, opacity, range.

In:  the name of the volume and the range of its values.
Out: `changed` when a person changes one of them, `closed` when it shall go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSlider,
    QToolButton,
    QWidget,
)

from .beside import Map
from .editors import QuietCombo
from .greys import Bins
from .histogram import Histogram
from .images import coloured_image
from .overlay import MAPS, colour_table
from .view import Plane


class OverlayButton(QPushButton):
    """Asks for a volume; where labels have maps beside them, these can be taken by a click."""

    chosen = Signal(str, str)  # path, and colours of MAPS

    def __init__(self) -> None:
        super().__init__("Overlay …")
        self.setToolTip("Lay another volume of this shape over the scan, such as a confidence")
        self.clicked.connect(self._ask)
        self.maps: tuple[Map, ...] = ()

    def offer(self, maps: Sequence[Map]) -> None:
        """Maps beside the labels; none: a click asks for a file."""
        if tuple(maps) == self.maps:
            return
        self.maps = tuple(maps)
        before, menu = self.menu(), None
        if self.maps:
            menu = QMenu(self)
            for one in self.maps:
                words = one.words[:1].upper() + one.words[1:]
                menu.addAction(words, lambda one=one: self.chosen.emit(one.path, one.colours))
            menu.addSeparator()
            menu.addAction("Another volume …", self._ask)
        self.setMenu(menu)
        if before is not None:
            before.deleteLater()

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A volume of the same shape")
        if path:
            self.chosen.emit(path, "")


class OverlayBar(QWidget):
    """Hidden where there is no overlay."""

    changed = Signal()
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.shown = QCheckBox()
        self.shown.setChecked(True)
        self.shown.setToolTip("Show this volume over the scan")
        self.maps = QuietCombo()
        self.maps.addItems(list(MAPS))
        self.maps.setAccessibleName("Colours of the overlay")
        self.maps.setToolTip("Doubt: low values in red, high ones clear. Entropy: the other way round")
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setValue(70)
        self.opacity.setFixedWidth(70)
        self.opacity.setAccessibleName("Opacity of the overlay")
        self.range = Histogram("Histogram of the overlay: ends of its colours", ("from", "to"))
        self._take_map()
        self.close_button = QToolButton()
        self.close_button.setText("✕")
        self.close_button.setAutoRaise(True)
        self.close_button.setAccessibleName("Take the overlay away")
        self.close_button.setToolTip("Take the overlay away")
        row.addWidget(self.shown)
        row.addWidget(self.maps)
        row.addWidget(QLabel("Opacity"))
        row.addWidget(self.opacity)
        row.addWidget(self.range, 1)
        row.addWidget(self.close_button)
        self.shown.toggled.connect(lambda _: self.changed.emit())
        self.maps.currentIndexChanged.connect(self._take_map)
        self.maps.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.opacity.valueChanged.connect(lambda _: self.changed.emit())
        self.range.moved.connect(lambda _low, _high: self.changed.emit())
        self.close_button.clicked.connect(self.closed)
        self.hide()

    def _take_map(self) -> None:
        self.range.table = colour_table(self.maps.currentText())[::5]
        self.range.update()

    def image(self, plane: Plane | None, *, is_over: bool) -> tuple[QImage, float] | None:
        """A plane in colours, with its opacity; None where there is none or it is not shown."""
        if plane is None or not self.shown.isChecked():
            return None
        table = colour_table(self.maps.currentText())
        image = coloured_image(plane, self.range.low, self.range.high, table)
        return image, self.opacity.value() / 100 if is_over else 1.0

    def show_overlay(self, name: str, bins: Bins, ends: tuple[float, float]) -> None:
        """Another volume."""
        self.shown.setText(name if len(name) <= 24 else f"{name[:23]}…")
        self.shown.setAccessibleName(f"Show {name} over the scan")
        self.range.show_bins(replace(bins, tissues=None), *ends)  # which a confidence has not
        self.show()
