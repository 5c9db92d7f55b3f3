"""Draws one slice, with zoom and pan; no OpenGL.

In:  images as Qt holds them, and how high and wide one of their pixels is on the screen.
Out: `pointed` with the row and column under the mouse, in voxels with fractions; `scrolled`, `windowed`.
"""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

GREATEST_ZOOM, ZOOM_STEP = 64.0, 1.25
WHEEL_STEP = 120


class Canvas(QWidget):
    """A slice that fits the widget until one zooms."""

    pointed = Signal(float, float)  # row, column
    left = Signal()
    scrolled = Signal(int)  # slices
    windowed = Signal(float, float)  # shift of level and of width, in widths of the widget

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumSize(160, 120)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName("Slice")
        self.base: QImage | None = None
        self.overlays: list[tuple[QImage, float]] = []
        self.told = ""
        self._spacing = (1.0, 1.0)
        self.size_voxels = (1, 1)
        self.zoom = 1.0
        self.shift = QPointF(0, 0)
        self._pressed: QPointF | None = None
        self._wheel = 0

    def show_images(
        self,
        base: QImage | None,
        overlays: list[tuple[QImage, float]],
        *,
        size: tuple[int, int],
        spacing: tuple[float, float],
        told: str = "",
    ) -> None:
        """size: (rows, columns) in voxels, whatever the images' own size is. told: in place of a slice."""
        self.base, self.overlays, self._spacing, self.size_voxels, self.told = (
            base,
            overlays,
            spacing,
            size,
            told,
        )
        self.update()

    def fit(self) -> None:
        """The whole slice again."""
        self.zoom, self.shift = 1.0, QPointF(0, 0)
        self.update()

    def place(self) -> QRectF:
        """Where the slice lies on the widget."""
        height, width = self.size_voxels[0] * self._spacing[0], self.size_voxels[1] * self._spacing[1]
        scale = min(self.width() / width, self.height() / height) * self.zoom
        left = (self.width() - width * scale) / 2 + self.shift.x()
        top = (self.height() - height * scale) / 2 + self.shift.y()
        return QRectF(left, top, width * scale, height * scale)

    def voxel_at(self, point: QPointF) -> tuple[float, float]:
        """Row and column in voxels."""
        place = self.place()
        row = (point.y() - place.top()) / place.height() * self.size_voxels[0]
        return row, (point.x() - place.left()) / place.width() * self.size_voxels[1]

    def point_of(self, row: float, column: float) -> QPointF:
        """Where the middle of a voxel lies on the widget."""
        place = self.place()
        y = place.top() + (row + 0.5) / self.size_voxels[0] * place.height()
        return QPointF(place.left() + (column + 0.5) / self.size_voxels[1] * place.width(), y)

    def zoom_by(self, factor: float, around: QPointF | None = None) -> None:
        """Larger or smaller; what lies at `around` stays there."""
        middle = QPointF(self.width() / 2, self.height() / 2)
        around = middle if around is None else around
        zoom = min(max(self.zoom * factor, 1.0), GREATEST_ZOOM)
        ratio = zoom / self.zoom
        self.shift = (self.shift + middle - around) * ratio + around - middle
        self.zoom = zoom
        if zoom == 1.0:
            self.shift = QPointF(0, 0)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 (Qt's)
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#0c0d0f"))
        if self.base is None and not self.overlays:
            painter.setPen(QColor("#a3abb5"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.told)
            return
        place = self.place()
        if self.base is not None:
            is_smooth = place.width() < 2 * self.base.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, is_smooth)
            painter.drawImage(place, self.base)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        for image, opacity in self.overlays:
            painter.setOpacity(opacity)
            painter.drawImage(place, image)

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 (Qt's)
        turned = event.angleDelta().y()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoom_by(ZOOM_STEP ** (turned / WHEEL_STEP), event.position())
        else:
            self._wheel += turned  # touchpads tell parts of a step
            steps = int(self._wheel / WHEEL_STEP)
            self._wheel -= steps * WHEEL_STEP
            if steps:
                self.scrolled.emit(-steps)
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's)
        self._pressed = event.position()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:  # noqa: N802 (Qt's)
        self._pressed = None

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:  # noqa: N802 (Qt's)
        self.fit()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 (Qt's)
        position = event.position()
        if self._pressed is not None:
            moved = position - self._pressed
            self._pressed = position
            if event.buttons() & Qt.MouseButton.RightButton:
                self.windowed.emit(moved.y() / max(self.height(), 1), moved.x() / max(self.width(), 1))
            elif event.buttons() & Qt.MouseButton.LeftButton and self.zoom > 1:
                self.shift += moved
                self.update()
        if self.base is not None or self.overlays:
            row, column = self.voxel_at(position)
            if 0 <= row < self.size_voxels[0] and 0 <= column < self.size_voxels[1]:
                self.pointed.emit(row, column)
                return
        self.left.emit()

    def leaveEvent(self, _event: object) -> None:  # noqa: N802 (Qt's)
        self.left.emit()
