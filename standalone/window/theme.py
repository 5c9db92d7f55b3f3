"""How the window looks: light or dark as the system says, one accent, no pictures.

In:  Qt's colour scheme of the system, or the one that was chosen.
Out: a palette and a few rules of style; colours for what is wrong and what is only a hint.
"""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPalette, QPen, QPolygonF
from PySide6.QtWidgets import QApplication, QProxyStyle, QStyle, QStyleOption, QToolTip, QWidget

from bone_backend.volumes.classes import MEAN, TRAINING, VALIDATION

TAB = 5  # px that a tab is higher than Fusion makes it
SCHEMES = {"system": Qt.ColorScheme.Unknown, "light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}


@dataclass(frozen=True)
class Colours:
    paper: str
    field: str
    ink: str
    hint: str
    edge: str
    accent: str
    on_accent: str
    wrong: str
    doubt: str  # to be looked at; nothing failed
    good: str
    training: str  # curves
    validation: str
    mean: str
    tissue: str  # marks in a histogram


LIGHT = Colours(
    "#f4f5f7",
    "#ffffff",
    "#1d2126",
    "#5f6872",
    "#c9ced6",
    "#0063a3",
    "#ffffff",
    "#b00020",
    "#875300",
    "#1b7a3d",
    TRAINING,
    VALIDATION,
    MEAN,
    "#b34700",
)
DARK = Colours(
    "#23262b",
    "#31363d",
    "#e6e8eb",
    "#a3abb5",
    "#59616c",
    "#4aa8e8",
    "#0d1a24",
    "#ff8a80",
    "#f2c063",
    "#7ccf96",
    "#62b0ea",
    "#ff8f5e",
    "#e6e8eb",
    "#ff9d5c",
)


class Style(QProxyStyle):
    """Fusion, with boxes to tick that are seen on dark paper too, and tabs whose g is not cut off."""

    def __init__(self) -> None:
        super().__init__("Fusion")

    def sizeFromContents(  # noqa: N802 (Qt's)
        self,
        kind: QStyle.ContentsType,
        option: QStyleOption,
        size: QSize,
        widget: QWidget | None = None,
    ) -> QSize:
        found = super().sizeFromContents(kind, option, size, widget)
        return found + QSize(0, TAB) if kind == QStyle.ContentsType.CT_TabBarTab else found

    def drawPrimitive(  # noqa: N802 (Qt's)
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        kinds = QStyle.PrimitiveElement
        if element not in (kinds.PE_IndicatorCheckBox, kinds.PE_IndicatorItemViewItemCheck):
            super().drawPrimitive(element, option, painter, widget)
            return
        found, state, flags = colours(), option.state, QStyle.StateFlag  # type: ignore[attr-defined]
        is_on, is_enabled = bool(state & flags.State_On), bool(state & flags.State_Enabled)
        box = QRectF(option.rect).adjusted(1.5, 1.5, -1.5, -1.5)  # type: ignore[attr-defined]
        accent = QColor(found.accent if is_enabled else found.hint)
        is_marked = is_on or bool(state & (flags.State_HasFocus | flags.State_MouseOver))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(accent if is_marked else QColor(found.hint), 1.2))
        painter.setBrush(accent if is_on else QColor(found.field))
        painter.drawRoundedRect(box, 2.5, 2.5)
        if is_on:
            painter.setPen(QPen(QColor(found.on_accent), 1.8))
            places = ((0.22, 0.52), (0.42, 0.72), (0.78, 0.28))
            points = [QPointF(box.left() + x * box.width(), box.top() + y * box.height()) for x, y in places]
            painter.drawPolyline(QPolygonF(points))
        painter.restore()


class Chosen:
    """The scheme that was chosen; not every platform of Qt takes one."""

    scheme = "system"


def line_width(width: float) -> float:
    """Of a line in a plot, which pyqtgraph takes in dots of the screen: as wide on every screen."""
    return width * QApplication.primaryScreen().devicePixelRatio()


def is_dark() -> bool:
    if Chosen.scheme == "system":
        return QApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
    return Chosen.scheme == "dark"


def colours() -> Colours:
    return DARK if is_dark() else LIGHT


def choose(scheme: str) -> None:
    """Take "light", "dark", or what the system says."""
    Chosen.scheme = scheme if scheme in SCHEMES else "system"
    if Chosen.scheme == "system":
        QApplication.styleHints().unsetColorScheme()
    else:
        QApplication.styleHints().setColorScheme(SCHEMES[Chosen.scheme])


def apply(application: QApplication, window: QWidget | None = None) -> None:
    """Palette and style sheet for the present scheme.

    window: gets the sheet when all is in it, since a sheet of the application is worked out anew for every
    widget that is put into another.
    """
    found = colours()
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, colour in (
        (roles.Window, found.paper),
        (roles.Base, found.field),
        (roles.AlternateBase, found.paper),
        (roles.Button, found.field),
        (roles.ToolTipBase, found.field),
        (roles.WindowText, found.ink),
        (roles.Text, found.ink),
        (roles.ButtonText, found.ink),
        (roles.ToolTipText, found.ink),
        (roles.PlaceholderText, found.hint),
        (roles.Highlight, found.accent),
        (roles.HighlightedText, found.on_accent),
        (roles.Accent, found.accent),
        (roles.Link, found.accent),
        (roles.Mid, found.edge),
        (roles.Dark, found.edge),
        (roles.Light, found.edge if is_dark() else "#ffffff"),
        (roles.Midlight, found.edge if is_dark() else "#eceef1"),
    ):
        palette.setColor(role, QColor(colour))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(found.hint))
    application.setPalette(palette)
    QToolTip.setPalette(palette)
    if window is not None:
        window.setStyleSheet(_sheet(found))


def _sheet(found: Colours) -> str:
    return f"""
    QGroupBox {{ border: none; border-top: 1px solid {found.edge}; margin-top: 26px; padding-top: 2px; }}
    QGroupBox::title {{ subcontrol-origin: margin; left: -2px; top: 4px; color: {found.ink}; }}
    QGroupBox {{ font-weight: bold; }} QGroupBox * {{ font-weight: normal; }}
    QLabel[kind="hint"] {{ color: {found.hint}; }}
    QLabel[kind="fault"] {{ color: {found.wrong}; }}
    QLabel[kind="doubt"] {{ color: {found.doubt}; }}
    QLabel[kind="good"] {{ color: {found.good}; }}
    QLabel[kind="title"] {{ font-weight: bold; }}
    QLineEdit {{ border: 1px solid {found.edge}; border-radius: 3px; padding: 2px 3px;
        background: {found.field}; }}
    QLineEdit:focus {{ border: 1px solid {found.accent}; }}
    QComboBox QLineEdit, QSpinBox QLineEdit, QTableWidget QLineEdit {{ border: none; padding: 0px; }}
    QPushButton:checked, QToolButton:checked {{ background: {found.accent}; color: {found.on_accent};
        border: 1px solid {found.accent}; border-radius: 3px; padding: 3px 10px; }}
    QToolButton:checked {{ padding: 3px 6px; }}
    QLineEdit[faulty="true"], QComboBox[faulty="true"], QTableWidget[faulty="true"] {{
        border: 1px solid {found.wrong}; border-radius: 2px; }}
    QLineEdit[faulty="true"]:focus {{ border: 1px solid {found.wrong}; }}
    QPushButton[kind="first"] {{ background: {found.accent}; color: {found.on_accent}; font-weight: bold;
        border: 1px solid {found.accent}; border-radius: 4px; padding: 6px 18px; }}
    QPushButton[kind="first"]:disabled {{ background: {found.paper}; color: {found.hint};
        border: 1px solid {found.edge}; }}
    QPushButton[kind="first"]:focus {{ border: 2px solid {found.ink}; }}
    QToolButton[kind="reset"] {{ border: none; color: {found.accent}; }}
    QToolButton[kind="reset"]:hover {{ text-decoration: underline; }}
    QProgressBar {{ border: 1px solid {found.edge}; border-radius: 4px; background: {found.field};
        min-height: 10px; max-height: 10px; }}
    QProgressBar::chunk {{ background: {found.accent}; border-radius: 3px; }}
    QTabWidget::pane {{ border: none; border-top: 1px solid {found.edge}; }}
    QFrame#tour {{ background: {found.field}; border: none; border-bottom: 2px solid {found.accent}; }}
    QToolTip {{ color: {found.ink}; background: {found.field}; border: 1px solid {found.edge};
        padding: 4px; }}
    """


def mark(widget: object, name: str, value: object) -> None:
    """Set a property that the style sheet knows, and draw anew."""
    if widget.property(name) != value:  # type: ignore[attr-defined]
        widget.setProperty(name, value)  # type: ignore[attr-defined]
        widget.style().unpolish(widget)  # type: ignore[attr-defined]
        widget.style().polish(widget)  # type: ignore[attr-defined]
