"""The pictures of a fit beside its curves: one row a patch, a slider through the epochs.

In:  LivePictures, filled as a run goes on.
Out: nothing. While the slider stands at its end it follows the run; a click on a row shows it large.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QVBoxLayout, QWidget

from .live import TITLES, LivePictures, Row
from .theme import colours

GAP, TEXT, BESIDE, MOST_BESIDE = 6, 18, 110, 200  # px; words beside a row


class Panels(QWidget):
    """Paints rows of four images; one row alone as large as there is room."""

    clicked = Signal(int)  # a row

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.alone: int | None = None
        self._images: list[list[QImage]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Validation patches after each epoch")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's)
        return QSize(240, 160)

    def show_rows(self, rows: list[Row]) -> None:
        self.rows = rows
        self._images = [[_image(image) for image in row.images] for row in rows]
        if self.alone is not None and self.alone >= len(rows):
            self.alone = None
        self.setToolTip(
            ""
            if not rows
            else "All rows"
            if self.alone is not None
            else "A click (keys 1, 2, 3) shows a row large"
        )
        self.update()

    def cells(self) -> list[tuple[int, int, QRectF]]:
        """(row, image, where): what is painted, within the widget."""
        count = len(self.rows)
        if not count:
            return []
        shown = range(count) if self.alone is None else [self.alone]
        shapes = [(len(TITLES), len(shown))] if self.alone is None else [(4, 1), (2, 2)]
        columns, lines = max(shapes, key=lambda shape: self._edge(*shape))
        edge = self._edge(columns, lines)
        found = []
        for place, row in enumerate(shown):
            for number, image in enumerate(self._images[row]):
                line, column = divmod(place * len(TITLES) + number, columns)
                larger = max(image.width(), image.height())
                wide, high = edge * image.width() / larger, edge * image.height() / larger
                left = self._beside(edge, columns) + column * (edge + GAP)
                found.append((row, number, QRectF(left, TEXT + line * self._line(edge, lines), wide, high)))
        return found

    def _edge(self, columns: int, lines: int) -> float:
        """Pixels along the longer edge of an image, of so many beside and below each other."""
        wide = (self.width() - BESIDE - GAP * (columns - 1)) / columns
        titles = lines if self.alone is not None else 1
        return max(min(wide, (self.height() - TEXT * titles - GAP * lines) / lines), 8.0)

    def _beside(self, edge: float, columns: int) -> float:
        """Pixels for the words."""
        return max(BESIDE, min(self.width() - columns * (edge + GAP), MOST_BESIDE))

    def _line(self, edge: float, lines: int) -> float:
        return edge + GAP + (TEXT if self.alone is not None and lines > 1 else 0)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 (Qt's)
        painter, found = QPainter(self), colours()
        cells = self.cells()
        beside = min((where.left() for _, _, where in cells), default=0.0)
        for row, number, where in cells:
            image = self._images[row][number]
            is_smaller = where.width() < image.width()  # larger ones show their voxels
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, is_smaller)
            painter.drawImage(where, image)
            if row == 0 or self.alone is not None:
                painter.setPen(QColor(found.ink))
                painter.setFont(self._title_font(where.width() + GAP - 2))
                over = QRectF(where.left() - GAP / 2, where.top() - TEXT, where.width() + GAP, TEXT)
                painter.drawText(over, Qt.AlignmentFlag.AlignCenter, TITLES[number])
                painter.setFont(self.font())
            if number == 0:
                painter.setPen(QColor(found.hint))
                told = self.rows[row].place.replace(", ", "\n")
                room = QRectF(0, where.top(), beside - GAP, where.height())
                words = f"{told}\n{100 * self.rows[row].wrong:.1f} % wrong"
                flags = (
                    Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWrapAnywhere
                )
                painter.drawText(room, int(flags), words)
        painter.end()

    def _title_font(self, room: float) -> QFont:
        """Smaller where the images are smaller than their titles."""
        font = self.font()
        widest = max(self.fontMetrics().horizontalAdvance(title) for title in TITLES)
        font.setPointSizeF(font.pointSizeF() * min(1.0, room / widest))
        return font

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's)
        for row, _image_number, where in self.cells():
            if where.contains(event.position()):
                self.clicked.emit(row)
                return

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 (Qt's)
        """1, 2, 3 show a row large, or all again."""
        number = event.key() - Qt.Key.Key_1
        if 0 <= number < len(self.rows):
            self.clicked.emit(number)
        else:
            super().keyPressEvent(event)


class LivePage(QWidget):
    """Panels, a slider, a line of words."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = LivePictures()
        self.panels = Panels()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Epoch")
        self.slider.setToolTip("Slide back through the epochs")
        self.slider.setPageStep(1)
        self.newest = QPushButton("Newest")
        self.newest.setToolTip("Follow the run")
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.legend = QLabel()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 6)
        column.setSpacing(4)
        column.addWidget(self.panels, 1)
        line = QHBoxLayout()
        line.addWidget(self.slider, 1)
        line.addWidget(self.newest)
        column.addLayout(line)
        line = QHBoxLayout()
        line.addWidget(self.told, 1)
        line.addWidget(self.legend)
        column.addLayout(line)
        self.slider.valueChanged.connect(self._show)
        self.newest.clicked.connect(lambda: self.slider.setValue(self.slider.maximum()))
        self.panels.clicked.connect(self._enlarge)
        self.fill()

    def begin(self, *, goes_on: bool) -> None:
        """Another run; one that goes on keeps its epochs so far."""
        if not goes_on:
            self.pictures.clear()
            self.panels.alone = None
        self.fill()

    def take(self, content: bytes) -> None:
        """One more epoch; it is shown where the newest was."""
        follows = self.slider.value() == self.slider.maximum()
        if self.pictures.take(content):
            number = self.slider.value()
            self.fill(None if follows else number)

    def fill(self, number: int | None = None) -> None:
        """Show an epoch; None: the newest."""
        last = max(len(self.pictures) - 1, 0)
        self.slider.blockSignals(True)
        self.slider.setRange(0, last)
        self.slider.setValue(last if number is None else min(number, last))
        self.slider.blockSignals(False)
        self.slider.setVisible(last > 0)
        self.newest.setVisible(last > 0)
        names = [(name, colour) for name, colour in self.pictures.classes()[1:]]
        self.legend.setText(
            "   ".join(f'<span style="color:{colour}">■</span> {name}' for name, colour in names)
        )
        self._show()

    def _show(self) -> None:
        number = self.slider.value()
        self.told.setText(self.pictures.in_words(number))
        self.newest.setEnabled(number < self.slider.maximum())
        self.panels.show_rows(self.pictures.rows(number) if len(self.pictures) else [])

    def _enlarge(self, row: int) -> None:
        self.panels.alone = None if self.panels.alone is not None else row
        self.panels.show_rows(self.panels.rows)


def _image(pixels: np.ndarray) -> QImage:
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    return QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
